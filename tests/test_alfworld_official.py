"""Official games: folders and row files, what is left out, corrupt files, and the real data where it is."""

import json
import lzma
import os
from pathlib import Path

import pytest
from alfworld_house import house

from palaestra.envs.alfworld.engine import FastEngine
from palaestra.envs.alfworld.env import ALFWorldEnv
from palaestra.envs.alfworld.expert import STYLES, Expert
from palaestra.envs.alfworld.generator import GeneratedGames
from palaestra.envs.alfworld.tasks import OfficialGames
from palaestra.errors import DataError, OptionError, UnknownNameError

SHARED = Path(os.environ.get("PALAESTRA_SHARED", Path(__file__).resolve().parents[2] / "shared"))
ROWS = SHARED / "data" / "alfworld"

needs_rows = pytest.mark.skipif(
    not (ROWS / "valid_seen.jsonl.xz").is_file(), reason=f"no official games in {ROWS}"
)

NAMES = [
    ("pick_heat_then_place_in_recep-Apple-None-SideTable-1", "trial_T2"),
    ("pick_heat_then_place_in_recep-Apple-None-SideTable-1", "trial_T1"),
    ("look_at_obj_in_light-Apple-None-DeskLamp-301", "trial_T9"),
]


def record(solvable=True):
    grammar = '{ "task": [ { "rhs": "Your task is to: heat some apple and put it in sidetable." } ] }'
    problem = house().problem()
    return {
        "pddl_domain": "…",
        "grammar": grammar,
        "pddl_problem": problem,
        "solvable": solvable,
        "walkthrough": [],
    }


def write(root, split, folder, trial, content):
    path = root / split / folder / trial / "game.tw-pddl"
    path.parent.mkdir(parents=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


@pytest.fixture
def official(tmp_path):
    """Make an official folder: three games, one unsolvable, one sliced, one with a movable receptacle."""
    root = tmp_path / "json_2.1.1"
    for folder, trial in NAMES:
        write(root, "train", folder, trial, record())
    write(root, "train", NAMES[0][0], "trial_T0", record(solvable=False))
    write(root, "train", "pick_and_place_simple-AppleSliced-None-SideTable-1", "trial_T3", record())
    write(root, "train", "pick_and_place_with_movable_recep-Apple-Bowl-SideTable-1", "trial_T4", record())
    return tmp_path


@pytest.mark.parametrize("below", ["", "json_2.1.1"])
def test_a_folder_gives_its_solvable_games_in_the_order_of_their_names(official, below):
    games = OfficialGames("train", data=official / below)
    assert [task.id for task in games] == ["/".join(name) for name in sorted(NAMES)]
    task = games[1]
    assert task.goal == "heat some apple and put it in sidetable."
    assert (task.scenario, task.data["game"].scene) == ("pick_heat_then_place_in_recep", "1")
    assert games.find(task.id) == task
    assert games.index_of("nothing") is None


def test_the_newest_release_in_the_folder_is_taken(official):
    write(official / "json_2.1.3", "train", *NAMES[0], record())
    assert len(OfficialGames("train", data=official)) == 1


def test_the_environment_variable_names_the_folder(official, monkeypatch):
    monkeypatch.setenv("ALFWORLD_DATA", str(official))
    env = ALFWorldEnv(source="official")
    env.reset(options={"task": "/".join(NAMES[0])})
    while not env._success:
        env.step(env.expert())
    assert env.steps < 12
    monkeypatch.delenv("ALFWORLD_DATA")
    with pytest.raises(OptionError, match="alfworld-download"):
        ALFWorldEnv(source="official")


def test_task_types_filter_official_games(official):
    assert len(OfficialGames("train", data=official, task_types=["look_at_obj_in_light"])) == 1
    with pytest.raises(DataError, match="no solvable game"):
        OfficialGames("train", data=official, task_types=["pick_two_obj_and_place"])


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "cannot be read as JSON"),
        ('{"pddl_problem": "(define', "cannot be read as JSON"),
        ("[1]", "no JSON object"),
        ('{"solvable": true, "grammar": "Your task is to: x."}', "pddl_problem"),
        (json.dumps(record() | {"grammar": "nothing"}), "no task sentence"),
        (json.dumps(record() | {"pddl_problem": house().problem()[:3000]}), "is the text cut"),
    ],
)
def test_a_corrupt_file_is_named_and_the_other_games_stay_usable(official, content, complaint):
    path = official / "json_2.1.1" / "train" / NAMES[0][0] / NAMES[0][1] / "game.tw-pddl"
    path.write_text(content)
    games = OfficialGames("train", data=official)
    assert len(games) == 3
    with pytest.raises(DataError, match=complaint) as caught:
        games.find("/".join(NAMES[0]))
    assert str(path) in str(caught.value)
    assert games.find("/".join(NAMES[1])).goal.startswith("heat")


