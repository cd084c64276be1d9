# Cuepoint: `make help` lists what there is.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
export UV_COMPILE_BYTECODE := 1
export PATH := $(CURDIR)/$(BIN):$(PATH)

# Telemetry of every tool is off.
export DO_NOT_TRACK := 1
export DVC_NO_ANALYTICS := 1
export MLFLOW_DISABLE_TELEMETRY := true
export MLFLOW_SERVER_ENABLE_JOB_EXECUTION := false
export GX_ANALYTICS_ENABLED := false
export PREFECT_SERVER_ANALYTICS_ENABLED := false
export BENTOML_DO_NOT_TRACK := True

# Threads that wait for work sleep: spinning ones halve a machine that has something else to do.
export OMP_WAIT_POLICY := PASSIVE

# Prefect keeps its server, database and leases here; PREFECT_API_URL of the environment names another server.
export PREFECT_HOME ?= $(CURDIR)/.cache/prefect
PREFECT_PORT ?= 4200
PREFECT_SERVER_URL = $${PREFECT_API_URL:-http://127.0.0.1:$(PREFECT_PORT)/api}

QUERY ?=
K ?= 5
VIDEOS ?=
INDEX ?=
PORT ?= 3000
CHALLENGER ?=
SHARE ?= 0.1
UI_PORT ?= 5000
CRON ?= 0 3 * * *
TIMEZONE ?= UTC

.DEFAULT_GOAL := help
.PHONY: help setup repro models index search serve challenger ui server worker deploy check lint test lock clean

help: ## list the commands
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: $(VENV)/.installed ## create .venv from the lock (every other command does this first)
	@mkdir -p $(PREFECT_HOME)

$(VENV)/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else f"Cuepoint needs Python 3.11, 3.12 or 3.13, but {sys.executable} is {v[0]}.{v[1]}; run: make PYTHON=python3.11")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet "uv>=0.9"
	$(BIN)/uv pip install --python $(BIN)/python -r requirements.lock -e .
	@touch $@

repro: setup ## run the pipeline, from raw videos to a packaged search, as far as something changed
	@python -m flows.dvc_process repro
	@python -m stages.support.summary

models: setup ## train and compare every localizer, retriever and loss: docs/models.md; goes on where it stopped
	@python -m flows.bench run

index: setup ## index videos without annotations: make index VIDEOS=/path/to/folder INDEX=/path/to/folder-index
	@test -n "$$VIDEOS" || { echo 'make index needs a folder of videos: make index VIDEOS=/path/to/folder' >&2; exit 2; }
	@python -m serving index $(if $(INDEX),--output "$$INDEX") -- "$$VIDEOS"

search: setup ## print the moments that answer a sentence: make search QUERY="the red circle moves right" K=5 INDEX=FOLDER-index
	@test -n "$$QUERY" || { echo 'make search needs a sentence: make search QUERY="the red circle moves right"' >&2; exit 2; }
	@python -m serving search -k $(K) $(if $(INDEX),--index "$$INDEX") -- "$$QUERY"

serve: setup ## serve the champion (or, without one, the working tree's bento) on 127.0.0.1, PORT=3000 INDEX=FOLDER-index CHALLENGER=shadow
	@python -m flows.serve --port $(PORT) $(if $(INDEX),--index "$$INDEX") $(if $(CHALLENGER),--challenger "$$CHALLENGER" --share $(SHARE))

challenger: setup ## register the working tree's bento as the challenger, to try it beside the champion: make serve CHALLENGER=share SHARE=0.1
	@python -m flows.challenger

ui: setup ## compare runs in MLflow on 127.0.0.1, UI_PORT=5000
	@uri=$$(python -c 'from stages.support.tracking import find_tracking_uri; print(find_tracking_uri())'); \
	case "$$uri" in http*) echo "the runs are on $$uri";; \
	*) echo "the runs: http://127.0.0.1:$(UI_PORT)/#/experiments/1/runs?workflowType=machine_learning"; mlflow server --backend-store-uri "$$uri" --host 127.0.0.1 --port $(UI_PORT);; esac

server: setup ## start the Prefect server on 127.0.0.1, PREFECT_PORT=4200
	@prefect server start --host 127.0.0.1 --port $(PREFECT_PORT)

worker: setup ## start the worker that carries out deployed flows
	@PREFECT_API_URL="$(PREFECT_SERVER_URL)" prefect worker start --pool cuepoint --type process

deploy: setup ## register the flow with its schedule: make deploy CRON="0 3 * * *" TIMEZONE=Europe/Berlin
	@PREFECT_API_URL="$(PREFECT_SERVER_URL)" python -m flows.deploy --cron "$(CRON)" --timezone "$(TIMEZONE)"

lint: setup ## style, types and layers
	ruff check .
	ruff format --check .
	mypy
	lint-imports

check: lint ## lint and the quick tests
	pytest -q -m "not slow"

test: setup ## all tests; those of the page need Chromium
	@command -v chromium chromium-browser google-chrome >/dev/null || echo "Chromium is not installed: the browser tests will be skipped (Debian: apt-get install chromium)"
	pytest -q

# One lock serves CPU and CUDA machines: torch is pinned, and the CUDA packages it asks for on its own are left to the machine.
CUDA_PACKAGES := triton cuda-bindings cuda-pathfinder cuda-toolkit nvidia-cublas nvidia-cuda-cupti nvidia-cuda-nvrtc \
	nvidia-cuda-runtime nvidia-cudnn-cu13 nvidia-cufft nvidia-cufile nvidia-curand nvidia-cusolver nvidia-cusparse \
	nvidia-cusparselt-cu13 nvidia-nccl-cu13 nvidia-nvjitlink nvidia-nvshmem-cu13 nvidia-nvtx

lock: setup ## write requirements.lock for what pyproject.toml asks, keeping the versions that still fit
	uv pip compile --quiet --universal --python-version 3.11 --all-extras --no-annotate --no-header \
		$(addprefix --no-emit-package ,$(CUDA_PACKAGES)) pyproject.toml -o requirements.lock

clean: ## remove what tools and tests left; data, runs and the environment stay
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dvc_plots build
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +
