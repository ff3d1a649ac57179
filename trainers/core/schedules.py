"""Schedules: a number as a function of the step, and of nothing else, so that a resumed run agrees."""

from __future__ import annotations

import math
from typing import Literal, get_args

from palaestra.errors import UnknownNameError

Decay = Literal["constant", "linear", "cosine"]
DECAYS: tuple[str, ...] = get_args(Decay)


def warm_up(step: int, steps: int) -> float:
    """Return the factor of step ``step`` (from 0): it rises linearly and is 1 from step ``steps`` on.

    The first step already gets 1 / (steps + 1), since a step at 0 would teach nothing.
    """
    return min(1.0, (step + 1) / (steps + 1))


def decay(step: int, steps: int, shape: Decay) -> float:
    """Return a factor that falls from 1 at step 0 to 0 at step ``steps``, or stays 1 (``constant``)."""
    if shape == "constant":
        return 1.0
    share = min(1.0, step / steps)
    if shape == "linear":
        return 1.0 - share
    if shape == "cosine":
        return 0.5 * (1.0 + math.cos(math.pi * share))
    raise UnknownNameError("decay", shape, DECAYS)


def cosine_rise(step: int, steps: int) -> float:
    """Return a factor that rises along a cosine from 0 at step 0 to 1 at step ``steps``, and stays there."""
    return 1.0 if step >= steps else 0.5 * (1.0 - math.cos(math.pi * step / steps))
