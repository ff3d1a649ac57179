"""Every scenario, on the host: gold programs solve it, near misses and doing nothing do not."""

from __future__ import annotations

import os
import re
from collections import Counter
from functools import cache

import pytest

from palaestra.envs.apps import catalogue, programs, tasks, trial
from palaestra.envs.apps.scenario import SPLITS, NearMiss, Scenario
from palaestra.envs.apps.world import World
from palaestra.errors import ContractError

CATALOGUE = catalogue.load()
SEEDS = 20
# Near misses of all 20 siblings take minutes: PALAESTRA_ALL_SIBLINGS=1 plays them.
SEEDS_OF_NEAR_MISSES = range(0, SEEDS, 1 if os.environ.get("PALAESTRA_ALL_SIBLINGS") else 4)
scenarios = pytest.mark.parametrize("name", CATALOGUE.scenarios)


@cache
def prepared(name: str, sibling: int) -> tasks.Prepared:
    return tasks.prepare(CATALOGUE, CATALOGUE.scenarios[name], sibling)


def played(task: tasks.Prepared, cells: list[str]) -> tasks.Judgement:
    """Play cells as an interpreter would: an error ends a cell, and the next one goes on."""
    world = World(CATALOGUE, task.image)
    runner = trial.Trial(world)
    namespace = {"apis": runner, "print": lambda *values: None}
    for cell in cells:
        try:
            exec(cell, namespace)
        except Exception:
            continue
    try:
        return tasks.judge(task, world)
    finally:
        world.close()


@scenarios
def test_gold_programs_score_one_in_both_forms(name):
    scenario = CATALOGUE.scenarios[name]
    for sibling in range(SEEDS):
        task = prepared(name, sibling)
        for cells in (
            programs.plain(scenario.gold, task.plan.parameters),
            programs.functions(scenario.gold, name, task.plan.parameters),
        ):
            world = World(CATALOGUE, task.image)
            trial.run(world, cells)
            found = tasks.judge(task, world)
            world.close()
            missed = [check for check, passed in found.verdict.checks.items() if not passed]
            assert found.verdict.success, (sibling, task.task.goal, missed, list(map(str, found.uncalled)))


@scenarios
def test_near_misses_and_doing_nothing_do_not_score(name):
    scenario = CATALOGUE.scenarios[name]
    for sibling in SEEDS_OF_NEAR_MISSES:
        task = prepared(name, sibling)
        misses = task.plan.near_misses
        assert len({miss.name for miss in misses}) >= 3, "at least three named near misses"
        for miss in misses:
            cells = programs.near_miss(scenario.gold, task.plan.parameters, miss)
            assert not played(task, cells).verdict.success, (sibling, miss.name, task.task.goal)
        assert not played(task, []).verdict.success
        assert not played(task, ["apis.supervisor.complete_task()"]).verdict.success
        if task.plan.must:
            assert not played(task, programs.plain(scenario.gold, task.plan.parameters)[-1:]).verdict.success


@scenarios
def test_one_change_too_many_does_not_score(name):
    scenario = CATALOGUE.scenarios[name]
    extra = "apis.notes.create_note(access_token=apis.notes.login(**LOGIN)['access_token'], title='x')"
    task = prepared(name, 0)
    accounts = World(CATALOGUE, task.image).connection.execute(
        "SELECT email, password FROM world_accounts JOIN world_people ON person_id = world_people.id "
        "WHERE person_id = 1 AND app = 'notes'"
    )
    email, password = accounts.fetchone()
    cells = programs.plain(scenario.gold, task.plan.parameters)
    spoilt = [f"LOGIN = {{'username': {email!r}, 'password': {password!r}}}\n{extra}", *cells]
    assert played(task, cells).verdict.success
    found = played(task, spoilt)
    assert not found.verdict.success
    assert [change.table for change in found.uncalled] == ["notes_notes"]


@scenarios
def test_answers_have_the_fields_that_the_docs_promise(name):
    scenario = CATALOGUE.scenarios[name]
    task = prepared(name, 1)
    runner = trial.run(World(CATALOGUE, task.image), programs.plain(scenario.gold, task.plan.parameters))
    assert 2 <= len(runner.calls) <= 120
    for (api, _), answer in zip(runner.calls, runner.answers, strict=True):
        fields = CATALOGUE.apis[api].documentation.fields
        for one in answer if isinstance(answer, list) else [answer]:
            if fields is not None and isinstance(one, dict):
                assert set(one) == fields, api


@scenarios
def test_phrasings_name_what_the_task_is_about(name):
    scenario = CATALOGUE.scenarios[name]
    assert len(set(scenario.phrasings)) >= 2
    named = [set(re.findall(r"\{(\w+)", phrasing)) for phrasing in scenario.phrasings]
    task = prepared(name, 0)
    for phrasing, names in zip(scenario.phrasings, named, strict=True):
        assert names == named[0], f"another phrasing names {named[0]}, this one {names}: {phrasing}"
        phrasing.format(**{**task.plan.parameters, **task.plan.words})
    goals = {prepared(name, sibling).task.goal for sibling in range(SEEDS)}
    assert len(goals) >= SEEDS // 2, "siblings ask for the same thing again and again"


@scenarios
def test_what_the_gold_program_knows_is_named_by_the_goal(name):
    scenario = CATALOGUE.scenarios[name]
    task = prepared(name, 0)
    named = set(re.findall(r"\{(\w+)", " ".join(scenario.phrasings)))
    given = set(task.plan.parameters) | set(task.plan.words)
    assert set(task.plan.parameters) <= named, "the gold program knows what the goal does not tell"
    assert named <= given


def test_splits_are_disjoint_and_challenge_is_new():
    assert len(CATALOGUE.scenarios) >= 60
    assert len(CATALOGUE.apps) >= 10
    assert len(CATALOGUE.apis) >= 200
    counts = Counter(scenario.split for scenario in CATALOGUE.scenarios.values())
    assert set(counts) == set(SPLITS)
    assert min(counts.values()) >= 8
    sizes = [len(programs.apps_of(scenario.gold)) for scenario in CATALOGUE.scenarios.values()]
    assert (min(sizes), max(sizes)) == (1, 8)
    worlds = [number for numbers in tasks.WORLDS.values() for number in numbers]
    assert len(worlds) == len(set(worlds))
    used = {split: _apps(split) for split in SPLITS}
    train_apps = set().union(*used["train"].values()) if used["train"] else set()
    for split in ("dev", "test_normal"):
        for name, apps in used[split].items():
            assert apps <= train_apps, f"{name} ({split}) uses {apps - train_apps}, which train never does"
    for name, apps in used["test_challenge"].items():
        new = not apps <= train_apps or apps not in used["train"].values()
        assert new, f"{name} has nothing that train lacks: {sorted(apps)}"


def _apps(split: str) -> dict[str, set[str]]:
    chosen: list[Scenario] = CATALOGUE.of_split(split)
    return {scenario.name: programs.apps_of(scenario.gold) for scenario in chosen}


def test_a_near_miss_that_is_no_python_is_refused():
    gold = CATALOGUE.scenarios["archive_notes_by_tag"].gold
    parameters = prepared("archive_notes_by_tag", 0).plan.parameters
    with pytest.raises(ContractError, match=r"broken: .*in line"):
        programs.near_miss(gold, parameters, NearMiss("broken", edit=("archived=True)", "archived=True")))
