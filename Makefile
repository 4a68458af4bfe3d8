# What people run. Everything is a script under hack/, each with its own --help; this file only names them.
.DEFAULT_GOAL := help
.PHONY: help up down status test chart e2e kills bench mutants lint generate image sbom

help: ## list the targets
	@sed -n 's/^\([a-z0-9]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 12

up: ## start everything for development: cluster, Postgres, API, controller, samples (CLUSTER=current, DATABASE_URL: use yours)
	@hack/up

down: ## stop what 'make up' started; only caches remain
	@hack/down

status: ## say what of it runs
	@hack/status

test: ## lint, unit, integration and end-to-end tests (STAGES="lint unit" for some)
	@hack/test $(STAGES)

chart: ## check the chart: lint, unit tests, a matrix of values against a real API server, alerts
	@hack/test chart

e2e: ## end-to-end tests alone: a node, the image, the chart installed and used (root)
	@hack/test e2e

kills: ## kill the API, the controller, Postgres and the API server under load, 20 times each (KILLS=n)
	@AETHER_VAULT_KILLS=$(or $(KILLS),20) SQLX_OFFLINE=true cargo test --locked --quiet --test kills

bench: ## measure; one JSON object a line (ONLY=read,write: figures whose names begin so); policy decisions: cargo bench --bench policy
	@hack/bench $(ONLY)

mutants: ## break the code in known places and check that a named test notices each
	@hack/mutants

lint: ## formatting, clippy, shell scripts, generated files
	@hack/test lint

generate: ## write the generated files: crds/, docs/openapi.json, .sqlx, what is made from the chart
	@hack/generate

image: ## build the container image into .dev/images/aether-vault.tar
	@hack/image

sbom: ## write what the program is made of, as CycloneDX, into .dev/images/aether-vault.cdx.json
	@hack/sbom
