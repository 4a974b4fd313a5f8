# One vocabulary of commands; .ci/run calls only these.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet
PORT   ?= 8080

export PYTHONDONTWRITEBYTECODE ?=

.DEFAULT_GOAL := help
.PHONY: help demo test test-unit torture check fmt generate lock bench bench-completion image clean

help: ## What can be done here
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "uploadgate needs Python 3.11 or newer; point at one with 'make PYTHON=/path/to/python3.12 …'" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo "Python's venv module is missing (Debian: apt-get install python3-venv)" >&2; exit 1; }

# What the demo needs: the service and the embedded store.
$(VENV)/.demo: requirements-demo.lock pyproject.toml | $(BIN)/python
	@echo "Installing what the demo needs into $(VENV) …"
	@$(PIP) install --require-hashes -r requirements-demo.lock
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

# What the tests and checks need besides.
$(VENV)/.dev: requirements-dev.lock pyproject.toml | $(BIN)/python
	@echo "Installing what tests and checks need into $(VENV) …"
	@$(PIP) install --require-hashes -r requirements-dev.lock
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@ $(VENV)/.demo

demo: $(VENV)/.demo ## The main job on the embedded default, then keep serving (ONCE=1: exit after it)
	@$(BIN)/uploadgate demo $(if $(ONCE),--once)

# Stock JavaScript clients, for the tests alone; node and npm come with the Python packages. Those
# that run in a page need Chromium besides (Debian: apt-get install chromium).
STOCK := $(addprefix tests/stock/,$(addsuffix /node_modules/.installed,js uppy))
tests/stock/%/node_modules/.installed: tests/stock/%/package-lock.json $(VENV)/.dev
	@echo "Installing the stock clients of tests/stock/$* …"
	@cd tests/stock/$* && PATH="$(CURDIR)/$(BIN):$$PATH" npm ci --silent --no-audit --no-fund --ignore-scripts
	@touch $@

test: $(VENV)/.dev $(STOCK) ## Every test: unit, contract, integration on real parts
	@$(BIN)/python -m pytest $(ARGS)

test-unit: $(VENV)/.dev ## The fast tests alone
	@$(BIN)/python -m pytest tests/unit $(ARGS)

check: $(VENV)/.dev ## Lint, format, types, import contracts, generated files up to date
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/python tools/generate.py --check

fmt: $(VENV)/.dev ## Format, and mend what lint can mend
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

generate: $(VENV)/.dev ## Write docs/settings.md, docs/openapi.json and docs/problems.md anew
	@$(BIN)/python tools/generate.py

lock: $(VENV)/.dev ## Resolve the ranges of pyproject.toml into the lock files (UPGRADE=1: newest)
	@UV=$(BIN)/uv tools/lock.sh

torture: $(VENV)/.dev ## Faults in large: kill -9, outages, garbage; about 8 minutes (ARGS="kills --rounds 6", ARGS=--help)
	@$(BIN)/python -m torture $(ARGS)

# What signed addresses are measured against. Where it cannot be had, the table says so.
COMPANION := benchmarks/peers/companion
$(COMPANION)/node_modules/.installed: $(COMPANION)/package-lock.json $(VENV)/.dev
	@echo "Installing the peer of $(COMPANION) …"
	@cd $(COMPANION) && PATH="$(CURDIR)/$(BIN):$$PATH" npm ci --silent --no-audit --no-fund --ignore-scripts \
	  && touch node_modules/.installed || echo "It cannot be installed, and will be absent." >&2

bench: $(VENV)/.dev $(COMPANION)/node_modules/.installed ## The table of docs/performance.md, measured here (ARGS="--rounds 1 --only warm_grant")
	@$(BIN)/python -m benchmarks $(ARGS)

bench-completion: $(VENV)/.dev ## Webhooks a second into the inbox, completions a second, memory over a million rows
	@$(BIN)/python -m benchmarks --only webhooks,completions,million_rows $(ARGS)

image: ## The container image (ENGINE=buildah|docker|podman, BASE_IMAGE=…)
	@tools/image.sh

clean: ## Remove the environment, caches and the demo's state
	rm -rf $(VENV) .localcloud .mypy_cache .ruff_cache .pytest_cache .hypothesis
