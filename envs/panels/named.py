"""Panels by name, from a file, or several joined into one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from palaestra.envs.panel import Panel
from palaestra.errors import OptionError, UnknownNameError

_FOLDER = Path(__file__).parent


def panel_names() -> list[str]:
    """Return the names of all named panels, sorted."""
    return sorted(path.stem for path in _FOLDER.glob("*.json"))


def named_panel(name: str) -> Panel:
    """Return the panel called ``name``; raises ``UnknownNameError`` with the nearest name."""
    names = panel_names()
    if name not in names:
        raise UnknownNameError("panel", name, names)
    return Panel.load(_FOLDER / f"{name}.json")


def find_panel(name_or_file: str) -> Panel:
    """Return a named panel, or that of a panel file (anything with a folder or the ending ``.json``).

    Raises ``UnknownNameError`` or ``DataError``.
    """
    path = Path(name_or_file)
    if path.suffix == ".json" or len(path.parts) > 1 or path.is_absolute():
        return Panel.load(path)
    return named_panel(name_or_file)


def join(panels: Sequence[Panel]) -> Panel:
    """Return one panel of all items of several, one after the other; of a single one, itself.

    Raises ``OptionError`` when an item is in two of them, since it would be measured once and count twice.
    """
    if len(panels) == 1:
        return panels[0]
    joined = Panel(
        "+".join(panel.name for panel in panels), tuple(i for panel in panels for i in panel.items)
    )
    if len({item.key for item in joined.items}) < len(joined.items):
        raise OptionError(f"the panels {joined.name} have tasks in common; a task can be measured only once")
    return joined


def panels_of(env_id: str) -> list[Panel]:
    """Return the named panels that play ``env_id``, the smallest first."""
    panels = [named_panel(name) for name in panel_names()]
    found = [panel for panel in panels if any(item.env_id == env_id for item in panel.items)]
    return sorted(found, key=lambda panel: len(panel.items))
