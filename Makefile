# The developer's and the CI's commands. Each sets up what it needs first.
VENV ?= .venv
BIN := $(VENV)/bin
PYTHON ?= python3.11

ANDROID := android_demo
APK := tflite_light/android/shell.apk
VECTORS := $(ANDROID)/build/vectors/.done
DESKTOP := $(ANDROID)/build/desktop
MAVEN := mvn --batch-mode --quiet --file $(ANDROID)

.PHONY: demo test check slow bench networks apk android phone runtimes setup clean

demo: setup  ## train, compress, export and measure the main recipe
	$(BIN)/tflite-light train recipes/mobilenet_v2.yaml

test: check  ## everything that is fast, and the share of lines that it runs
	$(BIN)/slipcover --source tflite_light --json --out $(VENV)/coverage.json \
		-m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not slow and not phone"
	@# apart: slipcover 1.1 forgets what the workers ran when it fails and prints in one go
	$(BIN)/slipcover --merge $(VENV)/coverage.json --out $(VENV)/coverage.json \
		--skip-covered --fail-under 90

check: setup  ## style, types, undeclared imports, and which room may import which
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry tflite_light
	$(BIN)/deptry tests benchmarks --exclude '^$$' --ignore DEP002,DEP004

slow: setup runtimes  ## the claims that take minutes
	$(BIN)/pytest -m slow

bench: setup  ## ratios of times, within one run
	$(BIN)/python benchmarks/epoch.py
	$(BIN)/python benchmarks/steps.py
	$(BIN)/python benchmarks/streaming.py
	$(BIN)/python benchmarks/channels.py
	$(BIN)/python benchmarks/converting.py
	$(BIN)/python benchmarks/predicting.py

networks: setup  ## docs/networks.md: what every variant costs, measured on this machine; ten minutes or more
	$(BIN)/python benchmarks/networks.py

apk: $(APK)  ## the Android app without a model, for each kind of processor; JDK 17 and Maven

android: $(APK) $(VECTORS) $(DESKTOP)/answer  ## the app's tests, and its screens as pictures in android_demo/screenshots/
	$(MAVEN) verify

phone: setup $(DESKTOP)/answer $(DESKTOP)/arm64-v8a/answer  ## exported files, or FILES=..., on the libraries of the app: arm64 and GPU
	$(if $(FILES),$(BIN)/python tests/phone.py $(FILES),$(BIN)/pytest -m phone -v)

$(DESKTOP)/answer: $(APK) $(wildcard $(ANDROID)/desktop/*)
	python3 $(ANDROID)/desktop/build.py x86_64

$(DESKTOP)/arm64-v8a/answer: $(APK) $(wildcard $(ANDROID)/desktop/*)
	python3 $(ANDROID)/desktop/build.py arm64-v8a

$(VECTORS): $(wildcard tests/android_*.py) $(shell find tflite_light -name '*.py') | setup
	$(BIN)/python tests/android_vectors.py $(@D)
	touch $@

$(APK): $(ANDROID)/.mvn/maven.config $(shell find $(ANDROID)/app/src/main $(ANDROID)/app/rules.pro $(ANDROID)/tools $(ANDROID)/pom.xml -type f)
	$(MAVEN) package -Dmaven.test.skip
	cp $(ANDROID)/build/shell*.apk $(@D)

$(ANDROID)/.mvn/maven.config: $(ANDROID)/gradle/libs.versions.toml  # versions as Maven's properties
	@command -v mvn >/dev/null || { echo "Maven and JDK 17 are needed: apt-get install maven openjdk-17-jdk-headless"; exit 2; }
	mkdir -p $(@D)
	sed -n '/^\[versions\]/,/^\[libraries\]/s/^\([a-z0-9-]*\) = "\(.*\)"/-D\1=\2/p' $< > $@

runtimes: .runtimes/2.14.0/.done .runtimes/2.16.1/.done  ## the TFLite runtimes of phones, for `verify --runtime`

.runtimes/2.14.0/.done: PACKAGES := tflite-runtime==2.14.0 "numpy<2"
.runtimes/2.16.1/.done: PACKAGES := tensorflow-cpu==2.16.1
.runtimes/%/.done:
	$(PYTHON) -m venv --clear $(@D)
	$(@D)/bin/pip install --quiet --disable-pip-version-check $(PACKAGES)
	touch $@

setup: $(VENV)/.done  ## an environment with exact versions; does nothing when nothing changed

$(VENV)/.done: pyproject.toml constraints.txt
	$(PYTHON) -m venv --clear $(VENV) || { echo "Python 3.11 with venv is needed: apt-get install python3.11-venv"; exit 2; }
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	$(BIN)/python -m compileall -q tflite_light
	touch $@

clean:
	rm -rf $(VENV) .runtimes $(ANDROID)/build $(ANDROID)/.mvn tflite_light/android/*.apk
