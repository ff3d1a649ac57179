"""Named panels: they exist for every environment, stay what they are, can be played, are found."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from palaestra.cli.main import main
from palaestra.envs.panel import Panel, PanelItem, make_env, make_panel
from palaestra.envs.panels import named, recipes
from palaestra.envs.panels.named import find_panel, join, named_panel, panel_names, panels_of
from palaestra.envs.registration import ENVIRONMENTS
from palaestra.errors import DataError, OptionError, UnknownNameError

# The digest names the tasks; the other number is a hash of all first observations, since a task that reads
# otherwise is another task. Whoever has to change a line here must give the panel another name.
PINNED = {
    "alfworld-full": ("2289bd7a8c1b546a", "d34b8f49aeaf2264", 300),
    "alfworld-small": ("5ca798bd6ee35c33", "766bec8189ebcfab", 50),
    "apps-full": ("cef55305dbffb990", "80e3e0d5920f44c2", 246),
    "apps-small": ("eeac0fc0ab43b2a4", "b48d8a31cd8244fd", 48),
    "code-full": ("fd56764ed64480ab", "600b35b24fff5310", 300),
    "code-small": ("add1d52bebf4b560", "e43a3ddfd37468fb", 50),
    "guess-number-full": ("3da40c21066817e8", "74dcbb6c4fff3a50", 200),
    "guess-number-small": ("1e83fbdd6c113c88", "5fd0227608805221", 50),
    "math-full": ("2437a46a6ecc66c3", "cb908374129b946b", 300),
    "math-small": ("f13c2f2afd9321f0", "70589444c97adcb6", 50),
}
EACH = pytest.mark.parametrize("name", sorted(PINNED))


def needs(panel: Panel) -> None:
    if any("Math" in item.env_id for item in panel.items):
        pytest.importorskip("reasoning_gym", reason="generated exercises need the extra `math`")


def test_every_environment_has_a_small_and_a_full_panel():
    assert set(panel_names()) == set(PINNED) == set(recipes.RECIPES)
    for env_id in set(ENVIRONMENTS) - set(recipes.WITHOUT_PANEL):
        small, full = panels_of(env_id)
        assert small.name.endswith("-small")
        assert full.name.endswith("-full")
        assert 40 <= len(small.items) <= 60
        assert 200 <= len(full.items) <= 500
        assert {item.env_id for item in (*small.items, *full.items)} == {env_id}


def test_an_environment_whose_tasks_are_no_ones_to_give_has_no_panel():
    assert set(recipes.WITHOUT_PANEL) == {"palaestra/AppWorld-v0"} <= set(ENVIRONMENTS)
    for env_id in recipes.WITHOUT_PANEL:
        assert panels_of(env_id) == []


@EACH
def test_a_panel_stays_what_it_is_and_is_what_its_recipe_draws(name):
    panel = named_panel(name)
    assert (panel.name, panel.digest, len(panel.items)) == (name, PINNED[name][0], PINNED[name][2])
    assert len({item.key for item in panel.items}) == len(panel.items)
    needs(panel)
    assert recipes.draw(name).digest == panel.digest


@EACH
def test_all_its_tasks_can_be_played_read_as_ever_and_are_for_reporting(name):
    panel = named_panel(name)
    needs(panel)
    environments, texts = {}, hashlib.sha256()
    for item in panel.items:
        kind = json.dumps([item.env_id, dict(item.options)])
        if kind not in environments:
            environments[kind] = make_env(item.env_id, item.options)
        env = environments[kind]
        observation, info = env.reset(seed=item.seed, options={"task": item.task_id})
        assert (info["task_id"], env.task.split.split("_")[0]) == (item.task_id, "test")
        texts.update(observation.encode())
    assert texts.hexdigest()[:16] == PINNED[name][1]
    for env in environments.values():
        env.close()


def test_the_tasks_of_a_panel_come_with_the_package():
    files = sorted(Path(named.__file__).parent.glob("*.json"))
    assert [file.stem for file in files] == sorted(PINNED)
    assert max(file.stat().st_size for file in files) < 60_000


def test_both_sizes_of_rooms_and_all_levels_are_there():
    def count(name: str, option: str) -> dict[str, int]:
        values = [item.options.get(option) for item in named_panel(name).items]
        return {value: values.count(value) for value in values}

    assert count("alfworld-small", "scale") == {"small": 25, "full": 25}
    assert count("alfworld-full", "scale") == {"small": 150, "full": 150}
    assert count("math-small", "difficulty") == {"easy": 20, "medium": 15, "hard": 15}
    assert count("math-full", "difficulty") == {"easy": 100, "medium": 100, "hard": 100}


# ---- finding and joining -----------------------------------------------------------------------------


def test_panels_of_apps_hold_whole_scenarios():
    """The share of scenarios all of whose siblings are solved is worth something only of whole ones."""
    for name, siblings in (("apps-small", 3), ("apps-full", 6)):
        counts = Counter(item.task_id.rpartition("-")[0] for item in named_panel(name).items)
        assert set(counts.values()) == {siblings}
    splits = Counter(item.options["split"] for item in named_panel("apps-full").items)
    assert splits == {"test_normal": 16 * 6, "test_challenge": 25 * 6}


def test_a_panel_is_found_by_name_or_by_file(tmp_path):
    path = tmp_path / "mine.json"
    mine = make_panel("palaestra/GuessNumber-v0", 3, name="mine")
    mine.save(path)
    assert find_panel(str(path)) == mine
    assert find_panel("guess-number-small").digest == PINNED["guess-number-small"][0]
    with pytest.raises(UnknownNameError, match="Did you mean 'alfworld-small'"):
        find_panel("alfword-small")
    with pytest.raises(DataError, match="none"):
        find_panel(str(tmp_path / "none.json"))
    with pytest.raises(UnknownNameError, match="Did you mean 'code-full'"):
        recipes.draw("code-ful")


def test_several_panels_are_one():
    first, second = named_panel("guess-number-small"), named_panel("alfworld-small")
    both = join([first, second])
    assert both.name == "guess-number-small+alfworld-small"
    assert both.items == first.items + second.items
    assert join([first]) is first
    with pytest.raises(OptionError, match="in common"):
        join([first, second, first])


# ---- files -------------------------------------------------------------------------------------------


def test_a_file_says_options_once_and_keeps_the_order(tmp_path):
    def item(number: int, options: dict) -> PanelItem:
        return PanelItem("e/E-v0", f"t{number}", number, options)

    a, b = {"x": 1, "y": [1, 2]}, {"x": 2}
    panel = Panel("mixed", (item(1, a), item(2, b), item(3, b), item(4, a), item(5, {})))
    path = tmp_path / "p.json"
    panel.save(path)
    assert Panel.load(path) == panel
    assert Panel.load(path).digest == panel.digest
    assert [len(group["tasks"]) for group in json.loads(path.read_text())["groups"]] == [1, 2, 1, 1]
    assert [file.name for file in tmp_path.iterdir()] == ["p.json"]


def test_files_of_the_older_form_are_read(tmp_path):
    row = {"env_id": "e/E-v0", "task_id": "t", "seed": 3, "options": {"split": "test"}}
    path = tmp_path / "old.json"
    path.write_text(json.dumps({"name": "old", "items": [row]}))
    assert Panel.load(path) == Panel("old", (PanelItem(**row),))


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", '{"name": "x"}', '{"name": "x", "groups": [{}]}', '{"name": "x", "groups": 3}', "\xff"),
        '{"name": "x", "groups": [{"env_id": "e", "options": {}, "tasks": [["t"]]}]}',
    ],
)
def test_what_is_no_panel_is_named(tmp_path, text):
    path = tmp_path / "broken.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match=r"broken\.json is not a panel file"):
        Panel.load(path)


# ---- the command -------------------------------------------------------------------------------------


def test_the_command_lists_panels_and_shows_one(capsys):
    assert main(["panels"]) == 0
    listed = capsys.readouterr().out
    for name, (digest, _, size) in PINNED.items():
        line = next(line for line in listed.splitlines() if line.split()[:1] == [name])
        assert digest in line
        assert f" {size} " in line
    assert main(["panels", "math-small"]) == 0
    shown = capsys.readouterr().out
    assert "50 tasks" in shown
    assert "20 of palaestra/Math-v0   difficulty=easy split=test" in shown
    assert main(["panels", "math"]) == 1
    assert "Did you mean 'math-full'" in capsys.readouterr().err.replace("small", "full")


def test_panels_are_drawn_again_only_where_they_are_missing(tmp_path):
    kept = tmp_path / "guess-number-small.json"
    for name in set(PINNED) - {"guess-number-full"}:
        (tmp_path / f"{name}.json").write_text("kept")
    assert recipes.write_missing(tmp_path) == [tmp_path / "guess-number-full.json"]
    assert Panel.load(tmp_path / "guess-number-full.json").digest == PINNED["guess-number-full"][0]
    assert kept.read_text() == "kept"


def test_listing_panels_waits_for_no_torch():
    code = "import sys; from palaestra.cli.main import main; main(['panels']); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip().endswith("False"), done.stderr
