# One short command for each task; CI calls the same commands. `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PROFILE ?= quick

# Always keep compiled modules: a suite starts ten processes that import the same ones.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: always help suite bench-overhead bench-loadgen bench-export bench-scrape bench-watching bench-spans simulate-ab simulate-knee simulate-pairs simulate-usage test test-costs test-fast test-extended test-clients test-browser stack-tools test-stack test-faults test-fuzz test-soak test-compose check coverage lint format generate lock clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

suite: WHILE_COMPILING := $(BIN)/python -m reelbench.stack.prefetch
suite: $(VENV)/.runtime ## fresh machine, no Docker: install, run the quick suite, write the reports
	@$(BIN)/python -m reelbench run --profile $(PROFILE)

bench-overhead: $(VENV)/.runtime ## cost of telemetry: jobs per second and P95 with telemetry on and off, CPU of each part (about 5 minutes)
	@$(BIN)/python scripts/bench_overhead.py

bench-loadgen: $(VENV)/.runtime ## the load generator compared with k6 and Locust: requests per CPU second, lateness, P95 during a freeze (about 8 minutes)
	@$(BIN)/python scripts/bench_loadgen.py

bench-export: $(VENV)/.runtime ## the reports of large runs: seconds and memory for 10,000, 100,000 and 1,000,000 made jobs (about 2 minutes)
	@$(BIN)/python scripts/bench_export.py

bench-scrape: $(VENV)/.runtime ## the cost of a scrape of 14,000 lines: CPU of the text and of Prometheus (about a minute)
	@$(BIN)/python scripts/bench_scrape.py

bench-watching: $(VENV)/.runtime ## what watching costs late in a quick suite: scrapes and response times, early and late (about 3 minutes)
	@$(BIN)/python scripts/bench_watching.py

bench-spans: $(VENV)/.dev ## the cost of spans: CPU time to start, end and encode one, next to OpenTelemetry's packages (about 20 seconds)
	@$(BIN)/python scripts/bench_spans.py

simulate-ab: $(VENV)/.runtime ## power and false alarms of `reelbench compare --ab`, with the variation between real runs (about a minute)
	@$(BIN)/python scripts/simulate_ab.py

simulate-knee: $(VENV)/.dev ## error rates of the rule and the search that find the knee of a ramp, by simulation (about a minute)
	@$(BIN)/python scripts/simulate_knee.py

simulate-pairs: $(VENV)/.runtime ## how wide the intervals of `make bench-loadgen` are on a machine whose speed changes (about 20 seconds)
	@$(BIN)/python scripts/simulate_pairs.py

simulate-usage: $(VENV)/.runtime ## how often the intervals of CPU per job and of a leak hold the truth, by simulation (about 20 seconds)
	@$(BIN)/python scripts/simulate_usage.py

# Files with tests that need the whole machine; tests/conftest.py rejects such tests in other folders.
MEASURED = $(shell grep -lwE 'needs|mark.alone' tests/test_*.py tests/scripts/test_*.py)
NEED_TOOLS := $(addprefix tests/stack/full/,test_service_replicas.py test_thanos.py)# make test-stack runs them
# Only files with a long test: reading all files takes each worker ten seconds.
LONG = $(filter-out $(NEED_TOOLS),$(shell grep -rl --include='test_*.py' mark.extended tests))
SHARED := -m "not alone and not extended and not compose and not browser and not faults" -n auto --dist worksteal \
  --ignore tests/stack/full/test_native.py --ignore tests/stack/full/test_boards.py# make test-stack runs these: each drives a suite on the native stack

test: $(VENV)/.dev ## install, run the tests: most of them on all cores, then the tests of the measured suite on their own
	@$(BIN)/python -m pytest $(SHARED)
	@$(BIN)/python -m pytest -m "alone and not extended" $(MEASURED)

test-costs: $(VENV)/.dev ## the tests of `make test` that share the cores, with CPU seconds by file, function, test and fixture
	@$(BIN)/python -m pytest -p tests.costs -q $(SHARED)

