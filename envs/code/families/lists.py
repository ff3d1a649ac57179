"""Tasks about lists: moving, splitting, joining, choosing elements."""

# ruff: noqa: D400
# The docstrings here are statements of tasks, and the code is their reference solution.

from __future__ import annotations

from collections.abc import Callable

from palaestra.envs.code.family import Rule, Value, family

NUMBERS = (
    Rule("even", "x % 2 == 0"),
    Rule("odd", "x % 2 == 1"),
    Rule("negative", "x < 0"),
    Rule("greater than 3", "x > 3"),
    Rule("divisible by 3", "x % 3 == 0"),
    Rule("between -4 and 4 (both included)", "-4 <= x <= 4"),
)


@family(
    level=1,
    inputs=lambda draw: (draw.integers(-9, 9),),
    edges=[([],), ([1],), ([1, 2],), ([1, 2, 3, 4, 5],)],
    by=(1, 2, 3, 4, 5),
    left=[Value("left", True), Value("right", False)],
    keep=[
        Value("", 0),
        Value("The first element stays where it is and takes no part.", 1),
        Value("The first two elements stay where they are and take no part.", 2),
    ],
)
def rotate(values: list[int], *, by: int, left: bool, keep: int) -> list[int]:
    """Return a new list: `values` rotated to the {left} by {by} place(s), so that what is moved out at
    one end comes in at the other. {keep}
    """
    fixed, moving = values[:keep], values[keep:]
    if not moving:
        return fixed
    place = by % len(moving) if left else -by % len(moving)
    return fixed + moving[place:] + moving[:place]


@family(
    level=1,
    inputs=lambda draw: (draw.integers(-9, 9, 0, 12),),
    edges=[([],), ([1],), ([1, 2, 3, 4],), ([1, 2, 3, 4, 5, 6],), ([1, 2, 3, 4, 5, 6, 7],)],
    size=(2, 3, 4, 5),
    rest=[
        Value("The last group is shorter when the elements do not come out even.", "keep"),
        Value("Elements left over at the end that do not fill a group are dropped.", "drop"),
        Value(
            (
                "Elements left over at the end are added to the last full group; if there is none, they "
                "form a group."
            ),
            "merge",
        ),
        Value("A last group that is too short is filled up with zeros.", "fill"),
    ],
    flip=[
        Value("", False),
        Value("Every second group (the second, the fourth, ...) is reversed at the end.", True),
    ],
)
def split_into_groups(values: list[int], *, size: int, rest: str, flip: bool) -> list[list[int]]:
    """Split `values` from its beginning into groups of {size} elements and return the list of groups.
    {rest} {flip}
    """
    groups = [values[start : start + size] for start in range(0, len(values), size)]
    if groups and len(groups[-1]) < size:
        if rest == "drop":
            groups.pop()
        if rest == "merge" and len(groups) > 1:
            short = groups.pop()
            groups[-1] = groups[-1] + short
        if rest == "fill":
            groups[-1] = groups[-1] + [0] * (size - len(groups[-1]))
    if flip:
        groups = [group[::-1] if index % 2 == 1 else group for index, group in enumerate(groups)]
    return groups


@family(
    level=1,
    inputs=lambda draw: (draw.integers(-6, 6),),
    edges=[([],), ([3],), ([-2, -5],)],
    fold=[
        Rule("the sum", "x + y"),
        Rule("the largest", "max(x, y)"),
        Rule("the smallest", "min(x, y)"),
        Rule("the product", "x * y"),
        Rule("the bitwise exclusive or", "x ^ y"),
    ],
    back=[
        Value("all elements up to and including that place", False),
        Value("all elements from that place to the end", True),
    ],
    use=[
        Rule("the element itself", "x"),
        Rule("the absolute value of the element", "abs(x)"),
        Rule("the square of the element", "x * x"),
        Rule("the element minus 1", "x - 1"),
    ],
)
def running(
    values: list[int], *, fold: Callable[[int, int], int], back: bool, use: Callable[[int], int]
) -> list[int]:
    """Return a list as long as `values` that has, at each place, {fold} over {back}. What is taken of each
    element is {use}.
    """
    taken = [use(value) for value in values]
    if back:
        taken.reverse()
    result: list[int] = []
    for value in taken:
        result.append(fold(result[-1], value) if result else value)
    if back:
        result.reverse()
    return result


@family(
    level=1,
    inputs=lambda draw: (draw.integers(-6, 6, 0, 10),),
    edges=[([],), ([2, 2],), ([2, -2, 2],), ([0, 5, 10],)],
    key=[
        Rule("are equal", "x"),
        Rule("have the same absolute value", "abs(x)"),
        Rule("leave the same remainder when divided by 3", "x % 3"),
        Rule("leave the same remainder when divided by 4", "x % 4"),
        Rule("leave the same remainder when divided by 5", "x % 5"),
        Rule("have the same half, rounded down", "x // 2"),
    ],
    last=[Value("first", False), Value("last", True)],
    times=(1, 2),
)
def drop_repeats(values: list[int], *, key: Callable[[int], int], last: bool, times: int) -> list[int]:
    """Two elements are alike when they {key}. Of the elements that are alike keep the {last} {times} only,
    and return what is kept in its original order.
    """
    counts: dict[int, int] = {}
    kept = []
    for value in reversed(values) if last else values:
        group = key(value)
        counts[group] = counts.get(group, 0) + 1
        if counts[group] <= times:
            kept.append(value)
    return kept[::-1] if last else kept


