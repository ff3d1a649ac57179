"""Refusing options that would do nothing: a setting that is silently ignored is a wrong result later."""

from __future__ import annotations

import dataclasses
from typing import Any

from palaestra.errors import OptionError


def refuse_idle(config: Any, names: tuple[str, ...], because: str) -> None:
    """Raise ``OptionError`` for the first of ``names`` that was set to other than its default.

    ``because`` says what makes them idle, as in "it only matters with evaluate_every > 0".
    """
    defaults = {field.name: field.default for field in dataclasses.fields(config)}
    for name in names:
        if getattr(config, name) != defaults[name]:
            raise OptionError(f"{name}={getattr(config, name)!r} would do nothing: {because}")


def require_positive(config: Any, names: tuple[str, ...], *, or_zero: bool = False) -> None:
    """Raise ``OptionError`` for the first of ``names`` that is not above 0, or 0 where that will do."""
    for name in names:
        value = getattr(config, name)
        if value < 0 or (value == 0 and not or_zero):
            raise OptionError(f"{name} must {'not be negative' if or_zero else 'be above 0'}, not {value!r}")
