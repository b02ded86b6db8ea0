# One build configuration, release, for the demo, the tests and the product alike.
SHELL := /bin/bash
SWIFT_BUILD := swift build -c release
RETORT := .build/release/retort
# Tests that compute keep every thread busy for half a minute; those that wait for something run apart from them, lest they wait for that.
COMPUTING := ^(CKernels|StudentModel|Training|Compression|Inference|Tokenization|ModelFiles|Evaluation)Tests

.DEFAULT_GOAL := help
.PHONY: help deps build demo test chaos bench lint format docs clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

deps: ## install what the build needs (system libraries)
	@ops/deps

build: deps ## build the command line, .build/release/retort
	$(SWIFT_BUILD) --product retort

demo: build ## the whole loop on this machine, no configuration
	$(RETORT) demo

test: deps ## build and run every test, then check format and imports
	$(SWIFT_BUILD) --build-tests
	swift test -c release --skip-build --filter '$(COMPUTING)'
	swift test -c release --skip-build --skip '$(COMPUTING)|^EndToEndTests'
	RETORT_KAFKA_CYCLES=40 swift test -c release --skip-build --filter FaultTests/cycles
	swift test -c release --skip-build --filter EndToEndTests
	ops/chaos
	@$(MAKE) --no-print-directory lint

chaos: build ## break brokers and kill processes under a running pipeline; on a real broker with KAFKA_BOOTSTRAP
	ops/chaos

bench: build ## speed of this build on this machine
	ops/bench

lint: ## check format and the import rules
	swift format lint --strict --recursive --parallel Package.swift Sources Tests topics
	@ops/check-imports

format: ## rewrite the sources in the project's format
	swift format format --in-place --recursive --parallel Package.swift Sources Tests topics

docs: build ## the reference of every module, rendered by DocC, under .build/docs
	ops/docs

clean: ## remove what was built
	rm -rf .build
