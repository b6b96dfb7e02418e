# One line per target; whatever needs an `if` lives in .ci/ or in the programs. `make` lists the targets.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
CARGO ?= cargo
DEMO_DIR ?= castor-demo
FAULTS ?= all
SEEDS ?= 500
TURMOIL_SECONDS ?= 60
# What `castor status` and castor_build_info say was built.
REVISION = $(or $(CASTOR_REVISION),$(shell git describe --always --dirty --abbrev=12 2>/dev/null),unknown)
TARGET := $(or $(CARGO_TARGET_DIR),target)

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## three nodes behind nginx on loopback, in ./castor-demo; Ctrl-C stops them
	@.ci/packages demo
	CASTOR_REVISION=$(REVISION) $(CARGO) build --release --locked --package castor-node
	$(TARGET)/release/castor demo --dir $(DEMO_DIR)

.PHONY: test
test: packages verify unit races sim mutants turmoil system faults-dose ## everything a change must pass, all of the kinds below

.PHONY: unit
unit: ## cargo's tests of all crates: no services, no network beyond loopback
	$(CARGO) test --workspace --locked

.PHONY: system
system: packages ## real processes: three nodes, nginx, clients of five kinds, Chromium
	$(CARGO) test --locked --package castor-node --test system -- --test-threads=1

.PHONY: packages
packages:
	@.ci/packages test

.PHONY: verify
verify: ## formatting, lints, docs, layering, licences (skipped without cargo-deny)
	$(CARGO) fmt --all -- --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	$(CARGO) clippy --package castor-node --test system --locked -- -D warnings
	$(CARGO) check --locked --package castor-replication --no-default-features
	$(CARGO) clippy --locked --package castor-replication --no-default-features --features shuttle --tests -- -D warnings
	RUSTDOCFLAGS="-D warnings -A rustdoc::private-intra-doc-links" $(CARGO) doc --workspace --no-deps --document-private-items --locked
	$(CARGO) test --locked --package castor-proto --test tidy
	@.ci/deny

.PHONY: locks
locks: ## takes changed dependency versions over into the lock files of the crates outside the workspace
	@.ci/locks

.PHONY: fix
fix: ## what verify would complain about and a machine can mend: formatting, simple lints
	$(CARGO) clippy --workspace --all-targets --fix --allow-dirty --allow-staged
	$(CARGO) fmt --all

.PHONY: sim
sim: ## simulated clusters under faults: SEEDS=500 of them, or SEED=n for one again
	$(CARGO) run --release --locked --package castor-sim -- $(if $(SEED),--seed $(SEED),--seeds $(SEEDS))

.PHONY: mutants
mutants: ## plants one defect after another in the engine; the simulation must find each
	$(CARGO) run --release --locked --package castor-sim --features mutants -- mutants

.PHONY: sim-year
sim-year: ## a simulated year, in as many sittings as it takes; state in target/sim-year.json
	$(CARGO) run --release --locked --package castor-sim -- year --state $(TARGET)/sim-year.json

.PHONY: faults
faults: ## real processes in network namespaces, as root: FAULTS="isolate split --nodes 5 --seed 7"
	@.ci/packages faults
	$(CARGO) build --release --locked --package castor-node --package castor-loadtest
	@$(TARGET)/release/castor-loadtest faults $(FAULTS) --castor $(TARGET)/release/castor --history $(TARGET)/faults

.PHONY: faults-dose
faults-dose: ## five of them and five starts of all nodes at once, 4 minutes; FAULTS_DOSE=skip where there is no root
	@CARGO="$(CARGO)" .ci/faults-dose

.PHONY: refill
refill: ## nodes of a demo with 1,000,000 sessions are killed under load, and must be full and ready again in 5 s
	@.ci/packages demo
	CASTOR_REVISION=$(REVISION) $(CARGO) build --release --locked --package castor-node --package castor-loadtest
	@.ci/refill

.PHONY: races
races: ## what threads share, under 6,000 schedules a check; kills every mutant
	$(CARGO) test --locked --package castor-replication --no-default-features --features shuttle --lib -- races::

.PHONY: turmoil
turmoil: ## whole nodes in a simulated network, asked over HTTP: TURMOIL_SECONDS=60 of seeds, or SEED=n to replay one
	$(CARGO) build --locked --manifest-path replication/turmoil/Cargo.toml --target-dir $(TARGET)
	$(TARGET)/debug/castor-turmoil $(if $(SEED),--seed $(SEED) --trace,--seconds $(TURMOIL_SECONDS))

.PHONY: fuzz
fuzz: ## libFuzzer on every decoder: FUZZ_SECONDS=20 each, FUZZ_ONLY="form frame"; exits 1 on a finding
	@.ci/fuzz

.PHONY: bench
bench: ## micro-benchmarks: wire, engine, memory, rendering, finding definitions; then what else there is to measure with
	@CARGO="$(CARGO)" .ci/bench

.PHONY: bench-redis
bench-redis: ## acknowledged sessions and filling an empty node, beside Redis with two replicas in the same run
	@CARGO="$(CARGO)" .ci/bench-redis

.PHONY: bench-cluster
bench-cluster: ## three nodes behind nginx against the ceiling of the same nginx, logins, and one node alone; 3 minutes
	@.ci/packages demo
	CASTOR_REVISION=$(REVISION) $(CARGO) build --release --locked --package castor-node --package castor-loadtest
	@.ci/bench-cluster

.PHONY: bench-growth
bench-growth: ## what the same load costs clusters of 1, 3, 5 and 9 nodes on this machine; 5 minutes
	@.ci/packages demo
	CASTOR_REVISION=$(REVISION) $(CARGO) build --release --locked --package castor-node --package castor-loadtest
	$(TARGET)/release/castor-loadtest bench growth --castor $(TARGET)/release/castor --folder $(TARGET)/growth --json $(TARGET)/growth.json --html $(TARGET)/growth.html

.PHONY: package
package: ## a tarball of the release build, in target/package
	CASTOR_REVISION=$(REVISION) $(CARGO) build --release --locked --package castor-node --package castor-loadtest
	@.ci/package $(TARGET)/release
