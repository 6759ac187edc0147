# Each target starts from a fresh clone on Debian 12 with Swift 6.3, and installs by itself what is missing (`deps`).
# On a shared machine: make SWIFT="flock /tmp/build.lock swift" test

SHELL := /bin/bash
SWIFT ?= swift
# The one beside swift: of the toolchain.
CLANG ?= $(dir $(realpath $(shell command -v swift)))clang
PREFIX ?= /usr/local
DESTDIR ?=
# Extra flags: of `swift build -c release`, of `swift test`, of pytest.
RELEASE_FLAGS ?=
UNIT_FLAGS ?=
PYTEST_FLAGS ?=
# Size of the demo's object, and executions of each fuzz target.
DEMO_SIZE ?= 256M
RUNS ?= 1000000
BENCH_FLAGS ?=

BINARY := .build/release/sluice
SHARE = $(DESTDIR)$(PREFIX)/share
SOURCES := Package.swift Sources Tests Examples
# The suites in which threads share memory and C libraries hold pointers.
SANITIZED := BytesTests|PipelineTests|TransportTests|S3Tests
# Tests with servers run apart under a sanitizer: it makes the others so slow that servers and clients wait for minutes.
SERVED := TransportTests
# Enumerations that keep every core busy for a minute: apart from tests that have servers and clocks.
HEAVY := ContentStoreTests

# One build directory: nothing here may run beside another target.
.NOTPARALLEL:
.PHONY: all example demo test unit integration mutations release install bench format lint asan tsan fuzz clean deps venv

all: release

## What users run

demo: venv release  ## real bytes from a web server into a real S3 server and back, with the proof
	.venv/bin/python -m integration.demo --size $(DEMO_SIZE)

install: release  ## into $(DESTDIR)$(PREFIX)/bin, with shell completions
	install -d $(DESTDIR)$(PREFIX)/bin
	install -m 755 $(BINARY) $(DESTDIR)$(PREFIX)/bin/sluice
	install -d $(SHARE)/bash-completion/completions $(SHARE)/zsh/site-functions $(SHARE)/fish/vendor_completions.d
	$(BINARY) completions bash > $(SHARE)/bash-completion/completions/sluice
	$(BINARY) completions zsh > $(SHARE)/zsh/site-functions/_sluice
	$(BINARY) completions fish > $(SHARE)/fish/vendor_completions.d/sluice.fish

## Tests

test: unit integration  ## every test

unit: deps  ## the Swift tests, in a debug build; warnings are errors (Package.swift)
	$(SWIFT) test $(UNIT_FLAGS) --skip '$(HEAVY)'
	$(SWIFT) test --skip-build $(patsubst %.xml,%-heavy.xml,$(UNIT_FLAGS)) --filter '$(HEAVY)'

integration: venv release  ## the built binary against real servers and fault servers
	$(SWIFT) build --product sigv4-oracle
	integration/run $(PYTEST_FLAGS)

mutations: venv  ## the store's tests, proven: one of them has to fail for each mutation of the source
	SWIFT="$(SWIFT)" .venv/bin/python -m integration.mutations

tsan: deps  ## threads: the suites that share memory, under ThreadSanitizer
	$(SWIFT) build --build-tests --sanitize thread --scratch-path .build-tsan
	$(CLANG) -O1 -shared -fPIC -o .build-tsan/order.so Tests/Sanitizers/*_order.c
	for suites in "--filter $(SERVED)" "--filter $(SANITIZED) --skip $(SERVED)"; do \
	    LD_PRELOAD=$(CURDIR)/.build-tsan/order.so \
	        $(SWIFT) test --skip-build --sanitize thread --scratch-path .build-tsan $$suites || exit 1; done

asan: deps  ## memory: the same under AddressSanitizer
	$(SWIFT) build --build-tests --sanitize address --scratch-path .build-asan
	for suites in "--filter $(SERVED)" "--filter $(SANITIZED) --skip $(SERVED)"; do \
	    ASAN_OPTIONS=detect_leaks=0 \
	        $(SWIFT) test --skip-build --sanitize address --scratch-path .build-asan $$suites || exit 1; done

fuzz: deps  ## RUNS executions of each fuzz target in Tests/Fuzz
	SWIFT="$(SWIFT)" Tests/Fuzz/run $(RUNS)

lint:
	$(SWIFT) format lint --strict --parallel --recursive $(SOURCES)

format:
	$(SWIFT) format --in-place --parallel --recursive $(SOURCES)

## For developers of sources: docs/extending.md

example: venv  ## builds Examples/checksums, a source and a program of somebody else's, and tests it
	$(SWIFT) build --package-path Examples/checksums --scratch-path .build-example
	SLUICE_EXAMPLE=.build-example/debug/sluice-checksums integration/run -q integration/tests/test_extending.py

## Build

release: deps
	$(SWIFT) build -c release --product sluice $(RELEASE_FLAGS)

bench: venv release  ## against curl, aria2c, s5cmd and rclone, in one alternating run; see docs/performance.md
	bench/run $(BENCH_FLAGS)

deps:
	@integration/deps.sh

venv:
	@integration/setup.sh

clean:
	rm -rf .build .build-tsan .build-asan .build-fuzz .build-mutations .build-example .venv bench/results
