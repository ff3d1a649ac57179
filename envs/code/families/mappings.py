"""Tasks about dictionaries: inverting, merging, grouping, ranking, nesting."""

# ruff: noqa: D400, D401
# The docstrings here are statements of tasks, and the code is their reference solution.

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from palaestra.envs.code.draw import Draw
from palaestra.envs.code.family import Rule, Value, family


@family(
    level=1,
    inputs=lambda draw: (draw.counts(0, 6, 0, 3),),
    edges=[({},), ({"a": 1},), ({"b": 1, "a": 1},)],
    rivals=[
        Value("the list of its keys in alphabetical order", "list"),
        Value("the alphabetically first of its keys", "first"),
        Value("the alphabetically last of its keys", "last"),
        Value("the number of its keys", "count"),
        Value("its keys in alphabetical order, joined by `+`", "text"),
    ],
    single=[
        Value("", 1),
        Value("Leave out values that have only one key.", 2),
    ],
    offset=(0, 1, 10),
)
def invert(mapping: dict[str, int], *, rivals: str, single: int, offset: int) -> dict[int, Any]:
    """Turn `mapping` round: return a dictionary that has, for each value v of `mapping`, the key v +
    {offset}; with it stands {rivals}. {single}
    """
    keys: dict[int, list[str]] = {}
    for key in sorted(mapping):
        keys.setdefault(mapping[key] + offset, []).append(key)
    result: dict[int, Any] = {}
    for value, names in keys.items():
        if len(names) < single:
            continue
        if rivals == "list":
            result[value] = names
        elif rivals == "first":
            result[value] = names[0]
        elif rivals == "last":
            result[value] = names[-1]
        elif rivals == "count":
            result[value] = len(names)
        else:
            result[value] = "+".join(names)
    return result


def _two_counts(draw: Draw) -> tuple[dict[str, int], dict[str, int]]:
    names = ["ant", "bee", "cat", "dog", "elk"]
    return tuple({name: draw.integer(-4, 6) for name in draw.distinct(names, 0, 5)} for _ in range(2))  # type: ignore


@family(
    level=1,
    inputs=_two_counts,
    edges=[({}, {}), ({"a": 1}, {}), ({}, {"a": 2}), ({"a": 3}, {"a": -3}), ({"a": 2}, {"a": 2})],
    fold=[
        Rule("the sum of the two", "x + y"),
        Rule("the first minus the second", "x - y"),
        Rule("the greater of the two", "max(x, y)"),
        Rule("the smaller of the two", "min(x, y)"),
        Rule("the product of the two", "x * y"),
        Rule("the second", "y"),
    ],
    alone=[
        Value("A key that only one of them has keeps its value.", "keep"),
        Value("A key that only one of them has is left out.", "drop"),
        Value("A key that only one of them has counts as 0 in the other.", "zero"),
    ],
    zeros=[Value("", True), Value("Keys whose value in the result is 0 are left out.", False)],
)
def merge_counts(
    left: dict[str, int], right: dict[str, int], *, fold: Callable[[int, int], int], alone: str, zeros: bool
) -> dict[str, int]:
    """Merge two dictionaries into a new one. A key of both gets {fold} (first: that of `left`). {alone}
    {zeros}
    """
    result: dict[str, int] = {}
    for key in sorted(set(left) | set(right)):
        if key in left and key in right:
            value = fold(left[key], right[key])
        elif alone == "drop":
            continue
        elif alone == "zero":
            value = fold(left.get(key, 0), right.get(key, 0))
        else:
            value = left.get(key, 0) + right.get(key, 0)
        if zeros or value != 0:
            result[key] = value
    return result


