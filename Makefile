# make run     the karaoke demo; ARGS="--duration 30" and the like go to it
# make serve   the same for browsers: prints a link; ARGS="--listen 9000" and the like go to it
# make test    everything whose outcome depends on no clock: the same on a slow or busy machine; make check is its
#              first half minute. To see that: scripts/busy.py 8 make test, beside eight processes that want every core
# make live    what runs in real time: scenarios, the proofs for a few percent of their length, sound cards
# make prove   the long measurements in full (hours); what they print becomes a table in proofs.md
# make coverage   make test with one worker, and which lines it reached
# make coqui  an environment with coqui-tts (XTTS, OpenVoice, FreeVC), for `python:` of the nodes tts and convert
# make spleeter   an environment with the original Spleeter (TensorFlow), for the node separate_spleeter
PYTHON ?= python3
VENV ?= .venv
ARGS ?=
PROOF_SCALE ?= 0.03
LIVE_TESTS ?= tests
WORKERS ?= 2
COQUI ?= $(HOME)/.cache/audio-pipeline/envs/coqui
SPLEETER ?= $(HOME)/.cache/audio-pipeline/envs/spleeter

WEIGHTS := spleeter-2stems spleeter-original deepfilternet silero-vad ge2e perth kokoro demo-song
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest -q
LIVE := $(PYTEST) $(LIVE_TESTS) -m 'live or proof' --proof-scale $(PROOF_SCALE)
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := run
.DELETE_ON_ERROR:
.PHONY: run serve check test live prove coverage weights coqui spleeter clean
MAKEFLAGS += --no-print-directory

run: $(VENV)/run.stamp
	@$(BIN)/audio-pipeline run configs/karaoke.yaml $(ARGS)

serve: $(VENV)/run.stamp
	@$(BIN)/audio-pipeline serve --session karaoke_browser $(ARGS)

check: $(VENV)/test.stamp
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check -q . || { echo 'ruff format . mends it'; exit 1; }
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/python scripts/check_javascript.py
	@$(BIN)/python scripts/size.py

test: check weights
	@$(PYTEST) -n $(WORKERS) --dist worksteal

live: $(VENV)/test.stamp weights
	@$(BIN)/python -m tests.machine
	@$(LIVE) || { echo "Once more what failed, if others had the machine meanwhile:"; $(BIN)/python -m tests.machine; \
		$(LIVE) --last-failed --last-failed-no-failures none --excuse-busy -rs; }

coverage: $(VENV)/test.stamp weights
	@$(PYTEST) --cov --cov-report=term

weights: $(VENV)/test.stamp
	@$(BIN)/audio-pipeline models fetch $(WEIGHTS) || echo "Without these weights their tests are skipped."

prove: $(VENV)/test.stamp $(SPLEETER)/stamp
	@$(INSTALL) '.[dev,serve,torch,fuzz]' $(SAY) || echo "No atheris for this Python: inputs chosen by coverage are left out."
	@$(BIN)/python -m tests.machine
	@$(PYTEST) -m 'proof or long' --proof-scale 1 --timeout 0 -v -rP --proof-table proofs.md

coqui: $(COQUI)/stamp
	@echo "In a pipeline file: python: $(COQUI)/bin/python"

spleeter: $(SPLEETER)/stamp
	@echo "In a pipeline file: python: $(SPLEETER)/bin/python"

clean:
	@rm -rf $(VENV) .mypy_cache .ruff_cache .import_linter_cache .pytest_cache .hypothesis .coverage build dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The large downloads are the part people wait for, so they and errors are what pip may say.
INSTALL = $(BIN)/python -m pip install --disable-pip-version-check --progress-bar off -c constraints.txt -e
SAY := 2> >(grep -v ^WARNING >&2) | sed -nE 's/^ *Downloading ([^ ]+) \(([0-9.]+ [MG]B)\).*/  \1, \2/p; s/^(Installing collected).*/  unpacking .../p'

$(BIN)/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; (3, 10) <= v < (3, 15) or sys.exit(f"Python 3.10 to 3.14 is needed, $(PYTHON) is {v[0]}.{v[1]}: make PYTHON=python3.12")'
	@$(PYTHON) -m venv $(VENV)

$(VENV)/run.stamp: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing audio-pipeline into $(VENV) (a minute or two the first time)"
	@$(INSTALL) '.[serve,openvino]' $(SAY) || \
		{ echo "No OpenVINO for this machine: ONNX Runtime computes alone."; $(INSTALL) '.[serve]' $(SAY); }
	@touch $@

$(VENV)/test.stamp: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing audio-pipeline with PyTorch and the test tools into $(VENV) (a few minutes the first time)"
	@$(INSTALL) '.[dev,serve,torch,openvino]' $(SAY) || \
		{ echo "No OpenVINO for this machine: its tests are left out."; $(INSTALL) '.[dev,serve,torch]' $(SAY); }
	@touch $@ $(VENV)/run.stamp

$(COQUI)/stamp: environments/coqui.txt
	@python=$$(command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3.14) || \
		{ echo "The pinned packages need Python 3.11 to 3.14" >&2; exit 1; }; \
		mkdir -p "$(dir $(COQUI))"; "$$python" -m venv --clear "$(COQUI)"
	@echo "Installing coqui-tts and PyTorch into $(COQUI) (a few minutes; 1.9 GB without CUDA)"
	@"$(COQUI)/bin/python" -m pip install --disable-pip-version-check --progress-bar off -r $< $(SAY)
	@touch $@

$(SPLEETER)/stamp: environments/spleeter.txt
	@python=$$(command -v python3.11 || command -v python3.10) || { echo "TensorFlow 2.12 needs Python 3.10 or 3.11" >&2; exit 1; }; \
		mkdir -p "$(dir $(SPLEETER))"; "$$python" -m venv --clear "$(SPLEETER)"
	@echo "Installing spleeter and TensorFlow into $(SPLEETER) (a few minutes, 1.8 GB)"
	@"$(SPLEETER)/bin/python" -m pip install --disable-pip-version-check --progress-bar off -r $< $(SAY)
	@"$(SPLEETER)/bin/python" -m pip install --disable-pip-version-check --quiet --no-deps spleeter==2.4.2 \
		2> >(grep -v ^WARNING >&2)
	@touch $@
