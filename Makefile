# Every check there is, by name. `make help` lists them.

# The first of these that is 3.11 or newer and can make environments; `make PYTHON=...` overrides it.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
VENV := .venv
BIN := $(VENV)/bin
NOX = $(BIN)/nox --non-interactive
PROJECTS := pyproject.toml $(wildcard plugins/*/pyproject.toml examples/*/pyproject.toml)
# One pip command for all of ours, so that each is satisfied by its path and no index can answer for it.
RUNTIME := -e . $(foreach name,backend-memory backend-sqlite runner-persistent-process runner-thread,-e ./plugins/pynenc-$(name))
EDITABLES := -e . $(foreach plugin,$(sort $(dir $(wildcard plugins/*/pyproject.toml examples/*/pyproject.toml))),-e ./$(plugin:/=))

RUNNER ?= $(if $(filter memory,$(BACKEND)),thread,persistent-process)
BACKEND ?= sqlite

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help:  ## list the targets
	@echo "make <target>:"
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## */\1|/' | awk -F '|' '{printf "  %-10s %s\n", $$1, $$2}'

.PHONY: demo
demo: $(BIN)/.runtime  ## index the standard library with a runner in another process; RUNNER=thread, BACKEND=memory
	cd examples && ../$(BIN)/python -m stdlib_index --runner $(RUNNER) --backend $(BACKEND)

.PHONY: test
test: $(BIN)/.nox  ## the whole suite on one Python, over installed wheels, with lint, types and architecture; under 10 minutes
	$(NOX) -s lint types "everything-$$($(BIN)/python -c 'import sys; print("%d.%d" % sys.version_info[:2])')"

.PHONY: test-all
test-all: $(BIN)/.nox  ## every nox session, on every Python that is present
	$(NOX) -s $$($(BIN)/nox --list-sessions --json | $(BIN)/python -c 'import json, sys; print(*dict.fromkeys(s["name"] for s in json.load(sys.stdin)))')

.PHONY: lint
lint: $(BIN)/.nox  ## ruff: rules and format; import contracts, sizes, light start
	$(NOX) -s lint imports

.PHONY: types
types: $(BIN)/.nox  ## mypy strict and pyright strict
	$(NOX) -s types

.PHONY: docs
docs: $(BIN)/.nox  ## run every code block of README and docs/
	$(NOX) -s docs

.PHONY: bench
bench: $(BIN)/.nox  ## measure: a table of ratios to each floor, and JSON; PEERS=1: other task queues beside ours instead
	$(NOX) -s bench $(if $(PEERS),-- --peers)

.PHONY: venv
venv: $(BIN)/.complete  ## .venv for development: core and plugins editable, and every tool

.PHONY: clean
clean:  ## remove what these targets made
	rm -rf $(VENV) .nox dist build .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/.made:
	@test -n "$(PYTHON)" || { echo "pynenc needs Python 3.11 or newer, with venv: make PYTHON=<path to it> ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	@touch $@

$(BIN)/.runtime: $(BIN)/.made $(PROJECTS)
	$(BIN)/python -m pip install --quiet --group build
	$(BIN)/python -m pip install --quiet --no-build-isolation $(RUNTIME)
	@touch $@

$(BIN)/.nox: $(BIN)/.made pyproject.toml
	$(BIN)/python -m pip install --quiet --group nox
	@touch $@

$(BIN)/.complete: $(BIN)/.made $(PROJECTS)
	$(BIN)/python -m pip install --quiet --group build
	$(BIN)/python -m pip install --quiet --no-build-isolation --group dev $(EDITABLES)
	$(BIN)/python -m pip check
	@touch $@