@family(
    level=2,
    inputs=lambda draw: ([word.capitalize() if draw.chance(0.2) else word for word in draw.words(0, 9)],),
    edges=[([],), (["a"],), (["ab", "ba"],), (["ab", "ab"],), (["Ab", "ab"],)],
    key=[
        Rule("first letter (in its own case)", "x[0]"),
        Rule("last letter", "x[-1]"),
        Rule("length", "len(x)"),
        Rule("first letter in lower case", "x[0].lower()"),
        Rule("number of different letters (case matters)", "len(set(x))"),
    ],
    give=[
        Value("the list of these words, in their order", "list"),
        Value("the number of these words", "count"),
        Value("the longest of these words (the earliest, if several are)", "longest"),
        Value("the number of different words among them", "different"),
        Value("the alphabetically smallest of these words", "smallest"),
    ],
    least=(1, 2),
)
def group_words(words: list[str], *, key: Callable[[str], Any], give: str, least: int) -> dict[Any, Any]:
    """Group `words` (none is empty) by their {key}. Return a dictionary that has, for each group of at least
    {least} word(s), what they have in common as the key and as the value {give}.
    """
    groups: dict[Any, list[str]] = {}
    for word in words:
        groups.setdefault(key(word), []).append(word)
    result: dict[Any, Any] = {}
    for name, members in groups.items():
        if len(members) < least:
            continue
        if give == "list":
            result[name] = members
        elif give == "count":
            result[name] = len(members)
        elif give == "longest":
            result[name] = max(members, key=len)
        elif give == "different":
            result[name] = len(set(members))
        else:
            result[name] = min(members)
    return result


@family(
    level=2,
    inputs=lambda draw: (draw.counts(0, 7, 0, 4),),
    edges=[({},), ({"a": 1},), ({"b": 2, "a": 2},), ({"a": 0, "b": 5, "c": 5, "d": 1},)],
    count=(1, 2, 3),
    worst=[Value("highest", False), Value("lowest", True)],
    ties=[
        Value("exactly so many (or all, if there are fewer)", False),
        Value("so many, and all others whose score equals that of the last of them", True),
    ],
    backwards=[Value("alphabetical", False), Value("reverse alphabetical", True)],
    give=[Value("names", False), Value("(name, score) pairs", True)],
)
def leaders(
    scores: dict[str, int], *, count: int, worst: bool, ties: bool, backwards: bool, give: bool
) -> list[Any]:
    """Order the names in `scores` from the {worst} score on; names with equal scores are in {backwards}
    order. Return the first {count} as a list of {give}: {ties}.
    """
    names = sorted(scores, reverse=backwards)
    names.sort(key=lambda name: scores[name] if worst else -scores[name])
    chosen = names[:count]
    if ties and chosen:
        chosen += [name for name in names[count:] if scores[name] == scores[chosen[-1]]]
    return [(name, scores[name]) for name in chosen] if give else chosen


def _nested(draw: Draw, depth: int = 3) -> dict[str, Any]:
    return {
        name: _nested(draw, depth - 1) if depth > 1 and draw.chance(0.45) else draw.integer(0, 9)
        for name in draw.distinct(["a", "b", "c", "d"], 0, 3)
    }


@family(
    level=3,
    inputs=lambda draw: (_nested(draw),),
    edges=[({},), ({"a": 1},), ({"a": {}},), ({"a": {"b": {"c": 1}}},), ({"a": {"b": {"c": {"d": 1}}}},)],
    mark=[Value("a dot", "."), Value("a slash", "/"), Value("two underscores", "__")],
    empty=[
        Value("An empty dictionary inside leaves no trace.", False),
        Value("An empty dictionary inside is kept as a value, under its path.", True),
    ],
    depth=[
        Value("However deep a number lies, it is found.", 99),
        Value(
            "A path has at most two names; what lies deeper is kept as it is, as the (dictionary) "
            "value of a path "
            "of two names.",
            2,
        ),
    ],
    root=[Value("", ""), Value("Every path begins with a name more, `top`.", "top")],
)
def flatten_mapping(
    nested: dict[str, Any], *, mark: str, empty: bool, depth: int, root: str
) -> dict[str, Any]:
    """`nested` holds numbers and dictionaries of the same kind. Return one flat dictionary whose keys are the
    paths: the names that lead to a number, joined by {mark}. {empty} {depth} {root}
    """
    result: dict[str, Any] = {}

    def walk(part: dict[str, Any], path: list[str], level: int) -> None:
        for name, value in part.items():
            if isinstance(value, dict) and value and level < depth:
                walk(value, [*path, name], level + 1)
            elif empty or value != {}:
                result[mark.join([*path, name])] = value

    walk(nested, [root] if root else [], 1)
    return result


