# make run    everything on a fresh machine: http://127.0.0.1:8080
# make test   the whole suite, with a real MongoDB and a real browser

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed

.PHONY: run test chaos bench lint types contracts lock install clean

run: install
	@exec $(BIN)/gateway serve

test: install
	$(BIN)/python -m pytest -n 3 --dist worksteal

# Ten minutes: what is killed under load, and what that cost. See benchmarks/reliability/README.md.
chaos: install
	@$(BIN)/python -m benchmarks.reliability --json benchmarks/reliability/results.json

# Ten minutes: how fast webhooks are, beside what one would write by hand. See benchmarks/webhooks/README.md.
bench: install
	@$(BIN)/python -m benchmarks.webhooks --json benchmarks/webhooks/results.json

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy

contracts: install
	$(BIN)/lint-imports

install: $(INSTALLED)

$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("gateway: Python %d.%d is too old. Install Python 3.11 or newer, or set PYTHON=python3.12." % sys.version_info[:2])'
	@echo "Installing into $(VENV) (once, about a minute) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# Needs uv on the PATH. Names no registry, so that it installs from any. Hosts with buildpacks look for requirements.txt.
lock:
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --extra embedded --extra celery --extra dev pyproject.toml -o requirements.lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --extra celery --constraint requirements.lock pyproject.toml -o requirements.txt

clean:
	rm -rf $(VENV) .data
