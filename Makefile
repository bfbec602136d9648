# What people do here. `make help` lists it.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.PHONY: help deps venv tools build run demo test test-inside test-outside test-scenarios test-deb scenarios deb lint bench soak ci

# How long `soak` kills, and which story it tells.
CYCLES ?= 1000
SEED ?= $(shell echo $$RANDOM)

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

deps: ## install what tests and demo need: Debian packages, Docker, Python environments
	@scripts/deps all

venv: ## install only .venv, which is all that `run` needs
	@scripts/deps run

tools: ## install the lint tools into .tools/
	@scripts/tools

build: ## compile the binary (target/debug/healgate)
	cargo build --locked --bin healgate

run: venv ## serve with healgate.yml, here
	cargo run --locked --bin healgate -- serve --config healgate.yml

demo: ## kill a real nginx and watch it being healed; KEEP=1 leaves all running
	@scripts/deps demo
	@cargo build --locked --bin healgate
	@python3 scripts/demo.py --gateway target/debug/healgate

# Scenarios mostly wait, for alerts and for machines: so the rest goes on beside them.
test: deps ## run every test, also those against the real Prometheus, Alertmanager, nginx, Docker and Ansible
	cargo test --locked --no-run
	@($(MAKE) --no-print-directory test-outside 2>&1 | sed --unbuffered 's/^/outside: /') & outside=$$!; failed=; \
		$(MAKE) --no-print-directory test-inside || failed=inside; \
		wait $$outside || failed="$$failed outside"; \
		[ -z "$$failed" ] || { echo "failed: $$failed" >&2; exit 1; }

test-inside:
	cargo test --locked
	@for env in .venvs/core-2.16 .venv; do $$env/bin/python -m unittest discover --start-directory python; done
	@.venvs/kubernetes/bin/python -m unittest discover --start-directory tests/kubernetes

test-outside: test-scenarios test-deb

test-scenarios: deps build
	@scripts/tools cargo-deb
	@python3 -m unittest discover --start-directory tests/scenarios/containers
	@python3 -m unittest discover --start-directory tests/scenarios/machines

scenarios: test-scenarios ## run the scenarios' tests, and write what they measured to docs/scenarios.md
	@scripts/scenario_table.py

deb: ## make the Debian package (target/debian/*.deb)
	@scripts/tools cargo-deb
	cargo build --locked --release --bin healgate
	@scripts/deb release

test-deb: deps ## install, upgrade, remove and purge the package on a machine made with debootstrap; needs root
	@scripts/tools cargo-deb
	cargo build --locked --bin healgate
	@scripts/test_deb.py

lint: deps tools ## formatting, lints, docs, dependencies, configurations, playbooks
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --document-private-items
	.tools/bin/cargo-deny --locked --log-level error check --hide-inclusion-graph bans licenses sources
	.tools/bin/cargo-machete
	@scripts/lint-peers
	@scripts/lint-playbooks
	@scripts/advisories

bench: venv ## measure against a baseline in the same run; WHAT=effect measures only that
	cargo bench --locked --bench gateway -- $(WHAT)

soak: venv ## kill gateway, run hosts and warm interpreters at random; CYCLES=1000 SEED=random
	CYCLES=$(CYCLES) SEED=$(SEED) cargo test --locked --test it -- --exact --nocapture \
		chaos::every_promise_holds_after_many_kills_stops_and_starts

ci: ## exactly what CI runs: lint and test
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory test
