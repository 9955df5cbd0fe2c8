# Two commands do everything on a fresh machine: `make demo` and `make test`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Pinned where the project installs itself; setup.cfg gives the range that users may have.
TORCH := torch==2.13.0

.PHONY: demo test check format benchmark-accuracy benchmark-speed clean

demo: $(VENV)/.installed
	$(BIN)/recsys --workspace data/ml-100k demo --fallback data/sample

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m "not slow"
	$(BIN)/python -m pytest -m slow

check: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -m "not slow"
	$(BIN)/python -m pytest -m slow

format: $(VENV)/.installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: setup.cfg pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet $(TORCH)
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $@

# Each needs the data sets beside the checkout, or a quiet machine for some minutes.
benchmark-accuracy: $(VENV)/.installed-dev
	for name in ml-100k ml-1m goodbooks-10k-v1; do $(BIN)/python benchmarks/accuracy.py $$name; done
	$(BIN)/python benchmarks/accuracy.py gowalla -S training.batch_size=500 -S training.epochs=40

benchmark-speed: $(VENV)/.installed-dev
	$(BIN)/python benchmarks/ingest.py
	$(BIN)/python benchmarks/score.py

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
