# Everything sets itself up in .venv; Python 3.11+, git and make are all it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# Tests wait more than they compute: two processes for each processor.
JOBS ?= $(shell $(PYTHON) -c 'import os; print(2 * (os.cpu_count() or 1))')
PYTEST := $(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadgroup --no-loadscope-reorder
# Of what is many alike, the K-th of N shares: SHARE=K/N.
SHARED := $(if $(SHARE),--share $(SHARE))
# Only what a lock names is installed, with the hash that stands there.
INSTALL := $(PIP) --require-hashes --no-deps
# For every Python from 3.11 on and every platform; keeps what is pinned unless UPGRADE is set.
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
  --no-emit-index-url --no-annotate --custom-compile-command "make lock"
LOCKS := deploy/requirements
AGREEING := --constraints $(LOCKS)-dev.txt
SEEDS ?= 20
ROTATIONS ?= 200
EMERGENCIES ?= 50
FUZZ_SECONDS ?= 60

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow test-all proof model-check model-check-full chaos drill story fuzz \
  bench lint check generate lock upgrade sbom clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 18

setup: $(VENV)/.dev ## Make .venv with everything development needs

demo: $(VENV)/.local ## Watch a credential being rotated, on real parts, in about a minute
	@$(BIN)/rotation demo --issuer $(or $(ISSUER),postgresql)

test: $(VENV)/.dev ## Run the tests that take seconds each
	$(PYTEST) -m "not slow"

test-slow: $(VENV)/.dev ## Run the tests that take longer; SHARE=K/N runs a share of what is many alike
	$(PYTEST) -m slow $(SHARED)

test-all: $(VENV)/.dev ## Run every test
	$(PYTEST)

proof: lint test-all model-check chaos drill fuzz ## Everything that CI shares out over commits, whole; two hours
proof: SEEDS = 200

model-check: $(VENV)/.dev ## Walk every path of two and three workers, with faults, within bounds; SHARE=K/N
	$(BIN)/python -m tests.model_check $(SHARED)

model-check-full: $(VENV)/.dev ## The same within wider bounds, and random paths beyond; takes hours
	$(BIN)/python -m tests.model_check --full
	$(BIN)/python -m tests.model_check --random 20000

story: $(VENV)/.dev ## Execute every command of the documents, from nothing to a fleet and back
	DOCUMENTS_TELL=1 $(BIN)/python -m pytest -q -s tests/documents/test_storyline.py

fuzz: $(VENV)/.dev ## Hunt long for inputs that break us (FUZZ_SECONDS for each byte decoder)
	@$(INSTALL) --requirement $(LOCKS)-fuzz.txt || echo "no atheris here: hunting by coverage is skipped"
	ROTATION_FUZZ=long $(PYTEST) --timeout 0 tests/fuzz
	$(BIN)/python -m tests.fuzz.coverage_guided --seconds $(FUZZ_SECONDS)

drill: $(VENV)/.dev ## Rotate under 32 clients, half through PgBouncer; ROTATIONS=200 EMERGENCIES=50
	$(BIN)/python -m tests.drill --rotations $(ROTATIONS) --emergencies $(EMERGENCIES) \
	  $(if $(JSON),--json $(JSON))

chaos: $(VENV)/.dev ## Hurt everything at once for SEEDS=20 seeds, or replay SEED=17; JSON=FILE keeps the figures
	@$(BIN)/python -m tests.crash $(if $(SEED),--seed $(SEED),--seeds $(SEEDS)) $(if $(JSON),--json $(JSON))

bench: $(VENV)/.dev ## Measure calls, times, memory and a mass rotation; ten minutes
	@$(BIN)/python -m tests.bench $(GROUPS)

lint: $(VENV)/.dev ## Check style, types, layers and generated documents
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache --no-logo
	$(BIN)/python -m rotation generate --check

check: lint test ## What to run before a commit

generate: $(VENV)/.dev ## Write the generated parts of the documents
	$(BIN)/python -m rotation generate

lock: | $(BIN)/uv ## Pin every library with hashes, those of tests and tools too; UPGRADE=1 takes the newest
	$(LOCK) pyproject.toml --extra local --extra publish --group dev --group build --group sbom \
	  $(if $(UPGRADE),--upgrade) --output-file $(LOCKS)-dev.txt
	$(LOCK) pyproject.toml --extra local --group build $(AGREEING) --output-file $(LOCKS)-local.txt
	$(LOCK) pyproject.toml --extra cli --group build $(AGREEING) --output-file $(LOCKS)-cli.txt
	$(LOCK) pyproject.toml --extra publish --extra git $(AGREEING) --output-file $(LOCKS)-git.txt
	$(LOCK) pyproject.toml --extra publish --extra git --extra redis $(AGREEING) --output-file $(LOCKS)-redis.txt
	$(LOCK) pyproject.toml --extra publish $(AGREEING) --output-file requirements.txt
	$(LOCK) --group fuzz $(if $(UPGRADE),--upgrade) --output-file $(LOCKS)-fuzz.txt
	$(LOCK) --group checkov $(if $(UPGRADE),--upgrade) --output-file $(LOCKS)-checkov.txt

upgrade: ## Take the newest libraries, say which, and run the checks; `git checkout .` takes it back
	@$(MAKE) lock UPGRADE=1
	@git diff --unified=0 -- $(LOCKS)-dev.txt | grep -E '^[-+][a-z0-9].*==' || echo "nothing newer"
	@$(MAKE) check

sbom: $(VENV)/.dev ## Write dist/rotation.cdx.json, the function's bill of materials (CycloneDX)
	@mkdir -p dist
	$(BIN)/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible \
	  --output-file dist/rotation.cdx.json requirements.txt

clean: ## Remove .venv and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache build *.egg-info

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or later is needed; set PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)

# Part of the lock; this one is for a tree whose lock is missing or cannot be installed.
$(BIN)/uv: | $(VENV)/bin/python
	$(PIP) uv

$(VENV)/.local: $(LOCKS)-local.txt pyproject.toml | $(VENV)/bin/python
	$(INSTALL) --requirement $(LOCKS)-local.txt
	$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: $(LOCKS)-dev.txt pyproject.toml | $(VENV)/bin/python
	$(INSTALL) --requirement $(LOCKS)-dev.txt
	$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@ $(VENV)/.local
