# Two commands do everything on a fresh Debian-like machine with Rust: `make demo` and `make test`.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo test test-browser build guests dashboard host setup fmt lint unit scenarios clean \
        bench-border bench-metrics bench-replay bench-start bench-memory bench-swap bench-kafka bench-latency \
        chaos fuzz servers servers-stop stack stack-stop stack-check

CARGO ?= cargo
# One profile, and always the whole workspace's choice of features, so that dependencies compile once.
PROFILE := --release --locked --workspace
BUILT_IN := limits physics shift vitals

help: ## What there is to make
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## (.*)/  \1\t\2/' | expand -t 18

demo: build ## Simulated readings with faults, live until Ctrl-C; scored with any of DURATION=20s, SEED=n, JSON=1
	@exec target/release/gridwatch demo $(if $(DURATION)$(SEED)$(JSON),--duration $(or $(DURATION),20s)) \
		$(if $(SEED),--seed $(SEED)) $(if $(JSON),--json)

build: guests dashboard host ## The binary target/release/gridwatch and detectors/*.wasm

guests: setup ## The built-in detectors, as WebAssembly, into detectors/
	@detectors/build.sh $(BUILT_IN) >&2

dashboard: ## The dashboard, which the binary embeds; left out where there is no Node
	@host/daemon/dashboard/build

host: setup dashboard
	@.ci/patiently 'building target/release/gridwatch: 10 to 20 minutes on two cores the first time, then seconds' \
		$(CARGO) build $(PROFILE) --quiet --bin gridwatch

setup:
	@.ci/setup demo

test: ## Everything: format, lints, unit, property, simulation, scenarios
	@.ci/test

test-browser: build ## The dashboard in a real browser, on real processes; screenshots in target/browser
	@.ci/setup browser
	@tests/browser/run

fmt:
	@$(CARGO) fmt --all

lint: setup
	@$(CARGO) fmt --all --check
	@$(CARGO) clippy $(PROFILE) --quiet --all-targets -- -D warnings

bench-border: build ## What the border between host and guest costs, by detector and rows a call
	@$(CARGO) build $(PROFILE) --quiet --bin bench-border
	@target/release/bench-border

bench-replay: build ## The whole way of a reading against a bare loop by hand
	@$(CARGO) build $(PROFILE) --quiet --bin bench-replay
	@target/release/bench-replay

bench-metrics: build ## What metrics cost at full load
	@$(CARGO) build $(PROFILE) --quiet --bin bench-metrics
	@target/release/bench-metrics

bench-start: build ## From start to ready
	@$(CARGO) build $(PROFILE) --quiet --bin bench-start
	@target/release/bench-start

bench-memory: build ## A million sensors of five quantities; ten million readings
	@$(CARGO) build $(PROFILE) --quiet --bin bench-memory
	@target/release/bench-memory

bench-swap: build ## What a swap costs under full load, and that it loses nothing; SWAPS=n, SWAPS_MANY=n, SEED=n
	@$(CARGO) build $(PROFILE) --quiet --bin bench-swap
	@SWAPS=$(SWAPS) SWAPS_MANY=$(SWAPS_MANY) SEED=$(SEED) target/release/bench-swap

chaos: build ## Real processes and a real broker, disturbed from a seed; SCENARIO=name KILLS=n SEED=n
	@.ci/setup servers
	@$(CARGO) build $(PROFILE) --quiet --bin chaos
	@SCENARIO=$(SCENARIO) KILLS=$(KILLS) SEED=$(SEED) target/release/chaos

fuzz: build ## Ten million changed messages at decode, 200,000 through a real broker; DECODED=n MESSAGES=n SEED=n
	@.ci/setup servers
	@$(CARGO) build $(PROFILE) --quiet --bin fuzz
	@GRIDWATCH_FUZZ_MESSAGES=$(or $(DECODED),10000000) GRIDWATCH_FUZZ_SEED=$(SEED) \
		$(CARGO) test $(PROFILE) --quiet --test fuzz_decode -- real_messages_changed --nocapture
	@MESSAGES=$(MESSAGES) SEED=$(SEED) target/release/fuzz

bench-kafka: build ## A topic through gridwatch against a hand-written job; READINGS=n, RUNS=n, INTERVAL_MS=n
	@.ci/setup servers
	@$(CARGO) build $(PROFILE) --quiet --bin bench-kafka
	@target/release/bench-kafka

bench-latency: build ## From a reading to its anomaly; after a kill; when a lane moves; DURATION=seconds, RATE=n, KILLS=n
	@.ci/setup servers
	@$(CARGO) build $(PROFILE) --quiet --bin bench-latency
	@target/release/bench-latency

servers: build ## Kafka 9092, schema registry 8080, MinIO 9000 in the background, with topics, schemas, a bucket
	@.ci/setup servers
	@$(CARGO) build $(PROFILE) --quiet --bin servers
	@target/release/servers up

servers-stop: ## Stops exactly what `make servers` started
	@if [ -x target/release/servers ]; then target/release/servers down; else echo 'servers: never started from here'; fi

stack: build ## The pipeline as a whole without containers, at its ports: servers, two gridwatches, Prometheus; prints a map
	@.ci/setup servers
	@$(CARGO) build $(PROFILE) --quiet --bin stack
	@target/release/stack up

stack-stop: ## Stops exactly what `make stack` (or `make servers`) started
	@if [ -x target/release/stack ]; then target/release/stack down; else echo 'stack: never started from here'; fi

stack-check: build ## The same at free ports: every target up, every query of Grafana's boards with data; then ends
	@.ci/setup servers
	@mkdir -p target/examples
	@detectors/build.sh --manifest-path tests/hostile/Cargo.toml --out target/examples >target/examples/build.log 2>&1 \
		|| { cat target/examples/build.log >&2; exit 1; }
	@$(CARGO) build $(PROFILE) --quiet --bin stack
	@target/release/stack check

clean: ## Removes what was built here (the shared cache stays)
	@rm -f detectors/*.wasm
