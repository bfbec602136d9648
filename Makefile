# What people do here. `make help` lists it.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.PHONY: help deps venv tools build run demo test test-code test-docs test-local test-browser test-containers test-machines test-deb browser pictures \
	scenarios deb lint docs reference bench crash soak ci

# How long `soak` kills, and which story it tells; how many stories of the model; at how many moments the power goes; how many
# alerts meet faults of the disk; how many writes of the store fail, each in a run of its own.
CYCLES ?= 1000
SEED ?= $(shell echo $$RANDOM)
CASES ?= 1000
MOMENTS ?= 1000
ALERTS ?= 600
REFUSALS ?= 1000

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

deps: ## install what tests and demo need: Debian packages, Docker, Python environments
	@scripts/deps all

venv: ## install only .venv, which is all that `run` needs
	@scripts/deps run

tools: venv ## install the lint tools into .tools/
	@scripts/tools

build: ## compile the binary (target/debug/healgate)
	cargo build --locked --bin healgate

run: venv ## serve with healgate.yml, here
	cargo run --locked --bin healgate -- serve --config healgate.yml

demo: ## kill a real nginx and watch it being healed; KEEP=1 leaves all running
	@scripts/deps demo
	@cargo build --locked --bin healgate
	@python3 scripts/demo.py --gateway target/debug/healgate

# Scenarios mostly wait, for alerts and for machines: so they go on beside the rest.
test: deps ## run every test, also those against the real Prometheus, Alertmanager, nginx, Docker, Ansible and Chromium
	@scripts/tools cargo-deb
	cargo test --locked --no-run
	@scripts/side_by_side test-local test-containers test-machines

test-local: test-code test-docs test-browser

test-code:
	cargo test --locked
	@for env in .venvs/core-2.16 .venv; do $$env/bin/python -m unittest discover --start-directory python; done
	@.venvs/kubernetes/bin/python -m unittest discover --start-directory tests/kubernetes

test-docs: build
	@.venv/bin/python -m unittest discover --start-directory tests/docs

test-browser: build
	@.venvs/browser/bin/python -m pytest --quiet tests/browser

browser: ## try the console in a real Chromium; WHAT=test_log.py tries only that
	@scripts/deps browser
	@$(MAKE) --no-print-directory build
	@.venvs/browser/bin/python -m pytest tests/browser/$(WHAT)

pictures: ## take the pictures of the console in docs/pictures/ anew
	@scripts/deps browser
	@$(MAKE) --no-print-directory build
	@.venvs/browser/bin/python -m pytest --quiet --pictures tests/browser/test_pictures.py

test-containers: build
	@python3 -m unittest discover --start-directory tests/scenarios/containers

test-machines: build
	@python3 -m unittest discover --start-directory tests/scenarios/machines
	@scripts/test_deb.py

scenarios: deps ## break what scenarios/ describes, see it healed, and write the times to docs/scenarios.md
	@scripts/tools cargo-deb
	@scripts/side_by_side test-containers test-machines
	@scripts/scenario_table.py

deb: ## make the Debian package (target/debian/*.deb)
	@scripts/tools cargo-deb
	cargo build --locked --release --bin healgate
	@scripts/deb release

test-deb: deps build ## install, upgrade, remove and purge the package on a machine made with debootstrap; needs root
	@scripts/tools cargo-deb
	@scripts/test_deb.py

lint: deps tools ## formatting, lints, docs, dependencies, configurations, playbooks
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --document-private-items
	.tools/bin/cargo-deny --locked --log-level error check --hide-inclusion-graph bans licenses sources
	.tools/bin/cargo-machete
	@scripts/lint-peers
	@scripts/lint-playbooks
	@$(MAKE) --no-print-directory docs
	@scripts/advisories

docs: venv ## build the book from docs/ into target/book
	@scripts/tools mdbook
	@MDBOOK_LOG=warn .tools/bin/mdbook build

reference: build ## write docs/reference/ from the code
	@target/debug/healgate manual target/manual
	@cp target/manual/reference/*.md docs/reference/

bench: venv ## measure against a baseline in the same run; WHAT=effect measures only that
	cargo bench --locked --bench gateway -- $(WHAT)

# In the size that `make test` has, too. Killed gateways, hosts and interpreters; a power loss; a disk that refuses writes; a
# clock that steps; the table of jobs against its model.
crash: ## kill, cut the power, break the disk, step the clock: does every promise hold?
	@scripts/deps crash
	cargo test --locked --test it -- --nocapture chaos:: clock_steps:: crash:: faults:: store::clocks:: store::table::
	cargo test --locked --lib -- --nocapture store::sqlite::tests::power:: store::sqlite::tests::refusals::

soak: ## the same for hours, with other stories each time; CYCLES=1000 SEED=random CASES=1000 MOMENTS=1000 ALERTS=600 REFUSALS=1000
	CYCLES=$(CYCLES) SEED=$(SEED) CASES=$(CASES) MOMENTS=$(MOMENTS) ALERTS=$(ALERTS) REFUSALS=$(REFUSALS) \
		$(MAKE) --no-print-directory crash

ci: ## exactly what CI runs: lint and test
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory test
