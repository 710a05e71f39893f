# Every target does its own set-up; a second run costs seconds. PYTHON may name another interpreter.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PYTHONPATH := $(CURDIR)

.PHONY: setup demo test test-ray test-other bench lint format results mlflow-server

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: setup
	$(BIN)/python -m jobs.pipeline --config jobs/configs/demo.yaml

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test: lint
	$(MAKE) --jobs 2 --output-sync=target test-ray test-other

# Some of Ray's tests run with the others, so that both halves take as long.
LATER := tests/cluster tests/golden \
	$(addprefix tests/jobs/test_,dedupe.py extract.py outside_package.py triples_chain.py)

test-ray: setup
	$(BIN)/python -m pytest -m ray $(addprefix --ignore=,$(LATER))

test-other: setup
	$(BIN)/python -m pytest -m "not ray"
	$(BIN)/python -m pytest -m ray $(LATER)

bench: setup
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,bench]'
	$(BIN)/python -m benchmarks.run --quick

# Every published number on one page; the files it is made from are docs/results/*.json.
results: setup
	$(BIN)/python -m jobs.publish_results --page docs/results.md

# A tracking server with passwords for a team; what it keeps lies in MLFLOW_FOLDER.
mlflow-server: setup
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[server]'
	PATH="$(CURDIR)/$(BIN):$$PATH" cluster/mlflow_server.sh "$(or $(MLFLOW_FOLDER),mlflow-server)"
