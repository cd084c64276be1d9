# Cuepoint: `make help` lists the commands.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
export UV_COMPILE_BYTECODE := 1
# Stages, services and tests are many processes; without kept bytecode, each compiles every module that it imports.
unexport PYTHONDONTWRITEBYTECODE
export PATH := $(CURDIR)/$(BIN):$(PATH)

# Telemetry of every tool is off.
export DO_NOT_TRACK := 1
export DVC_NO_ANALYTICS := 1
export MLFLOW_DISABLE_TELEMETRY := true
export MLFLOW_SERVER_ENABLE_JOB_EXECUTION := false
export GX_ANALYTICS_ENABLED := false
export PREFECT_SERVER_ANALYTICS_ENABLED := false
export BENTOML_DO_NOT_TRACK := True

# Threads sleep while they wait for work, because spinning threads slow a shared machine.
export OMP_WAIT_POLICY := PASSIVE

# Folder of Prefect's server, database and leases; PREFECT_API_URL in the environment names another server.
export PREFECT_HOME ?= $(CURDIR)/.cache/prefect
PREFECT_PORT ?= 4200

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
WATCH_MINUTES ?= 60

# Values reach `cuepoint` as typed: make expands no `$` in them, and they are passed in the environment, not in a recipe.
TYPED := QUERY K VIDEOS INDEX PORT CHALLENGER SHARE UI_PORT PREFECT_PORT CRON TIMEZONE WATCH_MINUTES
define keep_as_typed
$(if $(filter simple,$(flavor $(1))),$(error $(1) was set with := or ::=, so make has expanded it; write $(1)='...'))
override $(1) := $$(value $(1))
export $(1)
endef
$(foreach name,$(TYPED),$(eval $(call keep_as_typed,$(name))))

# make cuts leading blanks off a value of its command line, which changes a name that begins with a blank.
REFUSE_CUT_BLANKS = ! grep -qzE '^(VIDEOS|INDEX)[[:space:]]*=[[:space:]]' /proc/$$PPID/cmdline 2>/dev/null || { \
	echo "make cuts the blanks off the start of VIDEOS and INDEX; use the command: cuepoint $@ --help" >&2; exit 2; }

.DEFAULT_GOAL := help
.PHONY: help setup repro bench index search serve status challenger ui server worker deploy check lint quick test test-all test-avx2 lock clean

help: ## list the commands
	@grep -E '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: $(VENV)/.installed ## create .venv from the lock (all other commands do this first)
	@mkdir -p $(PREFECT_HOME)

$(VENV)/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else f"Cuepoint needs Python 3.11, 3.12 or 3.13, but {sys.executable} is {v[0]}.{v[1]}; run: make PYTHON=python3.11")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet "uv>=0.9"
	$(BIN)/uv pip install --python $(BIN)/python -r requirements.lock -e .
	@touch $@

repro: setup ## run the stale stages of the pipeline, from raw videos to a packaged search
	@cuepoint repro

bench: setup ## train and compare every localizer, retriever and loss: docs/models.md; resumes when interrupted
	@cuepoint bench

index: setup ## index videos without annotations: make index VIDEOS=/path/to/folder INDEX=/path/to/folder-index
	@$(REFUSE_CUT_BLANKS)
	@test -n "$$VIDEOS" || { echo 'make index needs a folder of videos: make index VIDEOS=/path/to/folder' >&2; exit 2; }
	@cuepoint index $${INDEX:+--output="$$INDEX"} -- "$$VIDEOS"

search: setup ## print the moments that answer a sentence: make search QUERY="the red circle moves right" K=5 INDEX=FOLDER-index
	@$(REFUSE_CUT_BLANKS)
	@test -n "$$QUERY" || { echo 'make search needs a sentence: make search QUERY="the red circle moves right"' >&2; exit 2; }
	@cuepoint search --top-k="$$K" $${INDEX:+--index="$$INDEX"} -- "$$QUERY"

serve: setup ## serve the champion, or else the working tree's bento, on 127.0.0.1: make serve PORT=3000 INDEX=FOLDER-index CHALLENGER=shadow
	@$(REFUSE_CUT_BLANKS)
	@cuepoint serve --port="$$PORT" $${INDEX:+--index="$$INDEX"} $${CHALLENGER:+--challenger="$$CHALLENGER" --share="$$SHARE"}

