# Nightshelf. `make help` lists what there is.
SHELL := /bin/bash
.DEFAULT_GOAL := help
BIN := .venv/bin
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
FITS = import sys; sys.exit(not ((3, 11) <= sys.version_info < (3, 14)))
# One lock serves every machine: the installer picks the torch build. A configured wheel folder is asked first.
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
INSTALL = $(BIN)/uv pip install --quiet --python $(BIN)/python -r requirements.lock
# Without a torch in the wheel folder: the build that fits this machine, else (its index out of reach) the registry's.
INSTALL_LOCK = if ls $(UV_FIND_LINKS)/torch-* >/dev/null 2>&1; then $(INSTALL); else \
	$(INSTALL) --torch-backend auto || { echo "No torch build for this machine found: taking the registry's"; $(INSTALL); }; fi
# Compiled once, not at every start: a training takes 7 s to import what it needs, without bytecode 20.
unexport PYTHONDONTWRITEBYTECODE
export PATH := $(CURDIR)/$(BIN):$(PATH)

# torch has a hash for each of its builds, and the packages of its CUDA build come with it.
define WITHOUT_CUDA
/^[a-z0-9]/ { left_out = /^(nvidia-|triton|cuda-)/; is_torch = /^torch==/ }
/^torch==/ && sub(/ \\$$/, "") { print }
!left_out && !is_torch
endef
export WITHOUT_CUDA

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

$(BIN)/.installed: requirements.lock pyproject.toml
	@test -x $(BIN)/pip || { $(PYTHON) -c '$(FITS)' && $(PYTHON) -m venv .venv; } \
		|| { command -v uv >/dev/null && uv venv --quiet --seed --python 3.11 .venv; } \
		|| { echo "Python 3.11, 3.12 or 3.13 is needed, $$($(PYTHON) --version) was found: set PYTHON=/path/to/python3.11," \
			"or install uv, which brings one"; exit 1; }
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet uv
	@echo "Installing the locked environment into .venv (about a minute, downloads apart)"
	@$(INSTALL_LOCK)
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@$(BIN)/python -m spark_jobs.archive_classes
	@touch $@

install: $(BIN)/.installed ## make the environment from the lock

lock: ## resolve requirements.lock anew from pyproject.toml
	uv pip compile --universal --python-version 3.11 --extra dev --generate-hashes --no-annotate --no-header \
		--no-emit-find-links --no-emit-index-url --quiet pyproject.toml | awk "$$WITHOUT_CUDA" > requirements.lock

up: install ## start Airflow and MLflow, run the simulated shop, show some recommendations; stays up
	@nightshelf up

down: install ## stop what `make up` started
	@nightshelf down

test: install ## all tests, in two processes
	pytest -n 2 --dist loadfile --no-loadscope-reorder

test-fast: install ## the tests that need no Spark, no servers and no training
	pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not (spark or chain or docker or training or slow)"

fuzz: install ## 100,000 broken records through landing, cleaning and its gate; FUZZ_SEED=2 FUZZ_RECORDS=20000 choose others
	python -m tests.fuzz

lint: install ## ruff, ruff format, mypy strict
	ruff check .
	ruff format --check .
	mypy

docs: install ## the documentation site, to site/; fails on a broken link
	NO_MKDOCS_2_WARNING=1 mkdocs build --strict --quiet

screenshots: install ## pictures of the pages, from a Nightshelf that runs (make up), to docs/images
	python -m tests.chain.take_screenshots

bench: install ## what is measured, to tests/benchmarks/results/*.json
	pytest -s tests/benchmarks/bench_*.py

bench-gpu: install ## what one NVIDIA GPU does, in at most 8 minutes; without make: python -m tests.benchmarks.bench_gpu
	python -m tests.benchmarks.bench_gpu

bench-quality: install ## quality on every public set, three seeds, to docs/quality.md (hours on two cores)
	pytest -s tests/benchmarks/bench_quality.py tests/benchmarks/bench_new_items.py

secrets:
	@docker/make_secrets.sh

image: secrets ## build the container image of every role
	WHEELS="$(UV_FIND_LINKS)" docker compose --file docker/compose.yaml build

compose-up: image ## the same system in containers, its secrets in docker/.env, up and healthy (docs/guides/operations.md)
	docker compose --file docker/compose.yaml up --wait

compose-down: secrets ## stop the containers; their volumes stay
	docker compose --file docker/compose.yaml down

.PHONY: help install lock up down test test-fast fuzz lint docs screenshots bench bench-gpu bench-quality secrets image compose-up compose-down
