# Everything that a person runs. `make help` lists it.
.DEFAULT_GOAL := help
.PHONY: help venv up trainer down status serve test check unit integration e2e lint format types render digits lock bench fuzz load dashboards benchtraining finetuning sbom scale learning

MODEL ?= builtin://digits
PORT ?= 8000
NAME ?= default
GRPC_PORT ?= 0
SECONDS ?= 1200
MODELS ?= 1000
export LOAD RATE DURATION ROLLOUTS
BIN := .venv/bin
# Compiling every module again at each start would take longer than the start itself.
unexport PYTHONDONTWRITEBYTECODE
export UV_CACHE_DIR := $(or $(SQUEEZESERVE_CACHE),$(HOME)/.cache/squeezeserve)/uv

help: ## List the commands
	@echo "SqueezeServe: SqueezeNet image classification as a service on Kubernetes"
	@echo
	@grep -E '^[a-z0-9]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9]+):[^#]*## /\1\t/' \
	  | while IFS='	' read -r name text; do printf '  make %-14s %s\n' "$$name" "$$text"; done
	@echo
	@echo "  Options of up: KEDA=1 (add KEDA and Prometheus), AIRGAP=1 (build everything from source packages), REGISTRY_MIRROR=host:port,"
	@echo "  GATEWAY_PORT=8080, REGISTRY_PORT=5001, SQUEEZESERVE_CACHE=~/.cache/squeezeserve, PYTHON=python3.12"
	@echo "  Options of serve: MODEL=builtin://digits, PORT=8000, NAME=default, GRPC_PORT=0 (off)"

venv: ## Install the Python packages into .venv
	@cluster/bootstrap.sh

up: venv ## Bring up a kind cluster with the platform on it and classify a real picture
	@$(BIN)/squeeze-cluster up

trainer: venv ## Add to that cluster what trainings need: the trainer's image and an object store
	@$(BIN)/squeeze-cluster trainer

down: venv ## Remove that cluster (caches stay)
	@$(BIN)/squeeze-cluster down

status: venv ## Show the cluster's nodes, models and pods
	@$(BIN)/squeeze-cluster status

serve: venv ## Run the predictor alone on 127.0.0.1 (MODEL=, PORT=, NAME=)
	@exec $(BIN)/squeeze-predictor --host 127.0.0.1 --port $(PORT) --grpc-port $(GRPC_PORT) --model-name $(NAME) --weights $(MODEL)

test: check unit integration e2e ## Run everything: checks, unit, integration and end-to-end tests

check: lint types render ## Lint, types, and rendered files

unit: venv ## Run the unit tests
	@$(BIN)/pytest tests/unit --numprocesses 2 --dist loadfile --max-worker-restart 0 --junitxml=out/junit-unit.xml --cov --cov-report=xml:out/coverage-unit.xml --cov-report=term:skip-covered

integration: venv ## Run the tests against a real API server and real processes
	@$(BIN)/pytest tests/integration --numprocesses 4 --dist loadfile --max-worker-restart 0 --junitxml=out/junit-integration.xml --cov --cov-report=xml:out/coverage-integration.xml --cov-report=

e2e: venv ## Run the tests on the kind cluster (brings it up; KEDA=1: those of scaling by KEDA too)
	@$(BIN)/pytest tests/e2e --junitxml=out/junit-e2e.xml

bench: venv ## Measure the predictor beside other servers (QUICK=1: 6 minutes, else about 25)
	@$(BIN)/python -m bench.run

load: venv ## Put models on the cluster under load (LOAD=step,rollouts,..., RATE=100, ROLLOUTS=20): 10 minutes
	@PYTHONPATH=.:tests $(BIN)/python -m load

dashboards: venv ## Draw the Grafana dashboards from an operator and a predictor under load, to out/dashboards
	@$(BIN)/pytest tests/integration/operator/test_monitoring.py

benchtraining: venv ## Measure the trainer beside torchvision's reference recipe, on one core
	@$(BIN)/python -m bench.training

finetuning: venv ## Show what pretrained weights are worth, on a small set of real pictures
	@$(BIN)/python -m bench.finetuning

scale: venv ## Measure the operator with many models on a real API server (MODELS=1000; about 6 minutes)
	@PYTHONPATH=tests $(BIN)/python -m scale --models $(MODELS)

learning: venv ## Show whether every seed learns, and whether a bad rate is noticed (about an hour)
	@$(BIN)/python -m bench.learning

fuzz: venv ## Look for inputs that break the predictor (SECONDS=1200; AGAIN=file repeats a finding)
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --requirement requirements/fuzz.lock
	@PYTHONPATH=tests $(BIN)/python -m fuzz --seconds $(SECONDS) $(if $(AGAIN),--again $(AGAIN))

sbom: venv ## Write bills of materials (CycloneDX) of images and Python packages to out/sbom
	@$(BIN)/python -m squeeze_cluster.sbom

lint: venv ## Check style and formatting
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

format: venv ## Format the code
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

types: venv ## Check types, strictly
	@$(BIN)/mypy

render: venv ## Check that rendered manifests and dashboards are current
	@$(BIN)/python charts/render.py --check && $(BIN)/python -m dashboards --check

digits: venv ## Train the built-in digits network from nothing, and quantize it
	@rm -rf out/digits && $(BIN)/squeezenet digits train --out out/digits
	@rm -rf predictor/squeezenet/builtin/digits
	@$(BIN)/squeezenet quantize out/digits --out predictor/squeezenet/builtin/digits

lock: venv ## Pin the newest allowed dependencies again
	@for extras in dev operator "predictor --extra tracing" storage programs "trainer --extra train --constraint requirements/dev.lock" "fuzz --constraint requirements/dev.lock"; do \
	  $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --extra $$extras pyproject.toml -o requirements/$${extras%% *}.lock; done
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --resolution lowest-direct --extra operator pyproject.toml -o requirements/operator-lowest.lock
