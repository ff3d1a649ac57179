"""How the named panels were drawn: from splits meant for reporting, of tasks that need no data.

The files beside this one are what counts; ``python -m palaestra.envs.panels.recipes`` adds those that are
missing and never replaces one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from palaestra.envs.panel import Panel, make_panel
from palaestra.errors import UnknownNameError

FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Draw:
    """``size`` tasks of one environment under one set of options, drawn by ``seed``."""

    env_id: str
    size: int
    seed: int
    options: Mapping[str, Any] = field(default_factory=dict)


def _alfworld(size: int, seed: int) -> tuple[Draw, ...]:
    """Half small rooms, half rooms of full size, all task types, rooms and goals apart from training."""
    small = {"split": "test", "scale": "small", "max_steps": 30}
    full = {"split": "test", "scale": "full", "max_steps": 50}
    return tuple(
        Draw("palaestra/ALFWorld-v0", size // 2, seed + rank, options)
        for rank, options in enumerate((small, full))
    )


# By name, so that a scenario that is added one day leaves the panels as they are.
_APPS_NORMAL = (
    "bill_of_event",
    "collect_for_event",
    "decline_overlapping_invitations",
    "drop_unliked_downloads",
    "meet_when_all_are_free",
    "most_played_artist",
    "note_of_money_spent",
    "note_of_open_balances",
    "presents_before_birthdays",
    "presents_for_birthdays",
    "remind_of_events_outside",
    "remove_songs_of_other_playlist",
    "settle_and_write_down",
    "sleep_long_before_event",
    "split_emailed_receipt",
    "sum_of_bills",
)
_APPS_CHALLENGE = (
    "add_best_offer",
    "away_for_a_flight",
    "book_receipts_in_group",
    "buy_tasks_of_list",
    "collect_for_present",
    "collect_what_is_missing",
    "morning_summary",
    "note_of_playlist",
    "order_for_friends",
    "order_list_of_note",
    "orders_of_month_as_file",
    "packing_list_to_tasks",
    "pay_open_bills",
    "play_for_the_run",
    "playlist_of_wishes",
    "redirect_orders_while_away",
    "restore_thrown_away",
    "return_what_i_disliked",
    "share_photos_of_event",
    "share_what_is_asked",
    "size_of_trip_photos",
    "sort_photos_by_month",
    "trash_large_downloads",
    "trip_from_calendar",
    "wrap_up_trip",
)


def _apps(split: str, scenarios: tuple[str, ...], siblings: int, seed: int) -> Draw:
    """All siblings of some scenarios, since a scenario counts as solved when all of them are."""
    options = {"split": split, "scenarios": list(scenarios), "siblings": siblings}
    return Draw("palaestra/Apps-v0", siblings * len(scenarios), seed, options)


def _math(easy: int, medium: int, hard: int, seed: int) -> tuple[Draw, ...]:
    sizes = {"easy": easy, "medium": medium, "hard": hard}
    return tuple(
        Draw("palaestra/Math-v0", size, seed + rank, {"split": "test", "difficulty": level})
        for rank, (level, size) in enumerate(sizes.items())
    )


RECIPES: dict[str, tuple[Draw, ...]] = {
    "alfworld-small": _alfworld(50, seed=10),
    "alfworld-full": _alfworld(300, seed=20),
    "apps-small": (_apps("test_normal", _APPS_NORMAL, 3, 10),),
    "apps-full": (
        _apps("test_normal", _APPS_NORMAL, 6, 20),
        _apps("test_challenge", _APPS_CHALLENGE, 6, 21),
    ),
    "code-small": (Draw("palaestra/Code-v0", 50, 10, {"split": "test"}),),
    "code-full": (Draw("palaestra/Code-v0", 300, 20, {"split": "test"}),),
    "guess-number-small": (Draw("palaestra/GuessNumber-v0", 50, 10, {"split": "test"}),),
    "guess-number-full": (Draw("palaestra/GuessNumber-v0", 200, 20, {"split": "test"}),),
    "math-small": _math(20, 15, 15, seed=10),
    "math-full": _math(100, 100, 100, seed=20),
}

WITHOUT_PANEL: dict[str, str] = {
    "palaestra/AppWorld-v0": "its tasks are data that each user downloads, and that nobody may pass on",
}
"""The environments that have no named panels, and why: a named panel needs nothing but the package."""


def draw(name: str) -> Panel:
    """Return the panel called ``name``, drawn anew. Raises ``UnknownNameError``."""
    if name not in RECIPES:
        raise UnknownNameError("panel", name, RECIPES)
    items = [
        item
        for one in RECIPES[name]
        for item in make_panel(one.env_id, one.size, seed=one.seed, options=one.options).items
    ]
    return Panel(name, tuple(items))


def write_missing(folder: Path = FOLDER) -> list[Path]:
    """Write the panels that have no file yet; return their paths."""
    paths = [path for name in RECIPES if not (path := folder / f"{name}.json").exists()]
    for path in paths:
        draw(path.stem).save(path)
    return paths


if __name__ == "__main__":
    for written in write_missing():
        print(written)
