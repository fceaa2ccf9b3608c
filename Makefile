# Every target is a line you can run by hand; .ci/run uses the same ones.
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -ec
GO    ?= go
TOOL  := $(GO) tool -modfile=tools/go.mod
BENCH ?= .
COUNT ?= 6
PKGS  ?= ./...

.DEFAULT_GOAL := help
.PHONY: help build test race check lint format fuzz sim mutate overshoot soak test-cluster bench bench-compare e2e clean

help: ## Print this list
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## Build bin/weir (static, CGO off)
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags "-s -w" -o bin/weir ./cmd/weir

test: ## Run all tests; what a missing tool skips is printed
	$(GO) test $(PKGS)

race: ## Run the unit tests under the race detector (needs gcc)
	CGO_ENABLED=1 $(GO) test -race ./internal/...

e2e: ## Run only the end-to-end tests, verbosely
	$(GO) test -count=1 -v ./e2e/...

check: lint test ## Lint, then test

lint: ## gofumpt, go mod tidy, go vet and staticcheck, also for macOS and Windows; each must be silent
	@out="$$($(TOOL) gofumpt -l cmd internal e2e examples bench tools)"; test -z "$$out" || { echo "gofumpt would change (make format):"; echo "$$out"; exit 1; }
	$(GO) mod tidy -diff
	$(GO) vet ./...
	$(GO) -C tools vet ./mutate
	$(TOOL) staticcheck ./...
	GOOS=darwin $(GO) vet ./cmd/... ./internal/...
	GOOS=windows $(GO) vet ./cmd/... ./internal/...

format: ## Rewrite the sources in gofumpt's form
	$(TOOL) gofumpt -w cmd internal e2e examples bench tools

fuzz: ## Run every fuzz target for FUZZTIME each (default 30s), or only TARGETS="sigv4. gateway/route."
	./tools/fuzz.sh $(or $(FUZZTIME),30s) $(TARGETS)

sim: ## Play SCHEDULES (default 10000) drawn schedules of faults against the limits, or only SEED=n
	SCHEDULES=$(if $(SEED),,$(or $(SCHEDULES),10000)) SEED=$(SEED) $(GO) test -count=1 -v -timeout 0 -run '^TestSchedules$$' ./internal/limit/simulation

mutate: ## Change internal/limit in one place at a time and print what no test notices (ONLY=cell, SAMPLE=160 for a part; GOAL=85)
	$(GO) -C tools run ./mutate -package ./internal/limit -only '$(ONLY)' -sample $(or $(SAMPLE),0) -goal $(or $(GOAL),85) -equivalent mutate/limit.txt \
	  -tests './internal/limit ./internal/limit/limittest ./internal/limit/simulation'

overshoot: build ## What weir, nginx and haproxy let in beside what their limits allow (ARGS="-peers FILE -only NAME")
	$(GO) run ./bench/overshoot -weir bin/weir $(ARGS)

soak: ## Load a server for SOAK (default 10m) with good, bad and slow clients while it is changed
	SOAK=$(or $(SOAK),10m) $(GO) test -count=1 -v -timeout 0 -run '^TestSoak$$' ./e2e

test-cluster: ## Three nodes on PostgreSQL, through kills, pauses, stalls and edits, at full length
	./tools/postgres.sh
	CLUSTER=full WEIR_TEST_ALL=1 $(GO) test -count=1 -v -timeout 30m -run '^TestCluster' ./e2e

bench: ## Run the benchmarks COUNT times and summarise (BENCH=pattern, PKGS=./internal/limit)
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem -count $(COUNT) $(PKGS) | tee /tmp/weir-bench.txt | grep -E '^(goos|goarch|cpu|pkg|Benchmark)' 
	$(TOOL) benchstat /tmp/weir-bench.txt

bench-compare: ## Compare two saved benchmark outputs: make bench-compare OLD=a.txt NEW=b.txt
	$(TOOL) benchstat $(OLD) $(NEW)

clean: ## Remove what building made
	rm -rf bin dist
