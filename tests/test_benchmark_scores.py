"""Scores and what episodes cost, against numbers worked out by hand."""

from __future__ import annotations

import json
import math

import pytest

from palaestra.agents.benchmark import Results, Shard
from palaestra.agents.comparison import compare_pair
from palaestra.agents.episode import Episode, Turn
from palaestra.agents.scores import ending, scenario_goals, score, wilson_interval
from palaestra.agents.spending import spending, spent
from palaestra.cli.bench import by_environment, differences, shown_pairs, table
from palaestra.envs.panel import Panel, PanelItem


def turn(prompt=2, kept=0, sampled=3, **tags) -> Turn:
    return Turn("o", [0] * prompt, kept, [1] * sampled, [0.0] * sampled, "a", tags=tags)


def episode(success=False, outcome="truncated", turns=(), **fields) -> Episode:
    env_id = fields.pop("env_id", "e/E-v0")
    made = Episode(env_id, "t", "g", 0, "p", "a", success=success, reward=float(success), **fields)
    made.outcome, made.turns = outcome, list(turns)
    return made


def printed(shown) -> str:
    from io import StringIO

    from rich.console import Console

    out = StringIO()
    Console(file=out, width=200).print(shown)
    return out.getvalue()


def test_three_of_eight_by_hand():
    episodes = [
        *(episode(True, "terminated", [turn()], seconds=1.0, scenario="x") for _ in range(3)),
        *(episode(False, "truncated", [turn(), turn()], seconds=2.0, scenario="y") for _ in range(5)),
        episode(False, "failed", tags={"failure_kind": "DeadlineError"}),
        episode(False, "failed"),
    ]
    found = score("a", episodes, {"policy": "tiny:x"})
    assert (found.success, found.reward, found.episodes, found.failures) == (0.375, 0.375, 8, 2)
    # p = 0.375, n = 8, z = 1.959964: centre (0.375 + 0.240091) / 1.480182, half 0.278954.
    assert found.interval == pytest.approx((0.13684, 0.69426), abs=1e-5)
    assert found.steps == (3 * 1 + 5 * 2) / 8
    assert found.tokens == (3 * 3 + 5 * 6) / 8
    assert found.seconds == (3 * 1 + 5 * 2) / 8
    assert math.isnan(found.cost)
    assert found.by_scenario == {
        "x": {"success": 1.0, "episodes": 3},
        "y": {"success": 0.0, "episodes": 5},
    }
    assert found.by_env == {"e/E-v0": {"success": 0.375, "episodes": 8}}
    assert found.endings == {"solved": 3, "step limit": 5}
    assert found.failure_kinds == {"DeadlineError": 1, "unknown": 1}


def test_nothing_judged_is_unknown_and_not_zero():
    found = score("a", [episode(False, "failed")])
    assert (found.interval, found.episodes, found.failures) == ((0.0, 1.0), 0, 1)
    assert all(math.isnan(value) for value in (found.success, found.steps, found.tokens, found.cost))


def test_wilson_interval_against_published_numbers():
    # Newcombe 1998, table I: 81 of 263 -> 0.2553 to 0.3662; 0 of 20 -> 0 to 0.1611.
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson_interval(20, 20) == pytest.approx((0.8389, 1.0), abs=5e-5)
    assert wilson_interval(0, 0) == (0.0, 1.0)


def test_scenarios_of_several_environments_are_told_apart():
    two = [episode(True, env_id="p/A-v0", scenario="s"), episode(env_id="p/B-v0", scenario="s")]
    assert set(score("a", two).by_scenario) == {"A-v0: s", "B-v0: s"}
    # Also where one of them failed as a whole: the names are the same for all contestants.
    lost = [two[0], episode(False, "failed", env_id="p/B-v0")]
    assert set(score("a", lost).by_scenario) == {"A-v0: s"}


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (episode(True, "terminated", checks={"right": True}), "solved"),
        (episode(False, "truncated"), "step limit"),
        (episode(False, "truncated", tags={"context_full": True}), "context full"),
        (episode(False, "truncated", tags={"turn_limit": True}), "turn limit"),
        (episode(False, "terminated", checks={"said": True, "right": False}), "check missed: right"),
        (episode(False, "terminated", checks={"said": True}), "ended unsolved"),
        (episode(False, "terminated"), "ended unsolved"),
    ],
)
def test_endings(made, expected):
    assert ending(made) == expected


def test_steps_are_actions_also_empty_ones_and_not_questions_beside():
    turns = [turn(), turn(aside=True, no_action=True), Turn("o", [], 0, [1], [0.0], "")]
    assert score("a", [episode(turns=turns)]).steps == 2


# ---- scenarios and metrics -----------------------------------------------------------------------------


def siblings(outcomes: dict[str, str], **fields) -> list[Episode]:
    """Episodes of sibling tasks: for each scenario its outcomes, s solved, u unsolved, f failed."""
    return [
        episode(sign == "s", "failed" if sign == "f" else "terminated", scenario=name, **fields)
        for name, signs in outcomes.items()
        for sign in signs
    ]


