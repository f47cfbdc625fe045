# `make demo`, `make test`, `make test-long`, `make test-vapoursynth`, `make test-page`, `make fuzz`, `make kills`, `make live` and `make gpu-proof` do all their set-up; nothing is installed outside this folder.
PYTHON ?= python3
RUN_ENV = .venv-run
TEST_ENV = .venv-test
VS_ENV = .venv-vapoursynth
GPU_ENV = .venv-gpu
PAGE_ENV = .npm-page
INSTALL = bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

# Of TensorRT, whose names tests hold ours against; a folder each, as they exclude each other. They
# take 5 MB a version, and no TensorRT. Where one is missing its tests are skipped, or fail under CI.
BINDINGS = 10.3.0 10.13.0.35 11.4.0.106

# Of `make fuzz`; another seed makes other inputs.
SECONDS ?= 60
SEED ?= 0

# Of `make kills`: how many runs are killed at random moments, and started again.
RUNS ?= 60

# Of `make test-page`: a browser, what drives it, and what finds barriers in pages.
BROWSER = @sparticuz/chromium@147.0.0 puppeteer-core@24.43.1 axe-core@4.14.1

# Of `make live`: how long each of its two long streams is.
MINUTES ?= 10

.PHONY: demo test test-long test-vapoursynth test-page fuzz kills live gpu-proof clean

demo: $(RUN_ENV)/ready
	$(RUN_ENV)/bin/rrin-deploy demo

test: $(TEST_ENV)/ready
	$(TEST_ENV)/bin/ruff check .
	$(TEST_ENV)/bin/ruff format --check .
	$(TEST_ENV)/bin/mypy
	$(TEST_ENV)/bin/lint-imports
	$(TEST_ENV)/bin/python -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal

# What `make test` leaves out to stay under ten minutes on two cores; `.ci/run` runs both.
test-long: $(TEST_ENV)/ready
	$(TEST_ENV)/bin/python -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal -m long

# With Python 3.12 or newer: make test-vapoursynth PYTHON=python3.12. Other tests' fixtures want torch.
test-vapoursynth: $(VS_ENV)/ready
	$(VS_ENV)/bin/python -m pytest --noconftest tests/vapoursynth

test-page: $(TEST_ENV)/ready $(PAGE_ENV)/ready
	$(TEST_ENV)/bin/python -m tests.page $(PAGE_ENV)

fuzz: $(TEST_ENV)/ready
	$(TEST_ENV)/bin/python -m tests.fuzz --seconds $(SECONDS) --seed $(SEED)

kills: $(TEST_ENV)/ready
	$(TEST_ENV)/bin/python -m tests.rrin_deploy.kills --runs $(RUNS) --seed $(SEED)

live: $(TEST_ENV)/ready
	$(TEST_ENV)/bin/python -m tests.rrin_deploy.live_runs --minutes $(MINUTES)

gpu-proof: $(GPU_ENV)/ready
	$(GPU_ENV)/bin/rrin-deploy prove

$(RUN_ENV)/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(RUN_ENV)
	$(RUN_ENV)/$(INSTALL) --editable '.[openvino,video]'
	touch $@

$(TEST_ENV)/ready: pyproject.toml constraints.txt Makefile
	$(PYTHON) -m venv $(TEST_ENV)
	$(TEST_ENV)/$(INSTALL) --editable '.[bench,calibration,cpu,eval,export,ncnn,ray,report,rtx,test,train,video]'
	@for version in $(BINDINGS); do $(TEST_ENV)/$(INSTALL) --upgrade --no-deps \
		--target $(TEST_ENV)/tensorrt-$$version tensorrt-cu12-bindings==$$version || echo \
		"no bindings of TensorRT $$version, for what pip said above; remove $@ to try again" >&2; done
	touch $@

$(VS_ENV)/ready: pyproject.toml constraints.txt Makefile
	$(PYTHON) -m venv $(VS_ENV)
	$(VS_ENV)/$(INSTALL) --editable '.[calibration,cpu,vapoursynth]' pytest \
		vapoursynth-bestsource vapoursynth-mlrt-ort vapoursynth-mlrt-ov

$(PAGE_ENV)/ready: Makefile
	npm install --silent --no-save --no-audit --no-fund --ignore-scripts --prefix $(PAGE_ENV) $(BROWSER)
	touch $@

# It sees what the system brings, such as JetPack's TensorRT.
$(GPU_ENV)/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv --system-site-packages $(GPU_ENV)
	$(GPU_ENV)/$(INSTALL) --editable '.[calibration,cpu,export,rtx]'
	touch $@

clean:
	rm -rf $(RUN_ENV) $(TEST_ENV) $(VS_ENV) $(GPU_ENV) $(PAGE_ENV) page-shots rrin-demo gpu-proof fuzz-findings dist .mypy_cache .ruff_cache .pytest_cache
