# Two commands do all the set-up, each alone: make demo, make test.
PYTHON ?= python3
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
BENCH := $(VENV)/.bench
OLDEST := .venv-oldest

.PHONY: help demo test oldest lint bench share clean system

help:
	@echo "make demo    audit and repair a cluster of four real ssh nodes on this machine (Linux, root)"
	@echo "make test    run all tests; ARGS='-k probe' hands options to pytest"
	@echo "make oldest  run the tests that need no ssh nodes with the oldest versions of what this project builds on"
	@echo "make lint    ruff and mypy"
	@echo "make bench   measure against clush, plain pytest and other tools, side by side (Linux, root; 20 minutes)"
	@echo "make share   write the manual pages and the shell completion in docs/ anew, from the commands' own help"
	@echo "make clean   remove the environment and what runs have written"

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "Python 3.11 or newer is needed; name one with: make PYTHON=/path/to/python3 $(MAKECMDGOALS)"; exit 1; }
	@echo "making the environment in $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

$(BENCH): $(READY)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	@touch $@

system:
	@sh .ci/system-packages $(ALSO_FOR)

demo: $(READY) system
	@$(BIN)/python -m pytest_synctool.demo examples

test: ALSO_FOR := tests
test: $(READY) system
	$(BIN)/python -m pytest tests_meta -n 2 --maxschedchunk 1 --junitxml=reports/tests_meta.xml $(ARGS)

oldest: ALSO_FOR := tests
oldest: system
	@$(PYTHON) -m venv --clear $(OLDEST)
	@$(OLDEST)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]' --constraint tests_meta/oldest.txt
	$(OLDEST)/bin/python -m pytest tests_meta/unit tests_meta/plugin -n 2 $(ARGS)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(BENCH) system
	$(BIN)/python -m tests_meta.bench $(ARGS)

share: $(READY)
	@$(BIN)/python -m tests_meta.share

clean:
	rm -rf $(VENV) $(OLDEST) .venv-peers .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find reports -type f ! -name .gitkeep -delete
