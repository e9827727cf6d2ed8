# `make help` lists the targets.
.DEFAULT_GOAL := help
SHELL := /bin/bash
CARGO ?= cargo
# Most tests wait for a server half of their time: two of them for each core.
TEST_THREADS = $(shell echo $$((2 * $$(nproc))))
# Ends a command that hangs, and says which tests of it do.
WITHIN = .ci/within

.PHONY: help
help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

.PHONY: test
test: tools style linted-build rust-test js-test openapi e2e-and-fault ## everything: what `make check` does, bad input, the browser, a planted fault
# `cargo clippy` compiles every library a second time. Here clippy is the compiler of this project, so what is linted is what is tested.
test: export RUSTC_WORKSPACE_WRAPPER = clippy-driver
test: export CLIPPY_ARGS = -D__CLIPPY_HACKERY__warnings__CLIPPY_HACKERY__

.PHONY: check
check: lint rust-test js-test ## format, lints, Rust and JS tests: needs no browser, but nginx, Caddy and HAProxy (make tools)

.PHONY: hooks
hooks: ## from now on git runs `make lint` before each commit, and `make check` before each push
	git config core.hooksPath .ci/hooks

.PHONY: lint
lint: style ## format and lint checks, JS types, licences and sources of the dependencies
	$(CARGO) clippy --all-targets -- -D warnings

.PHONY: style
style: rust-tools node_modules/.installed
	$(CARGO) fmt --check
	npm run --silent types
	.ci/deny

# Part of `make test` only, which names the compiler.
.PHONY: linted-build
linted-build: rust-tools
	$(CARGO) test --all-targets --no-run

# The program that the tests drive. Made with them, so that its libraries are built once and not a second time with fewer features.
.PHONY: program
program:
	$(CARGO) test --test it --no-run

.PHONY: rust-test
rust-test: ## all Rust tests, one binary
	$(CARGO) test --lib --test it --no-run
	$(WITHIN) 30m "the Rust tests" env RUST_TEST_THREADS=$(TEST_THREADS) $(CARGO) test --lib --test it

.PHONY: js-test
js-test: program node_modules/.installed ## the browser modules and the declarations on node --test
	$(WITHIN) 15m "the tests of the browser modules" npm test --silent

.PHONY: js-faults
js-faults: node_modules/.installed ## plants faults into the browser modules and shows that a test turns red
	node tests/js/faults.js

.PHONY: chaos
chaos: program tools node_modules/.installed ## the stories of the browser modules, 20,000 of each, 2,000 of tabs on one connection; random stories of the store and of rules by other seeds; more bad input
	node tests/js/chaos.js $(or $(SEEDS),20000)
	for seed in {2..40}; do echo "seed $$seed"; PROPTEST_RNG_SEED=$$seed $(CARGO) test --quiet --test it -- \
	  rules_property store_equivalence unit_differential unit_end:: lookups::every sequences:: hostile round_trip || exit 1; done
	tests/openapi/run --max-examples 100

.PHONY: openapi
openapi: program tools ## bad input for every described operation, made by schemathesis
	$(WITHIN) 30m "the bad input of schemathesis" tests/openapi/run

.PHONY: e2e
e2e: program tools node_modules/.installed ## two windows in a real Chromium
	$(WITHIN) 20m "the stories in the browser" npm run --silent e2e

# The browser leaves the machine idle for a good part of its time: the program with the fault is compiled in it, behind all else.
.PHONY: e2e-and-fault
e2e-and-fault: program tools node_modules/.installed
	nice -n 19 $(MAKE) --no-print-directory some-faults >target/planted 2>&1 & \
	planting=$$!; \
	$(MAKE) --no-print-directory e2e; ran=$$?; \
	wait $$planting; planted=$$?; \
	cat target/planted; \
	exit $$((ran | planted))

.PHONY: screenshots
screenshots: program tools node_modules/.installed ## makes pictures/: the moving picture of the README, and the examples, light and dark
	$(WITHIN) 10m "the picture" node tests/e2e/picture.js
	$(WITHIN) 10m "the pictures of the examples" node tests/e2e/pictures.js

.PHONY: bench
bench: ## creates, fan-out, memory, replay; beside a bare axum echo
	$(CARGO) build --release
	TIDEWIRE_BIN=target/release/tidewire $(CARGO) bench --bench spine

.PHONY: faults
faults: ## plants every fault of tests/faults and shows that its test turns red
	tests/faults/run

.PHONY: some-faults
some-faults: ## plants one of the faults, which one depends on the commit
	$(WITHIN) 30m "the planted faults" tests/faults/run --some 1

.PHONY: rust-tools
rust-tools:
	@.ci/install rust

.PHONY: tools
tools: ## installs what the tests need and this machine lacks
	@.ci/install

node_modules/.installed: package.json package-lock.json
	@echo "installing the JS development tools (npm ci)"
	npm ci --no-audit --no-fund --silent
	@touch $@
