"""Tasks that call for recursion: nested lists, trees, choices, partitions, paths."""

# ruff: noqa: B905, D400, D401, RUF007
# The docstrings here are statements of tasks, and the code is their reference solution.

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from palaestra.envs.code.family import Rule, Value, family


@family(
    level=2,
    inputs=lambda draw: (draw.nested(),),
    edges=[([],), ([1],), ([[]],), ([[1, [2, [3]]]],), ([1, [2], [[3]], []],)],
    depth=[
        Value("Flatten it completely.", 99),
        Value(
            "Flatten only one level: elements of lists directly in `nested` "
            "move up, what is nested deeper stays as it is.",
            1,
        ),
        Value(
            "Flatten only two levels: lists directly in `nested`, and lists directly in those, are "
            "dissolved; what "
            "is nested deeper stays as it is.",
            2,
        ),
    ],
    turned=[
        Value("in their order", False),
        Value("in reverse order (a list that stays is not changed itself)", True),
    ],
    keep=[
        Value("all elements", "all"),
        Value("all elements but the number 0 and the numbers below it", "positive"),
        Value("all elements but odd numbers", "even"),
    ],
)
def flatten(nested: list[Any], *, depth: int, turned: bool, keep: str) -> list[Any]:
    """`nested` holds whole numbers and lists of that kind. {depth} Return {keep} of the result {turned}."""

    def walk(part: list[Any], left: int) -> list[Any]:
        found: list[Any] = []
        for element in part:
            if isinstance(element, list):
                found += walk(element, left - 1) if left > 0 else [element]
            elif keep == "all" or (element > 0 if keep == "positive" else element % 2 == 0):
                found.append(element)
        return found

    result = walk(nested, depth)
    return result[::-1] if turned else result


@family(
    level=2,
    inputs=lambda draw: (draw.nested(),),
    edges=[([],), ([5],), ([[]],), ([1, [2, [3]]],), ([[4, []], -1],)],
    weight=[
        Rule("its depth (1 for numbers directly in `nested`, 2 for those one list deeper, and so on)", "x"),
        Rule("the square of its depth (the depth is 1 for numbers directly in `nested`, and so on)", "x * x"),
        Rule(
            (
                "1 if its depth is odd and -1 if it is even (the depth is 1 for numbers directly in "
                "`nested`, and so on)"
            ),
            "1 if x % 2 == 1 else -1",
        ),
        Rule("2 to the power of the number of lists around it (`nested` itself included)", "2 ** x"),
    ],
    lists=[
        Value("", 0),
        Value("Every list, also an empty one but not `nested` itself, adds 1 to the sum.", 1),
        Value("Every list, also an empty one but not `nested` itself, takes 1 from the sum.", -1),
    ],
    use=[
        Rule("number", "x"),
        Rule("absolute value of each number", "abs(x)"),
        Rule("last decimal digit of the absolute value of each number", "abs(x) % 10"),
        Rule("number that is not negative (the others do not count)", "max(x, 0)"),
    ],
)
def depth_sum(
    nested: list[Any], *, weight: Callable[[int], int], lists: int, use: Callable[[int], int]
) -> int:
    """`nested` holds whole numbers and lists of the same kind. Return the sum of every {use} in it, however
    deep, each multiplied by {weight}. {lists}
    """

    def walk(part: list[Any], depth: int) -> int:
        total = 0
        for element in part:
            if isinstance(element, list):
                total += lists + walk(element, depth + 1)
            else:
                total += use(element) * weight(depth)
        return total

    return walk(nested, 1)


