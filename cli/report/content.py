"""Reads a run directory, a benchmark directory or an episode file into the plain data of a report page."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import palaestra
from palaestra.agents.benchmark import wilson_interval
from palaestra.agents.episode import Episode, Turn
from palaestra.errors import DataError

Record = dict[str, Any]
Decode = Callable[[list[int]], list[str]]

_POINTS_PER_CURVE = 1000
_EPISODES_BYTES = 9_000_000
_FIRST_GROUPS = ("success", "reward", "return", "eval")


@dataclass(slots=True)
class Source:
    """What was found at a path, before any of it is read."""

    path: Path
    kind: str
    episode_files: list[Path]
    tokenizers: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def label(self, file: Path) -> str:
        """Return what the episodes of a file are called: in a benchmark, their contestant."""
        if self.kind == "benchmark":
            return file.stem.removeprefix("episodes-").rpartition("-")[0] or file.stem
        return file.stem


def content(path: Path, max_episodes: int) -> Record:
    """Return everything that the page of ``path`` shows, as JSON-able data.

    At most ``max_episodes`` episodes are taken, spread evenly over all of them, the failed ones first.
    What cannot be read is named in the ``notes`` of the page. Raises ``DataError`` when ``path`` holds
    nothing to show.
    """
    source = find_source(path)
    metrics = read_metrics(path / "metrics.jsonl", source.notes) if path.is_dir() else []
    results = read_results(path / "results.json", source.notes) if path.is_dir() else None
    measured = results["contestants"] if results else None
    source.tokenizers += [file for row in measured or [] for file in tokenizer_files(row)]
    episodes, total = read_some_episodes(source, max_episodes)
    config = read_json(path / "config.json", source.notes) if path.is_dir() else None
    if not (metrics or episodes or results):
        why = f" ({'; '.join(source.notes)})" if source.notes else ""
        raise DataError(f"{path} holds no episodes, metrics or results that can be shown{why}")
    files = [file for file in (*source.episode_files, path) if file.exists()]
    newest = max(file.stat().st_mtime for file in files)
    return {
        "title": path.resolve().name,
        "kind": source.kind,
        "path": str(path),
        "when": datetime.fromtimestamp(newest).astimezone().isoformat(timespec="seconds"),
        "version": palaestra.__version__,
        "config": settings(config) if isinstance(config, Mapping) else {},
        "panel": results.get("panel") if results else None,
        "contestants": contestants(episodes) if measured is None else measured,
        "measured": measured is not None,
        "curves": curves(metrics),
        "episodes": episodes,
        "total_episodes": total,
        "notes": source.notes,
    }


def settings(config: Mapping[str, Any]) -> Record:
    """Return the settings of a run as flat pairs: the trainer first, its settings, then the versions."""
    if not isinstance(config.get("config"), Mapping):
        return dict(flatten(config))
    around = {key: value for key, value in config.items() if key not in ("config", "versions")}
    versions = {"version of": config.get("versions", {})}
    return dict(flatten({**around, **config["config"], **versions}))


def find_source(path: Path) -> Source:
    """Say what ``path`` is. Raises ``DataError`` when there is nothing that can be read."""
    if path.is_file():
        return Source(path, "episodes", [path], sorted(path.parent.glob("**/tokenizer.json"))[-1:])
    if not path.is_dir():
        raise DataError(
            f"{path} does not exist; give a run directory, a benchmark directory or a .jsonl of episodes"
        )
    files = sorted({*path.glob("episodes*.jsonl"), *(path / "episodes").rglob("*.jsonl")})
    kind = "benchmark" if (path / "results.json").exists() else "training run"
    # The newest, since the folders of checkpoints are numbered.
    return Source(path, kind, files, sorted(path.glob("**/tokenizer.json"))[-1:])


def read_json(file: Path, notes: list[str]) -> Any:
    """Return the content of a JSON file, or None (with a note) where it cannot be read."""
    if not file.exists():
        return None
    try:
        return finite(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        notes.append(f"{file.name} cannot be read: {error}")
        return None


def read_metrics(file: Path, notes: list[str]) -> list[Record]:
    """Return the rows of a metrics file; broken lines are counted in ``notes``."""
    if not file.exists():
        return []
    rows: list[Record] = []
    broken = 0
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            rows.append(dict(flatten(finite(json.loads(line)))))
        except (ValueError, AttributeError):
            broken += 1
    if broken:
        notes.append(f"{broken} lines of {file.name} cannot be read and are left out")
    return rows


def finite(value: Any) -> Any:
    """Return ``value`` with every number that is not finite replaced by None (JSON has no such numbers)."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value


def flatten(record: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the leaves of nested mappings under dotted names."""
    for key, value in record.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


# ---- curves ------------------------------------------------------------------------------------------


def curves(rows: Sequence[Record]) -> list[Record]:
    """Return one curve for each numeric metric: name, group, and the x and y of its points.

    The groups that say whether it learns come first. Long curves are thinned evenly to 1,000 points.
    """
    names = dict.fromkeys(name for row in rows for name in row if name != "step")
    found: list[Record] = []
    for name in names:
        points = [
            (row.get("step", number), row[name])
            for number, row in enumerate(rows)
            if isinstance(row.get(name), int | float)
        ]
        if points:
            stride = math.ceil(len(points) / _POINTS_PER_CURVE)
            # Counted back from the end, so that the last value, which everyone looks for, is kept.
            kept = points[::-1][::stride][::-1]
            xs, ys = zip(*kept, strict=True)
            found.append({"name": name, "group": group_of(name), "x": xs, "y": ys, "stride": stride})
    return sorted(found, key=lambda curve: _rank(curve["group"]))


def group_of(name: str) -> str:
    """Return the heading under which a metric is shown."""
    for word in _FIRST_GROUPS:
        if word in name.lower():
            return "success and reward"
    head, separator, _ = name.replace(".", "/").partition("/")
    return head if separator else "other"


def _rank(group: str) -> tuple[int, str]:
    return {"success and reward": 0, "other": 2, "time": 3}.get(group, 1), group


# ---- episodes ----------------------------------------------------------------------------------------


def read_some_episodes(source: Source, limit: int) -> tuple[list[Record], int]:
    """Return up to ``limit`` episodes as page data, and how many there are in all.

    The lines are counted first and only the chosen ones parsed: a long run has more than memory holds.
    """
    places = [place for file in source.episode_files for place in line_places(file)]
    chosen = choose(places, limit)
    decoders = [*map(load_decoder, dict.fromkeys(source.tokenizers)), spell_bytes]
    episodes: list[Record] = []
    broken: list[str] = []
    size = 0
    for file, offset, _ in chosen:
        try:
            episode = Episode.from_json(_line_at(file, offset))
        except DataError as error:
            broken.append(str(error))
            continue
        record = episode_data(episode, source.label(file), decoders)
        size += len(json.dumps(record))
        if episodes and size > _EPISODES_BYTES:
            source.notes.append(
                "the episodes are long: those that would make this page too large are left out"
            )
            break
        episodes.append(record)
    if broken:
        source.notes.append(f"{len(broken)} episodes cannot be read and are left out; the first: {broken[0]}")
    return episodes, len(places)


def line_places(file: Path) -> Iterator[tuple[Path, int, bool]]:
    """Yield (file, offset, whether the infrastructure failed) for each whole line of an episode file."""
    try:
        with file.open("rb") as lines:
            offset = 0
            for line in lines:
                if line.strip() and line.endswith(b"\n"):
                    yield file, offset, b'"outcome": "failed"' in line
                offset += len(line)
    except OSError as error:
        raise DataError(f"cannot read {file}: {error}") from error


def choose(places: Sequence[tuple[Path, int, bool]], limit: int) -> list[tuple[Path, int, bool]]:
    """Return at most ``limit`` places in order: failed ones up to a quarter, the others spread evenly."""
    if len(places) <= limit:
        return list(places)
    failed = [i for i, place in enumerate(places) if place[2]]
    kept = set(_spread(failed, max(1, limit // 4)))
    others = [i for i in range(len(places)) if i not in kept]
    kept.update(_spread(others, limit - len(kept)))
    return [places[i] for i in sorted(kept)]


def _spread(items: Sequence[int], count: int) -> list[int]:
    if len(items) <= count:
        return list(items)
    return [items[i * len(items) // count] for i in range(count)]


def _line_at(file: Path, offset: int) -> str:
    with file.open("rb") as lines:
        lines.seek(offset)
        return lines.readline().decode("utf-8", errors="replace")


def episode_data(episode: Episode, source: str, decoders: Sequence[Decode]) -> Record:
    """Return what the page shows of an episode; prompt ids are counted, not kept."""
    return {
        "id": episode.task_id,
        "env": episode.env_id,
        "goal": episode.goal,
        "seed": episode.seed,
        "policy": episode.policy,
        "agent": episode.agent,
        "scenario": episode.scenario,
        "attempt": episode.attempt,
        "source": source,
        "reward": episode.reward,
        "success": episode.success,
        "outcome": episode.outcome,
        "failure": episode.failure,
        "checks": episode.checks,
        "tags": finite(episode.tags),
        "options": finite(episode.options),
        "seconds": round(episode.seconds, 3),
        "sampled": episode.sampled_tokens,
        "prompted": episode.prompt_tokens,
        "final": episode.final_observation,
        "turns": [turn_data(turn, decoders) for turn in episode.turns],
    }


def turn_data(turn: Turn, decoders: Sequence[Decode]) -> Record:
    """Return what the page shows of a turn: texts, and per sampled token its text and log-prob."""
    record: Record = {"o": turn.observation, "a": turn.action, "r": turn.reward, "p": len(turn.prompt_ids)}
    if not turn.valid:
        record["invalid"] = True
    if turn.finish_reason != "stop":
        record["finish"] = turn.finish_reason
    if turn.tags:
        record["tags"] = finite(turn.tags)
    if any(turn.logprobs):
        record["l"] = [round(value, 3) if math.isfinite(value) else None for value in turn.logprobs]
        record["t"] = token_texts(turn, decoders)
    else:  # A scripted policy, which never doubts: only how many tokens there were is worth its bytes.
        record["n"] = len(turn.completion_ids)
    return record


def token_texts(turn: Turn, decoders: Sequence[Decode]) -> list[str]:
    """Return the text of each sampled token, or its number where no tokenizer at hand made it.

    A tokenizer counts as the right one when the tokens it spells contain the action.
    """
    for decode in decoders:
        pieces = decode(turn.completion_ids)
        if turn.action.strip() in "".join(pieces):
            return pieces
    return [f"#{number} " for number in turn.completion_ids]


def load_decoder(file: Path) -> Decode:
    """Return a function from token ids to their texts, made from a ``tokenizer.json``.

    It spells nothing where the library `tokenizers` is not installed or the file cannot be read.
    """
    try:
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(file))
    except Exception:  # the library raises its own bare Exception for a file it cannot read
        return lambda ids: []
    return lambda ids: [tokenizer.decode([number], skip_special_tokens=False) for number in ids]


def spell_bytes(ids: list[int]) -> list[str]:
    """Spell the tokens of the scripted policies, whose ids below 256 are bytes."""
    return [bytes([number]).decode(errors="replace") if number < 256 else "" for number in ids]


def tokenizer_files(contestant: Record) -> list[Path]:
    """Return the tokenizer of a contestant whose policy is ``tiny:DIR``, where it is still there."""
    policy = str((contestant.get("settings") or {}).get("policy", ""))
    file = Path(policy.partition(":")[2], "tokenizer.json")
    return [file] if policy.startswith("tiny:") and file.exists() else []


def read_results(file: Path, notes: list[str]) -> Record | None:
    """Return the panel and the rows of a results.json, or None (with a note) where it cannot be read."""
    record = read_json(file, notes)
    if record is None:
        return None
    try:
        return {
            "panel": record.get("panel"),
            "contestants": [measured_row(row) for row in record["contestants"]],
        }
    except (KeyError, TypeError, AttributeError) as error:
        notes.append(f"{file.name} is not the result of a benchmark: {type(error).__name__}: {error}")
        return None


def measured_row(row: Record) -> Record:
    """Return a row of results.json with an interval beside every rate that says how many tries it had."""
    scenarios = {name: _with_interval(rate) for name, rate in (row.get("by_scenario") or {}).items()}
    return {**row, "n": row.get("episodes"), "by_scenario": scenarios}


def _with_interval(rate: Record) -> Record:
    success, count = rate.get("success"), rate.get("episodes")
    if success is None or not count or "interval" in rate:
        return rate
    return {"success": success, "n": count, "interval": wilson_interval(round(success * count), count)}


def contestants(episodes: Iterable[Record]) -> list[Record]:
    """Return a result row for each policy and agent among ``episodes``; failed episodes are only counted."""
    groups: dict[str, list[Record]] = {}
    for episode in episodes:
        groups.setdefault(f"{episode['policy']} · {episode['agent']}", []).append(episode)
    return [_contestant(name, group) for name, group in groups.items()]


def _contestant(name: str, group: list[Record]) -> Record:
    judged = [episode for episode in group if episode["outcome"] != "failed"]
    scenarios: dict[str, list[Record]] = {}
    for episode in judged:
        scenarios.setdefault(episode["scenario"] or "-", []).append(episode)
    return {
        "name": name,
        **_rate(judged),
        "steps": _mean([len(episode["turns"]) for episode in judged]),
        "tokens": _mean([episode["sampled"] for episode in judged]),
        "seconds": _mean([episode["seconds"] for episode in judged]),
        "failures": len(group) - len(judged),
        "by_scenario": {scenario: _rate(members) for scenario, members in sorted(scenarios.items())},
    }


def _rate(judged: Sequence[Record]) -> Record:
    successes = sum(episode["success"] for episode in judged)
    if not judged:
        return {"success": None, "interval": None, "n": 0}
    return {
        "success": successes / len(judged),
        "interval": wilson_interval(successes, len(judged)),
        "n": len(judged),
    }


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
