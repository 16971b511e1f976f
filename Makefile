PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help demo test check mutations fuzz bench bench-peers clean

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s  %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(READY)  ## the tour: an embedded app database, the sandbox, the whole job
	$(BIN)/meisa-cdc demo

test: $(READY)  ## every test, on real databases, with the coverage asked for (ARGS=… go to pytest)
	$(BIN)/python -m pytest --cov --cov-report= --cov-fail-under=0 $(ARGS)
	$(BIN)/coverage report
	@echo 'core/ decides, so all of it is tested:'
	$(BIN)/coverage report --include='meisa_cdc/core/*' --fail-under=100

check: $(READY)  ## lint, format, types, architecture
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

mutations: $(READY)  ## break each safety rule and see a test go red (ARGS=… words of their names)
	$(BIN)/python -m tests.mutations $(ARGS)

fuzz: $(READY)  ## look long for contacts that a changed row affects and nobody finds (ARGS='CHECKS SEED')
	$(BIN)/python -m tests.soundness $(ARGS)

bench: $(READY)  ## the benchmarks
	$(BIN)/python -m benchmarks $(ARGS)

bench-peers: $(READY)  ## other tools on the same job, installed into .peers beside .venv
	$(BIN)/python -m benchmarks peers $(ARGS)

clean:  ## remove what was built and cached; .venv stays
	rm -rf .peers build dist htmlcov .coverage .coverage.* .hypothesis .import_linter_cache
	rm -rf .mypy_cache .pytest_cache .ruff_cache
	find meisa_cdc migrations tests benchmarks -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true

$(READY): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo 'installing into $(VENV)'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@