@family(
    level=3,
    inputs=lambda draw: ("".join(draw.distinct("abcd", 0, 4)) + draw.pick(["", "a", "b"]),),
    edges=[("",), ("a",), ("aa",), ("ab",), ("abc",), ("bca",)],
    rule=[
        Value("", "all"),
        Value("Leave out those in which two equal letters stand side by side.", "apart"),
        Value("Leave out those that begin with the alphabetically smallest letter of `letters`.", "begin"),
        Value(
            (
                "Leave out those in which some letter stands at the index at which `letters` itself has "
                "that letter."
            ),
            "moved",
        ),
        Value("Leave out those that read the same forwards and backwards.", "palindrome"),
    ],
    give=[
        Value("the list of these texts in alphabetical order", "list"),
        Value("how many there are", "count"),
        Value("the alphabetically first of them, or the empty string if there is none", "first"),
        Value("the alphabetically last of them, or the empty string if there is none", "last"),
    ],
    length=[Value("all letters of `letters`", 0), Value("all letters of `letters` but one", 1)],
)
def arrangements(letters: str, *, rule: str, give: str, length: int) -> list[str] | int | str:
    """Look at all different texts that can be made of {length}, each used at most as often as it occurs
    there. (From an empty `letters` only the empty text can be made.) {rule} Return {give}.
    """
    found: set[str] = set()

    def extend(text: str, rest: str) -> None:
        if len(rest) == min(length, len(letters)):
            found.add(text)
            return
        for index, letter in enumerate(rest):
            extend(text + letter, rest[:index] + rest[index + 1 :])

    extend("", letters)
    kept = []
    for text in sorted(found):
        if rule == "all":
            fits = True
        elif rule == "apart":
            fits = all(one != other for one, other in zip(text, text[1:]))
        elif rule == "begin":
            fits = text == "" or text[0] != min(letters)
        elif rule == "moved":
            fits = all(one != other for one, other in zip(text, letters))
        else:
            fits = text != text[::-1]
        if fits:
            kept.append(text)
    if give == "list":
        return kept
    if give == "count":
        return len(kept)
    if not kept:
        return ""
    return kept[0] if give == "first" else kept[-1]


@family(
    level=3,
    inputs=lambda draw: (draw.integers(1, 9, 0, 7), draw.integer(0, 22)),
    edges=[([], 0), ([], 3), ([5], 5), ([2, 2], 2), ([1, 2, 3], 6), ([4, 5], 3)],
    want=[
        Value(
            "in how many ways such a choice can be made (choices of different places are different, "
            "also when their "
            "numbers are equal)",
            "count",
        ),
        Value("the smallest number of elements of such a choice, or -1 if there is none", "fewest"),
        Value("the greatest number of elements of such a choice, or -1 if there is none", "most"),
    ],
    slack=[
        Value("exactly `target`", 0),
        Value("`target` or one more", 1),
        Value("`target`, one more or two more", 2),
    ],
    least=[
        Value("The choice may be empty (its sum is 0).", 0),
        Value("At least one element must be chosen.", 1),
        Value("At least two elements must be chosen.", 2),
    ],
)
def choices_with_sum(values: list[int], target: int, *, want: str, slack: int, least: int) -> int:
    """Choose elements of `values`, each at most once, whose sum is {slack}. {least} Return {want}."""
    sizes: list[int] = []

    def extend(index: int, total: int, size: int) -> None:
        if index == len(values):
            if target <= total <= target + slack and size >= least:
                sizes.append(size)
            return
        extend(index + 1, total, size)
        extend(index + 1, total + values[index], size + 1)

    extend(0, 0, 0)
    if want == "count":
        return len(sizes)
    return min(sizes, default=-1) if want == "fewest" else max(sizes, default=-1)