@family(
    level=1,
    inputs=lambda draw: (draw.integers(-9, 9, 0, 10),),
    edges=[([],), ([2],), ([1, 2],), ([4, 3],)],
    rule=NUMBERS,
    turned=[Value("in their order", False), Value("in reverse order", True)],
    between=[Value("", False), Value("Put a 0 between the two parts, also when one of them is empty.", True)],
)
def part(values: list[int], *, rule: Callable[[int], bool], turned: bool, between: bool) -> list[int]:
    """Return a list with all elements of `values` that are {rule} in front, in their order, and behind them
    all the others {turned}. {between}
    """
    front = [value for value in values if rule(value)]
    behind = [value for value in values if not rule(value)]
    if turned:
        behind.reverse()
    if between:
        front.append(0)
    return front + behind


@family(
    level=2,
    inputs=lambda draw: (draw.ordered(-5, 9, 0, 7), draw.ordered(-5, 9, 0, 7)),
    edges=[([], []), ([1], []), ([], [2]), ([1, 1], [1]), ([1, 2, 3], [2, 3, 4])],
    want=[
        Value("all elements of both lists", "all"),
        Value("each number that is in at least one of the lists, once", "either"),
        Value("each number that is in both lists, once", "both"),
        Value("each number that is in exactly one of the lists, once", "one"),
        Value("each number that is in `left` but not in `right`, once", "left"),
    ],
    down=[Value("ascending", False), Value("descending", True)],
    scale=(1, 2, 3),
)
def merge_ordered(left: list[int], right: list[int], *, want: str, down: bool, scale: int) -> list[int]:
    """`left` and `right` are in ascending order. Return {want}, in {down} order, each times {scale}."""
    if want == "all":
        merged = sorted(left + right)
    elif want == "either":
        merged = sorted(set(left) | set(right))
    elif want == "both":
        merged = sorted(set(left) & set(right))
    elif want == "one":
        merged = sorted(set(left) ^ set(right))
    else:
        merged = sorted(set(left) - set(right))
    if down:
        merged.reverse()
    return [value * scale for value in merged]


@family(
    level=2,
    inputs=lambda draw: (draw.integers(-9, 9, 0, 10), draw.integer(1, 5)),
    edges=[([], 1), ([5], 1), ([5], 2), ([1, 2, 3], 3), ([4, 4, 4], 2)],
    distinct=[
        Value("Equal numbers count as often as they occur.", False),
        Value("Equal numbers count once.", True),
    ],
    smallest=[Value("largest", False), Value("smallest", True)],
    use=[
        Rule("itself", "x"),
        Rule("its absolute value", "abs(x)"),
        Rule("its square", "x * x"),
        Rule("the remainder of its division by 10", "x % 10"),
    ],
    missing=(0, -1, 99),
)
def kth(
    values: list[int], k: int, *, distinct: bool, smallest: bool, use: Callable[[int], int], missing: int
) -> int:
    """Take of every element {use}, and return the `k`-th {smallest} of the numbers so taken (`k` = 1: the
    {smallest}). {distinct} Return {missing} when there are fewer than `k`.
    """
    compared = [use(value) for value in values]
    if distinct:
        compared = list(set(compared))
    compared.sort(reverse=not smallest)
    return compared[k - 1] if k <= len(compared) else missing


@family(
    level=2,
    inputs=lambda draw: (draw.integers(-6, 6, 0, 9),),
    edges=[([],), ([1],), ([1, 2],), ([2, 2, 2],), ([1, 3, 1],), ([3, 1, 3],)],
    low=[Value("greater", False), Value("smaller", True)],
    strict=[
        Value("than both of its neighbours", True),
        Value("than both of its neighbours or equal to them", False),
    ],
    ends=[
        Value(
            "The first and the last element have only one neighbour and are compared with that one (a single "
            "element has none and always counts).",
            True,
        ),
        Value("The first and the last element never count.", False),
    ],
    place=[Value("the indices of these elements", True), Value("these elements themselves", False)],
)
def peaks(values: list[int], *, low: bool, strict: bool, ends: bool, place: bool) -> list[int]:
    """Find the elements of `values` that are {low} {strict}. {ends} Return {place}, in order."""
    found = []
    for index, value in enumerate(values):
        if not ends and (index == 0 or index == len(values) - 1):
            continue
        around = values[max(0, index - 1) : index] + values[index + 1 : index + 2]
        if low:
            fits = all(value < other if strict else value <= other for other in around)
        else:
            fits = all(value > other if strict else value >= other for other in around)
        if fits:
            found.append(index if place else value)
    return found


@family(
    level=2,
    inputs=lambda draw: (draw.integers(-3, 5, 0, 9),),
    edges=[([],), ([0],), ([4],), ([1, 0, 1],), ([2, 3, -1, 8, 4],)],
    own=[
        Value("The element itself belongs to neither side.", 0),
        Value("The element itself belongs to the left side.", 1),
        Value("The element itself belongs to the right side.", 2),
    ],
    slack=(0, 1, 2, 3),
    last=[Value("first", False), Value("last", True)],
)
def balance_point(values: list[int], *, own: int, slack: int, last: bool) -> int:
    """Return the {last} index of `values` at which the sum of the elements to its left and the sum of the
    elements to its right differ by at most {slack}, or -1 when there is none. {own} The sum of no elements
    is 0.
    """
    found = -1
    for index in range(len(values)):
        left = sum(values[: index + 1]) if own == 1 else sum(values[:index])
        right = sum(values[index:]) if own == 2 else sum(values[index + 1 :])
        if abs(left - right) <= slack:
            found = index
            if not last:
                return found
    return found
