"""The adapter on the real package: a scenario of three tasks, authored here on the real apps."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import palaestra  # noqa: F401  (registers the environments)
from palaestra.agents.policies.scripted import ScriptedPolicy
from palaestra.agents.react import react
from palaestra.agents.rollout import Job, RolloutSettings, rollout
from palaestra.agents.scores import score
from palaestra.envs.appworld.env import AppWorldEnv, find_python
from palaestra.envs.panel import PanelItem
from palaestra.errors import DataError, MissingExtraError, WorkerError

pytestmark = pytest.mark.appworld

AMOUNTS = {"olaf": 20, "pia": 35, "quin": 50}
LOGIN = (
    "passwords = apis.supervisor.show_account_passwords()\n"
    "secret = [one['password'] for one in passwords if one['account_name'] == 'venmo'][0]\n"
    "token = apis.venmo.login(username='nora@mail.com', password=secret)['access_token']\n"
)
DONE = "apis.supervisor.complete_task()"


def pay(friend: str, amount: int) -> str:
    email = f"{friend}@mail.com"
    call = f"receiver_email={email!r}, amount={amount}, access_token=token"
    return f"print(apis.venmo.create_transaction({call})['message'])\n"


@pytest.fixture(scope="module")
def options(tmp_path_factory):
    try:
        python = find_python()
    except MissingExtraError as error:
        pytest.skip(f"AppWorld is not installed: {error}")
    root = tmp_path_factory.mktemp("appworld")
    (root / "data").mkdir()
    script = Path(__file__).with_name("appworld_author.py")
    done = subprocess.run(
        [str(python), str(script)],
        env={**os.environ, "APPWORLD_ROOT": str(root)},
        cwd=root,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return {"root": str(root), "python": str(python)}


@pytest.fixture(scope="module")
def env(options):
    made = AppWorldEnv(**options)
    yield made
    made.close()


def test_the_tasks_are_the_scenario(env):
    assert [(task.id, task.scenario) for task in env.tasks] == [(f"made1_{n}", "made1") for n in (1, 2, 3)]


def test_a_task_is_told_and_documented(env):
    observation, _ = env.reset(options={"task": "made1_2"})
    assert "You act for Nora Field (nora@mail.com, 5550100)" in observation
    assert "Thursday, 2023-05-18, 12:00" in observation
    assert "Task: Send $35 to pia@mail.com on venmo." in observation
    shown = env.step("print(apis.api_docs.show_api_descriptions(app_name='supervisor'))")[0]
    assert "complete_task" in shown
    assert "answer" in env.step("print(apis.api_docs.show_api_doc(app_name='supervisor', "
                                "api_name='complete_task'))")[0]  # fmt: skip


def test_doing_nothing_fails(env):
    env.reset(options={"task": "made1_1"})
    _, reward, terminated, _, info = env.step(DONE)
    assert (reward, terminated) == (0.0, True)
    assert list(info["checks"].values()) == [False, True, True]


@pytest.mark.parametrize("number", [1, 2, 3])
def test_gold_passes(env, number):
    friend, amount = list(AMOUNTS.items())[number - 1]
    env.reset(options={"task": f"made1_{number}"})
    assert env.step(LOGIN)[0] == "Execution successful."
    observation, _, terminated, _, info = env.step(f"I pay.\n```python\n{pay(friend, amount)}```")
    assert (observation, terminated) == ("Sent money.", False)
    assert info["metrics"] == {"interactions": 2, "api_calls": 3}
    _, reward, terminated, _, info = env.step(DONE)
    assert (reward, terminated, info["success"]) == (1.0, True, True)
    assert list(info["checks"].values()) == [True, True, True]


def test_an_extra_payment_is_caught(env):
    env.reset(options={"task": "made1_1"})
    env.step(LOGIN + pay("olaf", 20) + pay("pia", 1))
    _, reward, _, _, info = env.step(DONE)
    assert reward == 0.0
    assert list(info["checks"].values()) == [True, False, True]


def test_what_code_does_wrong_is_told_to_it(env):
    env.reset(options={"task": "made1_1"})
    assert "ZeroDivisionError" in env.step("1 / 0")[0]
    assert "Syntax error" in env.step("print(")[0]
    assert "SystemExit" in env.step("raise SystemExit(3)")[0]
    assert "Execution failed" in env.step("apis.venmo.login(username='x', password='y')")[0]
    env.step(LOGIN + pay("olaf", 20))
    assert env.step(DONE)[1] == 1.0


def test_endless_code_is_stopped_and_the_episode_goes_on(options):
    env = AppWorldEnv(deadline_s=2, **options)
    env.reset(options={"task": "made1_1"})
    assert "timed out after 2 seconds" in env.step("while True:\n    pass")[0]
    env.step(LOGIN + pay("olaf", 20))
    assert env.step(DONE)[1] == 1.0
    env.close()


def test_a_dead_process_is_replaced(options):
    env = AppWorldEnv(**options)
    env.reset(options={"task": "made1_1"})
    assert env._process is not None
    os.kill(env._process.pid, 9)
    with pytest.raises(WorkerError):
        env.step("print(1)")
    env.reset(options={"task": "made1_1"})
    assert env.step("print(1)")[0] == "1"
    env.close()


def test_nothing_is_left_when_the_parent_is_killed(options, tmp_path):
    code = (
        "import os, sys; from palaestra.envs.appworld.env import AppWorldEnv; "
        "env = AppWorldEnv(root=sys.argv[1], python=sys.argv[2]); env.reset(options={'task': 'made1_1'}); "
        "print(env._process._folder.name, flush=True); os._exit(0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, options["root"], options["python"]],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    folder = Path(done.stdout.strip())
    assert folder.parent == tmp_path, done.stderr
    until = time.monotonic() + 20
    while folder.exists() and time.monotonic() < until:
        time.sleep(0.05)
    assert not folder.exists()
    assert (Path(options["root"]) / "data" / "datasets" / "train.txt").exists()


def test_a_snapshot_is_returned_to_by_replaying(env):
    env.reset(options={"task": "made1_1"})
    env.step(LOGIN)
    snapshot = env.snapshot()
    env.step(pay("pia", 20))
    env.restore(snapshot)
    env.step(pay("olaf", 20))
    assert env.step(DONE)[1] == 1.0


def test_a_split_that_is_not_there(options):
    with pytest.raises(DataError, match="download data"):
        AppWorldEnv(split="test_normal", **options)


def test_scenario_goal_completion_of_a_rollout(options):
    """An agent that cannot pay Pia solves two tasks of three, and not the scenario."""

    def act(view):
        friend = next(name for name in AMOUNTS if name in view.info["goal"])
        amount = AMOUNTS[friend] - (friend == "pia")
        return f"{LOGIN}{pay(friend, amount)}{DONE}"

    items = [PanelItem("palaestra/AppWorld-v0", f"made1_{n}", n, options) for n in (1, 2, 3)]
    settings = RolloutSettings(concurrency=1)
    played = rollout([Job(item) for item in items], react(), ScriptedPolicy(act), settings)
    found = score("x", played)
    assert (found.success, found.scenario_goal, found.scenarios) == (pytest.approx(2 / 3), 0.0, 1)
    assert found.metrics == {"interactions": 1.0, "api_calls": 4.0}
