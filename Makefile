# Each target makes the virtual environment it needs; no step by hand comes before.
# `make PYTHON=python3.12 test` picks the interpreter.

PYTHON ?= python3
# Where pip knows no other index, this is the build with CUDA; add one with PIP_EXTRA_INDEX_URL for the smaller CPU build.
TORCH ?= torch==2.13.0

PY := .venv/bin/python
PARITY_PY := .venv-parity/bin/python

# The root is the package: Python must not put the folder it starts in on its path, where `utils` or `cli` would
# be importable.
export PYTHONSAFEPATH := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help demo test bench lint conformance parity clean
.NOTPARALLEL:

help:
	@echo 'make demo         train, trace, optimise, save, run alone and export one real model'
	@echo 'make test         the tests'
	@echo 'make bench        the benchmarks'
	@echo 'make lint         format, lint, types and the order of the folders'
	@echo 'make conformance  the tests with every complete sweep'
	@echo 'make parity       the comparison with PyTorch, in an environment of its own'
	@echo 'make clean        remove environments, caches and results'

demo: .venv/stamps/demo
	$(PY) examples/digits.py

test: .venv/stamps/test
	$(PY) -m pytest

bench: .venv/stamps/demo
	$(PY) benchmarks/run.py

lint: .venv/stamps/dev
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	@mkdir -p .mypy_cache/link && ln -sfn ../.. .mypy_cache/link/ingot
	$(PY) -m mypy -p ingot
	.venv/bin/lint-imports --no-logo

conformance: .venv/stamps/test
	$(PY) -m pytest --conformance

parity: .venv-parity/stamps/parity
	$(PARITY_PY) -m pytest tests/parity

clean:
	rm -rf .venv .venv-parity build dist ingot.egg-info out .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

# $(call install,ENVIRONMENT,WHAT): put WHAT into ENVIRONMENT and leave the stamp $@.  While pip runs there is no folder
# of stamps, so that whatever interrupts it leaves none behind, and an environment without that folder is made anew.
define install
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Ingot needs Python 3.11 or newer; this is " + sys.version.split()[0] + " (choose one with make PYTHON=...)")'
@echo "installing $(2) into $(1) ..."
@if [ ! -d $(1)/stamps ]; then rm -rf $(1) && $(PYTHON) -m venv $(1) && mkdir $(1)/stamps; fi
@mv $(1)/stamps $(1)/installing
@$(1)/bin/python -m pip install --quiet $(2)
@touch $(1)/installing/$(@F) && mv $(1)/installing $(1)/stamps
endef

.venv/stamps/%: pyproject.toml
	$(call install,.venv,--editable '.[$*]')

.venv-parity/stamps/parity: pyproject.toml
	$(call install,.venv-parity,--editable '.[test]' '$(TORCH)')