@family(
    level=3,
    inputs=lambda draw: (draw.integer(0, 20),),
    edges=[(0,), (1,), (2,), (3,), (7,)],
    distinct=[
        Value("a part may occur several times", 0),
        Value("no part may occur twice", 1),
        Value("any two parts must differ by at least 2", 2),
    ],
    least=(1, 2),
    most=[
        Value("", 99),
        Value("No part may be greater than 6.", 6),
        Value("No part may be greater than 5.", 5),
    ],
    want=[
        Value("in how many ways that can be done (0 can be done in one way: without parts)", "count"),
        Value(
            (
                "the smallest number of parts with which that can be done, or -1 if it cannot be done (0 "
                "needs no part)"
            ),
            "fewest",
        ),
        Value("in how many ways that can be done with an odd number of parts", "odd"),
    ],
)
def partitions(n: int, *, distinct: int, least: int, most: int, want: str) -> int:
    """Write `n` (not negative) as a sum of whole numbers, the parts, each at least {least}; the order of the
    parts does not matter, and {distinct}. {most} Return {want}.
    """
    sizes: list[int] = []

    def extend(left: int, smallest: int, size: int) -> None:
        if left == 0:
            sizes.append(size)
            return
        for part in range(smallest, min(left, most) + 1):
            extend(left - part, part + distinct, size + 1)

    extend(n, least, 0)
    if want == "count":
        return len(sizes)
    if want == "fewest":
        return min(sizes, default=-1)
    return sum(1 for size in sizes if size % 2 == 1)


@family(
    level=2,
    inputs=lambda draw: (draw.tree(4),),
    edges=[
        (None,),
        ((1, None, None),),
        ((1, (2, None, None), None),),
        ((1, None, (2, (3, None, None), None)),),
    ],
    want=[
        Value("the number of its leaves (nodes without children)", "leaves"),
        Value("the number of its levels (0 for an empty tree)", "levels"),
        Value(
            "the greatest sum of the values on a way from the root down to a leaf (0 for an empty tree)",
            "sum",
        ),
        Value("the list of its values, level by level from the top, each level from left to right", "wide"),
        Value("the list of its values in the order: left part, node, right part", "inner"),
        Value("the list of its values in the order: node, right part, left part", "right"),
        Value("the number of nodes with exactly one child", "single"),
    ],
    change=[
        Rule("as it is", "x"),
        Rule("doubled", "2 * x"),
        Rule("replaced by its absolute value", "abs(x)"),
    ],
    cut=[Value("", 99), Value("Nodes below the third level are left out.", 3)],
)
def tree_value(tree: Any, *, want: str, change: Callable[[int], int], cut: int) -> int | list[int]:
    """`tree` is a binary tree: None when it is empty, else a tuple (value, left, right) with the trees below
    its root on the left and on the right. First, every value is {change}. {cut} Return {want}.
    """
    leaves = single = levels = 0
    sums: list[int] = []
    by_level: dict[int, list[int]] = {}

    def walk(node: Any, level: int, above: int) -> list[int]:
        nonlocal leaves, single, levels
        if node is None or level > cut:
            return []
        value, left, right = change(node[0]), node[1], node[2]
        levels = max(levels, level)
        by_level.setdefault(level, []).append(value)
        children = (left is not None) + (right is not None) if level < cut else 0
        if children == 0:
            leaves += 1
            sums.append(above + value)
        if children == 1:
            single += 1
        before = walk(left, level + 1, above + value)
        after = walk(right, level + 1, above + value)
        return [*before, value, *after] if want == "inner" else [value, *after, *before]

    order = walk(tree, 1, 0)
    if want == "leaves":
        return leaves
    if want == "levels":
        return levels
    if want == "sum":
        return max(sums, default=0)
    if want == "single":
        return single
    if want == "wide":
        return [value for level in sorted(by_level) for value in by_level[level]]
    return order


