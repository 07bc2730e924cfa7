# `make repro` and `make test` do all the set-up on a fresh machine.
# VENV=path reuses an environment, PYTHON=path another interpreter (3.11 or newer).
# SHAPES=1 makes the tests check every array's shape and type against its signature, as CI does.
VENV ?= .venv
PYTHON ?= python3
export PATH := $(abspath $(VENV))/bin:$(PATH)
export PYTHONPATH := $(CURDIR)/src
export DVC_NO_ANALYTICS := 1
export OMP_NUM_THREADS ?= 1
STAMP := $(VENV)/.installed-$(shell cat requirements.lock pyproject.toml 2>/dev/null | cksum | cut -d' ' -f1)-$(shell pwd | cksum | cut -d' ' -f1)

ifeq ($(SHAPES),1)
PYTEST := python -m pytest --jaxtyping-packages=cell_synergy,beartype.beartype
else
PYTEST := python -m pytest
endif

.PHONY: repro benchmarks cluster test test-slow test-all lint format lock store install check

repro: install  ## compute every stage that is out of date, as many at a time as there are cores
	python -m runner.local

benchmarks: install  ## compute every table of benchmarks/ that is out of date: 3 CPU hours from nothing
	python -m runner.local benchmarks/dvc.yaml

cluster: install  ## compute every stage that is out of date as SLURM jobs
	python -m slurm.submit

test: install lint  ## checks and fast tests
	$(PYTEST) -m "not slow"

test-slow: install  ## tests that take more than three seconds
	$(PYTEST) -m slow

test-all: test test-slow  ## checks and every test that needs no GPU

lint: install
	ruff check .
	ruff format --check .
	mypy

format: install
	ruff check --fix .
	ruff format .

install: $(STAMP)  ## make the environment

$(STAMP): | check
	@test -x $(VENV)/bin/python || { echo "making an environment in $(VENV)" >&2; \
	  $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }; }
	@echo "installing into $(VENV): some 3 GB are fetched and 7 GB written; pip is silent for" \
	  "two to five minutes" >&2
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

check:  ## say what this machine or folder lacks, before anything is made
	@VENV="$(VENV)" PYTHON="$(PYTHON)" sh .ci/check

lock: install  ## write requirements.lock anew from pyproject.toml
	@command -v uv > /dev/null || { echo "error: make lock needs uv:" \
	  "$(VENV)/bin/python -m pip install uv" >&2; exit 1; }
	uv pip compile --quiet --no-header --no-annotate --no-emit-index-url --no-emit-find-links \
	  --python-version 3.11.0 --extra dev --extra remotes --output-file requirements.lock pyproject.toml

store: install  ## empty the embedded store and fill it with what dvc.lock names
	@if grep -ls '"redistribute": false' data/experts/*/*/card.json; then \
	  echo "make store: what these experts are and compute may not be passed on;" \
	    "dvc push -r NAME to a remote of your own" >&2; exit 1; fi
	rm -rf dvcstore
	dvc push -r store
