"""Paired comparison: which of two contestants is better, and by how much, on the same tasks.

Two success rates whose intervals overlap may still differ beyond doubt, because both were measured on the
same tasks. So tasks are compared one by one: the difference has a paired bootstrap interval, the question
whether there is one an exact McNemar test, and several questions at once Holm's correction.

Every function is pure. Sources: McNemar (1947), exact form as in Agresti, *Categorical Data Analysis*, 10.1;
Efron and Tibshirani, *An Introduction to the Bootstrap*, 13; Holm (1979).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from palaestra.errors import OptionError

RESAMPLES = 10_000
LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two contestants on the ``tasks`` that both of them were judged on.

    ``both``, ``only_first``, ``only_second`` and ``neither`` count who solved them. ``difference`` is the
    success of ``first`` less that of ``second``, ``interval`` its 95 % bootstrap interval, ``p`` the exact
    McNemar p-value and ``p_holm`` the same corrected for all the pairs that were compared together.
    Without a common task there is no difference: it is nan, in an interval from -1 to 1.
    """

    first: str
    second: str
    tasks: int
    both: int
    only_first: int
    only_second: int
    neither: int
    difference: float
    interval: tuple[float, float]
    p: float
    p_holm: float


def compare(
    outcomes: Mapping[str, Mapping[str, bool]], generator: np.random.Generator
) -> tuple[Comparison, ...]:
    """Compare every pair of contestants, in their order.

    ``outcomes`` says for each contestant whether it solved each task, by the task's key. A task that is
    missing on one side (its episode failed for reasons of infrastructure) does not count in that pair.
    """
    found = [
        compare_pair(first, outcomes[first], second, outcomes[second], generator)
        for first, second in itertools.combinations(outcomes, 2)
    ]
    corrected = holm([comparison.p for comparison in found])
    return tuple(replace(one, p_holm=p) for one, p in zip(found, corrected, strict=True))


def compare_pair(
    first: str,
    first_outcomes: Mapping[str, bool],
    second: str,
    second_outcomes: Mapping[str, bool],
    generator: np.random.Generator,
) -> Comparison:
    """Compare two contestants; ``p_holm`` is that of a single comparison, ``p`` itself."""
    keys = [key for key in first_outcomes if key in second_outcomes]
    pairs = [(bool(first_outcomes[key]), bool(second_outcomes[key])) for key in keys]
    only_first, only_second = pairs.count((True, False)), pairs.count((False, True))
    p = mcnemar(only_first, only_second)
    return Comparison(
        first=first,
        second=second,
        tasks=len(pairs),
        both=pairs.count((True, True)),
        only_first=only_first,
        only_second=only_second,
        neither=pairs.count((False, False)),
        difference=(only_first - only_second) / len(pairs) if pairs else math.nan,
        interval=bootstrap_interval([a - b for a, b in pairs], generator) if pairs else (-1.0, 1.0),
        p=p,
        p_holm=p,
    )


def bootstrap_interval(
    differences: Sequence[float],
    generator: np.random.Generator,
    *,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
) -> tuple[float, float]:
    """Return the percentile interval of the mean of ``differences``, one for each task.

    Tasks are drawn again with replacement, each with both its outcomes, so what makes a task hard for both
    contestants cancels out. Where all differences are equal the interval is that one number: nothing in the
    data says how far the next task may lie. Raises ``OptionError`` without differences.
    """
    if not len(differences):
        raise OptionError("an interval needs at least one difference")
    if resamples < 1 or not 0 < level < 1:
        raise OptionError(
            f"resamples must be positive and level between 0 and 1, not {resamples} and {level}"
        )
    values, counts = np.unique(np.asarray(differences, dtype=float), return_counts=True)
    # How often each value is drawn is multinomial: the same distribution as drawing task by task, but cheap.
    drawn = generator.multinomial(len(differences), counts / len(differences), size=resamples)
    means = drawn @ values / len(differences)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the exact two-sided p-value of McNemar's test.

    Of the tasks that just one of the two solved, each is as likely to be the other's if they are equally
    good: the smaller count is binomial with probability 1/2. Raises ``OptionError`` for a negative count.
    """
    if only_first < 0 or only_second < 0:
        raise OptionError(f"counts of tasks cannot be negative: {only_first} and {only_second}")
    discordant = only_first + only_second
    # Whole numbers until the end: 2**-discordant alone would be zero beyond 1,074 tasks.
    term = tail = 1
    for solved in range(min(only_first, only_second)):
        term = term * (discordant - solved) // (solved + 1)
        tail += term
    return min(1.0, 2 * tail / 2**discordant)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values corrected for being one of several, in the order given.

    With these, the chance that any true null hypothesis is rejected at a level is at most that level,
    whatever the dependence between the tests.
    """
    corrected = [0.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = highest
    return corrected
