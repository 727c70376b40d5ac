# `make lab`: install and run the lab. `make lab-full`: with rich, control and the learning rates. `make lab-seeds`:
# that over three seeds, in the background; after a kill the same command goes on. `make test`: install what tests
# need and run them.
# PYTHON: the interpreter to build .venv with. SYSTEM_TORCH=1: use the torch that it already has.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: lab lab-full lab-seeds test check install peers clean

lab: $(VENV)/.installed
	$(BIN)/octolab run lab

lab-full: $(VENV)/.installed
	$(BIN)/octolab run lab-full

lab-seeds: $(VENV)/.installed
	@mkdir -p runs/lab-seeds
	@nohup $(BIN)/octolab run lab-full --seeds 0,1,2 --out runs/lab-seeds >> runs/lab-seeds/log.txt 2>&1 &
	@echo "running in the background: tail -f runs/lab-seeds/log.txt; the result will be runs/lab-seeds/seeds.md"

test: $(VENV)/.installed-test check
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

check: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

install: $(VENV)/.installed

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "OctoLab needs Python 3.11 or newer; run make PYTHON=/path/to/python3.11"; exit 2; }
	$(PYTHON) -m venv $(if $(SYSTEM_TORCH),--system-site-packages) $(VENV)

# torch goes first and alone, so that nothing else decides which build comes.
$(VENV)/.installed: $(BIN)/python pyproject.toml constraints.txt
	@echo "installing OctoLab into $(VENV) (a few minutes the first time)"
ifdef SYSTEM_TORCH
	@grep -v '^torch==' constraints.txt > $(VENV)/constraints.txt
	$(PIP) -c $(VENV)/constraints.txt -e .
else
	$(PIP) -c constraints.txt torch
	$(PIP) -c constraints.txt -e .
endif
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed
ifdef SYSTEM_TORCH
	$(PIP) -c $(VENV)/constraints.txt -e '.[test]'
else
	$(PIP) -c constraints.txt -e '.[test]'
endif
	@touch $@

# Peers of perf/*.py, in an environment of their own: their pins need not agree with ours.
peers: .venv-peers/.installed

.venv-peers/.installed: constraints.txt
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet -c constraints.txt torch
	.venv-peers/bin/python -m pip install --quiet -c constraints.txt \
		transformers trl datasets accelerate safetensors tokenizers pydantic PyYAML zstandard math-verify[antlr4_13_2] \
		datatrove[processing] daft trafilatura lxml_html_clean resiliparse
	.venv-peers/bin/python -m pip install --quiet 'xxhash<4'  # datatrove hashes str, which xxhash 4 refuses
	@touch $@

clean:
	rm -rf $(VENV) .venv-peers .pytest_cache .mypy_cache .ruff_cache
