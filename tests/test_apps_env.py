"""The Apps environment: modes, options, snapshots, what it says; the same tasks on every machine."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys

import gymnasium as gym
import pytest

from palaestra.envs.apps import programs, tasks
from palaestra.envs.apps.env import CALL_API, code_of, read_call
from palaestra.envs.conformance import check
from palaestra.errors import ContractError, OptionError, UnknownNameError

TASK = "archive_notes_by_tag-1"
SCENARIOS = ["archive_notes_by_tag"]


def make(**options):
    return gym.make("palaestra/Apps-v0", **options).unwrapped


def finish(env):
    over, steps = False, []
    while not over:
        action = env.expert()
        observation, reward, terminated, truncated, info = env.step(action)
        steps.append((action, observation))
        over = terminated or truncated
    return reward, info, steps


@pytest.mark.parametrize("options", [{}, {"mode": "json"}, {"mode": "functions"}, {"gold": "functions"}])
def test_keeps_the_contract(options):
    report = check("palaestra/Apps-v0", {**options, "scenarios": SCENARIOS}, cycles=8, tasks=2)
    assert report.passed, report


def test_keeps_the_contract_in_unseen_apps():
    assert check("palaestra/Apps-v0", {"mode": "json", "split": "test_challenge"}, cycles=8, tasks=2).passed


@pytest.mark.parametrize("mode", ["code", "json", "functions"])
def test_the_expert_solves_tasks_in_every_mode(mode):
    env = make(mode=mode, siblings=1)
    for task in (env.tasks[0].id, env.tasks[len(env.tasks) // 2].id, TASK.replace("-1", "-0")):
        env.reset(options={"task": task})
        reward, info, _ = finish(env)
        assert (reward, info["success"]) == (1.0, True)
        assert info["metrics"]["interactions"] == info["steps"]
        assert info["metrics"]["api_calls"] >= 3
        assert info["metrics"]["refused_calls"] == 0
    env.close()


def test_the_first_observation_tells_who_when_and_what():
    env = make()
    observation, info = env.reset(options={"task": TASK})
    me = env.prepared.life.supervisor
    assert me.name in observation
    assert me.email in observation
    assert info["goal"] in observation
    assert env.world.now[:10] in observation
    env.close()


def test_variables_stay_and_errors_tell_what_to_do():
    env = make()
    env.reset(options={"task": TASK})
    env.step("x = 41")
    assert env.step("```python\nprint(x + 1)\n```")[0] == "42"
    assert "did you mean" in env.step("apis.notes.serch_notes()")[0]
    assert "401 unauthorized" in env.step("apis.notes.search_notes()")[0]
    misspelt = "apis.notes.create_note(access_token='', titel='a')"
    assert "has no argument 'titel'; did you mean 'title'" in env.step(misspelt)[0]
    observation, *_, info = env.step("x +")
    assert "SyntaxError" in observation
    assert env.step("```python\nprint(1)")[0].startswith("The block of code was cut off")
    assert info["metrics"]["refused_calls"] == 2
    env.close()


def test_a_right_state_that_is_not_declared_done_pays_nothing():
    env = make(max_steps=2)
    env.reset(options={"task": TASK})
    *work, _ = programs.plain(env.prepared.scenario.gold, env.prepared.plan.parameters)
    env.step(work[0])
    *_, reward, terminated, truncated, info = env.step(work[1])
    assert (reward, terminated, truncated) == (0.0, False, True)
    assert [name for name, passed in info["checks"].items() if not passed] == ["the task was completed"]
    env.close()


def test_an_answer_where_none_is_asked_is_wrong():
    env = make(mode="json")
    env.reset(options={"task": TASK})
    actions = env._written(env._gold_cells())
    for action in actions[:-1]:
        env.step(action)
    *_, info = env.step('{"name": "supervisor.complete_task", "arguments": {"answer": "done"}}')
    assert [name for name, passed in info["checks"].items() if not passed] == ["the answer is right"]
    env.close()


def test_a_change_of_nothing_but_the_time_is_not_judged():
    env = make(mode="json")
    env.reset(options={"task": TASK})
    actions = env._written(env._gold_cells())
    *_, token = [json.loads(env.step(action)[0]) for action in actions[:3]]
    token = token["access_token"]
    [note] = env.world.connection.execute("SELECT id, title FROM notes_notes ORDER BY id").fetchall()[:1]
    same = {"access_token": token, "note_id": note[0], "title": note[1]}
    env.step(json.dumps({"name": "notes.update_note", "arguments": same}))
    for action in actions[3:]:
        *_, reward, _, _, _ = env.step(action)
    assert (reward, env.uncalled_changes()) == (1.0, [])
    env.close()


def test_what_was_uncalled_for_is_told_after_the_end():
    env = make(mode="json")
    env.reset(options={"task": TASK})
    actions = env._written(env._gold_cells())
    *_, token = [json.loads(env.step(action)[0]) for action in actions[:3]]
    token = token["access_token"]
    note = {"name": "notes.create_note", "arguments": {"access_token": token, "title": "one too many"}}
    env.step(json.dumps(note))
    for action in actions[3:]:
        *_, reward, _, _, info = env.step(action)
    assert reward == 0.0
    assert [name for name, passed in info["checks"].items() if not passed] == ["nothing else was changed"]
    assert len(env.uncalled_changes()) == 1
    assert "one too many" in env.uncalled_changes()[0]
    env.close()


@pytest.mark.parametrize("mode", ["code", "json"])
def test_snapshots_return_to_the_point(mode):
    env = make(mode=mode)
    env.reset(options={"task": TASK})
    env.step(env.expert())
    point = env.snapshot()
    before = finish(env)
    other = make(mode=mode)
    for one in (env, other):
        one.restore(pickle.loads(pickle.dumps(point)))
        assert finish(one) == before
        one.close()


def test_a_running_episode_is_not_pickled():
    env = make(mode="json")
    env.reset(seed=0)
    with pytest.raises(ContractError, match="snapshot"):
        pickle.dumps(env)
    env.close()


@pytest.mark.parametrize(
    ("options", "error", "told"),
    [
        ({"split": "tran"}, UnknownNameError, "'train'"),
        ({"mode": "jsn"}, UnknownNameError, "'json'"),
        ({"gold": "function"}, UnknownNameError, "'functions'"),
        ({"scenarios": ["archive_notes"]}, UnknownNameError, "'archive_notes_by_tag'"),
        ({"scenarios": "archive_notes_by_tag"}, OptionError, r"\['archive_notes_by_tag'\]"),
        ({"scenarios": []}, OptionError, "at least one"),
        ({"siblings": 0}, OptionError, "at least 1"),
        ({"mode": "json", "sandbox": "fork"}, OptionError, "for code"),
        ({"mode": "json", "gold": "functions"}, OptionError, "for code"),
        ({"sibling": 3}, UnknownNameError, "'siblings'"),
        ({"extensions": ["no_such_module"]}, OptionError, "no_such_module"),
    ],
)
def test_options_that_cannot_be_are_told_early(options, error, told):
    with pytest.raises(error, match=told):
        make(**options)


def test_task_ids_name_one_task_each():
    one = tasks.AppsTasks("train", siblings=3)
    assert [one.index_of(task.id) for task in one] == list(range(len(one)))
    for wrong in ("archive_notes_by_tag-01", "archive_notes_by_tag-3", "archive_notes_by_tag", "-1", "x-0"):
        assert one.index_of(wrong) is None
    more = tasks.AppsTasks("train", siblings=5)
    assert more.find(TASK) == one.find(TASK)
    assert pickle.loads(pickle.dumps(more)).find(TASK) == one.find(TASK)


def test_calls_are_read_in_every_spelling():
    wanted = ("notes.create_note", {"title": "a"})
    for text in (
        '{"name": "notes.create_note", "arguments": {"title": "a"}}',
        '{"name": "notes__create_note", "arguments": {"title": "a"}}',
        '{"name": "call_api", "arguments": {"api": "notes.create_note", "arguments": {"title": "a"}}}',
        '```json\n{"name": "notes.create_note", "arguments": {"title": "a"}}\n```',
    ):
        assert read_call(text) == wanted
    assert CALL_API["function"]["name"] == "call_api"


@pytest.mark.parametrize(
    "text", ["", "notes.create_note", "[1]", '{"name": 1}', '{"name": "x", "arguments": []}', "[" * 5000]
)
def test_what_is_no_call_is_refused_by_name(text):
    env = make(mode="json")
    env.reset(seed=0)
    answer = json.loads(env.step(text)[0])
    assert answer["error"]["status"] == 400
    assert "name" in answer["error"]["message"]
    env.close()


def test_code_is_all_blocks_or_the_whole_text():
    assert code_of("x = 1") == "x = 1"
    assert code_of("I think.\n```python\na = 1\n```\nand\n```\nb = 2\n```") == "a = 1\n\nb = 2\n"
    assert code_of("```python\na = 1") is None


_DIGEST = """
import hashlib
from palaestra.envs.apps import catalogue, tasks
from palaestra.envs.apps.world import base_image
known = catalogue.load()
digest = hashlib.sha256()
for number in (0, 7, 11, 15):
    digest.update(base_image(known, number))
for scenario in known.scenarios.values():
    prepared = tasks.prepare(known, scenario, 2)
    plan = prepared.plan
    digest.update(prepared.image + repr((prepared.task, plan.parameters, plan.answer)).encode())
print(digest.hexdigest())
"""


def test_worlds_and_tasks_are_the_same_in_every_process():
    found = {
        subprocess.run(
            [sys.executable, "-c", _DIGEST],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(found) == 1