TOLD = {"tags": {"siblings": True}}


def test_a_scenario_is_solved_when_all_its_tasks_are():
    # Solved are a and e; b and c have a task that was judged unsolved; of d and g nobody knows.
    outcomes = {"a": "sss", "b": "ssu", "c": "fus", "d": "ssf", "e": "s", "g": "ff"}
    found = score("x", siblings(outcomes, **TOLD))
    assert (found.scenario_goal, found.scenarios) == (0.5, 4)
    # Wilson's interval of 2 in 4.
    assert found.scenario_goal_interval == pytest.approx((0.15004, 0.84996), abs=1e-5)
    # Success is that of tasks: 9 of the 11 that were judged.
    assert (found.success, found.episodes, found.failures) == (9 / 11, 11, 4)


def test_scenarios_of_several_environments_are_not_one():
    played = [
        *siblings({"s": "ss", "t": "su"}, env_id="p/A-v0", **TOLD),
        *siblings({"s": "uu", "t": "ss"}, env_id="p/B-v0", **TOLD),
        *siblings({"s": "u", "v": "u"}, env_id="p/C-v0"),  # the tasks of this one are no siblings
    ]
    assert scenario_goals(played) == {
        ("p/A-v0", "s"): True,
        ("p/A-v0", "t"): False,
        ("p/B-v0", "s"): False,
        ("p/B-v0", "t"): True,
    }
    found = score("x", played)
    assert (found.scenario_goal, found.scenarios) == (0.5, 4)


def test_a_failure_before_the_task_was_known_belongs_to_no_scenario():
    assert scenario_goals(siblings({"a": "ss", "": "f"}, **TOLD)) == {("e/E-v0", "a"): True}


def test_without_siblings_there_is_no_scenario_goal():
    found = score("x", siblings({"a": "ss"}))
    assert math.isnan(found.scenario_goal)
    assert (found.scenario_goal_interval, found.scenarios) == ((0.0, 1.0), 0)
    shown = printed(table(results()))
    assert "SGC" not in shown
    assert "scenarios" not in shown


def test_metrics_are_means_over_the_judged_episodes_that_have_them():
    played = [
        episode(tags={"metrics": {"calls": 3, "paid": 1.5}}),
        episode(tags={"metrics": {"calls": 6}}),
        episode(),
        episode(False, "failed", tags={"metrics": {"calls": 100, "lost": 1}}),
    ]
    assert score("x", played).metrics == {"calls": 4.5, "paid": 1.5}
    assert score("x", [episode()]).metrics == {}


def test_a_table_has_columns_for_scenarios_and_metrics_where_anybody_has_them():
    told = {"tags": {"siblings": True, "metrics": {"api_calls": 7}}}
    able = score("able", siblings({"a": "ss", "b": "ss", "c": "su"}, **told), {"policy": "x"})
    other = score("other", [episode(True)], {"policy": "x"})
    panel = Panel("mixed", (PanelItem("p/A-v0", "t", 0),))
    lines = printed(table(Results(panel, (able, other)))).splitlines()
    rows = [[cell.strip() for cell in line.replace("┃", "│").split("│")] for line in lines]
    [names] = [row for row in rows if "contestant" in row]
    cells = {row[1]: dict(zip(names, row, strict=True)) for row in rows if len(row) == len(names)}
    shown = {name: [row[key] for key in ("SGC", "scenarios", "api calls")] for name, row in cells.items()}
    assert shown["able"] == ["66.7%", "3", "7.0"]
    assert shown["other"] == ["-", "0", "-"]


# ---- what it cost ------------------------------------------------------------------------------------


def test_a_growing_prompt_is_sent_anew_every_turn():
    one = spending(
        episode(turns=[turn(prompt=10, sampled=2), turn(prompt=4, kept=12, sampled=1)], seconds=3.0)
    )
    assert (one.tokens, one.prompt_tokens, one.seconds) == (3, 10 + 16, 3.0)
    assert math.isnan(one.cost)


def test_what_a_server_counted_comes_first():
    turns = [turn(prompt_tokens=50, completion_tokens=7, cost=0.25), turn(prompt_tokens=60, cost=0.5)]
    one = spending(episode(turns=turns))
    assert (one.tokens, one.prompt_tokens, one.cost) == (7 + 3, 110, 0.75)


def test_turns_that_asked_nobody_cost_nothing():
    inserted = Turn("o", [1, 2], 0, [], [], "a", tags={"inserted_tokens": 2})
    one = spending(episode(turns=[inserted]))
    assert (one.tokens, one.prompt_tokens, one.cost) == (0, 0, 0.0)
    priced = episode(turns=[turn(cost=0.5)])
    assert score("a", [priced, episode()], {"policy": "openai:x"}).cost == 0.5
    assert math.isnan(score("a", [priced, episode(turns=[turn()])], {"policy": "openai:x"}).cost)


