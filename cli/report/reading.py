"""Reads the small files of a run or a benchmark as they are: JSON with numbers that JSON knows."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

Record = dict[str, Any]


def read_json(file: Path, notes: list[str]) -> Any:
    """Return the content of a JSON file, or None (with a note) where it cannot be read."""
    if not file.exists():
        return None
    try:
        return finite(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        notes.append(f"{file.name} cannot be read: {error}")
        return None


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
