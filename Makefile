# One command each. `make demo` and `make test` do all the set-up on a fresh machine (Python >= 3.11 with venv).
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test test-all check setup bench docs ci clean

demo: $(VENV)/.demo  ## run the quickstart and say where its report is
	$(BIN)/mashq make quickstart

test: $(VENV)/.dev  ## pass the tests (the slow ones apart)
	$(BIN)/python -m pytest -n 2 $(PYTEST)

test-all: $(VENV)/.dev  ## pass every test, those that take minutes too
	$(BIN)/python -m pytest -m ""

check: $(VENV)/.dev  ## ruff, types, import layers, docs current
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy mashq
	$(BIN)/lint-imports
	$(BIN)/python docs/generate.py --check

bench: $(VENV)/.dev  ## side by side with the named peers; benchmarks/README.md says how
	$(BIN)/python benchmarks/arabic_forms.py
	$(BIN)/python benchmarks/templates.py

docs: $(VENV)/.dev  ## write docs/reference anew from --help and docstrings
	$(BIN)/python docs/generate.py

setup: $(VENV)/.dev  ## the whole environment, for working on mashq

clean:  ## remove what can be made again (not runs/)
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# constraints.txt names the torch release that has a build for the processor alone; without it Linux downloads CUDA.
$(VENV)/.demo: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[demo]'
	touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[demo,translate,clean,privacy,variety,sweep,qlora,chat,rate,dev]'
	touch $@ $(VENV)/.demo