def test_earlier_tries_are_added_and_all_tries_are_not_added_twice():
    tries = [episode(turns=[turn(prompt=10, sampled=2, cost=1.0)], seconds=1.0) for _ in range(3)]
    earlier = episode(turns=[turn(prompt=1, sampled=1, cost=0.5)], seconds=0.5, tags=spent(tries, "earlier"))
    one = spending(earlier)
    assert (one.tokens, one.prompt_tokens, one.seconds, one.cost) == (7, 31, 3.5, 3.5)
    chosen = episode(turns=tries[0].turns, seconds=1.0, tags=spent(tries, "tries"))
    one = spending(chosen)
    assert (one.tokens, one.prompt_tokens, one.seconds, one.cost) == (6, 30, 3.0, 3.0)


def test_tags_without_prices_are_numbers_that_can_be_saved():
    tags = spent([episode(turns=[turn()])], "earlier")
    assert set(tags) == {"earlier_tokens", "earlier_prompt_tokens", "earlier_seconds"}
    assert math.isnan(spending(episode(turns=[turn()], tags=tags)).cost)
    json.dumps(tags, allow_nan=False)


def test_success_within_so_many_tries():
    settings = {"agent": "reflexion", "tries": 3, "policy": "x"}
    episodes = [
        episode(True, tags={"trial": 1}),
        episode(True, tags={"trial": 3}),
        episode(False, tags={"trial": 3}),
        episode(True, tags={"trial": 2}),
        episode(False, "failed", tags={"trial": 2}),
    ]
    assert score("a", episodes, settings).within == (0.25, 0.5, 0.75)
    assert score("a", episodes, {"agent": "react"}).within == ()


# ---- what is written and printed -----------------------------------------------------------------------


def results(shard: Shard | None = None) -> Results:
    items = tuple(PanelItem(f"p/{'AB'[n % 2]}-v0", f"t{n}", n) for n in range(8))
    panel = Panel("both", items)
    won = {"first": range(2), "second": range(1, 7), "nobody": ()}
    scores, outcomes = [], {}
    for name, wins in won.items():
        episodes = [
            episode(n in wins, env_id=item.env_id, key=item.key, turns=[turn()])
            for n, item in enumerate(items)
        ]
        scores.append(score(name, episodes, {"policy": "x"}))
        outcomes[name] = {item.key: n in wins for n, item in enumerate(items)}
    import numpy

    pair = compare_pair("first", outcomes["first"], "second", outcomes["second"], numpy.random.default_rng(0))
    return Results(panel, tuple(scores), (pair,), shard)


def test_the_tables_say_percentages_of_what_was_played():
    shown = printed(table(results()))
    assert "both (8 tasks, digest " in shown
    assert "25.0%" in shown
    assert "7.1% to 59.1%" in shown  # Wilson's interval of 2 in 8
    shown = printed(by_environment(results()))
    # The first won tasks 0 and 1, one of the four of each environment; the second 1 to 6, three of each.
    assert shown.count("25.0%") == 2
    assert shown.count("75.0%") == 2
    shown = printed(differences(results()))
    assert "-50.0%" in shown  # 2 of 8 less 6 of 8
    # Only the first won one task, only the second five: 2 * (1 + 6) / 2**6.
    assert "0.219" in shown


def test_a_table_of_a_part_says_which():
    shown = printed(table(results(Shard(2, 3))))
    assert "part 2 of 3: 3 of 8 tasks" in shown


def test_results_are_json_that_everybody_reads(tmp_path):
    path = tmp_path / "results.json"
    results(Shard(2, 3)).save(path)

    def refuse(constant: str):
        raise AssertionError(constant)

    record = json.loads(path.read_text(), parse_constant=refuse)
    assert record["shard"] == {"number": 2, "of": 3, "tasks": 3}
    assert record["contestants"][0]["cost"] is None
    assert record["contestants"][1]["success"] == 0.75
    [pair] = record["comparisons"]
    assert (pair["both"], pair["only_first"], pair["only_second"], pair["neither"]) == (1, 1, 5, 1)
    assert pair["difference"] == -0.5
    assert pair["p"] == pytest.approx(2 * 7 / 64)
    results().save(path)
    assert json.loads(path.read_text())["shard"] is None
    assert json.loads(path.read_text())["panel"] == {
        "name": "both",
        "digest": results().panel.digest,
        "size": 8,
    }


def test_of_many_pairs_neighbours_are_shown():
    scores = [score(f"c{n}", [episode(k < n) for k in range(6)]) for n in range(6)]
    from palaestra.agents.comparison import Comparison

    pairs = [
        Comparison(f"c{a}", f"c{b}", 6, 0, 0, 0, 6, 0.0, (0.0, 0.0), 1.0, 1.0)
        for a in range(6)
        for b in range(a + 1, 6)
    ]
    assert [(p.first, p.second) for p in shown_pairs(scores, pairs)] == [
        (f"c{n}", f"c{n + 1}") for n in range(5)
    ]
    assert shown_pairs(scores, pairs[:10]) == pairs[:10]
