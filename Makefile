# `make demo` and `make test` do all their set-up; nothing is installed outside this folder.
PYTHON ?= python3
RUN_ENV = .venv-run
TEST_ENV = .venv-test
INSTALL = bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test clean

demo: $(RUN_ENV)/ready
	$(RUN_ENV)/bin/rrin-deploy demo

test: $(TEST_ENV)/ready
	$(TEST_ENV)/bin/ruff check .
	$(TEST_ENV)/bin/ruff format --check .
	$(TEST_ENV)/bin/mypy
	$(TEST_ENV)/bin/lint-imports
	$(TEST_ENV)/bin/python -m pytest

$(RUN_ENV)/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(RUN_ENV)
	$(RUN_ENV)/$(INSTALL) --editable '.[cpu,video]'
	touch $@

$(TEST_ENV)/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(TEST_ENV)
	$(TEST_ENV)/$(INSTALL) --editable '.[bench,calibration,cpu,eval,export,rtx,test,video]'
	touch $@

clean:
	rm -rf $(RUN_ENV) $(TEST_ENV) rrin-demo dist .mypy_cache .ruff_cache .pytest_cache