test-extended: $(VENV)/.dev ## the long tests: the whole measured suite, the commands of README and docs/, kills and freezes, repetitions, ablation, baselines, benches
	@$(BIN)/python -m pytest -m "extended and not alone and not clients" -n 3 --dist worksteal $(LONG)
	@$(BIN)/python -m pytest -m "extended and alone and not clients" $(MEASURED)

test-clients: $(VENV)/.dev ## the official clients and the LiteLLM proxy for real: installs them into the cache (some minutes, 2 GB)
	@$(BIN)/python -m pytest -m clients

test-browser: $(VENV)/.dev ## the HTML page in a real Chromium, with axe-core (skipped without a Chromium; fetches Playwright into the cache)
	@$(BIN)/python -m pytest -n 0 -m browser tests/browser

test-fast: $(VENV)/.dev ## the fast tests, on all cores: no stack, no processes except the shared media workers
	@$(BIN)/python -m pytest -m "not acceptance and not extended"

coverage: $(VENV)/.dev ## branch coverage of the tests without a stack, one after the other (some minutes)
	@$(BIN)/coverage erase
	@$(BIN)/coverage run -m pytest -n 0 -q -m "not acceptance"
	@$(BIN)/coverage combine -q
	@$(BIN)/coverage report --skip-covered

stack-tools: $(VENV)/.runtime ## build Prometheus and the Collector as compose pins them, and Toxiproxy, into the cache (needs Go)
	@$(BIN)/python -m reelbench.stack.tools

test-stack: $(VENV)/.dev ## test the configuration of the compose stack without containers (after stack-tools; TEMPO_BIN adds a Tempo)
	@$(BIN)/python -m pytest tests/stack/full

test-faults: $(VENV)/.dev ## each process of a run killed, ended and frozen in each phase; writes the matrix to docs/reliability.md (9 to 25 minutes)
	@$(BIN)/python -m pytest -m faults tests/faults

FUZZ := .cache/fuzz
# Without a wheel for this Python, the fuzzers change valid inputs without feedback from the code.
test-fuzz: $(VENV)/.dev ## every reader of outside bytes, and service, providers and client over sockets: 50,000 cases (about 10 minutes)
	@[ -d $(FUZZ)/atheris ] || $(BIN)/uv pip install -q --python $(BIN)/python --target $(FUZZ) --no-deps --require-hashes -r requirements-fuzz.lock || echo "no Atheris here"
	@PYTHONPATH=$(FUZZ) $(BIN)/python -m tests.fuzz $(ARGS)

test-soak: $(VENV)/.dev ## 10,000 jobs through one service, with bounds on memory, descriptors, disk and series (about 10 minutes)
	@$(BIN)/python -m tests.fuzz.soak $(ARGS)

test-compose: $(VENV)/.dev ## the stack of docker compose on a real engine: start, measure, break, scale, restart, take down (skipped without an engine)
	@$(BIN)/python -m pytest -m compose tests/compose

check: lint test-fast ## before each commit: lint and the fast tests (about four minutes)

lint: $(VENV)/.dev ## format check, lint, spelling, types, import directions, scenario files, generated files
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/codespell
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m reelbench check
	@$(BIN)/python scripts/generate.py --check

generate: $(VENV)/.dev ## write dashboards, rules and their pages from the catalogue of indicators and the declared metrics
	@$(BIN)/python scripts/generate.py

format: $(VENV)/.dev ## format the code and apply the linter's fixes
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

lock: | $(VENV)/.made ## update the lock files from pyproject.toml
	@$(BIN)/uv pip compile -q --universal --generate-hashes --python-version 3.11 --custom-compile-command "make lock" --all-extras pyproject.toml -o requirements.lock
	@$(BIN)/uv pip compile -q --universal --generate-hashes --python-version 3.11 --custom-compile-command "make lock" --all-extras pyproject.toml --group dev -c requirements.lock -o requirements-dev.lock
	@$(BIN)/uv pip compile -q --universal --generate-hashes --python-version 3.11 --custom-compile-command "make lock" --group pyproject.toml:fuzz -o requirements-fuzz.lock
	@$(BIN)/uv pip compile -q --universal --generate-hashes --python-version 3.11 --custom-compile-command "make lock" --group pyproject.toml:image -c requirements.lock -o requirements-image.lock

