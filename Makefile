.PHONY: setup demo test test-fast images test-containers test-cluster lint coverage lock golden docs serving-check

setup:
	@scripts/setup.sh

demo: setup  ## The main job on built-in data, then answers over REST and gRPC.
	@.venv/bin/recommender demo

PYTEST = .venv/bin/python -m pytest -q --dist loadfile --no-loadscope-reorder

# More files at a time than two processors: some tests wait for servers and for other processes.
test: setup lint  ## All tests: 25 minutes on two fast processors, more than an hour on slow ones.
	@$(PYTEST) -n 3 tests
	@echo "Not run here: make test-containers, which needs a container engine, and make test-cluster, which needs a Kubernetes."

test-fast: setup  ## Those that run neither the pipeline nor a cluster of processes, in four to five minutes.
	@$(PYTEST) -n 2 -m "not slow" tests

images: setup  ## The images of the steps and of the server: kubeflow/Dockerfile, serving/Dockerfile.
	@scripts/images.sh

test-containers: setup  ## What runs in those images, with the engine that scripts/engine.sh finds or installs.
	@scripts/engine.sh >/dev/null
	@$(PYTEST) -n 0 tests/containers

test-cluster: setup  ## The same in the Kubernetes of KUBECONFIG.
	@$(PYTEST) -n 0 tests/cluster

lint: setup  ## Style, types, and which folder may import which.
	@.venv/bin/ruff check --quiet .
	@.venv/bin/ruff format --check --quiet .
	@.venv/bin/mypy
	@.venv/bin/lint-imports --no-logo --no-cache

coverage: setup  ## All tests, and which lines they run.
	@$(PYTEST) -n 3 --cov --cov-report=term:skip-covered tests

serving-check: setup  ## The demo's model in the versions inside google/tf-serving-scann.
	@scripts/check_serving_image.sh

golden: setup  ## Compile the pipeline that the tests compare with again; read the diff.
	@.venv/bin/python -m tests.kubeflow.regenerate

docs: setup  ## Write the page of every configuration key again, after a change of a setting.
	@.venv/bin/python -m scripts.configuration_docs

lock: setup  ## Resolve setup.py again into requirements.lock.
	PATH="$$PWD/.tools/bin:$$PATH" uv pip compile setup.py --extra benchmark --extra examples --extra test --python-version 3.10 --no-header --no-annotate -o requirements.lock
	cd serving && PATH="$$PWD/../.tools/bin:$$PATH" uv pip compile --group server --constraint ../requirements.lock --python-version 3.10 --no-header --no-annotate -o requirements.lock
