# Every target installs what it needs into .venv.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# One test process per core, each with whole files: the tests of a file share expensive fixtures.
PARALLEL := -n auto --maxprocesses 4 --dist loadfile
.DEFAULT_GOAL := help
.PHONY: help demo test check format coverage structure bench bench-train table figures pages slow fuzz real remote \
	mediapipe arm arm-test android android-screens android-real web web-firefox serve matrix base release-check models \
	bundles eczema clean

help:  ## Show the targets
	@sed -n 's/^\([a-z-]*\):.*## /  \1	/p' $(MAKEFILE_LIST) | expand -t 16

# setup.cfg is the only list of dependencies; the stamp is older than it after a change.
$(VENV)/.installed: setup.cfg pyproject.toml
	@.ci/venv "$(PYTHON)" "$(VENV)"
	@echo "Installing dermpack with everything it needs into $(VENV) (TensorFlow is large: a minute or more) ..."
	@$(BIN)/python -m pip install --disable-pip-version-check --editable '.[all]' | sed -n 's/^Collecting /  /p'
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet --editable '.[all]'
	@$(BIN)/python -m pip check
	@touch $@

demo: $(VENV)/.installed  ## Run all steps on generated pictures; results in demo/, OVERWRITE=1 removes old ones
	@$(if $(OVERWRITE),rm -rf demo)
	$(BIN)/dermpack demo -o demo

test: $(VENV)/.installed  ## Run the tests (no network, generated pictures; real ones where they are)
	$(BIN)/python -m pytest $(PARALLEL)

check: $(VENV)/.installed  ## Check formatting, lint, types and architecture
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_architecture.py

format: $(VENV)/.installed  ## Format the sources
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

coverage: $(VENV)/.installed  ## Run the tests that need no TensorFlow and print the lines that none of them runs
	$(BIN)/python -m coverage run -m pytest -q -m "not tensorflow and not slow and not real_data and not arm and not pages"
	$(BIN)/python -m coverage report

structure: $(VENV)/.installed  ## Print modules, functions, classes and comments beside the goals
	$(BIN)/python -m tests.tools.structure

bench: $(VENV)/.installed  ## Measure our own work as ratios (pytest-benchmark); results in .benchmarks/
	@mkdir -p .benchmarks
	$(BIN)/python -m pytest tests/perf --benchmark-enable --benchmark-only --benchmark-json=.benchmarks/$$(date -u +%Y%m%dT%H%M%SZ).json
	@$(BIN)/python -m tests.perf.ratios .benchmarks

bench-train: $(VENV)/.installed  ## Measure training as ratios; DATASET=… WEIGHTS=… adds the cold start
	$(BIN)/python -m tests.perf.bench_train $(if $(DATASET),--dataset $(DATASET)) $(if $(WEIGHTS),--weights $(WEIGHTS))

table: $(VENV)/.installed  ## Measure the table of files in the results; RUN=… DATASET=…, into table/
	$(BIN)/python -m tests.tools.conversion_table $(RUN) $(DATASET) table

figures: $(VENV)/.installed  ## Write the tables of README, docs/results and models from the committed reports
	$(BIN)/python -m tests.tools.figures

pages: $(VENV)/.installed  ## Run the commands of README and docs, and compare what they print
	$(BIN)/python -m pytest -m pages

slow: $(VENV)/.installed  ## Run the tests that take minutes (500 mutated files, killed commands, the larger networks)
	$(BIN)/python -m pytest -m "slow and not real_data"

fuzz: $(VENV)/.installed  ## Read mutated inputs of every kind for SECONDS=300, and store those that fail in tests/fuzz/corpus
	$(BIN)/python -m tests.fuzz --seconds $(or $(SECONDS),300) $(if $(SEED),--seed $(SEED)) $(if $(CASES),--cases $(CASES)) $(CLASSES)

real: $(VENV)/.installed  ## Run the tests on real pictures and weights, where they are
	$(BIN)/python -m pytest -m real_data

remote: $(VENV)/.installed  ## Test the ssh target against a real sshd on loopback
	@.ci/remote "$(BIN)/python"

serve: $(VENV)/.installed  ## Run the slow tests of the server: generated requests, a review in Chromium, kills, PostgreSQL
	@.ci/serve "$(PYTHON)" "$(BIN)/python"

mediapipe: $(VENV)/.installed  ## Check that MediaPipe Tasks loads and agrees; EXPORTS="…" adds folders
	@.ci/mediapipe "$(PYTHON)" "$(BIN)/python"

arm:  ## Prepare emulated ARM (on Debian 12) in the user's cache folder
	@.ci/arm "$(PYTHON)" "$(VENV)"

arm-test: $(VENV)/.installed arm  ## Run the tests on emulated ARM
	$(BIN)/python -m pytest -m arm tests/benchmarks

android: $(VENV)/.installed  ## Build and check the Android demo without Gradle; EXPORT=… bundles yours
	@.ci/android "$(BIN)/python" $(EXPORT)

android-screens: $(VENV)/.installed  ## Run the Android demo on Android's own framework code and draw its screens; API=36 with a Java 21, EXPORT=… shows yours
	@API=$(API) JAVA=$(JAVA) EXPORT=$(EXPORT) .ci/android-screens "$(BIN)/python"

android-real: android  ## Compare 200 real pictures on the JVM with dermpack predict; EXPORT=… takes yours
	@.ci/android-real "$(BIN)/python" $(EXPORT)

web: $(VENV)/.installed  ## Build web bundles and drive their page in Chromium: answers, offline, policy, accessibility
	@.ci/web "$(BIN)/python"

web-firefox: $(VENV)/.installed  ## Run the tests of the web page in Firefox ESR
	@.ci/web "$(BIN)/python" firefox

models: $(VENV)/.installed  ## Train and package the reference models (hours); HAM=… FITZPATRICK=… [SEED=0 KEY=key.pem WEIGHTS=file.h5]
	@.ci/models "$(BIN)" "$(HAM)" "$(FITZPATRICK)" "$(SEED)" "$(KEY)" $(WEIGHTS)

bundles: $(VENV)/.installed  ## Package the reference models again, with the code of this version
	@.ci/models "$(BIN)" package "$(KEY)"

eczema: $(VENV)/.installed  ## Train and score the tasks of docs/eczema.md (hours); SOURCE=… OUT=… [WEIGHTS=file.h5]
	$(BIN)/python -m tests.tools.eczema_tasks "$(SOURCE)" "$(OUT)" $(WEIGHTS)

matrix:  ## Run the tests that need no TensorFlow on every other supported Python found; VERSIONS="3.10 3.13" takes these
	@.ci/matrix "$(PYTHON)" $(VERSIONS)

base:  ## Build the wheel, install it without extras, try it
	@.ci/base "$(PYTHON)"

release-check: $(VENV)/.installed  ## Build the wheel and the source distribution, and check what would be published
	@.ci/release-check "$(PYTHON)" "$(BIN)/python"

clean:  ## Remove what the targets created
	rm -rf $(VENV) .venv-mediapipe .venv-schemathesis .matrix demo build dist *.egg-info