status: setup ## show the state of pipeline, models, index, champion and service
	@cuepoint status

challenger: setup ## register the working tree's bento as the challenger; then: make serve CHALLENGER=share SHARE=0.1
	@cuepoint challenger

ui: setup ## compare runs in MLflow on 127.0.0.1: make ui UI_PORT=5000
	@cuepoint ui --port="$$UI_PORT"

server: setup ## start Prefect and MLflow on 127.0.0.1: make server PREFECT_PORT=4200 UI_PORT=5000
	@cuepoint server --port="$$PREFECT_PORT" --runs-port="$$UI_PORT"

worker: setup ## start the worker that runs deployed flows
	@cuepoint worker --server-port="$$PREFECT_PORT"

deploy: setup ## register the flows with their schedules: make deploy CRON="0 3 * * *" TIMEZONE=Europe/Berlin WATCH_MINUTES=60
	@cuepoint deploy --server-port="$$PREFECT_PORT" --cron="$$CRON" --timezone="$$TIMEZONE" --watch-minutes="$$WATCH_MINUTES"

lint: setup ## check style, types and layers
	ruff check .
	ruff format --check .
	mypy
	lint-imports

# Two cores have a worker each; tests of one file, and tests that share a server, stay on one worker (tests/workers.py).
WORKERS ?= 2
TEST_OPTIONS ?=
PYTEST = pytest -q -n $(WORKERS) --dist loadscope --no-loadscope-reorder $(TEST_OPTIONS)
NAME_CHROMIUM := command -v chromium chromium-browser google-chrome >/dev/null || echo "Chromium is not installed: the browser tests \
	will be skipped (Debian: apt-get install chromium)"

check: lint quick ## run lint and the quick tests

quick: setup ## run the quick tests: make quick TEST_OPTIONS='-x tests/models'
	$(PYTEST) -m "not slow and not whole and not fault and not cluster"

test: setup ## run all tests except those of whole pipelines, faults and clusters; tests of the page need Chromium
	@$(NAME_CHROMIUM)
	$(PYTEST) -m "not whole and not fault and not cluster"

test-all: setup ## run all tests
	@$(NAME_CHROMIUM)
	$(PYTEST)

# Tests of numeric code. Servers and browsers do not depend on the processor, and `test` runs the whole pipeline.
NUMERIC_TESTS := tests/test_as_avx2.py tests/models tests/evaluation tests/search/clip_index \
	$(addprefix tests/corpus/,test_shapes_video.py media/test_clips.py test_moments.py test_store.py test_feature_files.py) \
	$(addprefix tests/search/,test_answers.py test_networks.py test_predictor.py test_search.py indexing/test_indexing.py) \
	$(addprefix tests/pipeline/,training/test_pretraining.py executors/test_extraction.py) \
	$(addprefix tests/stages/,test_train.py test_train_losses.py test_training_choices.py test_export.py test_index.py)

test-avx2: setup ## run the numeric tests as on an x86-64 processor with AVX2 but without AVX-512 and bf16
	python tests/as_avx2.py
	python tests/as_avx2.py $(PYTEST) --ignore tests/evaluation/test_served_predictions.py $(NUMERIC_TESTS)

# One lock serves CPU and CUDA machines: torch is pinned, and the lock leaves out the CUDA packages that torch requires.
CUDA_PACKAGES := triton cuda-bindings cuda-pathfinder cuda-toolkit nvidia-cublas nvidia-cuda-cupti nvidia-cuda-nvrtc \
	nvidia-cuda-runtime nvidia-cudnn-cu13 nvidia-cufft nvidia-cufile nvidia-curand nvidia-cusolver nvidia-cusparse \
	nvidia-cusparselt-cu13 nvidia-nccl-cu13 nvidia-nvjitlink nvidia-nvshmem-cu13 nvidia-nvtx

lock: setup ## write requirements.lock from pyproject.toml, keeping versions that still fit
	uv pip compile --quiet --universal --python-version 3.11 --all-extras --no-annotate --no-header \
		$(addprefix --no-emit-package ,$(CUDA_PACKAGES)) pyproject.toml -o requirements.lock

clean: ## remove caches of tools and tests; data, runs and the environment stay
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .cache/tests dvc_plots build
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +
