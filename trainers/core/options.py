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


def require_positive(config: Any, names: tuple[str, ...]) -> None:
    """Raise ``OptionError`` for the first of ``names`` that is not above 0."""
    for name in names:
        if getattr(config, name) <= 0:
            raise OptionError(f"{name} must be above 0, not {getattr(config, name)!r}")