clean: ## remove the environment, the cache and all runs
	rm -rf $(VENV) .cache runs build *.egg-info

# uv installs the locked set many times faster than pip; if uv fails (no wheel for the platform, an index that only pip
# is configured for), pip installs the same hashes. The environment gets a pip of its own only then.
UV := uv==0.13.8
PIP := --disable-pip-version-check install -q
NO_PIP := Python has no pip and cannot make one (ensurepip): install it (Debian, Ubuntu: apt-get install python3-venv), then repeat the command.
WITH_PIP = { $(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip >/dev/null 2>&1 || { echo "$(NO_PIP)" >&2; exit 1; }; } && $(BIN)/python -m pip

# An environment that is half-made, or whose interpreter has changed, is made again. An interpreter of `make PYTHON=...`
# counts as changed when it is another version.
IDENTITY := import sys; print(sys.version_info[:2], sys.base_prefix)
VERSION := import sys; print(sys.version_info[:2])
ASKED := $(filter command% environment%,$(origin PYTHON))

$(VENV)/.made: always
	@made=$$(cat $@ 2>/dev/null); \
	{ [ -n "$$made" ] && [ "$$made" = "$$($(BIN)/python -c '$(IDENTITY)' 2>/dev/null)" ]; } \
	&& { [ -z "$(ASKED)" ] || [ "$$($(PYTHON) -c '$(VERSION)')" = "$$($(BIN)/python -c '$(VERSION)')" ]; } \
	|| { $(new_environment); }

# pip keeps one core busy for some seconds, so the modules of the project are compiled meanwhile.
define new_environment
rm -rf $(VENV); \
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and f"Reelbench needs Python 3.11 or newer, {sys.executable} is {sys.version.split()[0]}; name another one: make PYTHON=python3.12 ...")' \
	&& $(PYTHON) -m venv --without-pip $(VENV) \
	&& { { $(BIN)/python -m compileall -qq reelbench & } \
	; { $(PYTHON) -m pip --python $(BIN)/python $(PIP) $(UV) 2>/dev/null || { $(WITH_PIP) $(PIP) $(UV); } || echo "no uv here, pip installs instead"; }; wait; } \
	&& $(BIN)/python -c '$(IDENTITY)' > $(VENV)/.made
endef

# A lock file counts as changed by its content: files that git or a cache puts back have any time.
lock_of = cat $(1) pyproject.toml | cksum

define install
	@[ "$$($(call lock_of,$(1)))" = "$$(cat $@ 2>/dev/null)" ] || { $(call install_now,$(1)); }
endef

define install_now
echo "installing $(1)"; \
	{ VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install -q --no-deps --require-hashes -r $(1) 2>/dev/null || { $(WITH_PIP) $(PIP) --no-deps --require-hashes -r $(1); }; } && { \
	$(BIN)/python -c "import $(subst $(space),$(comma),$(SERVED))" & $(BIN)/python -c "import $(subst $(space),$(comma),$(REPORTED))" & \
	$(or $(WHILE_COMPILING),:) & \
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install -q --no-deps -e . 2>/dev/null || { $(WITH_PIP) $(PIP) --no-deps -e .; } \
	|| echo "the command reelbench is not installed; use: $(BIN)/python -m reelbench"; \
	wait; \
	$(call lock_of,$(1)) > $@; }
endef

# Compile what a run imports, and nothing else: all packages have four times as many modules. Both import at the same
# time, so what only one of them needs comes first: the other finds the rest compiled.
comma := ,
space := $(subst ,, )
SERVED := reelbench.service.__main__ reelbench.service.providers.__main__ reelbench.loadgen.__main__
REPORTED := reelbench.reporting.render.figures reelbench.reporting.export reelbench.reporting.render.html reelbench.suite.commands.run

$(VENV)/.runtime: $(VENV)/.made always
	$(call install,requirements.lock)

$(VENV)/.dev: $(VENV)/.made always
	$(call install,requirements-dev.lock)
	@[ -n "$(wildcard $(VENV)/lib/python*/site-packages/pip)" ] || $(BIN)/python -m ensurepip >/dev/null # tests build and install a wheel
	@$(call lock_of,requirements.lock) > $(VENV)/.runtime

always:
