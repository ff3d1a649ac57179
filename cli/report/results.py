"""The results of a benchmark as the page shows them, and what its episodes add where an old file lacks it."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from palaestra.agents.comparison import compare
from palaestra.agents.contestants import Contestant
from palaestra.agents.policies.smollm2 import default_folder
from palaestra.agents.scores import SOLVED, mean_metrics, solved_groups, wilson_interval
from palaestra.cli.report.reading import Record, finite, read_json
from palaestra.cli.report.turns import SCRIPTED
from palaestra.envs.panel import Panel
from palaestra.errors import OptionError, UnknownNameError


def read_results(file: Path, notes: list[str]) -> Record | None:
    """Return the content of a results.json, or None (with a note) where it cannot be read."""
    record = read_json(file, notes)
    if record is None:
        return None
    try:
        shard = record.get("shard")
        return {
            "panel": record.get("panel"),
            "shard": {key: int(shard[key]) for key in ("number", "of", "tasks")} if shard else None,
            "contestants": [measured_row(row) for row in record["contestants"]],
            "comparisons": [dict(row) for row in record.get("comparisons") or []],
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        notes.append(f"{file.name} is not the result of a benchmark: {type(error).__name__}: {error}")
        return None


def measured_row(row: Record) -> Record:
    """Return a row of results.json with an interval beside every rate that says how many tries it had."""
    rates: Record = {
        table: {name: _with_interval(rate) for name, rate in (row.get(table) or {}).items()}
        for table in ("by_scenario", "by_env")
    }
    if (row.get("settings") or {}).get("policy") in SCRIPTED:
        # Older versions counted the bytes that a scripted policy wrote.
        rates.update(tokens=None, prompt_tokens=None)
    return {**row, "n": row.get("episodes"), **rates}


def _with_interval(rate: Record) -> Record:
    success, count = rate.get("success"), rate.get("episodes")
    if success is None or not count:
        return {"success": None, "n": 0, "interval": None}
    return {"success": success, "n": count, "interval": wilson_interval(round(success * count), count)}


def complete(results: Record, rows: Sequence[Record], tasks: Sequence[Record]) -> None:
    """Add to the results of an older version what their episodes say: endings, environments, comparisons."""
    groups: dict[str, list[Record]] = {row["name"]: [] for row in results["contestants"]}
    for row in rows:
        groups.get(row["source"], []).append(row)
    # Rows that are not all of what was measured would say something else.
    whole = {row["name"]: row["n"] == len(_judged(groups[row["name"]])) for row in results["contestants"]}
    for contestant in results["contestants"]:
        group = groups[contestant["name"]]
        if whole[contestant["name"]] and not contestant.get("endings"):
            contestant["endings"] = count_endings(_judged(group))
            contestant["failure_kinds"] = count_failures(group)
            contestant["by_env"] = _rates(_judged(group), [task["env"] for task in tasks])
    if not results["comparisons"] and all(whole.values()):
        results["comparisons"] = compare_rows(groups, tasks)


def read_contestants(file: Path, notes: list[str]) -> list[Record]:
    """Return the contestants of a benchmark that is under way: their names and settings."""
    record = read_json(file, notes)
    if not isinstance(record, Mapping):
        return []
    return [{"name": name, "settings": settings} for name, settings in record.items()]


def unfinished(
    declared: Sequence[Record], rows: Sequence[Record], tasks: Sequence[Record], panel: Panel | None
) -> Record:
    """Return results of the episodes so far, of a benchmark that has not written its own."""
    settings = {row["name"]: row["settings"] for row in declared}
    groups: dict[str, list[Record]] = {name: [] for name in settings}
    for row in rows:
        groups.setdefault(row["source"], []).append(row)
    played = {name: group for name, group in groups.items() if group}
    return {
        "panel": {"name": panel.name, "digest": panel.digest, "size": len(panel.items)} if panel else None,
        "shard": None,
        "contestants": [
            {**_contestant(name, group, tasks), "settings": settings.get(name)}
            for name, group in played.items()
        ],
        "comparisons": compare_rows(played, tasks),
    }


def compare_rows(groups: Mapping[str, Sequence[Record]], tasks: Sequence[Record]) -> list[Record]:
    """Compare all contestants pairwise on the tasks that both were judged on."""
    outcomes = {
        name: {tasks[row["task"]]["key"]: row["success"] for row in _judged(group)}
        for name, group in groups.items()
    }
    return [finite(asdict(comparison)) for comparison in compare(outcomes, np.random.default_rng(0))]


def contestants(rows: Sequence[Record], tasks: Sequence[Record]) -> list[Record]:
    """Return a result row for each policy and agent among ``rows``; failed episodes are only counted."""
    groups: dict[str, list[Record]] = {}
    for row in rows:
        groups.setdefault(f"{row['policy']} · {row['agent']}", []).append(row)
    return [_contestant(name, group, tasks) for name, group in groups.items()]


def _contestant(name: str, group: list[Record], tasks: Sequence[Record]) -> Record:
    judged = _judged(group)
    costs = [row["cost"] for row in judged if row["cost"] is not None]
    return {
        "name": name,
        **_rate(judged),
        "reward": _mean(judged, "reward"),
        "steps": _mean(judged, "steps"),
        "tokens": _mean(judged, "sampled"),
        "prompt_tokens": _mean(judged, "prompted"),
        "seconds": _mean(judged, "seconds"),
        "cost": sum(costs) if costs else None,
        "failures": len(group) - len(judged),
        "by_scenario": _rates(judged, scenario_names(tasks)),
        "by_env": _rates(judged, [task["env"] for task in tasks]),
        "endings": count_endings(judged),
        "failure_kinds": count_failures(group),
        "metrics": mean_metrics(row.get("metrics") for row in judged),
        **_scenario_goal(group, tasks),
    }


def _scenario_goal(group: Sequence[Record], tasks: Sequence[Record]) -> Record:
    """Return the rate of solved scenarios as ``scores.scenario_goals`` has it, from rows of a page."""
    goals = solved_groups(
        ((task["env"], task["scenario"]), None if row["outcome"] == "failed" else row["success"])
        for row, task in ((row, tasks[row["task"]]) for row in group if row.get("siblings"))
        if task["scenario"] or row["outcome"] != "failed"
    )
    return {
        "scenario_goal": sum(goals.values()) / len(goals) if goals else None,
        "scenario_goal_interval": wilson_interval(sum(goals.values()), len(goals)),
        "scenarios": len(goals),
    }


def count_endings(judged: Sequence[Record]) -> dict[str, int]:
    """Return how often episodes ended in each way, the solved ones first, then the most frequent."""
    counts = Counter(row["ending"] for row in judged)
    return dict(sorted(counts.items(), key=lambda item: (item[0] != SOLVED, -item[1], item[0])))


def count_failures(group: Sequence[Record]) -> dict[str, int]:
    """Return how often the infrastructure failed in each way."""
    failed = Counter(row["ending"].removeprefix("failed: ") for row in group if row["outcome"] == "failed")
    return dict(failed.most_common())


def scenario_names(tasks: Sequence[Record]) -> list[str]:
    """Return the scenario of each task, behind its environment's name where there are several of these."""
    if len({task["env"] for task in tasks}) < 2:
        return [str(task["scenario"]) for task in tasks]
    return [f"{task['env'].rpartition('/')[2]}: {task['scenario']}" for task in tasks]


def _judged(group: Sequence[Record]) -> list[Record]:
    return [row for row in group if row["outcome"] != "failed"]


def _rates(judged: Sequence[Record], names: Sequence[str]) -> dict[str, Record]:
    groups: dict[str, list[Record]] = {}
    for row in judged:
        number: int = row["task"]
        groups.setdefault(names[number], []).append(row)
    return {name: _rate(members) for name, members in sorted(groups.items())}


def _rate(judged: Sequence[Record]) -> Record:
    successes = sum(row["success"] for row in judged)
    if not judged:
        return {"success": None, "interval": None, "n": 0}
    return {
        "success": successes / len(judged),
        "interval": wilson_interval(successes, len(judged)),
        "n": len(judged),
    }


def _mean(rows: Sequence[Record], key: str) -> float | None:
    values = [row[key] for row in rows if row[key] is not None]
    return sum(values) / len(values) if values else None


def command(results: Record, folder: Path) -> str:
    """Return a command that plays the same panel with the same contestants, into another folder."""
    words = ["palaestra", "bench", "--panel", str(folder / "panel.json"), "--out", "runs/again"]
    played = [contestant_word(row.get("settings") or {}) for row in results["contestants"]]
    return shlex.join([*words, "--contestants", *played])


def contestant_word(settings: Mapping[str, Any]) -> str:
    """Return the settings of a contestant in one word of the command line, without those that go unsaid.

    A name that holds a sign of that word's grammar cannot be said, nor can the text of a file.
    """
    agent, policy = str(settings.get("agent", "react")), str(settings.get("policy", ""))
    name = str(settings.get("name", ""))
    unsaid = _unsaid(agent, policy)
    given = [
        f"{key}={_value(key, value)}"
        for key, value in settings.items()
        if key not in ("name", "policy", "agent") and value != unsaid.get(key)
    ]
    who = policy if agent == "react" else f"{agent}:{policy}"
    if name != who and not set(name) & set(",=:@/"):
        who = f"{name}={who}"
    return ",".join([who, *given])


def _unsaid(agent: str, policy: str) -> dict[str, Any]:
    """Return the settings that a contestant has when none is given."""
    try:
        # Best-of-n refuses the temperature that goes unsaid.
        return {**Contestant("-", policy, agent=agent, temperature=1.0).settings, "temperature": 0.0}
    except (OptionError, UnknownNameError):
        return {}


def _value(key: str, value: object) -> str:
    if key == "system":
        return "FILE"
    return str(value).lower() if isinstance(value, bool) else str(value)


def tokenizer_file(settings: Mapping[str, Any]) -> Path | None:
    """Return the tokenizer of a contestant's policy, where it is still there."""
    kind, _, place = str(settings.get("policy", "")).partition(":")
    if kind == "smollm2":
        place = str(default_folder())
    elif kind not in ("tiny", "hf", "vllm") or not place:
        return None
    file = Path(place, "tokenizer.json")
    return file if file.exists() else None
