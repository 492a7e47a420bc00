# The few commands a person types. `make` alone lists them.
VENV   ?= .venv
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN    := $(VENV)/bin
# Without its bytecode, each of the thousand processes that tests start would compile modelwave.
unexport PYTHONDONTWRITEBYTECODE
STAMP  := $(VENV)/.installed
# Tests wait for processes and brokers a quarter of their time: two workers keep a core busy.
WORKERS ?= $(shell echo $$((2 * $$(nproc))))

.DEFAULT_GOAL := help
.PHONY: help setup demo page check test test-long sweep fuzz faults mutants heal trust api relay boards-sweep lint bench scale outage retained fit models board footprint judge docs clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## make .venv and install modelwave with all that its tests want
$(STAMP): $(VENV)/.made typings/requirements.txt
	@$(BIN)/pip uninstall -qq --yes modelwave # one of before has the agent in it
	$(BIN)/pip install --quiet --editable ./agent --editable '.[dev]'
	$(BIN)/pip install --quiet --no-deps --upgrade --target .typings -r typings/requirements.txt
	@command -v micropython >/dev/null || scripts/get-micropython .micropython >/dev/null \
	  || echo "no MicroPython: what runs on it is not tested (make test says so again)"
	@test -e .axe/axe.min.js || scripts/get-axe .axe || echo "no axe-core: pages are not tested for everybody's use"
	@test -e .zephyr/LICENSE || PATH="$(abspath $(BIN)):$$PATH" scripts/get-zephyr .zephyr \
	  || echo "no MCUboot for QEMU: boards with it are tested with a stand-in alone"
	@touch $@ $(VENV)/.demo

$(VENV)/.demo: $(VENV)/.made
	@$(BIN)/pip uninstall -qq --yes modelwave # one of before has the agent in it
	$(BIN)/pip install --quiet --editable ./agent --editable '.[controller,tflite,boards,relay]'
	@touch $@

$(VENV)/.made: pyproject.toml agent/pyproject.toml
	@test -n "$(PYTHON)" || { echo "modelwave needs Python 3.11 or newer: apt install python3"; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "modelwave needs Python 3.11 or newer; $(PYTHON) is older"; exit 1; }
	@"$(PYTHON)" -m venv $(VENV) \
	  || { echo "Python's venv module is missing: apt install python3-venv"; exit 1; }
	@touch $@

demo: $(VENV)/.demo ## the whole path: a good model in waves, a bad one taken back; KEEP=1 stays up
	$(BIN)/modelwave demo $(if $(KEEP),--stay)

page: $(VENV)/.demo ## the page, with 200 simulated devices and a rollout under way, until Ctrl-C
	$(BIN)/modelwave demo --under-way

check: lint ## lint, types and the quick tests, before each commit (1 to 2 minutes on 2 cores)
	$(BIN)/pytest -m 'not slow and not e2e' --numprocesses $(WORKERS) --dist worksteal

test: $(STAMP) ## the everyday suite (13 to 16 minutes on 2 cores)
	$(BIN)/pytest --numprocesses $(WORKERS) --dist worksteal

test-long: $(STAMP) ## the same sweeps, every case
	MODELWAVE_LONG=1 $(BIN)/pytest

sweep: $(STAMP) ## power cuts, errors, kills, floods and a long day, every case (docs/testing.md), one line last; SWEEPS="disk flash" for some
	$(BIN)/python -m tests.sweeps $(SWEEPS)

fuzz: $(STAMP) ## made-up inputs for whatever reads bytes, 10,000,000 each; TARGETS="envelope json" RUNS=… for less, KEEP=1 keeps new ones
	$(BIN)/python -m tests.fuzz $(TARGETS) $(if $(RUNS),--runs $(RUNS)) $(if $(KEEP),--keep)

mutants: $(STAMP) ## small changes of the modules that decide, each shown to their tests, one line last; PARTS="machine" for some
	$(BIN)/python -m tests.mutation $(PARTS)

heal: $(STAMP) ## 2,000 random histories of trouble, simulated; SEED=… HISTORIES=… for others
	$(BIN)/python -m tests.heal $(if $(SEED),--seed $(SEED)) $(if $(HISTORIES),--histories $(HISTORIES))

trust: $(STAMP) ## every sweep of keys, signatures and attacks, its figures last; SWEEPS="signatures" for some
	$(BIN)/python -m tests.trust $(SWEEPS)

faults: $(STAMP) ## one-line faults, each of which a test catches, one line each; FAULTS="takes no-soak" for some
	$(BIN)/python -m tests.faults $(FAULTS)

judge: $(STAMP) ## what the judge does to good and bad releases, as tables; TABLES="halt cost" RUNS=200 for less
	$(BIN)/python -m tests.judge $(TABLES) $(if $(RUNS),--runs $(RUNS)) $(if $(SEED),--seed $(SEED))

api: $(STAMP) ## every sweep of the API's tests, then what API, page and files cost, as a table; MEASURE="readers" for some
	$(BIN)/python -m benchmarks.api $(MEASURE) $(if $(LONG),--long)

relay: $(STAMP) ## every sweep of gateways, wires and boards, then a wave through one gateway; MEASURE="wave" for some
	$(BIN)/python -m benchmarks.relay $(MEASURE)

boards-sweep: $(STAMP) ## power cut at every write of a board's flash, once and twice, one line last; WHAT="fat lfs2/update" for some
	$(BIN)/python -m tests.board.sweep $(if $(PAIRS),--pairs $(PAIRS)) $(WHAT)
	MODELWAVE_LONG=1 $(BIN)/pytest -s -k reconnects tests/board/test_board_life.py

lint: $(STAMP) ## ruff, mypy --strict for hosts and for boards, import layering
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --config-file mypy-boards.ini
	$(BIN)/lint-imports

bench: $(STAMP) ## download + verify + write of 20 MB against curl | tee | sha256sum
	$(BIN)/python benchmarks/download.py

scale: $(STAMP) ## how modelwave holds as a fleet grows, as a table; MEASURE="start" for some, LONG=1 for large fleets
	$(BIN)/python -m benchmarks.scale $(MEASURE) $(if $(LONG),--long)

outage: $(STAMP) ## 1,000 simulated devices and a file server that is down for an hour: table and plot
	$(BIN)/python -m benchmarks.outage --plot docs/outage.svg

retained: $(STAMP) ## retained orders after a rollout; seconds until an emptied broker has them again
	$(BIN)/python -m benchmarks.retained

fit: $(STAMP) ## how exact the memory planner is: firmware, tflite_micro, others' rules
	$(BIN)/python -m benchmarks.fit

models: $(STAMP) ## what becomes of 68 public models, as docs/models.md; PYTHONS="…" adds interpreters
	$(BIN)/python -m benchmarks.models $(PYTHONS:%=--python %)

board: $(STAMP) ## the agent for MicroPython boards, in build/board
	$(BIN)/modelwave board build build/board

footprint: $(STAMP) ## what the agent takes of a board, beside what is recorded; UPDATE=1 records it
	$(BIN)/python -m benchmarks.footprint $(if $(UPDATE),--update)

docs: $(STAMP) ## redraw what the docs take from the code
	$(BIN)/python docs/generate.py

clean: ## remove the virtual environment and caches
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
