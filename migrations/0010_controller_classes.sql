-- Several controllers in one cluster, each for the resources of its class.
-- https://kubernetes.io/docs/concepts/services-networking/ingress/#ingress-class is the idea.

ALTER TABLE clusters
    ADD COLUMN controller_class text COLLATE "C" NOT NULL DEFAULT '',
    ADD CONSTRAINT clusters_controller_class_check CHECK (controller_class ~ '^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)?$');
COMMENT ON COLUMN clusters.controller_class IS 'The class of the resources that the controller of this prefix looks after; empty for those without one.';
