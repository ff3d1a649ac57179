"""The adapter to AppWorld without the package: a stand-in answers in its place."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import time
from pathlib import Path

import pytest

import palaestra  # noqa: F401  (registers the environments)
from palaestra.agents.policies.scripted import ScriptedPolicy
from palaestra.agents.react import react
from palaestra.agents.rollout import Job, RolloutSettings, rollout
from palaestra.envs.appworld import env as module
from palaestra.envs.appworld.env import AppWorldEnv, code_of
from palaestra.envs.panel import PanelItem, make_env
from palaestra.errors import (
    ContractError,
    DataError,
    DeadlineError,
    MissingExtraError,
    OptionError,
    UnknownNameError,
    WorkerError,
)

ID = "palaestra/AppWorld-v0"
TASKS = {"aa1_1": "Pay Bob.", "aa1_2": "Pay Eve.", "bb2_1": "unloadable"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder as `appworld download data` leaves it, as far as the adapter looks."""
    (tmp_path / "data" / "datasets").mkdir(parents=True)
    (tmp_path / "data" / "datasets" / "train.txt").write_text("aa1_1\naa1_2:tag\n\nbb2_1\n")
    for name, instruction in TASKS.items():
        folder = tmp_path / "data" / "tasks" / name
        folder.mkdir(parents=True)
        (folder / "specs.json").write_text(json.dumps({"instruction": instruction}))
    return tmp_path


@pytest.fixture
def options(root, monkeypatch):
    monkeypatch.setattr(module, "SERVER", Path(__file__).with_name("appworld_stand_in.py"))
    return {"root": str(root), "python": sys.executable}


@pytest.fixture
def env(options):
    made = AppWorldEnv(**options)
    yield made
    made.close()


def gone(pid: int) -> bool:
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


# ---- tasks -------------------------------------------------------------------------------------------


def test_tasks_are_those_of_the_file_and_scenarios_stand_before_the_underline(env):
    assert [(task.id, task.goal, task.scenario) for task in env.tasks] == [
        ("aa1_1", "Pay Bob.", "aa1"),
        ("aa1_2", "Pay Eve.", "aa1"),
        ("bb2_1", "unloadable", "bb2"),
    ]
    assert env.siblings
    assert not env.has_expert


def test_unknown_splits_and_options_are_named(options):
    with pytest.raises(UnknownNameError, match="Did you mean 'test_normal'"):
        AppWorldEnv(split="test_norml", **options)
    with pytest.raises(UnknownNameError, match="Did you mean 'deadline_s'"):
        AppWorldEnv(deadline=3, **options)
    with pytest.raises(OptionError, match="deadline_s"):
        AppWorldEnv(deadline_s=0.1, **options)


def test_missing_data_says_what_the_user_must_run(options, tmp_path, monkeypatch):
    with pytest.raises(DataError, match=r"APPWORLD_ROOT=.* download data"):
        AppWorldEnv(split="dev", **options)
    monkeypatch.setenv("APPWORLD_ROOT", str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match=r"nowhere.*download data"):
        AppWorldEnv(python=sys.executable)
    (tmp_path / "data" / "tasks" / "aa1_2" / "specs.json").write_text("{")
    with pytest.raises(DataError, match=r"aa1_2.specs.json is not the specification"):
        list(AppWorldEnv(**options).tasks)


def test_a_missing_package_says_how_to_make_its_environment(options, monkeypatch, tmp_path):
    how = "scripts/install-appworld.sh.*PALAESTRA_APPWORLD_PYTHON"
    monkeypatch.delenv("PALAESTRA_APPWORLD_PYTHON", raising=False)
    monkeypatch.setattr(module, "default_folder", lambda: tmp_path / "none")
    with pytest.raises(MissingExtraError, match=how):
        make_env(ID, {"root": options["root"]})
    monkeypatch.setenv("PALAESTRA_APPWORLD_PYTHON", str(tmp_path / "no-python"))
    with pytest.raises(MissingExtraError, match="no-python"):
        make_env(ID, {"root": options["root"]})
    # The real server in an interpreter without the package: ours.
    monkeypatch.setattr(module, "SERVER", Path(module.__file__).with_name("server.py"))
    env = AppWorldEnv(**options)
    with pytest.raises(MissingExtraError, match=f"cannot import appworld.*{how}"):
        env.reset(options={"task": "aa1_1"})
    env.close()


# ---- episodes ----------------------------------------------------------------------------------------


def test_an_episode(env):
    observation, info = env.reset(options={"task": "aa1_1"})
    assert observation.startswith(
        "You act for Ann Lee (a@b.c, 123) in the apps of Ann: venmo; and supervisor"
    )
    assert "Task: Pay Bob." in observation
    assert (info["goal"], info["tools"], info["scenario"]) == ("Pay Bob.", ["python"], "aa1")
    assert info["metrics"] == {"interactions": 0, "api_calls": 0}
    observation, reward, *flags, info = env.step("I look.\n```python\nlook\n```")
    assert (observation, reward, flags) == ("ran look", 0.0, [False, False])
    observation, reward, *flags, info = env.step("done")
    assert (reward, flags, info["success"]) == (1.0, [True, False], True)
    assert info["metrics"] == {"interactions": 2, "api_calls": 2}
    assert info["checks"] == {"requirement 1": True, "requirement 2": True}


