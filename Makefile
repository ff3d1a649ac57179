# Two commands are enough on a fresh machine with Python >= 3.11: `make demo` and `make test`.
# Each makes ./.venv by itself (VENV=... for another place) and needs neither a GPU nor the network at run time.

VENV ?= .venv
export VENV
# libgomp spins at barriers, which makes a shared machine many times slower.
export GOMP_SPINCOUNT = 0

.PHONY: demo test lint test-engines test-sandboxes test-servers test-appworld install install-dev clean help

help:
	@echo "make demo            train a tiny agent on ALFWorld, measure it, write a report (about 6 minutes)"
	@echo "make test            the tests (a few minutes on 2 cores)"
	@echo "make lint            ruff and pyright"
	@echo "make test-engines    the tests against the real TextWorld engine (builds it first: about 10 minutes)"
	@echo "make test-sandboxes  the tests of bubblewrap and of a real Docker engine (installs and starts them first)"
	@echo "make test-servers    the openai policy against transformers serve (installs it first)"
	@echo "make test-appworld   the tests of AppWorld's adapter on the real package (installs it first, without its data)"
	@echo "make clean           remove $(VENV) and build leftovers; runs/ stays"

install:
	@scripts/install.sh train

install-dev:
	@scripts/install.sh train,dev

demo: install
	$(VENV)/bin/palaestra demo

test: install-dev
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -n 2 \
		-m "not textworld and not bubblewrap and not docker and not leaks and not server and not vllm and not appworld"

lint: install-dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/pyright --pythonpath $(VENV)/bin/python

test-engines: install-dev
	scripts/install-engines.sh
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -n 2 -m textworld -rs tests/engines

test-sandboxes: install-dev
	scripts/install-sandboxes.sh
	OMP_NUM_THREADS=1 scripts/start-docker.sh run \
		$(VENV)/bin/python -m pytest -n 2 -m "bubblewrap or docker or leaks" -rs tests/hostile tests/test_backends.py

test-servers: install-dev
	$(VENV)/bin/pip install -q -e '.[serving]'
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -m server -rs tests/servers

test-appworld: install-dev
	scripts/install-appworld.sh
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -m appworld -rs tests/engines

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache
