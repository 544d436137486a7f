# Every wish is one short command; CI calls the same ones. `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PROFILE ?= quick

# Compiled modules are kept, whatever the user's shell says: a suite starts ten processes that import the same ones.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help suite bench-overhead bench-loadgen test test-fast test-extended stack-tools test-stack lint format generate lock clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

suite: $(VENV)/.runtime ## fresh machine, no Docker: install, run the quick suite, write the reports
	@$(BIN)/python scripts/run_suite.py --profile $(PROFILE)

bench-overhead: $(VENV)/.runtime ## what telemetry costs: jobs per second and P95 with it on and off (about 2 minutes)
	@$(BIN)/python scripts/bench_overhead.py

bench-loadgen: $(VENV)/.runtime ## the load generator beside k6 and Locust: requests per core, P95 of a freeze (about 3 minutes)
	@$(BIN)/python scripts/bench_loadgen.py

MEASURED := $(wildcard tests/test_*.py) tests/scripts# conftest.py refuses such tests elsewhere

test: $(VENV)/.dev ## install, pass the tests: most of them on all cores, then those of the measured suite alone
	@$(BIN)/python -m pytest -m "not alone and not extended" --ignore tests/stack/full/test_native.py -n auto --dist worksteal
	@$(BIN)/python -m pytest -m "alone and not extended" $(MEASURED)

test-extended: $(VENV)/.dev ## the long ones: the commands of README and docs/, kills and freezes, repetitions, ablation, baselines, benches
	@$(BIN)/python -m pytest -m extended

test-fast: $(VENV)/.dev ## the fast tests: no stack, no processes but shared ones of media
	@$(BIN)/python -m pytest -m "not acceptance"

stack-tools: $(VENV)/.runtime ## build Prometheus and the Collector as compose pins them, into the cache (needs Go)
	@$(BIN)/python -m reelbench.stack.tools

test-stack: $(VENV)/.dev ## run the files of the compose stack natively (after stack-tools; TEMPO_BIN adds a Tempo)
	@$(BIN)/python -m pytest tests/stack/full

lint: $(VENV)/.dev ## format check, lint, types, import directions, scenario files, generated files
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m reelbench.loadgen check
	@$(BIN)/python scripts/generate.py --check

generate: $(VENV)/.runtime ## write dashboards, rules and their page from the catalogue of indicators
	@$(BIN)/python scripts/generate.py

format: $(VENV)/.dev ## format the code and mend what the linter can
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

lock: | $(BIN)/python ## renew the lock files from pyproject.toml
	@$(BIN)/uv pip compile -q --universal --generate-hashes --python-version 3.11 --custom-compile-command "make lock" --all-extras pyproject.toml -o requirements.lock
	@$(BIN)/uv pip compile -q --universal --generate-hashes --python-version 3.11 --custom-compile-command "make lock" --all-extras pyproject.toml --group dev -c requirements.lock -o requirements-dev.lock

clean: ## remove the environment, the cache and all runs
	rm -rf $(VENV) .cache runs

# uv installs the locked set five times faster than pip (10 s instead of 53 s measured on 2 cores);
# where it cannot (no wheel for the platform, an index only pip knows), pip does the same with the same hashes.
UV := uv==0.13.8

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and f"Reelbench needs Python 3.11 or newer, {sys.executable} is {sys.version.split()[0]}; name another one: make PYTHON=python3.12 ...")'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -q --disable-pip-version-check $(UV) || echo "no uv here, pip installs instead"

define install
	@echo "installing $(1)"
	@VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install -q --compile-bytecode --require-hashes -r $(1) 2>/dev/null \
	  || $(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r $(1)
	@touch $@
endef

$(VENV)/.runtime: requirements.lock | $(BIN)/python
	$(call install,requirements.lock)

$(VENV)/.dev: requirements-dev.lock | $(BIN)/python
	$(call install,requirements-dev.lock)
	@touch $(VENV)/.runtime
