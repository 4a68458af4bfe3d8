-- What an auditor looks for by who, what, where from or which request lies in few places of a day. A summary of each range of pages tells where not
-- to look; it is made once the range is full, so that adding an entry costs next to nothing.

CREATE INDEX audit_entries_summary_idx ON audit_entries USING brin (
    actor_id text_bloom_ops, actor_name text_bloom_ops, resource text_bloom_ops, client text_bloom_ops, request_id uuid_minmax_ops
) WITH (pages_per_range = 32, autosummarize = on);
