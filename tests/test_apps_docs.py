"""The page on the apps does what it says, and the reference lists every API."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest

from palaestra.envs.apps import catalogue, programs, tasks, trial
from palaestra.envs.apps.reference import page
from palaestra.envs.apps.world import World
from palaestra.errors import OptionError

DOCS = Path(__file__).parent.parent / "docs"
LONGEST_FILE_LINES = 80

EXTENSIONS = ("plants", "plants_thirst", "water_the_thirsty")


def written_files() -> dict[str, str]:
    return dict(re.findall(r"```python\n# (\w+\.py)\n(.*?)```", (DOCS / "apps.md").read_text(), re.DOTALL))


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder of the user's with the files of the page, which can be imported."""
    for name, code in written_files().items():
        (tmp_path / name).write_text(code)
        monkeypatch.delitem(sys.modules, name.removesuffix(".py"), raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    catalogue.load.cache_clear()
    yield tmp_path
    catalogue.load.cache_clear()


def test_an_app_an_api_and_a_scenario_are_one_small_file_each():
    files = written_files()
    assert list(files) == ["plants.py", "plants_thirst.py", "water_the_thirsty.py", "test_water.py"]
    for name, code in files.items():
        assert len(code.splitlines()) <= LONGEST_FILE_LINES, name
        assert max(map(len, code.splitlines())) <= 110, name


def test_the_pages_own_tests_pass(place):
    names: dict[str, Any] = {}
    exec(compile((place / "test_water.py").read_text(), "test_water.py", "exec"), names)
    tests = [value for name, value in names.items() if name.startswith("test_")]
    assert len(tests) == 2
    for test in tests:
        test()


def test_the_pages_scenario_holds_over_many_siblings(place):
    known = catalogue.load(EXTENSIONS)
    scenario = known.scenarios["water_the_thirsty"]
    for sibling in range(20):
        prepared = tasks.prepare(known, scenario, sibling)
        parameters = prepared.plan.parameters
        gold = programs.plain(scenario.gold, parameters)
        misses = [programs.near_miss(scenario.gold, parameters, miss) for miss in prepared.plan.near_misses]
        assert len(misses) >= 3
        for cells, right in ((gold, True), *((miss, False) for miss in misses), ([], False)):
            world = World(known, prepared.image)
            trial.attempt(world, cells)
            assert tasks.judge(prepared, world).verdict.success is right
            world.close()


def test_an_extension_leaves_the_other_apps_as_they_are(place):
    scenario = catalogue.load().scenarios["archive_notes_by_tag"]
    plain, extended = (tasks.prepare(catalogue.load(e), scenario, 4) for e in ((), EXTENSIONS))
    assert plain.task == extended.task
    assert plain.plan.parameters == extended.plan.parameters
    tables = [f"{app}_" for app in catalogue.load().apps]
    rows = []
    for one in (plain, extended):
        world = World(catalogue.load(), one.image)
        names = [
            row[0] for row in world.connection.execute("SELECT name FROM sqlite_master WHERE type='table'")
        ]
        own = sorted(name for name in names if name.startswith(tuple(tables)))
        rows.append({name: world.connection.execute(f"SELECT * FROM {name}").fetchall() for name in own})
        passwords = "SELECT app, person_id, password FROM world_accounts WHERE app != 'plants' ORDER BY 1, 2"
        rows[-1]["passwords"] = world.connection.execute(passwords).fetchall()
        world.close()
    assert rows[0] == rows[1]


def test_extensions_that_add_nothing_or_are_not_there_are_refused(place):
    (place / "empty_extension.py").write_text("x = 1\n")
    with pytest.raises(OptionError, match="holds no App, Api or Scenario"):
        catalogue.load(("empty_extension",))
    with pytest.raises(OptionError, match="cannot be imported"):
        catalogue.load(("no_such_extension",))
    (place / "twice.py").write_text((place / "plants.py").read_text())
    with pytest.raises(OptionError, match="two apps called 'plants'"):
        catalogue.load(("plants", "twice"))


def test_an_api_whose_argument_is_not_documented_is_refused(place):
    text = (place / "plants.py").read_text().replace("        plant_id: the plant.\n", "")
    (place / "plants_undocumented.py").write_text(text)
    with pytest.raises(TypeError, match=r"plants\.water"):
        catalogue.load(("plants_undocumented",))


def test_the_reference_is_up_to_date():
    told = "run: python -m palaestra.envs.apps.reference > docs/apps-reference.md"
    assert (DOCS / "apps-reference.md").read_text() == page(catalogue.load()), told
