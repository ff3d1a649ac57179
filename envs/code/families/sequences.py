"""Tasks about sequences: stretches, windows, pairs, subsequences."""

# ruff: noqa: D400, D401
# The docstrings here are statements of tasks, and the code is their reference solution.

from __future__ import annotations

from collections.abc import Callable

from palaestra.envs.code.family import Rule, Value, family

_NEXT = (
    Rule("is greater than the one before", "y > x"),
    Rule("is at least as great as the one before", "y >= x"),
    Rule("is less than the one before", "y < x"),
    Rule("differs from the one before by at most 1", "abs(y - x) <= 1"),
    Rule("differs from the one before by at most 2", "abs(y - x) <= 2"),
    Rule("has another parity (even or odd) than the one before", "(x + y) % 2 == 1"),
    Rule("has the same parity (even or odd) as the one before", "(x + y) % 2 == 0"),
    Rule("is a different number than the one before", "x != y"),
)


@family(
    level=2,
    inputs=lambda draw: (draw.integers(-3, 6, 0, 11),),
    edges=[([],), ([1],), ([1, 1],), ([1, 2, 3],), ([3, 2, 1],)],
    follows=_NEXT,
    want=[
        Value("the length of the longest stretch", "length"),
        Value("the sum of the elements of the first longest stretch", "sum"),
        Value("the index at which the last longest stretch begins, or -1 when `values` is empty", "start"),
        Value(
            (
                "how many stretches there are (a longest possible stretch counts once, also one of a "
                "single element)"
            ),
            "count",
        ),
    ],
)
def longest_stretch(values: list[int], *, follows: Callable[[int, int], bool], want: str) -> int:
    """A stretch is a part of `values` without gaps in which every element but the first {follows}. Each
    stretch is taken as long as possible. Return {want}. For an empty list the length, sum and count are 0.
    """
    stretches: list[tuple[int, int]] = []
    start = 0
    for index in range(1, len(values) + 1):
        if index == len(values) or not follows(values[index - 1], values[index]):
            stretches.append((start, index))
            start = index
    if want == "count":
        return len(stretches) if values else 0
    best, best_start, total = 0, -1, 0
    for first, end in stretches if values else []:
        if want == "start" and end - first >= best:
            best, best_start = end - first, first
        if want != "start" and end - first > best:
            best, total = end - first, sum(values[first:end])
    if want == "length":
        return best
    return total if want == "sum" else best_start


@family(
    level=2,
    inputs=lambda draw: (draw.integers(-5, 7, 0, 9),),
    edges=[([],), ([1],), ([3, 3],), ([2, 2, 2],), ([0, 1, 0],)],
    relation=[
        Rule("the sum of the two is 5", "x + y == 5"),
        Rule("the sum of the two is 0", "x + y == 0"),
        Rule("the sum of the two is divisible by 3", "(x + y) % 3 == 0"),
        Rule("the first is greater than the second", "x > y"),
        Rule("they differ by exactly 2", "abs(x - y) == 2"),
        Rule("their product is negative", "x * y < 0"),
        Rule("the second is twice the first", "y == 2 * x"),
    ],
    far=[
        Value("The two places may be anywhere.", 99),
        Value("The two places must be next to each other.", 1),
        Value("There may be at most one other place between the two.", 2),
        Value("There may be at most two other places between the two.", 3),
    ],
)
def count_pairs(values: list[int], *, relation: Callable[[int, int], bool], far: int) -> int:
    """Return how many pairs of different places there are in `values` such that, when the elements at the
    earlier and the later place are called first and second, {relation}. {far}
    """
    count = 0
    for later in range(len(values)):
        for earlier in range(max(0, later - far), later):
            if relation(values[earlier], values[later]):
                count += 1
    return count


@family(
    level=2,
    inputs=lambda draw: (draw.integers(-9, 9, 0, 9), draw.integer(1, 4)),
    edges=[([], 1), ([1], 2), ([1, 2, 3], 3), ([5, 1, 4], 1)],
    fold=[
        Rule("the sum", "sum(x)"),
        Rule("the largest", "max(x)"),
        Rule("the smallest", "min(x)"),
        Rule("the difference between the largest and the smallest", "max(x) - min(x)"),
        Rule("how many different numbers there are", "len(set(x))"),
        Rule("how many are negative", "sum(1 for one in x if one < 0)"),
        Rule("the last minus the first", "x[-1] - x[0]"),
    ],
    step=(1, 2, 3),
    partial=[
        Value("Only full windows count.", False),
        Value("A window that reaches beyond the end of the list counts too, with the elements it has.", True),
    ],
)
def windows(
    values: list[int], size: int, *, fold: Callable[[list[int]], int], step: int, partial: bool
) -> list[int]:
    """A window of `values` is a part of `size` elements that stand side by side. Windows begin at index 0,
    then {step} further on, and so on. Return the list with, for each window, {fold} of its elements.
    {partial}
    """
    result = []
    for start in range(0, len(values), step):
        window = values[start : start + size]
        if partial or len(window) == size:
            result.append(fold(window))
    return result


