"""The shape of the code: imports run downwards, importing stays light, files and functions stay short."""

import ast
import functools
import multiprocessing
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from palaestra.envs.panel import make_env
from palaestra.envs.registration import ENVIRONMENTS

ROOT = Path(__file__).parent.parent
# A file may import from its own floor and from those further down.
FLOORS = ["cli", "trainers", "agents", "envs", "sandboxes"]
FILES = sorted(path for floor in FLOORS for path in (ROOT / floor).rglob("*.py"))
LONGEST_FILE_LINES = 800
LONGEST_FUNCTION_LINES = 120


def name_of(path):
    return str(path.relative_to(ROOT))


@functools.cache
def tree_of(path):
    return ast.parse(path.read_text(), filename=str(path))


def imported_by(path):
    """Return the full names of all modules that ``path`` imports, inside functions and lazily too."""
    package = ["palaestra", *path.relative_to(ROOT).parts[:-1]]
    found = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            found |= {module} | {f"{module}.{alias.name}" for alias in node.names}
    return found


def test_the_files_are_found():
    assert {name_of(path) for path in FILES} >= {"envs/core.py", "sandboxes/worker.py", "agents/episode.py"}


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_run_downwards(path):
    floor = path.relative_to(ROOT).parts[0]
    above = FLOORS[: FLOORS.index(floor)]
    for name in imported_by(path):
        parts = name.split(".")
        if parts[0] == "palaestra" and len(parts) > 1:
            assert parts[1] not in above, f"{name_of(path)} imports {name}, which is a floor above it"
        # Under its bare name a floor would be loaded twice, and its classes would not be equal to themselves.
        assert parts[0] not in FLOORS, f"{name_of(path)} imports {name}; write palaestra.{name}"


def test_errors_know_nobody():
    assert not [name for name in imported_by(ROOT / "palaestra/errors.py") if name.startswith("palaestra")]


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_files_and_functions_are_short(path):
    assert len(path.read_text().splitlines()) <= LONGEST_FILE_LINES
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= LONGEST_FUNCTION_LINES, f"{name_of(path)}: {node.name} has {length} lines"


def test_importing_palaestra_is_light():
    program = "import sys, palaestra; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    loaded = set(done.stdout.split())
    heavy = {"torch", "transformers", "datasets", "pandas", "matplotlib", "tyro", "rich"}
    assert not heavy & loaded
    assert not {entry_point.partition(":")[0] for entry_point in ENVIRONMENTS.values()} & loaded
    assert not set(FLOORS) & loaded


def in_child(data, pipe):
    env = pickle.loads(data)
    pipe.send((env.step("50"), type(env).__module__, [name for name in FLOORS if name in sys.modules]))


def test_a_pickled_environment_goes_on_in_a_spawned_process_with_every_module_loaded_once():
    env = make_env("palaestra/GuessNumber-v0")
    env.reset(seed=0)
    ours, theirs = multiprocessing.Pipe()
    context = multiprocessing.get_context("spawn")
    child = context.Process(target=in_child, args=(pickle.dumps(env), theirs))
    child.start()
    try:
        assert ours.poll(60), "the child did not answer"
        answer, module, bare = ours.recv()
    finally:
        child.join(10)
        child.kill()
    assert answer == env.step("50")
    assert module == "palaestra.envs.guess_number"
    assert bare == []
    assert not [name for name in FLOORS if name in sys.modules]
