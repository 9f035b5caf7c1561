# Every check there is, by name. `make help` lists them.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PLUGINS := $(sort $(dir $(wildcard plugins/*/pyproject.toml)))
EDITABLES := -e . $(foreach plugin,$(PLUGINS),-e ./$(plugin:/=))

.DEFAULT_GOAL := help

.PHONY: help
help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## */\1\t/' | awk -F '\t' '{printf "  %-10s %s\n", $$1, $$2}'

.PHONY: venv
venv: $(BIN)/.complete  ## make .venv: core and plugins editable, and every development tool

# One pip command for all of ours, so that each is satisfied by its path and no index can answer for it.
$(BIN)/.complete: pyproject.toml $(wildcard plugins/*/pyproject.toml)
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "pynenc needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --group build
	$(BIN)/python -m pip install --quiet --no-build-isolation --group dev $(EDITABLES)
	$(BIN)/python -m pip check
	@touch $@
