# Footbridge. `make help` lists what there is.
SHELL := /bin/bash
.DEFAULT_GOAL := help
GO ?= go
SHARED ?= $(wildcard $(CURDIR)/../shared)
BIN := bin/footbridge

.PHONY: help build demo run test conformance e2e bench lint check fuzz clean

help: ## show this list
	@grep -hE '^[a-z0-9]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9]+):.*## /  \1\t/' | expand -t 16

build: $(BIN) ## build bin/footbridge

$(BIN): FORCE
	@CGO_ENABLED=0 $(GO) build -trimpath -o $(BIN) ./cmd/footbridge

FORCE:

demo: build ## play a conversation between two small networks on this machine (ONCE=1: exit after the last line)
	@$(BIN) demo $(if $(ONCE),--once)

run: build ## start the whole bridge on localhost, data in ./data
	@$(BIN) serve

test: ## all tests; starts its own Redis and PostgreSQL
	@scripts/test.sh

conformance: build ## the samples, vectors and fixtures beside the checkout (SHARED=DIR)
	@SHARED='$(SHARED)' scripts/conformance.sh

e2e: build ## against real peers: PLC, PDS, AppView, relay, Fedify
	@scripts/e2e.sh

bench: ## performance, as ratios measured in one run
	@$(GO) test -run '^$$' -bench . -benchtime 1s ./... | grep -vE '^(ok|PASS|\?|goos|goarch|pkg|cpu)'

lint: ## golangci-lint, from the tools module
	@cd tools && $(GO) build -o ../bin/golangci-lint github.com/golangci/golangci-lint/v2/cmd/golangci-lint
	@bin/golangci-lint run

fuzz: ## every fuzz target for FUZZTIME (60s)
	@scripts/fuzz.sh

check: lint test fuzz ## what a change must pass

clean: ## remove what was built
	@rm -rf bin
