# `make demo` and `make test` do all set-up themselves. Python 3.11 or newer.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
READY := $(VENV)/.ready
# One process a core, each with one thread: threads of several processes would only wait for one another. Compiled
# modules are kept, also where the environment says otherwise: the tests start programs that would compile them again.
PARALLEL := -n auto --dist worksteal
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE=

# Extras of the environment. With `ray` in them, tests over a Ray cluster on this machine run too.
EXTRAS := dev,docs,real

# `make test` takes minutes; `make test CHOSEN='not slow'` has all that continuous integration runs.
CHOSEN := not slow and not costly

.PHONY: demo study test test-all check docs bench gpu clean

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip -c constraints.txt
	$(BIN)/python -m pip install --quiet --no-compile torch -c constraints.txt
	$(BIN)/python -m pip install --quiet --no-compile --editable '.[$(EXTRAS)]' -c constraints.txt
	touch $(INSTALLED)

# Modules are compiled on every core, where pip would take one, but for tests of packages, models of transformers, of
# which programs import a few, and parts of torch. Those are compiled when they are imported.
$(READY): $(INSTALLED)
	$(BIN)/python -m compileall -q -j 0 -x '/(tests?|models|_inductor|onnx)/' $(VENV)/lib > /dev/null 2>&1 || true
	touch $(READY)

demo: $(READY)
	$(BIN)/provenance compare lab/inherited/base lab/inherited/instruct

# Three miniature families, and the figures over all of them.
study: $(READY)
	$(BIN)/provenance study lab

test: $(READY)
	$(ONE_THREAD) $(BIN)/python -m pytest -m '$(CHOSEN)' $(PARALLEL)

test-all: $(READY)
	$(ONE_THREAD) $(BIN)/python -m pytest $(PARALLEL)

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

docs: $(READY)
	$(BIN)/python -m docs.write_reference
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

bench: $(READY)
	$(BIN)/python -m benchmarks

# On a machine with a GPU: its tests, then a table of speed and memory; a few minutes.
gpu: $(READY)
	$(BIN)/python -m pytest -m gpu -rs
	$(BIN)/python -m benchmarks.gpu

clean:
	rm -rf $(VENV) build *.egg-info
