# Two commands do everything on a fresh machine: `make demo` and `make test`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Pinned where the project installs itself; setup.cfg gives the range that users may have.
TORCH := torch==2.13.0
# Tests of one file stay together: they share what is made once.
IN_PARALLEL := -n logical --maxprocesses 4 --dist loadfile
# The distribution's browser, where it may be installed: for the explorer page's tests.
APT_CHROMIUM := { test "$$(id -u)" = 0 && apt-get update -qq && apt-get install -qq -y chromium; }

.PHONY: demo demo-poems serve test check format benchmark-accuracy benchmark-speed clean

demo: $(VENV)/.installed
	$(BIN)/recsys --workspace data/ml-100k demo --fallback data/sample

demo-poems: $(VENV)/.installed-verse
	$(BIN)/recsys --workspace data/tang-poems demo --poems

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m "not slow" $(IN_PARALLEL)
	$(BIN)/python -m pytest -m slow $(IN_PARALLEL)

check: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -m "not slow" $(IN_PARALLEL)
	$(BIN)/python -m pytest -m slow $(IN_PARALLEL)

format: $(VENV)/.installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: setup.cfg pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet $(TORCH)
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/.installed-verse: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --editable ".[verse]"
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	@command -v chromium || command -v chromium-browser || command -v google-chrome \
		|| $(APT_CHROMIUM) || $(BIN)/playwright install chromium \
		|| echo "no browser: install the package chromium, else the explorer page's tests are skipped"
	touch $@

serve: $(VENV)/.installed-serve
	$(BIN)/recsys --workspace data/ml-100k serve

$(VENV)/.installed-serve: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --editable ".[serve]"
	touch $@

# Each needs the data sets beside the checkout and a quiet machine; the first takes hours.
benchmark-accuracy: $(VENV)/.installed-benchmarks
	$(BIN)/python benchmarks/accuracy.py ml-1m --seeds 42,43,44 --peers all
	$(BIN)/python benchmarks/accuracy.py ml-100k --folds 5 --seeds 42,43,44 --peers all
	$(BIN)/python benchmarks/accuracy.py goodbooks-10k-v1 --peers popularity,ease,edlae,als
	$(BIN)/python benchmarks/accuracy.py gowalla --peers popularity,als
	$(BIN)/python benchmarks/large_catalogue.py gowalla

benchmark-speed: $(VENV)/.installed-benchmarks
	$(BIN)/python benchmarks/ingest.py
	$(BIN)/python benchmarks/score.py
	$(BIN)/python benchmarks/train_step.py
	$(BIN)/python benchmarks/end_to_end.py
	$(BIN)/python benchmarks/neighbours.py gowalla
	$(BIN)/python benchmarks/neighbours.py million
	$(BIN)/python benchmarks/large_catalogue.py million
	OMP_WAIT_POLICY=PASSIVE GOMP_SPINCOUNT=1000 OPENBLAS_THREAD_TIMEOUT=16 $(BIN)/python benchmarks/search.py --workspace data/ml-100k
	$(BIN)/python benchmarks/http_load.py

$(VENV)/.installed-benchmarks: $(VENV)/.installed-dev
	$(BIN)/python -m pip install --quiet --editable ".[dev,benchmarks]"
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
