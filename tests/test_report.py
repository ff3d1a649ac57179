"""The page of a benchmark: its numbers are those that were measured, and it says what is not so."""

from __future__ import annotations

import json
import math
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from report_pages import HOSTILE, Page, browse, make_episode, needs_browser, shown, write_episodes
from sibling_env import ID as SIBLINGS

from palaestra.agents.benchmark import benchmark
from palaestra.agents.comparison import compare
from palaestra.agents.contestants import Contestant, contestant_from
from palaestra.agents.episode import Episode, Turn
from palaestra.agents.rollout import RolloutSettings
from palaestra.agents.scores import score
from palaestra.cli.report.content import content
from palaestra.cli.report.episodes import Place, choose_tasks, counting, pack, places
from palaestra.cli.report.reading import finite
from palaestra.cli.report.results import contestant_word
from palaestra.cli.view import write_report
from palaestra.envs.panel import make_panel

Outcomes = dict[str, str]
"""What each contestant did on each task, a letter a task: s solved, m missed, t truncated, f failed."""


def play(letter: str, number: int, text: str = "You see a door.") -> Episode:
    kind = {"s": "terminated", "m": "terminated", "t": "truncated", "f": "failed"}[letter]
    episode = make_episode(number, outcome=kind, success=letter == "s", text=text)
    episode.key = f"key-{number}"
    if letter == "m":
        episode.checks = {"door": False}
    if letter == "f":
        episode.tags["failure_kind"] = "worker"
    return episode


def make_bench(folder: Path, outcomes: Outcomes, **also: Any) -> Path:
    """Write a benchmark folder; ``also`` replaces parts of its results.json."""
    played = {name: [play(letter, i) for i, letter in enumerate(word)] for name, word in outcomes.items()}
    scores = []
    for name, episodes in played.items():
        write_episodes(folder / f"episodes-{name}-0.jsonl", episodes)
        scores.append(
            asdict(score(name, episodes, {"name": name, "policy": f"tiny:{name}", "agent": "react"}))
        )
    solved = {name: {e.key: e.success for e in episodes if not e.failed} for name, episodes in played.items()}
    record = {
        "panel": {"name": "doors", "digest": "abc", "size": max(map(len, outcomes.values()))},
        "shard": None,
        "contestants": scores,
        "comparisons": [asdict(pair) for pair in compare(solved, np.random.default_rng(0))],
        **also,
    }
    # As older versions wrote it: numbers that JSON does not know stand in it as NaN.
    (folder / "results.json").write_text(json.dumps(record))
    return folder


STRONG, WEAK = "s" * 38 + "mt", "t" * 34 + "s" * 6


def test_a_page_has_the_numbers_of_a_benchmark_that_was_played(tmp_path: Path) -> None:
    panel = make_panel("palaestra/GuessNumber-v0", 6)
    results = benchmark(
        panel, [Contestant("luck", "random"), Contestant("right", "expert")], tmp_path / "bench"
    )
    data = Page(write_report(tmp_path / "bench")).data
    assert data["panel"] == {"name": panel.name, "digest": panel.digest, "size": 6}
    for row, measured in zip(data["contestants"], results.scores, strict=True):
        assert row["name"] == measured.name
        assert row["success"] == measured.success
        assert row["interval"] == list(measured.interval)
        assert row["endings"] == measured.endings
        assert (row["n"], row["failures"]) == (measured.episodes, measured.failures)
        mine = [episode for episode in shown(data) if episode["source"] == measured.name]
        assert sum(episode["success"] for episode in mine) == round(measured.success * 6)
        assert sum(episode["steps"] for episode in mine) == pytest.approx(6 * measured.steps)
    (pair,) = data["comparisons"]
    assert pair["difference"] == results.comparisons[0].difference
    assert [task["key"] for task in data["tasks"]] == [item.key for item in panel.items]


def test_a_page_has_scenarios_and_metrics(tmp_path: Path) -> None:
    options = {"hard": "mail_2", "broken": "note_3"}
    panel = make_panel(SIBLINGS, 9, options=options)
    lenient = RolloutSettings(max_failure_rate=0.5, retries=0)
    [measured] = benchmark(panel, [Contestant("right", "expert")], tmp_path, settings=lenient).scores
    keys = ("scenario_goal", "scenario_goal_interval", "scenarios", "metrics")
    expected = {key: finite(asdict(measured)[key]) for key in keys}
    # One of two scenarios, since the third had a failure; metrics of the 8 that were judged.
    assert (expected["scenario_goal"], expected["scenarios"]) == (0.5, 2)
    assert expected["metrics"] == {"calls": 4.25, "paid": 2.0}
    [row] = content(tmp_path, 100)["contestants"]
    assert {key: row[key] for key in keys} == expected
    # The same from its episodes alone.
    (tmp_path / "results.json").unlink()
    [row] = content(tmp_path, 100)["contestants"]
    assert {key: finite(row[key]) for key in keys} == expected


@needs_browser
def test_a_browser_shows_scenarios_and_metrics(tmp_path: Path) -> None:
    panel = make_panel(SIBLINGS, 9, options={"hard": "mail_2+note_1"})
    benchmark(panel, [Contestant("right", "expert"), Contestant("luck", "random")], tmp_path)
    seen = browse(write_report(tmp_path), tmp_path)
    for words in ("SGC", "33.3 %", "calls", "paid", "SGC is the share of scenarios"):
        assert words in seen, seen
    for wrong in ("NaN", "undefined", "null", "[object", "Infinity"):
        assert wrong not in seen, seen


def test_scripted_policies_have_no_tokens(tmp_path: Path) -> None:
    episode = replace(play("s", 0), policy="expert")
    data = content(write_episodes(tmp_path / "e.jsonl", [episode]), 5)
    assert data["rows"][0]["sampled"] is None
    assert data["contestants"][0]["tokens"] is None
    assert "n" not in shown(data)[0]["turns"][0]


def test_every_contestants_episodes_of_a_task_lie_together(tmp_path: Path) -> None:
    data = content(make_bench(tmp_path, {"a": "smtf", "b": "ssss"}), 100)
    assert [task["id"] for task in data["tasks"]] == [f"task-{i}" for i in range(4)]
    assert [(row["source"], row["ending"]) for row in data["rows"] if row["task"] == 1] == [
        ("a", "check missed: door"),
        ("b", "solved"),
    ]
    assert data["rows"][-2]["ending"] == "failed: worker"


def test_an_old_folder_is_completed_from_its_episodes(tmp_path: Path) -> None:
    make_bench(tmp_path, {"strong": STRONG, "weak": WEAK})
    new = content(tmp_path, 100)
    record = json.loads((tmp_path / "results.json").read_text())
    kept = ("name", "success", "interval", "reward", "steps", "tokens", "seconds", "episodes", "failures")
    old = [{key: row[key] for key in (*kept, "by_scenario")} for row in record["contestants"]]
    (tmp_path / "results.json").write_text(json.dumps({"panel": record["panel"], "contestants": old}))
    data = content(tmp_path, 100)
    assert [row["endings"] for row in data["contestants"]] == [
        {"solved": 38, "check missed: door": 1, "step limit": 1},
        {"step limit": 34, "solved": 6},
    ]
    assert data["comparisons"] == new["comparisons"]
    assert data["contestants"][0]["by_env"] == new["contestants"][0]["by_env"]


def test_what_is_not_listed_whole_is_not_compared(tmp_path: Path) -> None:
    make_bench(tmp_path, {"strong": STRONG, "weak": WEAK}, comparisons=[])
    assert content(tmp_path, 100)["comparisons"]
    assert content(tmp_path, 40)["comparisons"] == []


def test_a_benchmark_under_way_shows_what_there_is_and_says_so(tmp_path: Path) -> None:
    panel = make_panel("palaestra/GuessNumber-v0", 6)
    rivals = [Contestant("luck", "random"), Contestant("right", "expert"), Contestant("late", "expert")]
    benchmark(panel, rivals, tmp_path)
    (tmp_path / "results.json").unlink()
    (tmp_path / "episodes-late-0.jsonl").unlink()
    file = tmp_path / "episodes-right-0.jsonl"
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:4]))
    data = content(tmp_path, 100)
    assert data["kind"] == "benchmark"
    assert "no results yet" in data["notes"][0]
    assert data["panel"]["digest"] == panel.digest
    assert [(row["name"], row["n"]) for row in data["contestants"]] == [("luck", 6), ("right", 4)]
    assert data["contestants"][1]["settings"]["policy"] == "expert"
    assert data["comparisons"][0]["tasks"] == 4


def test_an_episode_that_was_played_again_or_copied_counts_once(tmp_path: Path) -> None:
    make_bench(tmp_path, {"a": "sss"})
    write_episodes(tmp_path / "episodes-a-1.jsonl", [play("f", 0), play("s", 1)])
    data = content(tmp_path, 100)
    assert [(row["task"], row["outcome"]) for row in data["rows"]] == [(i, "terminated") for i in range(3)]
    assert data["total_episodes"] == 3
    assert "2 episodes were played again or copied" in data["notes"][0]
    failed, judged = Place(Path("a"), 0, key="k", failed=True), Place(Path("a"), 9, key="k")
    assert counting([failed, judged], str) == [judged]
    assert counting([judged, failed], str) == [judged]


def test_a_long_benchmark_keeps_whole_tasks(tmp_path: Path) -> None:
    found = [Place(Path(name), i, key=f"k{i}") for name in "abc" for i in range(100)]
    chosen = choose_tasks(found, 30)
    assert len(chosen) == 30
    assert len({place.key for place in chosen}) == 10
    data = content(make_bench(tmp_path, {"a": STRONG, "b": WEAK}), 20)
    assert (len(data["rows"]), len(data["tasks"]), data["total_episodes"]) == (20, 10, 80)


def test_turns_that_do_not_fit_are_left_out_and_their_line_is_named(tmp_path: Path) -> None:
    episodes = [play("s", i, os.urandom(1500).hex()) for i in range(200)]
    file = write_episodes(tmp_path / "e.jsonl", episodes)
    packed = pack(list(places(file)), lambda file: "e", lambda name: [], {}, [], budget_bytes=200_000)
    assert sum(map(len, packed.blocks)) <= 200_000
    left = [row for row in packed.rows if row["block"] < 0]
    assert len(packed.rows) == 200
    assert 100 < len(left) < 200
    lines = file.read_text().splitlines()
    for row in left:
        line = json.loads(lines[row["number"] - 1])
        assert (row["file"], line["task_id"]) == ("e.jsonl", packed.tasks[row["task"]]["id"])
    kept = {row["task"] for row in packed.rows if row["block"] >= 0}
    assert max(kept) - min(kept) > 100  # spread over all tasks, not the first ones


def test_hundreds_of_long_episodes_make_a_small_page(tmp_path: Path) -> None:
    turns = [Turn("You see " + "x" * 600, [1] * 50, 0, [7] * 12, [-0.5] * 12, "go to cabinet 1")] * 50
    episodes = [replace(play("s", i), turns=turns) for i in range(100)]
    page = write_report(write_episodes(tmp_path / "e.jsonl", episodes))
    assert page.stat().st_size < 1_000_000
    assert len(shown(Page(page).data)) == 100


@pytest.mark.parametrize(
    "contestant",
    [
        Contestant("random", "random"),
        Contestant("some one", "tiny:runs/a b/policy", remind_goal=True, temperature=0.5, max_tokens=24),
        Contestant("r", "tiny:x", agent="reflexion", tries=4, context="window", window_turns=3),
        Contestant("b", "smollm2", agent="best-of-n", temperature=1.0, thought=True),
        Contestant("c", "openai:m@http://localhost:1/v1", agent="codeact"),
    ],
)
def test_the_command_says_what_was_played(contestant: Contestant) -> None:
    assert contestant_from(contestant_word(contestant.settings)) == contestant


def test_numbers_that_nobody_knows_are_none(tmp_path: Path) -> None:
    data = Page(write_report(make_bench(tmp_path, {"a": "fff", "b": "sss"}))).data
    assert "NaN" in (tmp_path / "results.json").read_text()
    assert data["contestants"][0]["success"] is None
    assert data["contestants"][0]["cost"] is None
    assert data["comparisons"][0]["difference"] is None


