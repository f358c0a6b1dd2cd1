# Footnote. `make` alone lists what there is.
SHELL := /bin/bash
.DEFAULT_GOAL := help
export HF_HUB_OFFLINE := 1
PYTHON ?= python3
BIN := .venv/bin
INDEX_DIR ?= data/index
LOCKED := pyproject.toml requirements/torch.txt requirements/dev.lock
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
UV_COMPILE = uv pip compile pyproject.toml --python-version 3.11 --python-platform x86_64-unknown-linux-gnu \
	--generate-hashes --no-emit-index-url --no-annotate --no-header --no-emit-package torch --constraints requirements/torch.txt --quiet

.PHONY: help setup run test check test-slow test-nightly lock wheel clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 24

setup: ## make the environment in .venv from the locks; does nothing when nothing changed
	@want=$$(cat $(LOCKED) | sha256sum); \
	if [ "$$(cat .venv/made-from 2>/dev/null)" = "$$want" ]; then exit 0; fi; \
	set -e; \
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; $(PYTHON) is older (set PYTHON=...)." >&2; exit 1; }; \
	$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "Python's venv is missing: install the package python3-venv." >&2; exit 1; }; \
	echo "making .venv (a few minutes the first time)"; rm -f .venv/made-from; $(PYTHON) -m venv .venv; \
	echo "  torch"; $(PIP) install --no-deps $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) -r requirements/torch.txt; \
	echo "  locked packages"; $(PIP) install --no-deps --require-hashes -r requirements/dev.lock; \
	$(PIP) install --no-deps --no-build-isolation -e .; \
	$(BIN)/python -m pip --disable-pip-version-check check > .venv/check.txt || { cat .venv/check.txt >&2; \
		grep -qiE 'torch .*(nvidia|triton|cuda)' .venv/check.txt && echo "This torch wants a GPU's libraries: set TORCH_INDEX to a registry with its CPU builds." >&2; exit 1; }; \
	echo "$$want" > .venv/made-from; echo "ready"

run: setup ## index corpus/pages, then serve on 127.0.0.1:8000 (PORT=..., HOST=...)
	@$(BIN)/footnote index corpus/pages --index $(INDEX_DIR) || [ $$? -eq 3 ]
	@FOOTNOTE_EXAMPLE_QUESTION="$${FOOTNOTE_EXAMPLE_QUESTION:-Why does my table not get smaller after I delete rows?}" \
		exec $(BIN)/footnote serve --index $(INDEX_DIR) $(if $(HOST),--host $(HOST)) $(if $(PORT),--port $(PORT))

check: setup lint ## ruff, mypy --strict, import contracts, docs tests
	@$(BIN)/python -m pytest -q tests/docs

lint: setup
	@$(BIN)/ruff check . && $(BIN)/ruff format --check --quiet . && $(BIN)/mypy --no-error-summary && $(BIN)/lint-imports --no-cache > .venv/lint-imports.txt || { cat .venv/lint-imports.txt 2>/dev/null; exit 1; }
	@echo "lint, types and import contracts hold"

test: setup lint ## everything above, then the whole suite
	@$(BIN)/python -m pytest -q

test-slow: setup ## the tests marked slow
	@$(BIN)/python -m pytest -q -m slow --timeout 900

test-nightly: setup ## the tests marked nightly
	@$(BIN)/python -m pytest -q -m nightly --timeout 7200

wheel: setup ## build the wheel into dist/
	@$(BIN)/python -m build --wheel --no-isolation --outdir dist . > /dev/null && ls dist/*.whl

lock: ## make the locks anew from pyproject.toml (needs uv)
	$(UV_COMPILE) -o requirements/service.lock
	$(UV_COMPILE) --extra indexer --extra evaluation -o requirements/indexer.lock
	$(UV_COMPILE) --extra indexer --extra evaluation --group dev -o requirements/dev.lock

clean: ## remove the environment, the index and caches
	rm -rf .venv data dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