def test_what_is_not_fulfilled_is_worth_nothing(options):
    env = AppWorldEnv(max_steps=2, **options)
    env.reset(options={"task": "aa1_1"})
    _, reward, terminated, _, info = env.step("give up")
    assert (reward, terminated, info["success"]) == (0.0, True, False)
    assert info["checks"] == {"requirement 1": True, "requirement 2": False}
    env.reset(options={"task": "aa1_2"})
    env.step("look")
    _, reward, terminated, truncated, _ = env.step("look")
    assert (reward, terminated, truncated) == (0.0, False, True)
    env.close()


def test_code_is_what_stands_in_blocks_or_everything():
    assert code_of("print(1)") == "print(1)"
    assert code_of("First\n```python\na = 1\n```\nthen\n```\nprint(a)\n```") == "a = 1\n\nprint(a)\n"


def test_a_snapshot_is_returned_to_by_replaying(env):
    env.reset(options={"task": "aa1_1"})
    env.step("one")
    snapshot = env.snapshot()
    env.step("two")
    observation, info = env.restore(snapshot)
    assert (observation, info["metrics"]) == ("ran one", {"interactions": 1, "api_calls": 1})


def test_pickles_take_no_process_along(env):
    env.reset(options={"task": "aa1_1"})
    with pytest.raises(ContractError, match="running episode"):
        pickle.dumps(env)
    env.step("done")
    copy = pickle.loads(pickle.dumps(env))
    assert copy.reset(options={"task": "aa1_2"})[1]["goal"] == "Pay Eve."
    copy.close()


# ---- failures ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "kind", "text"),
    [
        ("hang", DeadlineError, "took longer than"),
        ("crash", WorkerError, "exited with status 3.*\n.*last words"),
        ("garbage", WorkerError, "execute failed"),
        ("stale", WorkerError, "not an answer to request"),
        ("raise", WorkerError, "KeyError"),
    ],
)
def test_a_failure_is_typed_and_the_next_reset_plays_on(options, monkeypatch, code, kind, text):
    monkeypatch.setattr(module, "_GRACE_S", 0.5)
    env = AppWorldEnv(deadline_s=1, **options)
    env.reset(options={"task": "aa1_1"})
    assert env._process is not None
    pid = env._process.pid
    with pytest.raises(kind, match=text):
        env.step(code)
    assert code == "raise" or gone(pid)
    env.reset(options={"task": "aa1_1"})
    assert env.step("done")[1] == 1.0
    pid = env._process.pid
    env.close()
    assert gone(pid)


def test_a_task_that_the_package_cannot_load(env):
    with pytest.raises(DataError, match="no such database"):
        env.reset(options={"task": "bb2_1"})
    assert env.reset(options={"task": "aa1_1"})[1]["task_id"] == "aa1_1"


def test_nothing_is_left_of_an_episode(env, root):
    env.reset(options={"task": "aa1_1"})
    folder = Path(env._process._folder.name)
    assert folder.is_dir()
    env.close()
    assert not folder.exists()
    assert sorted(path.name for path in root.iterdir()) == ["data"]
    assert (root / "data" / "datasets" / "train.txt").exists()


def test_the_process_ends_with_its_parent(options, tmp_path):
    code = (
        "import os, sys; from pathlib import Path; from palaestra.envs.appworld import env as m; "
        "m.SERVER = Path(sys.argv[3]); e = m.AppWorldEnv(root=sys.argv[1], python=sys.argv[2]); "
        "e.reset(options={'task': 'aa1_1'}); print(e._process.pid, flush=True); os._exit(0)"
    )
    arguments = [options["root"], options["python"], str(module.SERVER)]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, "TMPDIR": str(tmp_path)},  # the stand-in leaves its folder there
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert gone(int(done.stdout)), done.stderr


def test_a_rollout_counts_failures_and_keeps_metrics(options, monkeypatch):
    monkeypatch.setattr(module, "_GRACE_S", 0.5)
    jobs = [Job(PanelItem(ID, task, 0, {**options, "deadline_s": 1})) for task in ("aa1_1", "aa1_2")]
    policy = ScriptedPolicy(lambda view: "done" if "Bob" in view.info["goal"] else "hang")
    settings = RolloutSettings(retries=0, max_failure_rate=1.0)
    paid, hung = rollout(jobs, react(), policy, settings)
    assert (paid.success, paid.scenario) == (True, "aa1")
    assert paid.tags["metrics"] == {"interactions": 1.0, "api_calls": 1.0}
    assert paid.tags["siblings"]
    assert (hung.failed, hung.tags["failure_kind"], hung.scenario) == (True, "DeadlineError", "aa1")
