# Two commands do all the set-up, each alone: make demo, make test.
# The first Python that is new enough: some systems have newer ones beside an old python3.
PYTHON ?= $(shell for each in python3 python3.14 python3.13 python3.12 python3.11; do \
    $$each -c '$(NEW_ENOUGH)' 2>/dev/null && echo $$each && exit; done; echo python3)
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
BENCH := $(VENV)/.bench
OLDEST := .venv-oldest
COMPAT := .venv-compat
SUITES ?= bookworm trixie
# Where sshd and chroot are is not in everybody's PATH.
export PATH := $(PATH):/usr/sbin:/sbin

.NOTPARALLEL:
.PHONY: help demo root test oldest compat environments fresh lint bench share clean

help:
	@echo "make demo    audit and repair a cluster of four real ssh nodes on this machine (Linux, root)"
	@echo "make test    run all tests; ARGS='-k probe' hands options to pytest"
	@echo "make oldest  run the tests that need no ssh nodes with the oldest versions of what this project builds on"
	@echo "make compat  try other plugins and options of pytest, and write the tables of docs/pytest.md (root, BusyBox; 4 minutes)"
	@echo "make environments  try every kind of node, and write the table in docs/environments.md (Linux, root; 1 minute)"
	@echo "make fresh   make demo and make test, each on a new Debian in a temporary folder; SUITES='$(SUITES)' (root; 30 minutes)"
	@echo "make lint    ruff and mypy"
	@echo "make bench   measure against clush, plain pytest and other tools, side by side (Linux, root; 80 minutes)"
	@echo "make share   write the manual pages and the shell completion in docs/ anew, from the commands' own help"
	@echo "make clean   remove the environment and what runs have written"

# Before anything is installed.
root:
	@[ "$$(id -u)" = 0 ] || { echo "make demo starts ssh nodes on this machine, for which it has to be root: sudo make demo,"; \
	    echo "or make demo as root in a container. Nothing was installed."; exit 1; }

$(READY): pyproject.toml
	@$(PYTHON) -c '$(NEW_ENOUGH)' || \
	    { echo "Python 3.11 or newer is needed: install it (README.md names the packages), or name one with: make PYTHON=/path/to/python3 $(MAKECMDGOALS)"; exit 1; }
	@sh .ci/system-packages venv $(PYTHON)
	@echo "making the environment in $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

$(BENCH): $(READY)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	@touch $@

demo: root $(READY)
	@sh .ci/system-packages demo
	@$(BIN)/python -m pytest_synctool.demo examples

test: $(READY)
	@sh .ci/system-packages test
	@sh .ci/system-packages others
	$(BIN)/python -m pytest tests_meta -rs -n 3 --maxschedchunk 1 --junitxml=reports/tests_meta.xml $(ARGS)

oldest:
	@sh .ci/system-packages test
	@sh .ci/system-packages venv $(PYTHON)
	@$(PYTHON) -m venv --clear $(OLDEST)
	@$(OLDEST)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]' --constraint tests_meta/oldest.txt
	$(OLDEST)/bin/python -m pytest tests_meta/unit tests_meta/plugin -rs -n 2 $(ARGS)

compat:
	@sh .ci/system-packages test
	@sh .ci/system-packages venv $(PYTHON)
	@$(PYTHON) -m venv --clear $(COMPAT)
	@$(COMPAT)/bin/python -m pip install --quiet --disable-pip-version-check --editable . \
	    --requirement tests_meta/compat/requirements.txt
	$(COMPAT)/bin/python -m tests_meta.compat $(ARGS)

environments: $(READY)
	@sh .ci/system-packages test
	@sh .ci/system-packages others
	$(BIN)/python -m tests_meta.environments

fresh:
	@sh .ci/fresh $(SUITES)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(BENCH)
	@sh .ci/system-packages demo
	$(BIN)/python -m tests_meta.bench $(ARGS)

share: $(READY)
	@$(BIN)/python -m tests_meta.share

clean:
	rm -rf $(VENV) $(OLDEST) $(COMPAT) .venv-peers .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find reports -mindepth 1 ! -name .gitkeep -delete
