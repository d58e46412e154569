# `make` alone lists the commands. DATABASE=postgresql runs test or clients on a PostgreSQL of their own.
PYTHON ?= python3
BIN := .venv/bin
DATABASE ?= sqlite
# For tools that load the settings: not the configuration of this folder, and no key or database in ./data.
FOR_TOOLS := CONFIG_PATH=config.container.yaml \
	REGISTRY_SERVER_SECRET_KEY=signs-nothing-for-these-tools-only-read-the-settings \
	REGISTRY_DATABASE_URL=sqlite:///$(CURDIR)/.venv/tools.sqlite3
ON_DATABASE := $(if $(filter postgresql,$(DATABASE)),$(BIN)/python -m tests.postgresql)
# Measured once: it slows everything, and the second database takes the same ways through the code.
COVERAGE := $(if $(filter sqlite,$(DATABASE)),--cov)

.PHONY: help run test test-on-sqlite test-on-postgresql clients lint fmt types arch migrations check bench bench-smoke clean

help:
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

run: .venv/run ## serve the registry, as config.yaml says (made on the first run)
	exec $(BIN)/gunicorn

test: .venv/dev ## run the tests, with those of the client programs that are installed
	$(ON_DATABASE) $(BIN)/pytest $(COVERAGE)

clients: .venv/dev ## run the tests of the real clients; a missing client is a failure
	REGISTRY_REQUIRE_CLIENTS=1 $(ON_DATABASE) $(BIN)/pytest tests/clients

fuzz: .venv/dev ## send CASES=200000 odd requests; what fails is kept in tests/fuzz/seeds. SEED=… repeats a run
	REGISTRY_FUZZ_CASES=$(or $(CASES),200000) REGISTRY_FUZZ_SEED=$(SEED) REGISTRY_FUZZ_KEEP=1 $(BIN)/pytest tests/fuzz

lint: .venv/dev ## look for mistakes in Python and in the Dockerfile
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/hadolint Dockerfile

fmt: .venv/dev ## format the code, and mend what can be mended safely
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

types: .venv/dev ## check the types
	$(FOR_TOOLS) $(BIN)/mypy .

arch: .venv/dev ## check which module imports which
	PYTHONPATH=gc $(BIN)/lint-imports --no-cache

migrations: .venv/dev
	$(FOR_TOOLS) $(BIN)/python manage.py makemigrations --check --dry-run

check: lint types arch migrations ## run all that CI runs: these, then test and clients on SQLite and PostgreSQL
	REGISTRY_REQUIRE_CLIENTS=1 $(MAKE) --jobs=2 --keep-going --output-sync=recurse test-on-sqlite test-on-postgresql

# Side by side: a test waits more than it computes, and one that another disturbs is a defect.
test-on-sqlite test-on-postgresql: test-on-%:
	$(MAKE) test DATABASE=$*

bench: .venv/dev ## measure our speed beside that of docker-registry (ten minutes), as docs/performance.md says
	$(BIN)/python -m bench --results bench/results
	$(BIN)/python -m bench.plot

bench-smoke: .venv/dev ## try a few operations of every row that `make bench` measures
	$(BIN)/pytest tests/bench

clean: ## remove what the commands above made, but no data and no configuration
	rm -rf .venv .coverage .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/run: requirements.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --requirement requirements.txt
	touch $@

.venv/dev: requirements-dev.txt requirements.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --requirement requirements-dev.txt
	touch $@ .venv/run