@family(
    level=3,
    inputs=lambda draw: (draw.integers(-4, 9, 0, 10),),
    edges=[([],), ([1],), ([2, 2],), ([5, 4, 3],), ([1, 9, 2, 8, 3],)],
    follows=[
        *_NEXT[:7],
        Rule("is divisible by the one before (nothing is divisible by 0)", "x != 0 and y % x == 0"),
        Rule("is greater than the one before by at most 3", "0 < y - x <= 3"),
    ],
    heaviest=[
        Value("Return the number of elements of the longest one (0 for an empty list).", False),
        Value(
            "Return the greatest sum that the elements of one can have. At least one element must be chosen; "
            "an empty list gives 0.",
            True,
        ),
    ],
)
def best_subsequence(values: list[int], *, follows: Callable[[int, int], bool], heaviest: bool) -> int:
    """Choose some elements of `values`, not necessarily side by side, and keep their order, such that every
    chosen element but the first {follows} (of the chosen ones). {heaviest}
    """
    best: list[int] = []
    for index, value in enumerate(values):
        before = [best[other] for other in range(index) if follows(values[other], value)]
        if heaviest:
            best.append(value + max([*before, 0]))
        else:
            best.append(1 + max(before, default=0))
    return max(best, default=0)


@family(
    level=3,
    inputs=lambda draw: (draw.integers(-9, 9, 0, 10),),
    edges=[([],), ([-3],), ([4],), ([-1, -2, -3],), ([5, -9, 6],), ([1, 2, 3, 4, 5],)],
    least=(1, 2, 3),
    most=(3, 4, 99),
    smallest=[Value("greatest", False), Value("smallest", True)],
    empty=(0, -1, 100),
)
def best_slice(values: list[int], *, least: int, most: int, smallest: bool, empty: int) -> int:
    """Return the {smallest} sum of at least {least} and at most {most} elements of `values` that stand side
    by side, or {empty} when there are not that many elements.
    """
    sums = []
    for start in range(len(values)):
        total = 0
        for end in range(start, min(len(values), start + most)):
            total += values[end]
            if end - start + 1 >= least:
                sums.append(total)
    if not sums:
        return empty
    return min(sums) if smallest else max(sums)


@family(
    level=2,
    inputs=lambda draw: (draw.integers(-3, 9, 0, 9),),
    edges=[([],), ([1],), ([2, 2],), ([3, 1, 2],), ([1, 2, 3],)],
    relation=[
        Rule("greater than it", "y > x"),
        Rule("smaller than it", "y < x"),
        Rule("equal to it", "y == x"),
        Rule("at least 2 greater than it", "y >= x + 2"),
        Rule("of the same parity (even or odd)", "(x + y) % 2 == 0"),
        Rule("of the other parity (even or odd)", "(x + y) % 2 == 1"),
    ],
    round_=[
        Value("Look only at later elements.", False),
        Value("After the last element the search goes on with the first, up to the element itself.", True),
    ],
    give=[
        Value("that element", "value"),
        Value("how many places further on it is", "distance"),
    ],
    missing=(0, -1, -99),
)
def next_such(
    values: list[int], *, relation: Callable[[int, int], bool], round_: bool, give: str, missing: int
) -> list[int]:
    """For every element of `values`, find the nearest element behind it that is {relation}. Return a list
    with {give} for each, or {missing} where there is none. {round_}
    """
    result = []
    for index, value in enumerate(values):
        answer = missing
        behind = len(values) if round_ else len(values) - index
        for distance in range(1, behind):
            other = values[(index + distance) % len(values)]
            if relation(value, other):
                answer = other if give == "value" else distance
                break
        result.append(answer)
    return result


@family(
    level=2,
    inputs=lambda draw: (draw.integers(0, 9, 0, 8), draw.integers(0, 9, 0, 8)),
    edges=[([], []), ([1], []), ([], [2, 3]), ([1, 2], [3, 4])],
    join=[
        Rule("their sum", "x + y"),
        Rule("their product", "x * y"),
        Rule("the first minus the second", "x - y"),
        Rule("the greater one", "max(x, y)"),
        Rule("the two-digit number that they form", "10 * x + y"),
    ],
    rest=[
        Value("Elements of the longer list that have no partner are left out.", "cut"),
        Value("Elements of the longer list that have no partner are appended as they are.", "keep"),
        Value("Where one list is shorter, it is continued with zeros.", "zero"),
    ],
    turned=[
        Value("The first goes with the first, the second with the second, and so on.", False),
        Value(
            "The first of `left` goes with the last of `right`, the second with the last but one, and so on.",
            True,
        ),
    ],
)
def combine(
    left: list[int], right: list[int], *, join: Callable[[int, int], int], rest: str, turned: bool
) -> list[int]:
    """Pair the elements of `left` and `right` and return the list with, for each pair, {join} (the first is
    that of `left`). {turned} {rest}
    """
    partners = right[::-1] if turned else right
    both = min(len(left), len(partners))
    result = [join(left[index], partners[index]) for index in range(both)]
    if rest == "keep":
        result += left[both:] + partners[both:]
    if rest == "zero":
        result += [join(value, 0) for value in left[both:]]
        result += [join(0, value) for value in partners[both:]]
    return result


@family(
    level=3,
    inputs=lambda draw: (draw.integers(1, 9, 0, 9),),
    edges=[([],), ([5],), ([3, 4],), ([9, 1, 1, 9],), ([2, 7, 9, 3, 1],)],
    gap=(1, 2, 3),
    most=(2, 3, 99),
    cost=(0, 1, 2),
)
def pick_apart(values: list[int], *, gap: int, most: int, cost: int) -> int:
    """Choose some elements of `values` such that between any two chosen ones there are at least {gap} others,
    at most {most} elements in all. Each chosen element costs {cost}. Return the greatest possible sum of the
    chosen elements less their costs; choosing nothing gives 0.
    """
    count = min(most, len(values))
    best = [[0] * (count + 1) for _ in range(len(values) + 1)]
    for end in range(1, len(values) + 1):
        for chosen in range(1, count + 1):
            before = best[max(0, end - 1 - gap)][chosen - 1]
            best[end][chosen] = max(best[end - 1][chosen], before + values[end - 1] - cost)
    return best[len(values)][count]
