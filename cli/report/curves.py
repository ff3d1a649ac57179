"""The curves of a training run: one for each numeric metric of its metrics.jsonl."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

from palaestra.cli.report.reading import Record, finite, flatten

_POINTS_PER_CURVE = 1000
_FIRST_GROUPS = ("success", "reward", "return", "eval")


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
