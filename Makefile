# Two commands: `make demo` shows the whole night on the shipped sample; `make test` checks everything.
# Both make .venv and install the pinned set (constraints.txt). They need Python 3.11 or 3.12, and nothing else.

PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3,$(shell command -v $(name) >/dev/null 2>&1 && $(name) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' 2>/dev/null && echo $(name))))
BIN := .venv/bin
# threads that wait without spinning: beside any other busy process, spinning makes torch six times slower
export OMP_WAIT_POLICY := PASSIVE

.PHONY: demo test install clean

demo: .venv/installed
	$(BIN)/medflow demo

test: .venv/installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest --numprocesses=logical --maxprocesses=4 --dist=loadscope --no-loadscope-reorder --durations=10 --cov --cov-report=term:skip-covered

install: .venv/installed

.venv/installed: pyproject.toml constraints.txt | .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	@touch $@

.venv/installed-dev: pyproject.toml constraints.txt | .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	@touch $@ .venv/installed

.venv:
	@test -n "$(PYTHON)" || { echo "medflow needs Python 3.11 or 3.12; set PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv .venv

clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage
