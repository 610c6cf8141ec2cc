# `make demo` and `make test` do everything themselves on a fresh machine; the rest is for those who work on tracebank.
SHELL := /bin/bash
PYTHON ?= python3
VENV := $(CURDIR)/.venv
BIN := $(VENV)/bin
export TRACEBANK_HOME ?= $(CURDIR)/.tracebank
export DAGSTER_HOME ?= $(TRACEBANK_HOME)/dagster
DATA ?=

.PHONY: demo test lint format dev install clean help

help:  ## What can be made
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "tracebank needs Python 3.11 or newer; set PYTHON=")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
	  --editable '.[models,postgres,tsdb,dev]'
	touch $@

# The commands and `dg` read .env, so that they find the home of this checkout without being told. `dg` puts it above the
# environment, hence the form: the environment's value, or else this one.
.env: $(VENV)/.installed
	$(BIN)/python -m tracebank_assets.dagster_home
	{ grep -vsE '^(TRACEBANK|DAGSTER)_HOME=' $@; \
	  printf '%s=$${%s:-%s}\n' TRACEBANK_HOME TRACEBANK_HOME '$(TRACEBANK_HOME)' \
	    DAGSTER_HOME DAGSTER_HOME '$(DAGSTER_HOME)'; } > $@.new
	mv $@.new $@

install: $(VENV)/.installed .env  ## Environment in .venv, from pinned versions

demo: install  ## Stores, a synthetic day (and the files of DATA=folder), every asset, and what is where
	$(BIN)/tracebank demo $(if $(DATA),--data '$(DATA)')

dev: install  ## Dagster UI, with the schedule and the sensor on
	$(BIN)/tracebank dev

test: install  ## The whole test suite
	$(BIN)/python -m pytest -n 2 --dist loadscope

lint: install  ## Format, lint, types and import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: install  ## Put the code into shape
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:  ## Forget the environment and the demo's stores
	rm -rf $(VENV) .tracebank .env
