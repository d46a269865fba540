# Every command a developer needs; `make` alone lists them, without the helpers of others, such as lint-rust. CI calls
# the same targets (.ci/run).

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules --no-print-directory
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The installed wheel that tests and stubtest see; it shadows the editable install of `make run`.
WHEEL := $(VENV)/wheel
UNDER_TEST := PYTHONPATH=$(CURDIR)/$(WHEEL) PATH=$(CURDIR)/$(WHEEL)/bin:$(CURDIR)/$(BIN):$$PATH

# What the extension is built from.
RUST_SOURCES := $(shell find native \( -name tests -o -name examples -o -path native/harness -o -path native/model \
	-o -path native/simulation \) -type d -prune -o \
	! -name tests.rs \( -name '*.rs' -o -name '*.js' -o -name '*.yaml' -o -name Cargo.toml \) -print) Cargo.toml Cargo.lock

# One codegen profile per purpose, each with its own folder under the user's cache. Expanded only in
# the recipes that build, so that a start without changes asks neither rustc nor cargo.
target = CARGO_TARGET_DIR=$$(.ci/target-dir $(1)) PYO3_PYTHON=$(CURDIR)/$(BIN)/python
# The same features in every call, or dependencies are compiled again for each.
CRATES := --workspace
CARGO_SET = $(CRATES) --features vrsky-native/extension-module --profile ci --locked
build_wheel = $(call target,ci) $(BIN)/maturin build --profile ci --locked --out $(VENV)/dist

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# -- environment ------------------------------------------------------------------------------------

$(BIN)/python:
	@echo "Creating $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; set PYTHON=python3.x"; exit 2; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "On Debian: apt install python3-venv"; exit 2; }

$(VENV)/.run-installed: requirements/run.txt | $(BIN)/python
	@echo "Installing the pinned Python packages"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/run.txt
	@touch $@

$(VENV)/.dev-installed: requirements/dev.txt $(VENV)/.run-installed
	@echo "Installing the pinned packages for tests and lint"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@

$(VENV)/.kube-installed: requirements/kube.txt $(VENV)/.dev-installed
	@echo "Installing the pinned packages for tests of the deployment"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/kube.txt
	@touch $@

$(VENV)/.extension: $(RUST_SOURCES) pyproject.toml $(VENV)/.run-installed
	@command -v cargo > /dev/null || { echo "A Rust toolchain is needed; see https://rustup.rs"; exit 2; }
	@echo "Building the native core (release). The first time takes 5 to 8 minutes on two cores, later ones seconds."
	@$(call target,release) VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/maturin develop --release --locked
	@touch $@