@family(
    level=3,
    inputs=lambda draw: (draw.integer(0, 6), "".join(sorted(draw.distinct("abcxyz", 1, 3)))),
    edges=[(0, "ab"), (1, "a"), (2, "ab"), (3, "xyz"), (4, "a")],
    rule=[
        Rule(
            "no two equal characters stand side by side", "all(one != other for one, other in zip(x, x[1:]))"
        ),
        Rule("the last character of the alphabet never stands twice in a row", "y[-1] * 2 not in x"),
        Rule("the characters never go down in the order of the alphabet", "list(x) == sorted(x)"),
        Rule(
            "the first and the last character of the alphabet occur equally often",
            "x.count(y[0]) == x.count(y[-1])",
        ),
        Rule("no character stands three times in a row", "not any(one * 3 in x for one in y)"),
        Rule("the first character of the alphabet occurs an even number of times", "x.count(y[0]) % 2 == 0"),
    ],
    give=[
        Value("how many such texts there are", "count"),
        Value("the alphabetically last of them, or the empty string if there is none", "last"),
        Value(
            "the one in the middle of their alphabetical list (at index k // 2 if there are k of "
            "them), or the empty "
            "string if there is none",
            "middle",
        ),
    ],
)
def texts_of_length(n: int, signs: str, *, rule: Callable[[str, str], bool], give: str) -> int | str:
    """Look at the texts of length `n` over the alphabet made of the characters of `signs` (which are all
    different and in ascending order) for which: {rule}. (There is one text of length 0, the empty one.)
    Return {give}.
    """
    texts = [""]
    for _ in range(n):
        texts = [text + sign for text in texts for sign in signs]
    kept = [text for text in texts if rule(text, signs)]
    if give == "count":
        return len(kept)
    if not kept:
        return ""
    return kept[-1] if give == "last" else kept[len(kept) // 2]


@family(
    level=3,
    inputs=lambda draw: (
        draw.integer(1, 6),
        draw.integer(1, 6),
        [(draw.integer(0, 5), draw.integer(0, 5)) for _ in range(draw.integer(0, 4))],
    ),
    edges=[
        (1, 1, []),
        (1, 1, [(0, 0)]),
        (2, 2, []),
        (3, 3, [(1, 1)]),
        (1, 4, [(0, 2)]),
        (2, 3, [(0, 1), (1, 0)]),
    ],
    steps=[
        Value("down or right", ((1, 0), (0, 1))),
        Value("down, right, or diagonally down and right", ((1, 0), (0, 1), (1, 1))),
        Value(
            "down by one, or right by one or two (a step of two jumps over the cell between)",
            ((1, 0), (0, 1), (0, 2)),
        ),
        Value(
            "down by one or two (a step of two jumps over the cell between), or right by one",
            ((1, 0), (2, 0), (0, 1)),
        ),
    ],
    want=[
        Value("how many different walks there are", "count"),
        Value("how many different walks with an even number of steps there are", "even"),
        Value("the number of steps of the longest walk, or -1 if there is none", "longest"),
    ],
    modulus=[
        Value("", 0),
        Value("Take the result modulo 100, unless it is negative.", 100),
        Value("Take the result modulo 7, unless it is negative.", 7),
    ],
)
def count_walks(
    height: int,
    width: int,
    blocked: list[tuple[int, int]],
    *,
    steps: tuple[tuple[int, int], ...],
    want: str,
    modulus: int,
) -> int:
    """A board has `height` rows and `width` columns. A walk goes from cell (0, 0) to the cell in the last row
    and column, each step {steps}, and never stands on one of the `blocked` cells (row, column); those
    outside the board do not matter. (If both are the same cell, there is one walk, without steps, unless
    it is blocked.) Return {want}. {modulus}
    """
    lengths: dict[tuple[int, int], list[int]] = {}
    for row in range(height):
        for column in range(width):
            if (row, column) in blocked:
                here = []
            elif (row, column) == (0, 0):
                here = [0]
            else:
                here = [
                    length + 1
                    for down, across in steps
                    for length in lengths.get((row - down, column - across), [])
                ]
            lengths[row, column] = here
    walks = lengths[height - 1, width - 1]
    if want == "count":
        result = len(walks)
    elif want == "even":
        result = sum(1 for length in walks if length % 2 == 0)
    else:
        result = max(walks, default=-1)
    return result % modulus if modulus and result >= 0 else result
