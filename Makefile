# Every target sets up what it needs; nothing but Python 3.11+ and a package index is assumed.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: setup browser tokenizers demo quick test statistics coverage lint bench check real fuzz kills bundled reference \
	docs clean

setup: $(READY)

# torch first and alone: the exact pin decides between CPU and CUDA builds before others ask for it
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed: make PYTHON=python3.12 setup"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $(READY)

# the report's tests look at it in a real browser; without one they are skipped, and say so
browser: setup
	@$(BIN)/python -m tests.helpers.browser || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
		apt-get -qq update && apt-get -qq install -y --no-install-recommends chromium >/dev/null; } || \
		$(BIN)/python -m playwright install chromium || true

# real tokenizers of Llama 3 and Qwen, for tests; without npm those are skipped, and say so
tokenizers: setup
	@$(BIN)/python -m tests.helpers.real_tokenizers || true

demo: setup
	$(BIN)/mdlm-probe locality --output results/demo

# one thread a worker: two workers on two cores don't fight; a file's tests share what they measured.
# Compiled modules are kept, whatever the machine wants: tests start many processes.
# Files begin in their order: what starts processes and takes long comes first, and neither worker waits at the end
PYTEST = PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# parts by themselves, without the tests that take over half a second or so
quick: setup
	$(PYTEST) -m 'not slow' tests/unit

# and what users start: commands, studies, servers, a browser, the wheel
test: setup browser tokenizers
	$(PYTEST)

# the simulations with all their repetitions, of which the other targets make a tenth, and all cases of
# what else tries a share of them
statistics: setup
	MDLM_PROBE_STATISTICS=1 $(PYTEST) -m 'statistics or hypothesis'

# all tests, counting lines: takes half as long again
coverage: setup browser tokenizers
	$(PYTEST) --cov --cov-report=term:skip-covered --cov-fail-under=98

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# odd input of every kind: 0 tracebacks, 0 hangs; `--kind KIND --only N` runs one again
INPUTS ?= 2000
fuzz: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.fuzz.campaign --inputs $(INPUTS)

# ten commands killed at random moments and resumed: 0 changed bytes
KILLS ?= 100
kills: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.fuzz.kills --kills $(KILLS)

bench: setup
	$(BIN)/python -m bench

check: lint test

# every command on SmolLM2-135M (from PyPI, 90 MB), its numbers beside those of transformers and lm-eval: minutes
real: setup
	OMP_NUM_THREADS=2 $(BIN)/python -m tests.real

# trains the bundled models again; see mdlm_probe/models/tiny/TRAINING.md
bundled: setup
	$(BIN)/python -m training.bundled

# measures the committed reference run again: the study `smoke`
reference: setup
	$(BIN)/mdlm-probe study smoke --output results/reference --fresh

# the documentation as a site that needs no network; strict: a broken link fails
docs: setup
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --site-dir site
	@echo "site/index.html; with search: $(BIN)/python -m http.server -d site"

clean:
	rm -rf $(VENV) build dist site .pytest_cache .ruff_cache .mypy_cache .coverage .coverage.* results/demo
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
