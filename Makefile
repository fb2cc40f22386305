# make help lists what there is. Everything but the environment is `i3d <verb>`: this is a thin layer on it.

PYTHON ?= python3
VENV ?= .venv
# cpu installs PyTorch's build without CUDA (about 1 GB instead of 6)
TORCH_BACKEND ?=

# Flags of `i3d experiment`; all may be given: make experiment PROTOCOL=full-ft DATASET=ucf101 ROOT=/videos
PROTOCOL ?= fixed
SEEDS ?= 1
FLAGS = $(foreach flag,protocol architecture stream pretraining weights dataset root split seed seeds pretraining_seeds \
	precision name,$(call given,$(flag),$($(call upper,$(flag)))))
given = $(if $(2),--$(1) "$(2)")
upper = $(shell echo $(1) | tr a-z A-Z)

READY = $(VENV)/.ready
I3D = $(VENV)/bin/i3d

.DEFAULT_GOAL := help
.PHONY: help setup demo preview pretrain experiment results table grid compare tables notebook bench numbers test test-all chaos lint ci clean

help: ## Show this help
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'
	@echo
	@echo "  make experiment takes PROTOCOL (origin, fixed, full-ft), DATASET, ROOT, SPLIT, STREAM, WEIGHTS, PRETRAINING,"
	@echo "  ARCHITECTURE, SEED, SEEDS, PRETRAINING_SEEDS, PRECISION and NAME; ARGS=... passes anything else on to i3d (see $(I3D) experiment --help)."
	@echo "  VENV=... puts the environment elsewhere; TORCH_BACKEND=cpu installs PyTorch without CUDA."

setup: $(READY) ## Make the environment (uv where present, else venv and pip)

$(READY): pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "error: $(PYTHON) was not found: install Python 3.11 or newer, or say PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: $$($(PYTHON) --version) is too old: Python 3.11 or newer is needed, say PYTHON=python3.12" >&2; exit 1; }
	@echo "Setting up $(VENV) (once; a few minutes)"
	@if command -v uv >/dev/null; then \
		uv venv --quiet --seed --allow-existing --python $(PYTHON) $(VENV) && UV=uv; \
	else \
		$(PYTHON) -m venv $(VENV) && $(VENV)/bin/python -m pip install --quiet --upgrade pip && \
		if [ -n "$(TORCH_BACKEND)" ]; then $(VENV)/bin/python -m pip install --quiet uv && UV=$(VENV)/bin/uv; fi; \
	fi && \
	if [ -n "$$UV" ]; then \
		$$UV pip install --quiet --python $(VENV)/bin/python $(addprefix --torch-backend=,$(TORCH_BACKEND)) --group dev -e .; \
	else \
		$(VENV)/bin/python -m pip install --quiet --group dev -e .; \
	fi
	@touch $@

demo: $(READY) ## Render the demo data sets
	@$(I3D) data demo

preview: $(READY) ## Draw a contact sheet of a data set (DATASET=, ROOT=)
	@$(I3D) data preview $(foreach flag,dataset root split,$(call given,$(flag),$($(call upper,$(flag))))) $(ARGS)

pretrain: $(READY) ## Pretrain on demo-Kinetics (or DATASET=kinetics ROOT=...)
	@$(I3D) pretrain $(foreach flag,architecture stream pretraining weights dataset root seed precision name,\
		$(call given,$(flag),$($(call upper,$(flag))))) $(ARGS)

experiment: $(READY) ## Run a protocol and print the table of all runs: PROTOCOL=origin|fixed|full-ft
	@$(I3D) experiment $(FLAGS) $(ARGS)

results: $(READY) ## The README's table of the demo again: three protocols from three pretrainings
	@for protocol in origin fixed full-ft; do \
		$(I3D) experiment --protocol $$protocol --seeds 3 --pretraining_seeds 3 --name results $(ARGS) || exit; \
	done

table: $(READY) ## Print the table of all runs again
	@$(I3D) table $(call given,name,$(NAME)) $(ARGS)

grid: $(READY) ## Run what is missing of a grid: FILE=experiments/table4.yaml
	@$(I3D) grid $(FILE) $(call given,seeds,$(filter-out 1,$(SEEDS))) $(foreach flag,pretraining_seeds precision name,\
		$(call given,$(flag),$($(call upper,$(flag))))) $(ARGS)

compare: $(READY) ## ImageNet against Kinetics pretraining on the demo sets, with a picture
	@$(I3D) grid experiments/demo-compare.yaml --name compare $(ARGS)
	@$(I3D) chart --name compare

tables: $(READY) ## Print the paper's Tables 1 to 5 with ours beside them, and its findings
	@for number in 1 2 3 4 5 findings; do $(I3D) table $$number $(call given,name,$(NAME)) $(ARGS) || exit; done

notebook: $(READY) ## Open the notebook on the results
	@$(VENV)/bin/python -c "import jupyterlab" 2>/dev/null || $(VENV)/bin/python -m pip install --quiet --group notebook
	@$(VENV)/bin/jupyter lab notebooks/transfer_results.ipynb

bench: $(READY) ## Measure speed and memory beside their baselines (ARGS="inference flow" measures those alone)
	@$(VENV)/bin/python benchmarks $(ARGS)

numbers: $(READY) ## Fill the numbers in documents from docs/results (ARGS="--store NAME runs/..." stores runs there first)
	@$(VENV)/bin/python docs/fill.py $(ARGS)

test: $(READY) ## Run the tests
	@$(VENV)/bin/python -m pytest -n 2 --dist loadscope -m "not slow" --ignore=tests/chaos

test-all: $(READY) ## Run the tests, the long ones too
	@$(VENV)/bin/python -m pytest -n 2 --dist loadscope --ignore=tests/chaos

chaos: $(READY) ## Disturb runs on purpose, 40 min, and print what held (ARGS="--table docs/chaos.md" writes it there)
	@$(VENV)/bin/python -m pytest -m chaos tests/chaos $(ARGS)

lint: $(READY) ## Check style, types and the direction of imports
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports

ci: lint test ## Run what must pass before a change lands: lint and test

clean: ## Delete what runs left behind (runs, cache, demo videos); keeps the environment
	rm -rf runs cache data/demo
