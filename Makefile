# `make` lists the targets. Everything is installed into .venv, which `make clean` removes.

PYTHON ?= python3
TEST_WORKERS ?= 2

VENV := .venv
BIN := $(VENV)/bin
# Byte-compiling every dependency takes longer than installing it: Python compiles what it imports,
# when it first imports it. Quiet twice: nothing but errors.
PIP_INSTALL := -m pip --disable-pip-version-check --no-input install -qq --no-compile \
	--constraint constraints.txt
INSTALL := $(BIN)/python $(PIP_INSTALL) --editable
# A machine that measures has torch (a CUDA build of some gigabytes) and no PyMC.
COLLECT_VENV := .venv-collect
COLLECT_NEEDS := torch transformers pandas pyarrow nvidia-ml-py pydantic typer
# A test worker with threads of its own would fight the other workers for the cores.
TEST_ENV := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1
PYTEST := $(TEST_ENV) $(BIN)/python -m pytest
# Tests that share one fit carry an xdist group, so that one worker makes it and runs them all.
PARALLEL := -n $(TEST_WORKERS) --dist loadgroup
# BENCH=name runs benchmarks/bench_name.py, or benchmarks/name.py, alone.
BENCH ?= *
PLAIN_BENCHES := $(filter $(subst *,%,$(BENCH)),scale speed)
BENCHMARKS = $(subst /,.,$(basename $(sort $(wildcard benchmarks/bench_$(BENCH).py \
	$(PLAIN_BENCHES:%=benchmarks/%.py)))))

DEMO := out/demo
DEMO_REPORT := reports/demo
DEMO_MODEL := models/tiny_vlm.toml
DEMO_DONORS := milan_1t_fp32 milan_1t_bf16 milan_2t_fp32
DEMO_TARGET := milan_2t_bf16
DEMO_TRACES := $(DEMO_DONORS:%=traces/%.parquet)
DEMO_CONFIGS := traces/$(DEMO_TARGET).parquet
DEMO_BUDGET_MS := 400

# Python keeps what it compiles, whatever the shell says: `bayeslat --help` is five times faster so.
export PYTHONDONTWRITEBYTECODE :=

# The set-up steps share one environment and cannot run side by side.
.NOTPARALLEL:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow test-collect check lint types format bench clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(VENV)/dev.stamp ## install bayeslat and its development tools into .venv

demo: $(VENV)/core.stamp ## set up and run the main job on the traces of the repository
	$(BIN)/bayeslat fit $(DEMO_TRACES) --model $(DEMO_MODEL) -o $(DEMO)/posterior.nc
	$(BIN)/bayeslat check $(DEMO)/posterior.nc
	$(BIN)/bayeslat calibrate $(DEMO)/posterior.nc $(DEMO_CONFIGS) -n 10 --gpu $(DEMO_TARGET) \
		-o $(DEMO)/calibrated.nc
	$(BIN)/bayeslat suggest $(DEMO)/calibrated.nc $(DEMO_CONFIGS) -n 10 --gpu $(DEMO_TARGET) \
		-o $(DEMO)/next.parquet
	$(BIN)/bayeslat guard $(DEMO)/calibrated.nc $(DEMO_CONFIGS) --gpu $(DEMO_TARGET) \
		--budget-ms $(DEMO_BUDGET_MS) -o $(DEMO)/decisions.parquet
	$(BIN)/bayeslat predict $(DEMO)/calibrated.nc $(DEMO_CONFIGS) --gpu $(DEMO_TARGET) \
		-o $(DEMO)/predictions.parquet
	$(BIN)/bayeslat report $(DEMO)/calibrated.nc $(DEMO_TRACES) $(DEMO_CONFIGS) \
		--gpu $(DEMO_TARGET) --budget-ms $(DEMO_BUDGET_MS) -o $(DEMO_REPORT)
	@echo "Files of the demo are in $(DEMO)/, its report is $(DEMO_REPORT)/index.html"

test: $(VENV)/dev.stamp ## set up and run the tests, without the slow ones
	$(PYTEST) $(PARALLEL)

test-slow: $(VENV)/dev.stamp ## set up and run the long statistical tests
	$(PYTEST) $(PARALLEL) -m slow

test-collect: $(COLLECT_VENV)/collect.stamp ## set up torch without PyMC, and run the tests of collect with real models
	$(TEST_ENV) $(COLLECT_VENV)/bin/python -m pytest $(PARALLEL) -m "slow or not slow" tests/collect

check: lint types test ## everything that has to pass: lint, types, tests

lint: $(VENV)/dev.stamp ## ruff: rules and format
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .

types: $(VENV)/dev.stamp ## mypy
	$(BIN)/python -m mypy

format: $(VENV)/dev.stamp ## put imports and layout in order
	$(BIN)/python -m ruff check --fix .
	$(BIN)/python -m ruff format .

bench: $(VENV)/dev.stamp ## run the benchmarks (BENCH=name: one of them)
	$(if $(BENCHMARKS),,$(error no benchmarks/bench_$(BENCH).py))
	@set -e; for module in $(BENCHMARKS); do echo "== $$module"; $(BIN)/python -m $$module; done

clean: ## remove the environment, caches and generated files
	rm -rf $(VENV) $(COLLECT_VENV) out build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps are set last, so an interrupted installation is taken up again.
$(VENV)/core.stamp: pyproject.toml constraints.txt | $(VENV)/venv.stamp
	@echo "Installing bayeslat into $(VENV) (about a minute, the first time)"
	@$(INSTALL) .
	@$(BIN)/bayeslat fit --help >/dev/null
	@touch $@

$(VENV)/dev.stamp: pyproject.toml constraints.txt | $(VENV)/venv.stamp
	@echo "Installing bayeslat and its development tools into $(VENV) (about a minute, the first time)"
	@$(INSTALL) ".[dev]"
	@$(BIN)/bayeslat fit --help >/dev/null
	@touch $(VENV)/core.stamp $@

$(COLLECT_VENV)/collect.stamp: pyproject.toml constraints.txt | $(COLLECT_VENV)/venv.stamp
	@echo "Installing torch and what measures with it into $(COLLECT_VENV) (some minutes and gigabytes)"
	@$(COLLECT_VENV)/bin/python $(PIP_INSTALL) $(COLLECT_NEEDS) pytest pytest-xdist hypothesis
	@$(COLLECT_VENV)/bin/python $(PIP_INSTALL) --no-deps --editable .
	@touch $@

# A version manager may leave a python3.12 on the path that is not installed: each is tried out.
%/venv.stamp:
	@for python in "$(PYTHON)" python3.13 python3.14 python3.12; do \
		"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null || continue; \
		rm -rf $*; \
		"$$python" -m venv $* && touch $@ && exit 0; \
		echo "error: $$python cannot make a virtual environment; install its venv module" \
			"(Debian, Ubuntu: apt install python3-venv)" >&2; \
		exit 1; \
	done; \
	echo "error: no Python 3.12 or later found (tried $(PYTHON), python3.13, python3.14," \
		"python3.12); install one, or name it: make PYTHON=/path/to/python3.12" >&2; \
	exit 1
