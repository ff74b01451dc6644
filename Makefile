# Everything a clone needs, with nothing but make, python3 and pip.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := .bootstrap/bin/uv
# Modules are compiled once, at first import, whatever the shell says: every later start is seconds faster.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo test lint types format lock serve ui campaign bench container-test images pin-images kind-test clean

help:  ## show the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort

setup: $(VENV)/.complete  ## make .venv from the hashed lock file

$(UV): requirements-bootstrap.lock
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0] + "; name another with make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --root-user-action ignore --upgrade --target .bootstrap --require-hashes -r requirements-bootstrap.lock
	@touch $(UV)

$(VENV)/.complete: requirements.lock deploy/locks/build.lock pyproject.toml $(UV)
	@echo "Installing into $(VENV) (several GB with torch; a minute on a fast line) ..."
	@$(UV) venv --quiet --allow-existing --python "$$(command -v $(PYTHON))" $(VENV)
	@VIRTUAL_ENV=$(VENV) $(UV) pip sync --quiet --compile-bytecode --build-constraints deploy/locks/build.lock --require-hashes requirements.lock
	@VIRTUAL_ENV=$(VENV) $(UV) pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

demo: setup  ## real digits, through the whole graph, to a promoted model
	@$(BIN)/ganvas run digits-gan

test: setup  ## the tests: random order, warnings are errors, no network
	@OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses 3 --dist worksteal

lint: setup  ## style, types and import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: setup  ## write the style
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

COMPILE = $(UV) pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url --no-annotate --python-version 3.11
lock: $(UV)  ## resolve the pins again
	@$(COMPILE) --extra pipeline --extra serving --extra tracing --extra dev pyproject.toml -o requirements.lock
	@$(COMPILE) --extra pipeline -c requirements.lock pyproject.toml -o deploy/locks/pipeline.lock
	@$(COMPILE) --extra serving --extra tracing -c requirements.lock pyproject.toml -o deploy/locks/serving.lock
	@$(COMPILE) --extra serving --extra tracing --extra cuda -c requirements.lock pyproject.toml -o deploy/locks/serving-cuda.lock
	@printf 'hatchling==1.33.0\nsetuptools\n' | $(COMPILE) -c requirements.lock - -o deploy/locks/build.lock
	@echo 'uv==0.13.9' | $(COMPILE) - -o requirements-bootstrap.lock

serve: setup  ## serve the champion that the demo promoted, on http://127.0.0.1:8000
	@$(BIN)/ganvas serve digits-gan

ui: setup  ## MLflow's pages on the same store, on http://127.0.0.1:5000
	@$(BIN)/mlflow server --backend-store-uri "sqlite:///$(CURDIR)/runs/mlflow.db" --host 127.0.0.1 --port 5000

campaign: setup  ## long proofs, for instance make campaign NAME=rejection
	@$(BIN)/python -m tests.campaigns.$(NAME)

bench: setup  ## speed and quality beside others, for instance make bench NAME=mixtures
	@$(BIN)/python -m benchmarks.$(NAME)

container-test: setup  ## both images from nothing, the graph in containers, the server in its own; needs root
	@$(BIN)/python -m tests.container $(if $(RECORD),--record $(RECORD))

# podman writes the format that has a health check only when it is asked to.
ENGINE ?= docker
TAG ?= local
SERVING_LOCK ?= serving
images:  ## both images: make images [ENGINE=podman] [TAG=1.0] [SERVING_LOCK=serving-cuda, for an endpoint with a GPU]
	@for target in pipeline serving; do \
	  $(ENGINE) build $(if $(findstring podman,$(ENGINE)),--format docker) --target $$target --tag ganvas-$$target:$(TAG) \
	    --build-arg CODE_REVISION="$$(git describe --always --dirty --abbrev=40 --exclude='*')" \
	    --build-arg SERVING_LOCK=$(SERVING_LOCK) . || exit 1; \
	done

pin-images: setup  ## digests for production: make pin-images PIPELINE=REGISTRY/NAME:TAG SERVING=REGISTRY/NAME:TAG
	@$(BIN)/python -m deploy.pin_images --pipeline "$(PIPELINE)" --serving "$(SERVING)"

kind-test: setup  ## the whole of it on a Kubernetes cluster in Docker; needs docker, and 16 GB of memory
	@$(BIN)/python -m tests.kind

clean:  ## remove what setup made
	@rm -rf $(VENV) .bootstrap
