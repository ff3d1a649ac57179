"""Registration: lazy, JSON-able, open to plug-ins, and helpful about unknown ids."""

import os
import subprocess
import sys

import gymnasium
import pytest
from gymnasium.envs.registration import EnvSpec

import palaestra.envs.vector
from palaestra.envs.registration import ENVIRONMENTS, register, registered_ids, spec
from palaestra.errors import OptionError, UnknownNameError

GUESS = "palaestra/GuessNumber-v0"


def run(program, *paths):
    """Run ``program`` in a fresh process with ``paths`` importable first; return what it printed."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*map(str, paths), *sys.path])}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split(), done.stderr


def plug_in(folder, name, value, code):
    """Write an installed distribution that has an entry point of the group ``palaestra.envs``."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[palaestra.envs]\n{name} = {value}\n")
    (folder / f"{name}.py").write_text(code)


def test_every_environment_is_registered_by_strings():
    assert set(ENVIRONMENTS) <= set(registered_ids())
    for env_id, entry_point in ENVIRONMENTS.items():
        found = spec(env_id)
        assert found.entry_point == entry_point
        assert found.vector_entry_point == f"palaestra.envs.vector:{env_id}"
        assert EnvSpec.from_json(found.to_json()) == found


def test_importing_imports_no_environment_and_making_one_only_that():
    names = "sorted(name for name in sys.modules if name.startswith('palaestra.envs.'))"
    printed, _ = run(f"import sys, palaestra; print(*{names})")
    entry_modules = {entry_point.partition(":")[0] for entry_point in ENVIRONMENTS.values()}
    assert not entry_modules & set(printed)
    assert "palaestra.envs.vector" not in printed
    printed, _ = run(f"import sys, gymnasium, palaestra; gymnasium.make({GUESS!r}); print(*{names})")
    assert entry_modules & set(printed) == {"palaestra.envs.guess_number"}


def test_specs_of_made_environments_go_through_json():
    env = gymnasium.make(GUESS, highest=7, split="test")
    assert env.spec is not None
    again = gymnasium.make(EnvSpec.from_json(env.spec.to_json()))
    assert again.unwrapped.highest == 7
    assert again.reset(seed=2) == env.reset(seed=2)
    assert again.reset()[1]["task_id"].startswith("test-")


def test_unknown_ids_name_the_nearest():
    with pytest.raises(UnknownNameError, match=f"Did you mean {GUESS!r}"):
        spec("palaestra/GuessNumbr-v0")
    with pytest.raises(AttributeError, match="registered id"):
        getattr(palaestra.envs.vector, "palaestra/Nothing-v0")
    with pytest.raises(AttributeError):
        palaestra.envs.vector.nothing  # noqa: B018


@pytest.mark.parametrize("entry_point", ["no_colon", object])
def test_entry_points_must_be_strings(entry_point):
    with pytest.raises(OptionError, match="module:Class"):
        register("tests/Wrong-v0", entry_point)
    assert "tests/Wrong-v0" not in gymnasium.registry


def test_a_plug_in_is_found_at_import(tmp_path):
    code = (
        "from palaestra.envs.guess_number import GuessNumberEnv\n"
        "from palaestra.envs.registration import register\n"
        "class ThirdEnv(GuessNumberEnv):\n"
        "    def _start(self, task):\n"
        "        return 'third ' + super()._start(task)\n"
        "def add():\n"
        "    register('third/Guess-v0', 'third_party:ThirdEnv', highest=5)\n"
    )
    plug_in(tmp_path, "third_party", "third_party:add", code)
    printed, errors = run(
        "import gymnasium, palaestra\n"
        "envs = gymnasium.make_vec('third/Guess-v0', num_envs=2, isolation='process')\n"
        "print(type(envs).__name__, *envs.reset(seed=0)[0][1].split())\n"
        "envs.close()\n",
        tmp_path,
    )
    assert " ".join(printed) == "TextVectorEnv third Guess my number between 1 and 5.", errors


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("raise RuntimeError('at import')", "at import"),
        ("def add():\n    raise ValueError('in add')", "in add"),
    ],
)
def test_a_broken_plug_in_warns_and_is_skipped(tmp_path, code, said):
    plug_in(tmp_path, "broken_party", "broken_party:add", code)
    sound = (
        "from palaestra.envs.registration import register\ndef add():\n    register('sound/G-v0', 'a:B')\n"
    )
    plug_in(tmp_path, "sound_party", "sound_party:add", sound)
    printed, errors = run(
        f"import gymnasium as g, palaestra\nprint({GUESS!r} in g.registry, 'sound/G-v0' in g.registry)",
        tmp_path,
    )
    assert printed == ["True", "True"]
    assert "RuntimeWarning" in errors
    assert "'broken_party'" in errors
    assert said in errors