BENCHES: dict[str, tuple[Outcomes, list[str]]] = {
    "a clear difference": (
        {"strong": STRONG, "weak": WEAK},
        [
            "strong solved the most: 95 % of 40 tasks",
            "clearly more than the other",
            "strong beats weak by 80 points",
            "34 tasks only strong",
            "34 of 40 (85 %)",
        ],
    ),
    "no clear difference": (
        {"a": "ssst" * 3, "b": "sstt" * 3},
        ["No clear difference between a and b: +25 points", "with no clear difference to b"],
    ),
    "one contestant": ({"alone": "smts"}, ["alone solved 50 % of 4 tasks"]),
    "nobody solved anything": ({"a": "ttt", "b": "mmm"}, ["Nobody solved any of 3 tasks."]),
    "all failed": ({"a": "fff"}, ["WorkerError: the worker died", "worker 3"]),
    "one failed wholly": (
        {"a": "fff", "b": "ssm"},
        ["a and b were judged on no common task", "3 episodes failed for reasons of the machine"],
    ),
}


@needs_browser
@pytest.mark.parametrize("name", BENCHES)
def test_a_browser_shows_what_was_measured(tmp_path: Path, name: str) -> None:
    outcomes, expected = BENCHES[name]
    seen = browse(write_report(make_bench(tmp_path, outcomes)), tmp_path)
    for words in expected:
        assert words in seen, seen
    for wrong in ("NaN", "undefined", "null", "[object", "Infinity"):
        assert wrong not in seen, seen


@needs_browser
def test_a_browser_says_what_is_missing(tmp_path: Path) -> None:
    shard = {"number": 2, "of": 3, "tasks": 4}
    panel = {"name": "doors", "digest": "abc", "size": 12}
    make_bench(tmp_path, {"a": "smts", "b": "ssss"}, shard=shard, panel=panel)
    seen = browse(write_report(tmp_path, max_episodes=2), tmp_path)
    assert "shard 2 of 3, with 4 of the panel's 12 tasks" in seen
    assert "This page lists 2 of 8 episodes" in seen
    make_bench(tmp_path, {"a": "smts", "b": "ssss"}, panel=panel)
    assert "Not all of the panel was played: a 4, b 4 of 12 tasks." in browse(
        write_report(tmp_path), tmp_path
    )


@needs_browser
def test_a_browser_shows_tries_cost_thoughts_and_hostile_texts(tmp_path: Path) -> None:
    episode = play("s", 0, HOSTILE)
    episode.goal = HOSTILE
    episode.tags = {
        "reflections": [HOSTILE, "Look in the drawer."],
        "trial": 2,
        "earlier_tokens": 7,
        "earlier_seconds": 1.0,
        "earlier_cost": 0.5,
    }
    episode.turns[0].tags = {"thought": "<i>I think</i>", "cost": 0.25}
    aside = {"aside": True, "no_action": True, "purpose": "reflection"}
    episode.turns.append(Turn("What went <b>wrong</b>?", [1], 0, [9], [-1.0], "", tags=aside))
    write_episodes(tmp_path / "episodes-<b>-0.jsonl", [episode])
    row = asdict(
        score("<b>", [episode], {"name": "<b>", "policy": "tiny:x", "agent": "reflexion", "tries": 3})
    )
    record = {"panel": {"name": HOSTILE, "digest": "<d>", "size": 1}, "contestants": [row]}
    (tmp_path / "results.json").write_text(json.dumps(record))
    page = write_report(tmp_path)
    assert Page(page).scripts == 2
    seen = browse(page, tmp_path)
    for words in (
        "within 1 · 2 · 3 tries: 0 % · 100 % · 100 %",
        "cost",
        "0.75",
        "<i>I think</i>",
        "Look in the drawer.",
        "asked beside the episode: reflection",
        "What went <b>wrong</b>?",
    ):
        assert words in seen, seen
    assert seen.count("document.title='owned'</script>") >= 4
    assert f"{tmp_path.name} · palaestra" in seen
    assert math.isfinite(row["cost"])
