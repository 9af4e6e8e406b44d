# Everything a developer types. `make help` lists it.
SHELL := /bin/sh
PYTHON := .venv/bin/python

.DEFAULT_GOAL := help
.PHONY: help setup run demo test lint format bench proto docs lock

help: ## Show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: ## Set up what running needs: .venv with the pinned dependencies
	@sh deploy/setup.sh run

run: setup ## Run the whole system in the foreground (SQLite, files, one node)
	@exec .venv/bin/penstock up

demo: setup ## Pull an image through Penstock: cold, warm, and without its upstream
	@exec $(PYTHON) -m tests.demo

test: ## Set up what the tests need, check the code and run the tests; SLOW=1 for the slow ones as well
	@sh deploy/setup.sh test
	@sh tests/setup.sh
	@sh tests/run.sh

lint: ## Check style, types, import rules and generated code
	@sh deploy/setup.sh test
	@sh tests/lint.sh

format: ## Rewrite the code in the project's style
	@sh deploy/setup.sh test
	@.venv/bin/ruff check --fix --quiet . || true
	@.venv/bin/ruff format --quiet .

bench: ## Measure, beside peers; writes bench-results.json; QUICK=1 for a short run
	@sh deploy/setup.sh test
	@sh tests/setup.sh
	@exec $(PYTHON) -m tests.bench $(if $(QUICK),--quick)

proto: ## Write proto/gen from proto/penstock
	@sh deploy/setup.sh test
	@sh proto/generate.sh

docs: ## Write the README's tables of settings and commands, and the Grafana dashboards
	@sh deploy/setup.sh test
	@.venv/bin/python -m deploy.docs
	@.venv/bin/python -m deploy.dashboards

lock: ## Write the lock files from pyproject.toml
	@sh deploy/setup.sh test
	@sh deploy/lock.sh
