# Needs python3 (3.11 or newer), make and a network; everything else is installed into .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

export FLWR_TELEMETRY_ENABLED := 0
export FLWR_DISABLE_UPDATE_CHECK := 1
export RAY_USAGE_STATS_ENABLED := 0
export FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION := 1

.DEFAULT_GOAL := help
.PHONY: help install demo test test-deployed test-here test-slow kills mutants lint bench results clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s  %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(INSTALLED) ## Create .venv with everything needed (the other targets do this themselves)

$(INSTALLED): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "there is no '$(PYTHON)' here: try make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "fedgan needs Python 3.11 or newer, '$(PYTHON)' is $$($(PYTHON) --version): try make PYTHON=python3.12" >&2; \
	  exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev,ray,evaluation,explanation]' -c constraints.txt
	@touch $@

demo: $(INSTALLED) ## Train five clients' private digit generator in a new folder runs/digits[-N]
	@run=runs/digits; n=2; while [ -e "$$run" ]; do run=runs/digits-$$n; n=$$((n + 1)); done; \
	$(BIN)/fedgan simulate configs/digits.toml --output "$$run"

# Two test processes of one thread each: torch's own threads would fight over the cores.
test test-deployed test-here test-slow kills mutants: export OMP_NUM_THREADS := 1

test: lint ## Lint, unit tests, slow tests of privacy claims and of deployment, mutants: what CI runs
	@$(MAKE) --no-print-directory -j 2 test-deployed test-here

# Federations of processes mostly wait, so they run beside the rest; what their tests say is shown at their end.
test-deployed: $(INSTALLED)
	@log=$$(mktemp); $(BIN)/python -m pytest -n 3 -m 'deployed and not thorough' >"$$log" 2>&1; code=$$?; cat "$$log"; rm "$$log"; exit $$code

test-here: $(INSTALLED)
	@report=$$(mktemp); $(BIN)/python -m pytest -n 2 --dist worksteal --junitxml=$$report -o junit_family=xunit1 \
	  -m 'not gpu and not deployed and not thorough and (not slow or privacy)' && \
	$(BIN)/python -m simulations.mutants --passed $$report; code=$$?; rm -f $$report; exit $$code

mutants: $(INSTALLED) ## Plant privacy bugs one by one: each must turn its tests red
	$(BIN)/python -m simulations.mutants

test-slow: $(INSTALLED) ## Every slow test that needs no GPU: minutes
	$(BIN)/python -m pytest -n 2 -m 'slow and not gpu'

test-gpu: $(INSTALLED) ## Tests that need a GPU
	$(BIN)/python -m pytest -m gpu

kills: $(INSTALLED) ## kill -9 at 200 random instants of a run (FEDGAN_KILLS=N for another number): ten minutes
	FEDGAN_KILLS=$${FEDGAN_KILLS:-200} $(BIN)/python -m pytest -m slow tests/federation/test_kill_command.py

lint: $(INSTALLED) ## Style, types and layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(INSTALLED) ## Run every benchmark in simulations/benchmarks
	@set -e; for file in simulations/benchmarks/[!_]*.py; do \
	  name=$${file##*/}; $(BIN)/python -m "simulations.benchmarks.$${name%.py}"; done

results: $(INSTALLED) ## Make the tables and plots of docs/results.md from the runs in docs/results
	$(BIN)/python -m simulations.results table

clean: ## Remove .venv and caches; runs/ and data/ stay
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
