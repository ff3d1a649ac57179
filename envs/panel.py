"""Panels: the explicit lists of (environment, options, task, seed) that every result is measured on.

A panel file is JSON: groups of tasks that share an environment and its options, each task with its seed.
Nothing about a panel depends on file order, worker count or machine, so two results on the same panel (same
``digest``) can be compared item by item.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from palaestra.envs.core import TextEnv
from palaestra.envs.registration import spec
from palaestra.errors import DataError, OptionError


@dataclass(frozen=True, slots=True)
class PanelItem:
    """One episode to be played: ``gym.make(env_id, **options)``, then this task with this seed."""

    env_id: str
    task_id: str
    seed: int
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """A stable name of the item, the key under which results are stored and resumed."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Panel:
    """A named list of items, in the order in which they are reported."""

    name: str
    items: tuple[PanelItem, ...]

    @property
    def digest(self) -> str:
        """A hash of all items: equal digests mean comparable results."""
        return hashlib.sha256("".join(item.key for item in self.items).encode()).hexdigest()[:16]

    def save(self, path: Path) -> None:
        """Write the panel as JSON, whole or not at all."""
        groups = [
            {"env_id": env_id, "options": json.loads(options), "tasks": [[i.task_id, i.seed] for i in items]}
            for (env_id, options), items in itertools.groupby(self.items, _group)
        ]
        temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
        temporary.write_text(json.dumps({"name": self.name, "groups": groups}) + "\n", encoding="utf-8")
        temporary.replace(path)

    @staticmethod
    def load(path: Path) -> Panel:
        """Read a panel file, also one that names the options of each item. Raises ``DataError``."""
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            items = [PanelItem(**row) for row in record.get("items", ())]
            for group in record["groups"] if "items" not in record else ():
                items += [
                    PanelItem(group["env_id"], task_id, seed, group["options"])
                    for task_id, seed in group["tasks"]
                ]
            return Panel(str(record["name"]), tuple(items))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            advice = "make one with `palaestra bench`"
            raise DataError(f"{path} is not a panel file ({error!r}); {advice}") from error


def _group(item: PanelItem) -> tuple[str, str]:
    return item.env_id, json.dumps(dict(item.options), sort_keys=True)


def make_env(env_id: str, options: Mapping[str, Any] | None = None) -> TextEnv:
    """Make one bare ``TextEnv`` (no Gymnasium wrappers); unknown ids and options are typed errors."""
    spec(env_id)
    env = gymnasium.make(env_id, disable_env_checker=True, **dict(options or {})).unwrapped
    if not isinstance(env, TextEnv):
        raise OptionError(f"{env_id} is not a TextEnv; only text environments can be rolled out")
    return env


def make_panel(
    env_id: str, size: int, *, seed: int = 0, name: str = "", options: Mapping[str, Any] | None = None
) -> Panel:
    """Draw ``size`` distinct tasks of ``env_id``, or all when it has fewer, as a function of ``seed``."""
    if size < 1:
        raise OptionError(f"a panel needs at least one item, not {size}")
    options = dict(options or {})
    env = make_env(env_id, options)
    try:
        generator = np.random.default_rng([seed, 0x9A7E])
        chosen = generator.choice(len(env.tasks), size=min(size, len(env.tasks)), replace=False)
        items = tuple(
            PanelItem(env_id, env.tasks[int(index)].id, int(seed * 1_000_003 + rank), options)
            for rank, index in enumerate(chosen)
        )
    finally:
        env.close()
    described = f"{env_id.split('/')[-1]}-{options.get('split', 'default')}-{len(items)}-{seed}"
    return Panel(name or described, items)


def parse_options(pairs: Sequence[str]) -> dict[str, Any]:
    """Turn ``["split=train", "max_steps=20"]`` into a dict; values are JSON where they parse, else text."""
    options: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not (name and equals):
            raise OptionError(f"an environment option is written name=value, not {pair!r}")
        try:
            options[name] = json.loads(text)
        except ValueError:
            options[name] = text
    return options
