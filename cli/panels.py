"""``palaestra panels``: the named panels, and what is in one."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from dataclasses import dataclass
from typing import Annotated

import tyro
from rich.console import Console
from rich.table import Table

from palaestra.envs.panel import Panel
from palaestra.envs.panels.named import find_panel, named_panel, panel_names


@dataclass(frozen=True)
class Config:
    """List the panels that `palaestra bench --panel` knows by name, or show what is in one."""

    panel: Annotated[str | None, tyro.conf.Positional] = None
    """A named panel or a panel file to show."""


def run(config: Config) -> int:
    """Print the list, or one panel."""
    console = Console(highlight=False)
    if config.panel is not None:
        _show(console, find_panel(config.panel))
        return 0
    shown = Table(box=None)
    for name in ("panel", "tasks", "environments", "digest"):
        shown.add_column(name, justify="right" if name == "tasks" else "left")
    for panel in map(named_panel, panel_names()):
        ids = dict.fromkeys(item.env_id for item in panel.items)
        shown.add_row(panel.name, str(len(panel.items)), ", ".join(ids), panel.digest)
    console.print(shown)
    console.print("\n[dim]palaestra panels NAME shows one, palaestra bench --panel NAME ... plays it.")
    return 0


def _show(console: Console, panel: Panel) -> None:
    console.print(f"[bold]{panel.name}[/]   {len(panel.items)} tasks   digest {panel.digest}\n")
    kinds = [(item.env_id, json.dumps(dict(item.options), sort_keys=True)) for item in panel.items]
    for (env_id, options), count in Counter(kinds).items():
        given = " ".join(f"{name}={value}" for name, value in json.loads(options).items())
        ids = [
            item.task_id for item, kind in zip(panel.items, kinds, strict=True) if kind == (env_id, options)
        ]
        console.print(f"{count} of {env_id}   {given}", markup=False, soft_wrap=True)
        first = ", ".join(itertools.islice(ids, 3))
        console.print(f"   {first}{', …' if count > 3 else ''}", markup=False, soft_wrap=True)
