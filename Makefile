# Everything a developer runs, from the airport example to continuous integration. `make` alone lists the targets.
#
# Only Go must be installed, 1.21 or later: it fetches the version that go.mod names. Targets that need a real Apache
# Kafka also need Java 17 and Maven.

export GOTOOLCHAIN := auto

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# make run
DATA    ?=
BROKERS ?=
ONCE    ?=
LISTEN  ?=
SUMMARY ?=

# make test, race, bench, fuzz
PKG       ?= ./...
TIMEOUT   ?= 15m
BENCHTIME ?= 1s
FUZZTIME  ?= 10s
# What tests and the crash suite are built with: run-time checks, see internal/invariants.
TAGS      ?= invariants

# make crash
SEED     ?= 1
DURATION ?= 60s

# make memory
KEYS   ?= 10000000
BUDGET ?= 512

# make oracle
SEEDS ?= 101 102
STEPS ?= 100

# make kafka-start, kafka-stop, test-kafka
KAFKA_DIR       ?= $(CURDIR)/.data/kafka
KAFKA_PORT      ?= 19092
MILLRACE_KAFKA  ?= 127.0.0.1:$(KAFKA_PORT)
KAFKA_PKG       ?= ./internal/broker/... ./test/...

ORACLE   := $(CURDIR)/.data/oracle
BIN      := $(CURDIR)/.bin
DEVTOOLS := internal/devtools

# The modules below the root: ./... of the root does not reach their packages.
NESTED := telemetry

# $(call each,COMMAND) runs COMMAND on PKG. If PKG is the default, it also runs COMMAND on the nested modules.
each = $(1) $(PKG)$(if $(filter ./...,$(PKG)),$(foreach module,$(NESTED),$(newline)cd $(module) && $(1) ./...))

define newline


endef

# The files that the formatters rewrite: all Go files except test data.
GO_FILES = git ls-files --cached --others --exclude-standard '*.go' | grep -v /testdata/

# The groups of imports, as in .golangci.yml.
GCI_SECTIONS := -s standard -s default -s 'prefix(github.com/seed84377926/millrace)'

.PHONY: help
help: ## show this list
	@printf 'millrace: make TARGET [VARIABLE=value …]\n\n'
	@awk 'BEGIN { FS = ":.*## " } \
		/^## / { printf "\n%s\n", substr($$0, 4) } \
		/^[a-z][a-z-]*:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@printf '\nVariables of run:  DATA=DIR  BROKERS=host:port,…  ONCE=1  LISTEN=host:port  SUMMARY=FILE\n'
	@printf 'of test and bench: PKG=./topology/...  TIMEOUT=15m  BENCHTIME=1s  FUZZTIME=10s\n'
	@printf 'of the broker:     KAFKA_DIR=DIR  KAFKA_PORT=19092  MILLRACE_KAFKA=host:port\n'

## Use it
.PHONY: run
run: ## run the airport example (with its own broker unless BROKERS is given; ONCE=1 exits after everything is processed)
	@go run ./examples/airport \
		$(if $(DATA),--data '$(DATA)') \
		$(if $(BROKERS),--brokers '$(BROKERS)') \
		$(if $(filter-out 0 false no,$(ONCE)),--once) \
		$(if $(LISTEN),--listen '$(LISTEN)') \
		$(if $(SUMMARY),--summary '$(SUMMARY)')

.PHONY: build
build: ## build the millrace command into .bin
	go build -trimpath -ldflags='-s -w' -o '$(BIN)/' ./cmd/...

## Check it
.PHONY: test
test: ## run all tests, with the race detector
	$(call each,go test -race -tags $(TAGS) -timeout $(TIMEOUT))

.PHONY: race
race: ## run the tests again and again in random order, to find races (PKG=./processors/...)
	$(call each,go test -race -tags $(TAGS) -timeout $(TIMEOUT) -count 5 -shuffle on)

.PHONY: test-kafka
test-kafka: ## run the suites against the Apache Kafka at MILLRACE_KAFKA (see kafka-start)
	MILLRACE_KAFKA='$(MILLRACE_KAFKA)' go test -race -tags $(TAGS) -timeout $(TIMEOUT) -count 1 -p 1 $(KAFKA_PKG)

.PHONY: conformance
conformance: ## run the conformance programs as applications under random disturbances, with SEEDS seeds each (20)
	MILLRACE_SEEDS='$(or $(SEEDS),20)' go test -tags $(TAGS) -count 1 -parallel 4 -timeout 60m -run TestRuntime ./test/conformance

.PHONY: bench
bench: ## run all benchmarks
	go test -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) -timeout 60m $(PKG)

.PHONY: bench-quick
bench-quick: ## compare the exactly-once count with Kafka Streams, on the Kafka at BROKERS (needs Java and Maven)
	@go run ./test/bench --brokers '$(or $(BROKERS),$(MILLRACE_KAFKA))'

.PHONY: crash
crash: ## kill and stall real processes for a minute, then check every key (BROKERS=host:port for a real Kafka, SEED=1)
	@go run -tags $(TAGS) ./test/crash --seed $(SEED) --duration $(DURATION) --instances 3 --broker '$(or $(BROKERS),embedded)'

.PHONY: oracle
oracle: $(ORACLE)/classes ## run Kafka Streams itself on other inputs and compare the results (SEEDS="101 102", STEPS=100; needs Java 17 and Maven)
	@rm -rf '$(ORACLE)/recorded' '$(ORACLE)/tmp' && mkdir -p '$(ORACLE)/tmp'
	@printf 'Kafka Streams answers for seeds %s: ' '$(SEEDS)'
	@java -Djava.io.tmpdir='$(ORACLE)/tmp' -cp '$(ORACLE)/classes:$(ORACLE)/lib/*' Oracle '$(ORACLE)/recorded' '$(STEPS)' $(SEEDS)
	@rm -rf '$(ORACLE)/tmp'
	@MILLRACE_RECORDED='$(ORACLE)/recorded' go test -count 1 -run '^TestRecorded$$' ./test/conformance
	@printf 'millrace gives the same answers, after every step and with interruptions\n'