$(WHEEL)/.installed: $(RUST_SOURCES) pyproject.toml $(VENV)/.dev-installed
	@echo "Building the wheel under test (profile ci). The first time takes 5 to 8 minutes on two cores."
	@rm -rf $(WHEEL) $(VENV)/dist
	@$(build_wheel)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-index --no-deps --target $(WHEEL) $(VENV)/dist/*.whl
	@touch $@

# Python files alone are copied into it, without cargo and maturin; `lint-package` holds it to be what a wheel has.
.PHONY: wheel
wheel: $(WHEEL)/.installed
	@$(BIN)/python .ci/package.py copy $(WHEEL)

# -- use --------------------------------------------------------------------------------------------

.PHONY: run
run: $(VENV)/.extension ## Build what is needed, then run examples/orders until Ctrl-C; its options in ARGS
	@exec $(BIN)/python examples/orders/run.py $(ARGS)

.PHONY: build
build: $(VENV)/.dev-installed ## Build an optimised wheel into dist/, twice: the second by what a quick bench has counted
	@$(call target,release) bench/build dist

# -- test -------------------------------------------------------------------------------------------

.PHONY: test
ifeq ($(T),)
test: wheel test-rust test-python ## Run everything there is: Rust, Python, end to end, examples, simulated worlds
	@$(MAKE) test-sim SEEDS=2000
	@$(MAKE) test-faults ROUNDS=4 SECONDS=5
else
test: $(VENV)/.run-installed ## With T=NAME: run the tests of either language that NAME matches, and build what these need
	@$(BIN)/python .ci/matching.py
endif

.PHONY: test-rust
test-rust: $(VENV)/.run-installed ## Run the Rust crates' tests
	$(call target,ci) NATS_SERVER=$${NATS_SERVER:-$(CURDIR)/$(BIN)/nats-server} cargo test $(CARGO_SET) $(TESTS)

.PHONY: test-python
test-python: wheel ## Run the Python tests against the installed wheel
	$(UNDER_TEST) $(BIN)/python -m pytest $(TESTS)

# 2,000 of them in `make test`. Under four minutes on two cores.
SEEDS ?= 10000
.PHONY: test-sim
test-sim: $(VENV)/.run-installed ## Run SEEDS simulated worlds; SEED=N replays one and tells what happens in it
	@export $(call target,ci); cargo build --quiet $(CARGO_SET) --bin simulate; \
		$$CARGO_TARGET_DIR/ci/simulate $(if $(SEED),--seed $(SEED),--seeds $(SEEDS))

# Kills of each node type in a moment with messages in hand, and how long a sink is away; fewer in `make test`.
ROUNDS ?= 50
SECONDS ?= 60
.PHONY: test-faults
test-faults: wheel ## Kill nodes and servers of whole deployments under load, ROUNDS times each
	FAULT_ROUNDS=$(ROUNDS) FAULT_SECONDS=$(SECONDS) $(UNDER_TEST) $(BIN)/python -m pytest tests/faults $(TESTS)

# Not in `make test`: the first time, the control plane is built. Under three minutes later.
.PHONY: test-kube
test-kube: wheel $(VENV)/.kube-installed ## Deploy the manifests of deploy/ to a real Kubernetes control plane with fake machines
	@command -v prometheus > /dev/null || { echo "On Debian: apt install --no-install-recommends prometheus"; exit 2; }
	@tests/kube/control_plane/build $(BIN)/go > /dev/null
	$(UNDER_TEST) $(BIN)/python -m pytest $(if $(TESTS),$(TESTS),tests/kube)

# What `make test` does for some seconds.
FUZZ_SECONDS ?= 50
.PHONY: fuzz
fuzz: $(VENV)/.run-installed ## Try random scripts against their reference, then damaged replies of workers, for FUZZ_SECONDS each; SEED=N runs one case alone
	FUZZ_SECONDS=$(FUZZ_SECONDS) SEED=$(SEED) $(MAKE) test-rust CRATES="-p script -p vrsky-native" \
		TESTS="--test behaviour reference:: -- --nocapture"
	FUZZ_SECONDS=$(FUZZ_SECONDS) SEED=$(SEED) $(MAKE) test-rust CRATES="-p sandbox -p vrsky-native" \
		TESTS="--lib damaged_replies -- --nocapture"

.PHONY: bench
bench: $(VENV)/.dev-installed ## Measure the stages against a bare relay and pure Python
	@$(call target,release) bench/run

# Stages of the earlier revision beside this one's, in the same run.
BEFORE ?= HEAD~1
.PHONY: bench-before
bench-before: $(VENV)/.dev-installed ## Measure this revision and BEFORE=REV in turns
	@$(call target,release) bench/run-before $(BEFORE) $(OPTIONS)

# -- lint -------------------------------------------------------------------------------------------

.PHONY: fmt
fmt: $(VENV)/.dev-installed ## Format Rust and Python
	@cargo fmt --all
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

# The package before Rust: clippy builds in another environment, after which pyo3 would be built again.
.PHONY: lint
lint: lint-python lint-package lint-rust lint-advisories ## Check formats, types, stubs, licences and advisories

.PHONY: lint-python
lint-python: wheel
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy tests
	$(UNDER_TEST) $(BIN)/python -m mypy.stubtest vrsky_fast._native $(if $(wildcard .stubtest-allowlist),--allowlist .stubtest-allowlist)

.PHONY: lint-package
lint-package: wheel
	@rm -rf $(VENV)/dist
	@$(build_wheel)
	$(BIN)/python .ci/package.py check $(WHEEL) $(VENV)/dist/*.whl

.PHONY: lint-rust
lint-rust: $(VENV)/.run-installed
	cargo fmt --all --check
	$(call target,ci) cargo clippy $(CARGO_SET) --all-targets -- -D warnings
	cargo deny check --hide-inclusion-graph bans licenses sources

.PHONY: lint-advisories
lint-advisories: $(VENV)/.dev-installed
	@$(BIN)/python .ci/advisories.py

# -- care -------------------------------------------------------------------------------------------

.PHONY: docs
docs: wheel ## Regenerate docs/pipeline-file.md, docs/connectors/ and docs/errors.md
	@$(UNDER_TEST) $(BIN)/python docs/generate.py

.PHONY: lock
lock: $(VENV)/.dev-installed ## Pin requirements/*.in anew, with hashes
	@for set in run dev kube; do $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
		--no-header --no-annotate --no-emit-index-url requirements/$$set.in -o requirements/$$set.txt; done

.PHONY: clean
clean: ## Remove the environment, built files and the example's data; keeps the Rust cache
	@rm -rf $(VENV) dist .vrsky .mypy_cache .ruff_cache .pytest_cache .hypothesis .benchmarks python/vrsky_fast/*.so
	@find python tests examples -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: clean-cache
clean-cache: ## Remove what was built of every version: Rust, and the control plane of `make test-kube`
	@rm -rf "$${XDG_CACHE_HOME:-$$HOME/.cache}"/vrsky-fast/{target,kube}-*
