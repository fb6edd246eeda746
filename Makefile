# Every target sets up what it needs: the first one makes .venv and installs detkit into it.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
BENCH := $(VENV)/.bench

# Two test processes that each use every core would fight over them. Both start Python often, which
# takes longer where an environment forbids bytecode.
# worksteal: a process that is done takes tests from the other.
TEST := OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/pytest -n 2 --dist worksteal

.PHONY: help install demo test test-all lint bench format clean

help:
	@echo "make demo      train on the embedded data set and write pictures, curves and a table"
	@echo "make test      the tests that take seconds"
	@echo "make test-all  every test"
	@echo "make lint      formatting, lint and types, as CI checks them"
	@echo "make bench     beside torchvision, Ultralytics, LibreYOLO and pycocotools; half an hour on 2 cores"
	@echo "make format    put the sources into the form that lint wants"
	@echo "make install   only set up $(VENV)"
	@echo "make clean     remove $(VENV) and caches"
	@echo "PYTHON=python3.12 chooses the interpreter; it must be 3.11 or newer."

install: $(INSTALLED)

$(INSTALLED): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "detkit needs Python 3.11 or newer, '$(PYTHON)' is $$($(PYTHON) --version 2>&1);" \
			"run make with PYTHON=python3.11" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -e ".[dev,tensorboard,optuna]"
	@touch $@

demo: $(INSTALLED)
	$(BIN)/detkit train experiment=demo

test: $(INSTALLED)
	$(TEST)

test-all: $(INSTALLED)
	$(TEST) -m ""

lint: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(INSTALLED) $(BENCH)
	$(BIN)/python scripts/benchmark/run.py

# Ultralytics and LibreYOLO are only compared with; nothing of detkit imports them.
$(BENCH): $(INSTALLED)
	$(BIN)/python -m pip install --quiet -e ".[bench]"
	@touch $@

format: $(INSTALLED)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis
