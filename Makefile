PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
DEMO := synthetic:bright --name demo --samples 4096 --width 64 --steps 300 --trials 48 --deterministic

.PHONY: demo test test-cluster docs lint audit bench bench-search chaos clean

demo: $(INSTALLED)
	$(BIN)/winnow run $(DEMO)
	@echo
	@echo "Next: $(BIN)/winnow ui                    every trial, curve and picture in the browser"
	@echo "      $(BIN)/winnow run YOUR.wav          the same for a recording of yours (--help lists the options)"

test: lint
	$(BIN)/pytest -n 2 --dist loadfile --ignore tests/chaos
	$(BIN)/pytest tests/chaos  # what is killed and frozen there has seconds to come back: nothing runs beside it

test-cluster: $(INSTALLED)
	$(BIN)/pytest -m cluster tests/cluster tests/deploy

lint: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

docs: $(INSTALLED)
	$(BIN)/python -m sphinx --fail-on-warning --fresh-env --quiet docs site
	@echo "site/index.html"

audit: .venv-audit/bin/pip-audit
	.venv-audit/bin/pip-audit --strict --disable-pip --no-deps --requirement constraints.txt

.venv-audit/bin/pip-audit:
	$(PYTHON) -m venv .venv-audit
	.venv-audit/bin/pip install --quiet --disable-pip-version-check 'pip-audit>=2.10,<3'

bench: $(INSTALLED)
	$(BIN)/python tests/benchmarks/bench.py

bench-search: $(INSTALLED)
	$(BIN)/python tests/benchmarks/bench_search.py

chaos: $(INSTALLED)
	$(BIN)/python tests/chaos/chaos.py

clean:
	rm -rf .venv .venv-audit site winnow-store

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,docs]'
	touch $@
