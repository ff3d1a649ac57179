"""Paired comparison against numbers computed by hand, and against exhaustive enumeration."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from palaestra.agents.comparison import bootstrap_interval, compare, compare_pair, holm, mcnemar
from palaestra.errors import OptionError


def outcomes(text: str) -> dict[str, bool]:
    """Task i was solved where character i is "1", not where it is "0", and not judged where it is "."."""
    return {f"task-{i}": mark == "1" for i, mark in enumerate(text) if mark != "."}


@pytest.mark.parametrize(
    ("only_first", "only_second", "p"),
    [
        (0, 0, 1.0),
        (1, 0, 1.0),  # 2 * (1/2)
        (5, 0, 0.0625),  # 2 * (1/32)
        (0, 6, 0.03125),  # 2 * (1/64)
        (1, 9, 0.021484375),  # 2 * (1 + 10)/1024
        (8, 2, 0.109375),  # 2 * (1 + 10 + 45)/1024
        (5, 5, 1.0),  # twice a half and the middle term: cut at 1
        (4, 5, 1.0),  # 2 * (1 + 9 + 36 + 84 + 126)/512 is exactly 1
    ],
)
def test_mcnemar_by_hand(only_first, only_second, p):
    assert mcnemar(only_first, only_second) == p
    assert mcnemar(only_second, only_first) == p


def test_mcnemar_of_many_tasks_neither_overflows_nor_vanishes():
    # ln P for 3000 of 3000 is -2999 ln 2: too small for a float, and exactly 0 is the nearest one.
    assert mcnemar(3000, 0) == 0.0
    assert mcnemar(1000, 0) == pytest.approx(2 * 2.0**-1000)
    # A normal approximation with continuity correction for 1100 against 1000: z = 99 / sqrt(2100).
    normal = math.erfc(99 / math.sqrt(2100) / math.sqrt(2))
    assert mcnemar(1100, 1000) == pytest.approx(normal, rel=0.01)
    with pytest.raises(OptionError, match="negative"):
        mcnemar(-1, 2)


def test_holm_by_hand():
    # Sorted 0.01, 0.02, 0.03, 0.5 times 4, 3, 2, 1: 0.04, 0.06, 0.06, 0.5.
    assert holm([0.03, 0.01, 0.5, 0.02]) == pytest.approx([0.06, 0.04, 0.5, 0.06])
    # 3 * 0.02 = 0.06, then 2 * 0.025 = 0.05, which may not lie below the one before it.
    assert holm([0.025, 0.02, 0.9]) == pytest.approx([0.06, 0.06, 0.9])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([0.3]) == [0.3]
    assert holm([]) == []


def test_the_bootstrap_equals_drawing_task_by_task():
    """The interval of four tasks, against all 4 ** 4 ways of drawing four of them again."""
    differences = [1, 1, 0, -1]
    means = [sum(drawn) / 4 for drawn in itertools.product(differences, repeat=4)]
    low, high = np.quantile(means, [0.1, 0.9])
    found = bootstrap_interval(differences, np.random.default_rng(0), resamples=40_000, level=0.8)
    assert found == (low, high) == (-0.25, 0.75)


def test_the_bootstrap_of_many_tasks_against_the_normal_interval():
    differences = [1] * 300 + [-1] * 100 + [0] * 600
    # Mean 0.2, variance 0.4 - 0.04 = 0.36, so the standard error is 0.6 / sqrt(1000) = 0.01897.
    low, high = bootstrap_interval(differences, np.random.default_rng(1))
    assert (low, high) == pytest.approx((0.2 - 1.96 * 0.01897, 0.2 + 1.96 * 0.01897), abs=0.002)


def test_the_bootstrap_takes_rewards_and_follows_its_generator():
    differences = [0.25, -0.5, 0.75, 0.1, 0.0, 0.3]
    first = bootstrap_interval(differences, np.random.default_rng(3))
    assert first == bootstrap_interval(differences, np.random.default_rng(3))
    assert first[0] < sum(differences) / 6 < first[1]
    assert bootstrap_interval([0.5, 0.5], np.random.default_rng(0)) == (0.5, 0.5)
    with pytest.raises(OptionError, match="at least one"):
        bootstrap_interval([], np.random.default_rng(0))
    with pytest.raises(OptionError, match="level"):
        bootstrap_interval([1.0], np.random.default_rng(0), level=1.0)


def test_a_pair_is_counted_task_by_task():
    found = compare_pair("a", outcomes("1111100.1"), "b", outcomes("1000000111"), np.random.default_rng(0))
    # Task 7 was not judged for a, task 9 was played by b alone: eight are left.
    assert (found.tasks, found.both, found.only_first, found.only_second, found.neither) == (8, 2, 4, 0, 2)
    assert found.difference == 0.5
    assert found.p == found.p_holm == 0.125
    assert found.interval[0] < 0.5 < found.interval[1]


def test_rates_that_overlap_may_differ_beyond_doubt_when_paired():
    """60 % against 50 % on 100 tasks: nothing where they solve different tasks, all where they nest."""
    better, nested = outcomes("1" * 60 + "0" * 40), outcomes("1" * 50 + "0" * 50)
    other = outcomes("0" * 40 + "1" * 50 + "0" * 10)
    close = compare_pair("better", better, "nested", nested, np.random.default_rng(0))
    loose = compare_pair("better", better, "other", other, np.random.default_rng(0))
    assert close.difference == loose.difference == pytest.approx(0.1)
    assert close.p == 2 * 2.0**-10
    assert close.interval[0] > 0 > loose.interval[0]
    assert loose.p > 0.2


def test_all_pairs_are_compared_and_corrected_together():
    played = {"a": outcomes("1" * 10), "b": outcomes("1111000000"), "c": outcomes("0" * 10)}
    found = compare(played, np.random.default_rng(0))
    assert [(one.first, one.second) for one in found] == [("a", "b"), ("a", "c"), ("b", "c")]
    # 6, 10 and 4 tasks of one alone: 2/64, 2/1024 and 2/16; times 2, 3 and 1.
    assert [one.p for one in found] == [0.03125, 0.001953125, 0.125]
    assert [one.p_holm for one in found] == pytest.approx([0.0625, 0.005859375, 0.125])
    assert compare({"a": outcomes("1")}, np.random.default_rng(0)) == ()


def test_contestants_without_a_common_task_differ_by_nothing_known():
    found = compare_pair("a", outcomes("1."), "b", outcomes(".1"), np.random.default_rng(0))
    assert found.tasks == 0
    assert math.isnan(found.difference)
    assert found.interval == (-1.0, 1.0)
    assert found.p == 1.0
