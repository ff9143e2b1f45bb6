# Everything runs in .venv, which is made once, and again when pyproject.toml or constraints.txt change.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
ARGS ?=

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint check bench clean

help: ## list the targets (this one)
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1\t\2/p' Makefile | expand -t 14

setup: $(READY) ## make .venv with all that the other targets need

demo: $(READY) ## gap study: how far each method's batch is from the optimum, on ShareGPT-like snapshots; writes demo-out/
	@$(BIN)/aptsched gap --workload sharegpt --num-requests 50 200 800 --instances 5 --out demo-out $(ARGS)

test: $(READY) ## the tests, without the slow ones; more options: make test ARGS="-k greedy"
	@$(BIN)/pytest -q -n 2 -m "not slow" $(ARGS)

lint: $(READY) ## ruff and mypy
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy --strict

check: lint ## lint, and all tests
	@$(BIN)/pytest -q -n 2 $(ARGS)

bench: $(READY) ## time of one decision, table and JSON
	@$(BIN)/python -m benchmarks.decision_time $(ARGS)

clean: ## remove .venv and all outputs
	@rm -rf .venv demo-out bench-out build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache .benchmarks
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
	"aptsched needs Python 3.11 or later, not " + sys.version.split()[0] + "; name one: make PYTHON=python3.11")'
	@echo "setting up .venv (a minute or two, once)"
	@$(PYTHON) -m venv --clear .venv
	@$(BIN)/python -m pip install -q -c constraints.txt hatchling
	@$(BIN)/python -m pip install -q -c constraints.txt --no-build-isolation -e '.[all,dev]'
	@touch $@