@family(
    level=2,
    inputs=_two_counts,
    edges=[
        ({}, {}),
        ({"a": 1}, {}),
        ({}, {"a": 1}),
        ({"a": 1}, {"a": 1}),
        ({"b": 1, "a": 1}, {"a": 2, "b": 3}),
    ],
    slack=(0, 1, 2, 3),
    sign=[
        Value(
            "`+name` for a name that only `new` has, `-name` for one that only `old` has, `~name`", "front"
        ),
        Value("`name+` for a name that only `new` has, `name-` for one that only `old` has, `name~`", "back"),
    ],
    order=[Value("of the names", False), Value("of the texts as a whole", True)],
)
def changes(old: dict[str, int], new: dict[str, int], *, slack: int, sign: str, order: bool) -> list[str]:
    """Compare two dictionaries. Return a list of texts: {sign} for one that both have with values that differ
    by more than {slack}. The list is in the alphabetical (code point) order {order}.
    """
    found = []
    for name in sorted(set(old) | set(new)):
        if name not in old:
            mark = "+"
        elif name not in new:
            mark = "-"
        elif abs(old[name] - new[name]) > slack:
            mark = "~"
        else:
            continue
        found.append(mark + name if sign == "front" else name + mark)
    if order:
        found.sort()
    return found


@family(
    level=2,
    inputs=lambda draw: (
        [(draw.pick(["nut", "bolt", "gear"]), draw.integer(-6, 8)) for _ in range(draw.integer(0, 8))],
    ),
    edges=[([],), ([("nut", -1)],), ([("nut", 3), ("nut", -3)],), ([("nut", 3), ("nut", -4), ("nut", 2)],)],
    short=[
        Value("is refused: it changes nothing", "refuse"),
        Value("takes what there is, so that 0 are left", "floor"),
        Value("is carried out, and the stock becomes negative", "debt"),
    ],
    most=[
        Value("", 10**6),
        Value("There is never room for more than 10 of an item; what does not fit is lost.", 10),
        Value("There is never room for more than 6 of an item; what does not fit is lost.", 6),
    ],
    empty=[
        Value("every item that was ever mentioned", True),
        Value("every item whose stock is not 0", False),
    ],
)
def stock_after(moves: list[tuple[str, int]], *, short: str, most: int, empty: bool) -> dict[str, int]:
    """A store begins empty. Each of `moves` names an item and how many come in (positive) or are taken out
    (negative). Taking out more than there are {short}. {most} Return a dictionary with the stock of {empty}.
    """
    stock: dict[str, int] = {}
    for name, change in moves:
        have = stock.get(name, 0)
        after = min(have + change, most)
        if after < 0 and change < 0:
            if short == "refuse":
                after = have
            if short == "floor":
                after = 0
        stock[name] = after
    return stock if empty else {name: count for name, count in stock.items() if count != 0}


@family(
    level=1,
    inputs=lambda draw: (draw.counts(0, 6, -6, 9),),
    edges=[({},), ({"a": 0},), ({"a": 3, "bb": -2},)],
    keep=[
        Rule("positive", "x > 0"),
        Rule("even", "x % 2 == 0"),
        Rule("not 0", "x != 0"),
        Rule("at least 3 away from 0", "abs(x) >= 3"),
    ],
    change=[
        Rule("its value doubled", "x * 2"),
        Rule("its value with the sign changed", "-x"),
        Rule("its value squared", "x * x"),
        Rule("its value plus the length of the key", "x + len(y)"),
    ],
    other=[
        Value("All other keys are left out.", "drop"),
        Value("All other keys keep their value.", "keep"),
        Value("All other keys get the value 0.", "zero"),
    ],
)
def change_values(
    mapping: dict[str, int], *, keep: Callable[[int], bool], change: Callable[[int, str], int], other: str
) -> dict[str, int]:
    """Return a new dictionary in which every key of `mapping` whose value is {keep} has {change}. {other}"""
    result: dict[str, int] = {}
    for key, value in mapping.items():
        if keep(value):
            result[key] = change(value, key)
        elif other == "keep":
            result[key] = value
        elif other == "zero":
            result[key] = 0
    return result