def test_missing_folders_and_splits_are_named(official, tmp_path):
    with pytest.raises(DataError, match="no folder"):
        OfficialGames("train", data=tmp_path / "nowhere")
    with pytest.raises(DataError, match="no games of valid_seen"):
        OfficialGames("valid_seen", data=official)
    with pytest.raises(UnknownNameError, match="valid_unseen"):
        OfficialGames("valid_unsen", data=official)


def row(folder, trial, **changes):
    head = {"split": "train", "dir": folder, "trial": trial, "solvable": True}
    tail = {"task": "heat some apple and put it in sidetable.", "problem": house().problem()}
    return json.dumps(head | tail | changes)


def test_row_files_are_read_too(tmp_path):
    with lzma.open(tmp_path / "train.jsonl.xz", "wt") as file:
        lines = [row(*name) for name in NAMES]
        lines += [
            row(NAMES[0][0], "trial_T0", solvable=False),
            row(NAMES[0][0], "trial_T5", problem="(define"),
        ]
        file.write("\n".join(lines) + "\n")
    games = OfficialGames("train", data=tmp_path)
    assert len(games) == 4
    assert [entry.id for entry in games.entries[:3]] == ["/".join(name) for name in sorted(NAMES)]
    assert games[0].data["game"].facts == house().facts
    with pytest.raises(DataError, match=r"train\.jsonl\.xz line 5"):
        games.task(3)


@pytest.mark.parametrize("damage", ["cut", "noise", "no row"])
def test_a_damaged_row_file_is_named(tmp_path, damage):
    path = tmp_path / "train.jsonl.xz"
    with lzma.open(path, "wt") as file:
        file.write("{}\n" if damage == "no row" else "\n".join(row(*name) for name in NAMES))
    whole = path.read_bytes()
    path.write_bytes({"cut": whole[: len(whole) // 2], "noise": b"no xz at all"}.get(damage, whole))
    with pytest.raises(DataError, match=r"train\.jsonl\.xz"):
        OfficialGames("train", data=tmp_path)


# ---- the real data, where it is at hand --------------------------------------------------------------------


def solve(game, style):
    engine = FastEngine(game)
    heard = [("", engine.reset())]
    expert = Expert(engine, style)
    while not engine.won and len(heard) <= 50:
        command = expert.next(heard)
        heard.append((command, engine.step(command)))
    return engine.won


@needs_rows
@pytest.mark.parametrize("style", STYLES)
def test_all_140_games_of_valid_seen_are_solved_within_50_steps(style):
    games = OfficialGames("valid_seen", data=ROWS)
    assert len(games) == 140
    assert [solve(games.game(index), style) for index in range(140)] == [True] * 140


@needs_rows
def test_rewording_changes_the_commands_and_not_the_task():
    new = OfficialGames("valid_seen", data=ROWS, wording="move").game(3)
    old = OfficialGames("valid_seen", data=ROWS, wording="put").game(3)
    assert new.task == old.task
    assert new.problem() == old.problem()
    assert FastEngine(new).reset() == FastEngine(old).reset()
    assert "help" in FastEngine(new).admissible
    assert "help" not in FastEngine(old).admissible


@needs_rows
def test_official_and_generated_games_agree_on_what_fits_where():
    official = OfficialGames("valid_seen", data=ROWS)
    from palaestra.envs.alfworld.rooms import FITS

    table = {(kind, thing) for kind, things in FITS.items() for thing in things}
    for index in range(0, 140, 7):
        assert official.game(index).facts.contains <= table
    assert GeneratedGames("train").game(0).facts.contains <= table
