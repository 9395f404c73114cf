# Everything here runs in the environment that is active; CI makes its own (.ci/run).
PYTHON ?= python

.PHONY: install check lint types test test-long test-faults soak docs examples notebook matrix bench bench-env demos
.PHONY: figures table1 zoo

install:  ## an environment to develop in
	$(PYTHON) -m pip install -c constraints.txt -e '.[dev]'

check: lint types test docs  ## what must pass before a commit lands

lint:
	ruff check .
	ruff format --check .
	lint-imports

types:
	mypy

test:
	$(PYTHON) -m pytest

test-long:  ## also what takes minutes
	$(PYTHON) -m pytest -m "long or not long" -n 2

test-faults:  ## what docs/reliability.md promises, at ten times the size: before a release
	$(PYTHON) -m pytest -m long tests/faults --long --timeout 3600

soak:  ## an hour of training each, watched for memory and throughput
	$(PYTHON) benchmarks/soak.py PPO
	$(PYTHON) benchmarks/soak.py DAgger

docs:  ## API pages into docs/api
	pdoc --html --force --output-dir docs/api ilpyt

examples:  ## every example, as a newcomer would run it
	$(PYTHON) examples/example_bc.py --all
	$(PYTHON) examples/example_rl.py --algo PPO --all
	$(PYTHON) examples/example_dagger.py --all
	$(PYTHON) examples/example_gail.py --all
	$(PYTHON) examples/example_gcl.py --all
	$(PYTHON) examples/example_apprentice.py --all
	$(PYTHON) examples/custom_env.py
	$(PYTHON) examples/custom_algorithm.py

notebook:  ## run it in place, and keep its outputs small
	$(PYTHON) examples/run_notebook.py

matrix:  ## on NumPy 1.26, where gym runs whole: the environments' tests, and agents of the zoo; its own environment
	$(PYTHON) -m venv .venv-numpy1
	sed '/^numpy==/d' constraints.txt > .venv-numpy1/constraints.txt
	.venv-numpy1/bin/python -m pip install -q -c .venv-numpy1/constraints.txt 'numpy==1.26.4' -e '.[test]'
	.venv-numpy1/bin/python -m pytest tests/envs tests/runners tests/nets tests/agents
	.venv-numpy1/bin/python examples/evaluate_zoo.py --package gym --algo BC PPO \
		--env LunarLander-v2 LunarLanderContinuous-v2

bench:  ## speed, as ratios against what users would otherwise run
	$(PYTHON) benchmarks/speed.py all

bench-env:  ## the peers that some of it is measured against, in an environment of their own
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install -q -c constraints.txt torch gymnasium box2d pygame stable-baselines3==2.9.2
	-.venv-peers/bin/python -m pip install -q -c constraints.txt envpool==1.2.5  # for Linux, Python 3.11
	$(PYTHON) -m venv .venv-imitation
	.venv-imitation/bin/python -m pip install -q torch==2.13.0 imitation==1.0.1 box2d==2.3.10 pygame 'numpy<2'

table1:  ## the paper's Table 1, three seeds of it (an hour on two cores), and its report
	$(PYTHON) benchmarks/table1.py --seeds 0 1 2
	$(PYTHON) benchmarks/table1.py --report

zoo:  ## test the agents of the model zoo again
	$(PYTHON) examples/evaluate_zoo.py

figures:  ## those of docs/choosing.md
	$(PYTHON) benchmarks/figures.py

demos:  ## record the bundled demonstrations again
	$(PYTHON) examples/example_generate_expert_demos.py
