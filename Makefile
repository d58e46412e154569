# `make` alone lists the commands. DATABASE=postgresql runs test or clients on a PostgreSQL of their own, STORAGE=s3 with
# all objects in a SeaweedFS of their own.
PYTHON ?= python3
BIN := .venv/bin
DATABASE ?= sqlite
STORAGE ?= filesystem
# Processes that share the tests, two for each of two cores: much of a test is waiting, for a server or for time to pass.
PROCESSES ?= 4
SIDE_BY_SIDE = --numprocesses=$(PROCESSES) --dist=worksteal
# Bytecode is kept, whatever the environment says: the tests start Python hundreds of times.
unexport PYTHONDONTWRITEBYTECODE
# For tools that load the settings: not the configuration of this folder, and no key or database in ./data.
FOR_TOOLS := CONFIG_PATH=config.container.yaml \
	REGISTRY_SERVER_SECRET_KEY=signs-nothing-for-these-tools-only-read-the-settings \
	REGISTRY_DATABASE_URL=sqlite:///$(CURDIR)/.venv/tools.sqlite3
ON_DATABASE := $(if $(filter postgresql,$(DATABASE)),$(BIN)/python -m tests.postgresql)
ON_STORAGE := $(if $(filter s3,$(STORAGE)),$(BIN)/python -m tests.s3)
# What `make check` runs on S3 as well: tests that store something. `make test STORAGE=s3` runs all.
STORING := $(addprefix tests/,distribution/blobs distribution/manifests distribution/uploads \
	distribution/repositories/test_deletion.py distribution/test_concurrency.py distribution/test_push_pull.py \
	$(addprefix collector/test_,blobs.py expiry.py fsck.py fsck_uploads.py scrub.py) \
	clients/test_podman.py clients/test_skopeo.py)
# For all that the project runs on, whatever this machine is.
LOCK = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-strip-extras \
	--emit-build-options --custom-compile-command 'make lock' $(if $(UPGRADE),--upgrade)
ENGINE ?= docker

.PHONY: help run test coverage test-on-sqlite test-on-postgresql test-on-s3 clients lint fmt types arch migrations
.PHONY: check pictures bench bench-smoke clean lock audit sbom image base-image attack attack-mutations soak fuzz fuzz-parsers

help:
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 18

run: .venv/run ## serve the registry, as config.yaml says (made on the first run)
	exec $(BIN)/gunicorn

test: .venv/dev ## run the tests, with those of the client programs that are installed
	$(ON_DATABASE) $(ON_STORAGE) $(BIN)/pytest $(SIDE_BY_SIDE) $(TESTS)

coverage: .venv/dev ## run the tests and show the lines that none of them reached; takes almost twice as long
	$(ON_DATABASE) $(BIN)/pytest --cov

clients: .venv/dev ## run the tests of the real clients; a missing client is a failure
	REGISTRY_REQUIRE_CLIENTS=1 $(ON_DATABASE) $(ON_STORAGE) $(BIN)/pytest $(SIDE_BY_SIDE) tests/clients

attack: .venv/dev ## run the attacks on a running server (they are among the tests too)
	$(ON_DATABASE) $(BIN)/pytest tests/attack

attack-mutations: .venv/dev ## remove one check after the other, and see that the attacks notice (ten minutes)
	$(BIN)/python -m tests.attack.mutations

fuzz: .venv/dev ## send CASES=200000 odd requests; what fails is kept in tests/fuzz/seeds. SEED=… repeats a run
	REGISTRY_FUZZ_CASES=$(or $(CASES),200000) REGISTRY_FUZZ_SEED=$(SEED) REGISTRY_FUZZ_KEEP=1 $(BIN)/pytest tests/fuzz

fuzz-parsers: .venv/dev ## feed each parser for SECONDS=60 with inputs that reach new code; PARSERS="chunks glob" picks some
	$(BIN)/python -m tests.fuzz.coverage_guided --seconds $(or $(SECONDS),60) $(PARSERS)

lint: .venv/dev ## look for mistakes in Python and in the Dockerfile
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive .
	$(BIN)/hadolint Dockerfile

fmt: .venv/dev ## format the code, and mend what can be mended safely
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

types: .venv/dev ## check the types
	$(FOR_TOOLS) $(BIN)/mypy .

arch: .venv/dev ## check which module imports which, and the size of folders, files and functions
	PYTHONPATH=gc $(BIN)/lint-imports --no-cache
	$(BIN)/python -m supply.structure

migrations: .venv/dev
	$(FOR_TOOLS) $(BIN)/python manage.py makemigrations --check --dry-run

check: lint types arch migrations audit ## run all that CI runs: these, then test and clients on SQLite and PostgreSQL
	REGISTRY_REQUIRE_CLIENTS=1 $(MAKE) --jobs=2 --keep-going --output-sync=recurse \
		test-on-sqlite test-on-postgresql test-on-s3

# Side by side: a test waits more than it computes, and one that another disturbs is a defect.
test-on-sqlite test-on-postgresql: test-on-%:
	$(MAKE) test DATABASE=$* PROCESSES=2

test-on-s3:
	$(MAKE) test DATABASE=postgresql STORAGE=s3 PROCESSES=2 TESTS="$(STORING)"

bench: .venv/dev ## measure our speed beside that of docker-registry (ten minutes): bench/README.md
	$(BIN)/python -m bench --results bench/results
	$(BIN)/python -m bench.plot

MINUTES ?= 30
soak: .venv/dev ## let everything happen at once for MINUTES=30, on SQLite and then on PostgreSQL; explain every answer
	rm -f bench/results/soak.txt
	$(BIN)/python -m bench.soak --minutes $(MINUTES) --results bench/results
	$(BIN)/python -m tests.postgresql $(BIN)/python -m bench.soak --minutes $(MINUTES) --results bench/results

bench-smoke: .venv/dev ## try a few operations of every row that `make bench` measures
	$(BIN)/pytest tests/bench

# Also where a lock has to be made before it can be installed, as after a merge.
lock: .venv/bin/uv ## lock what requirements*.in ask for, with hashes; UPGRADE=1 renews what follows from them
	$(LOCK) requirements.in --output-file requirements.txt
	$(LOCK) requirements-traces.in --constraint requirements.txt --output-file requirements-traces.txt
	$(LOCK) requirements-dev.in --constraint requirements.txt --output-file requirements-dev.txt

audit: .venv/dev ## ask for known vulnerabilities of the locked packages; it says so when nobody answers
	$(BIN)/python -m supply.audit

sbom: .venv/dev ## write the bill of materials; IMAGE=… (and ENGINE=podman) adds what that image holds
	$(BIN)/python -m supply.sbom $(if $(IMAGE),--image $(IMAGE) --engine $(ENGINE))

pictures: .venv/dev ## take the pictures of docs/images anew, with chromium
	$(BIN)/python -m tests.browser.pictures

image: ## build the container image IMAGE=registry with the label of this commit; ENGINE=podman
	$(ENGINE) build --build-arg REVISION=$$(git rev-parse HEAD) $(if $(SOURCE),--build-arg SOURCE=$(SOURCE)) \
		--tag $(or $(IMAGE),registry) .

base-image: ## pin the Dockerfile to the digest that the tag of its base image has now
	$(PYTHON) -m supply.base_image

clean: ## remove what the commands above made, but no data and no configuration
	rm -rf .venv .coverage .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/run: requirements.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.txt
	touch $@

.venv/dev: requirements-dev.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements-dev.txt
	touch $@ .venv/run

.venv/bin/uv:
	$(MAKE) .venv/dev