.PHONY: rescale
rescale: ## measure how long tasks pause while instances join, leave and die, on the Kafka at BROKERS
	@go run ./test/rescale --brokers '$(or $(BROKERS),$(MILLRACE_KAFKA))'

.PHONY: memory
memory: ## keep 10 million keys within a memory budget of 512 MiB, on the Kafka at BROKERS (KEYS=10000000, BUDGET=512; some minutes)
	@go run ./test/memory --brokers '$(or $(BROKERS),$(MILLRACE_KAFKA))' --keys $(KEYS) --budget $(BUDGET)

.PHONY: footprint
footprint: ## measure what a program that uses millrace inherits: modules, packages, bytes
	@examples/minimal/footprint.sh

.PHONY: fuzz
fuzz: ## run each fuzz target for FUZZTIME
	@for package in $$(go list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}' $(PKG)); do \
		for target in $$(go test -list '^Fuzz' "$$package" | { grep '^Fuzz' || true; }); do \
			echo "fuzz $$package $$target"; \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "$$package"; \
		done; \
	done

.PHONY: cover
cover: ## write the test coverage of the root module to .cover and print the total
	@mkdir -p .cover
	go test -timeout $(TIMEOUT) -covermode atomic -coverpkg ./... -coverprofile .cover/profile $(PKG)
	go tool cover -html .cover/profile -o .cover/index.html
	@go tool cover -func .cover/profile | tail -n 1

.PHONY: structure
structure: ## measure the structure: files, lines, names and references of each package, and what runs up (REFS=topology names it)
	@go run ./internal/arch/structure $(if $(REFS),-refs '$(REFS)')

.PHONY: vet
vet: ## run go vet
	$(call each,go vet)

.PHONY: lint
lint: $(BIN)/golangci-lint ## run golangci-lint (its first build takes minutes)
	$(call each,'$(BIN)/golangci-lint' run)

.PHONY: vuln
vuln: $(BIN)/govulncheck ## look for known vulnerabilities (needs the Go vulnerability database, or GOVULNDB=file:///… with a copy)
	$(call each,'$(BIN)/govulncheck' $(if $(GOVULNDB),-db '$(GOVULNDB)'))

.PHONY: fmt
fmt: $(BIN)/gofumpt $(BIN)/gci ## format all Go files, and fill their comments to one width
	@$(GO_FILES) | xargs '$(BIN)/gofumpt' -w
	@$(GO_FILES) | xargs '$(BIN)/gci' write $(GCI_SECTIONS)
	@$(GO_FILES) | xargs go run ./internal/comments/rewrap -w

.PHONY: fmt-check
fmt-check: $(BIN)/gofumpt $(BIN)/gci ## fail if a Go file is not formatted
	@bad=$$( { $(GO_FILES) | xargs '$(BIN)/gofumpt' -l; \
		$(GO_FILES) | xargs '$(BIN)/gci' list $(GCI_SECTIONS); \
		$(GO_FILES) | xargs go run ./internal/comments/rewrap -l; } | sort -u); \
	if [ -n "$$bad" ]; then printf 'not formatted; run make fmt:\n%s\n' "$$bad" >&2; exit 1; fi

.PHONY: tidy-check
tidy-check: ## fail if a go.mod or go.sum is not tidy
	go mod tidy -diff
	$(foreach module,$(NESTED) $(DEVTOOLS),$(newline)go -C $(module) mod tidy -diff)

## A real Apache Kafka
.PHONY: kafka-start
kafka-start: ## start a single Apache Kafka node in KAFKA_DIR (needs Java 17 and Maven)
	@test/kafka/kafka.sh start '$(KAFKA_DIR)' '$(KAFKA_PORT)'

.PHONY: kafka-stop
kafka-stop: ## stop that node
	@test/kafka/kafka.sh stop '$(KAFKA_DIR)'

## Everything
.PHONY: ci
ci: ## what continuous integration runs
	.ci/run

.PHONY: clean
clean: ## remove .bin, .cover and .data (the Kafka that make started keeps its data there)
	rm -rf .bin .cover .data

# The Kafka Streams programs and their libraries from Maven Central.
$(ORACLE)/classes: test/conformance/oracle/Oracle.java test/conformance/oracle/pom.xml
	@printf 'building the Kafka Streams side (the first time, Maven fetches what it needs)\n'
	@mvn -q -B -f test/conformance/oracle/pom.xml dependency:copy-dependencies -DoutputDirectory='$(ORACLE)/lib'
	@javac -nowarn -cp '$(ORACLE)/lib/*' -d '$@' $<
	@touch '$@'

# The tools are built again when internal/devtools/go.mod changes.
$(BIN)/gofumpt: $(DEVTOOLS)/go.mod
	go -C $(DEVTOOLS) build -o '$@' mvdan.cc/gofumpt

$(BIN)/gci: $(DEVTOOLS)/go.mod
	go -C $(DEVTOOLS) build -o '$@' github.com/daixiang0/gci

$(BIN)/golangci-lint: $(DEVTOOLS)/go.mod
	go -C $(DEVTOOLS) build -o '$@' github.com/golangci/golangci-lint/v2/cmd/golangci-lint

$(BIN)/govulncheck: $(DEVTOOLS)/go.mod
	go -C $(DEVTOOLS) build -o '$@' golang.org/x/vuln/cmd/govulncheck
