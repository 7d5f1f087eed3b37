# Every target sets up what it needs (tools/setup.sh says what it does; a second run reuses it).
# PYTHON: the interpreter for the virtual environment. TORCH: the requirement that `make test` installs. WORKERS: how many
# processes it runs the tests in.

PYTHON ?= python3
TORCH ?= torch==2.13.0
WORKERS ?= 2
BIN := $(CURDIR)/.venv/bin
SETUP := PYTHON="$(PYTHON)" TORCH="$(TORCH)" tools/setup.sh

.PHONY: help demo test test-long wheel record-instructions lint format bench clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 24

demo: ## build everything, run the 2-D hydro code with the shipped model, show its table and pictures
	@$(SETUP) system fortran venv package plot
	@PATH="$(BIN):$$PATH" fortran_example/run_demo.sh

test: ## all checks and tests (minutes)
	@$(SETUP) system fortran qemu pkgconfig valgrind mpi venv package test torch dev
	@$(MAKE) --no-print-directory check
	@"$(BIN)/python" -m pytest -n "$(WORKERS)" --dist loadfile

test-long: ## the tests marked long as well (tens of minutes)
	@$(SETUP) system fortran qemu pkgconfig valgrind mpi venv package test torch dev release hosts cuda-build
	@"$(BIN)/python" -m pytest -m "long or not long"

wheel: ## the source archive and a wheel that other machines can install, in dist/
	@$(SETUP) system venv package release
	@PYTHON="$(BIN)/python" packaging/wheel.sh

record-instructions: ## count the integrator's instructions anew, after a change of speed that is meant
	@$(SETUP) system valgrind venv package test
	@"$(BIN)/python" tests/test_instructions.py

lint: ## ruff, mypy, clang-format, generated files
	@$(SETUP) system venv package dev
	@$(MAKE) --no-print-directory check

.PHONY: check
check:
	@"$(BIN)/ruff" check .
	@"$(BIN)/ruff" format --check .
	@"$(BIN)/mypy"
	@"$(BIN)/python" tools/generate_interfaces.py --check
	@find native bindings tests benchmarks -name '*.[ch]pp' -o -name '*.[ch]' -o -name '*.cu' -o -name '*.cuh' | xargs "$(BIN)/clang-format" --dry-run --Werror

format: ## rewrite Python and C++ sources in the house's layout
	@$(SETUP) system venv package dev
	@"$(BIN)/ruff" check --fix .
	@"$(BIN)/ruff" format .
	@find native bindings tests benchmarks -name '*.[ch]pp' -o -name '*.[ch]' -o -name '*.cu' -o -name '*.cuh' | xargs "$(BIN)/clang-format" -i

bench: ## speed of the native integrator against CVODE and scipy, its scaling (installs libsundials-dev; 10 minutes)
	@$(SETUP) system sundials venv package plot
	@"$(BIN)/python" benchmarks/run.py

clean: ## remove what was built; the virtual environment too
	rm -rf .venv build dist .mypy_cache .pytest_cache .ruff_cache fortran_example/build fortran_example/output
