"""Tasks composed of steps: what to do with numbers, words or records, one thing after another.

Here the statement and the reference solution are put together from the steps chosen, so that a handful of
steps gives thousands of tasks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from palaestra.envs.code.draw import Draw
from palaestra.envs.code.family import Choice, Family, Inputs, Rule, Statement, add, fill

Edges = tuple[tuple[Any, ...], ...]

_NUMBER_STEPS = (
    Rule("drop the negative numbers", "x = [v for v in x if v >= 0]"),
    Rule("drop the odd numbers", "x = [v for v in x if v % 2 == 0]"),
    Rule("drop the numbers divisible by 3", "x = [v for v in x if v % 3 != 0]"),
    Rule("drop the first number, if there is one", "x = x[1:]"),
    Rule("drop the last two numbers (or as many as there are)", "x = x[:-2]"),
    Rule("keep the numbers at even indices (0, 2, ...) only", "x = x[::2]"),
    Rule("keep the three greatest numbers only, in descending order", "x = sorted(x, reverse=True)[:3]"),
    Rule("drop numbers that occurred before", "x = list(dict.fromkeys(x))"),
    Rule(
        "drop numbers equal to the one just before them",
        "x = [v for i, v in enumerate(x) if i == 0 or v != x[i - 1]]",
    ),
    Rule("add 3 to every number", "x = [v + 3 for v in x]"),
    Rule("double every number", "x = [2 * v for v in x]"),
    Rule("replace every number by its square", "x = [v * v for v in x]"),
    Rule("replace every number by its absolute value", "x = [abs(v) for v in x]"),
    Rule("replace every number by its remainder on division by 5 (0 to 4)", "x = [v % 5 for v in x]"),
    Rule("halve every number, rounding down", "x = [v // 2 for v in x]"),
    Rule("add to every number its index", "x = [v + i for i, v in enumerate(x)]"),
    Rule("replace the numbers by their running sums", "x = [sum(x[:i + 1]) for i in range(len(x))]"),
    Rule(
        "replace the numbers by the differences between each and the one before it (one fewer than before)",
        "x = [later - sooner for sooner, later in zip(x, x[1:])]",
    ),
    Rule("reverse their order", "x = x[::-1]"),
    Rule("sort them in ascending order", "x = sorted(x)"),
    Rule("move the first number to the end", "x = x[1:] + x[:1]"),
    Rule(
        "limit every number to the range from -5 to 5 (what lies outside becomes the nearer end)",
        "x = [max(-5, min(5, v)) for v in x]",
    ),
)
_NUMBER_ENDS = (
    Rule("the list", "return x"),
    Rule("the sum of the list", "return sum(x)"),
    Rule("the length of the list", "return len(x)"),
    Rule("the greatest number of the list, or -1 if it is empty", "return max(x, default=-1)"),
    Rule("the smallest number of the list, or 99 if it is empty", "return min(x, default=99)"),
    Rule("the last number of the list, or 0 if it is empty", "return x[-1] if x else 0"),
    Rule("the number of different numbers in the list", "return len(set(x))"),
    Rule(
        "whether the list is in ascending order (equal neighbours allowed)",
        "return all(sooner <= later for sooner, later in zip(x, x[1:]))",
    ),
    Rule("the sum of every second number of the list, beginning with the first", "return sum(x[::2])"),
    Rule("the numbers as a text, joined by hyphens", "return '-'.join(str(v) for v in x)"),
)

_WORD_STEPS = (
    Rule("drop words of fewer than three letters", "x = [w for w in x if len(w) >= 3]"),
    Rule("drop words of more than four letters", "x = [w for w in x if len(w) <= 4]"),
    Rule("drop words that begin with a vowel", "x = [w for w in x if w[0] not in 'aeiou']"),
    Rule("drop words that contain the letter a", "x = [w for w in x if 'a' not in w]"),
    Rule("drop words that occurred before", "x = list(dict.fromkeys(x))"),
    Rule("reverse every word", "x = [w[::-1] for w in x]"),
    Rule(
        "capitalise the first letter of every word (the other letters stay)",
        "x = [w[0].upper() + w[1:] for w in x]",
    ),
    Rule("put every word in upper case", "x = [w.upper() for w in x]"),
    Rule("double the last letter of every word", "x = [w + w[-1] for w in x]"),
    Rule("cut every word to its first two letters", "x = [w[:2] for w in x]"),
    Rule("move the first letter of every word to its end", "x = [w[1:] + w[0] for w in x]"),
    Rule("sort the words alphabetically (by code points)", "x = sorted(x)"),
    Rule("sort the words by length, keeping the order of words of the same length", "x = sorted(x, key=len)"),
    Rule("reverse the order of the words", "x = x[::-1]"),
    Rule(
        "swap the first and the last word, if there are at least two",
        "x = [x[-1], *x[1:-1], x[0]] if len(x) > 1 else x",
    ),
    Rule(
        "append to every word its number, beginning with 1",
        "x = [w + str(i) for i, w in enumerate(x, start=1)]",
    ),
    Rule("keep every second word, beginning with the first", "x = x[::2]"),
    Rule(
        "join each word to the one after it, so that words 1 and 2 become one, then words 3 and 4, and "
        "so on (a last "
        "word without a partner stays)",
        "x = [''.join(x[i:i + 2]) for i in range(0, len(x), 2)]",
    ),
)
_WORD_ENDS = (
    Rule("the words, joined by single spaces", "return ' '.join(x)"),
    Rule("the list of the words", "return x"),
    Rule("the number of words", "return len(x)"),
    Rule(
        "the longest word (the first of several, or the empty string)", "return max(x, key=len, default='')"
    ),
    Rule("the number of letters and other characters of all words together", "return sum(len(w) for w in x)"),
    Rule("the initials of the words as one text", "return ''.join(w[0] for w in x)"),
    Rule("a dictionary from each different word to how often it occurs", "return {w: x.count(w) for w in x}"),
)

_RECORD_FILTERS = (
    Rule("whose amount is positive", "r[2] > 0"),
    Rule("whose amount is at least 3", "r[2] >= 3"),
    Rule("whose amount is even", "r[2] % 2 == 0"),
    Rule("whose city is not Rome", "r[1] != 'Rome'"),
    Rule("whose name comes before the letter c in the alphabet", "r[0] < 'c'"),
    Rule(
        "whose name and city begin with the same letter, regardless of case",
        "r[0][0].lower() == r[1][0].lower()",
    ),
    Rule("of every kind", "True"),
)
_RECORD_KEYS = (
    Rule("name", "r[0]"),
    Rule("city", "r[1]"),
    Rule("amount", "r[2]"),
    Rule("pair of name and city", "(r[0], r[1])"),
    Rule("first letter of the city", "r[1][0]"),
)
_RECORD_VALUES = (
    Rule("the sum of their amounts", "sum(r[2] for r in group)"),
    Rule("how many there are", "len(group)"),
    Rule("the greatest of their amounts", "max(r[2] for r in group)"),
    Rule("the number of different cities among them", "len({r[1] for r in group})"),
    Rule("the name of the first of them", "group[0][0]"),
    Rule("the list of their amounts, in their order", "[r[2] for r in group]"),
)
_RECORD_ENDS = (
    Rule("the dictionary", "return result"),
    Rule("its keys as a list in ascending order", "return sorted(result)"),
    Rule(
        "its (key, value) pairs as a list in ascending order of the keys",
        "return [(k, result[k]) for k in sorted(result)]",
    ),
    Rule(
        "its values as a list, in descending order of their keys",
        "return [result[k] for k in sorted(result, reverse=True)]",
    ),
)


def _add_process(
    name: str, level: int, begin: str, head: str, inputs: Inputs, edges: Edges, **choices: Sequence[Rule]
) -> None:
    """Add a family whose tasks are the chosen steps, one after another, and a last one that returns."""
    head = f"def {name}({head}):"
    values, told = begin.split("; ")

    def write(chosen: Mapping[str, Choice]) -> Statement:
        *steps, last = (one.code for one in chosen.values() if isinstance(one, Rule))
        *words, end = (one.words for one in chosen.values())
        numbered = "; ".join(f"({number}) {step}" for number, step in enumerate(words, start=1))
        text = f"Begin with {told}. Do the following, one after another: {numbered}. Return {end}."
        body = "".join(f"    {step}\n" for step in (values, *steps, last))
        return Statement(head, fill(f"{text} Do not change the argument.", {}), f"{head}\n{body}")

    add(
        Family(
            name,
            "pipelines",
            level,
            {key: tuple(rules) for key, rules in choices.items()},
            write,
            inputs,
            edges,
        )
    )


def _write_records(chosen: Mapping[str, Choice]) -> Statement:
    test, key, value, last = (one.code for one in chosen.values() if isinstance(one, Rule))
    head = "def process_records(records: list[tuple[str, str, int]]):"
    source = (
        f"{head}\n    groups = {{}}\n    for r in records:\n        if {test}:\n"
        f"            groups.setdefault({key}, []).append(r)\n"
        f"    result = {{k: {value} for k, group in groups.items()}}\n    {last}\n"
    )
    text = (
        "Each record is a tuple (name, city, amount). Take the records {test}, group them by their "
        "{key}, and make a "
        "dictionary that has for each group, under what its records have in common, {value}. Return {last}."
    )
    return Statement(head, fill(text, chosen), source)


def _records(draw: Draw) -> tuple[list[tuple[str, str, int]]]:
    names, cities = ["ann", "bob", "cleo", "pam", "rita"], ["Rome", "Paris", "Ankara", "Bonn", "Riga"]
    return ([(draw.pick(names), draw.pick(cities), draw.integer(-4, 7)) for _ in range(draw.integer(0, 8))],)


def _numbers(draw: Draw) -> tuple[Any, ...]:
    return (draw.integers(-9, 12, 1, 10),)


def _words(draw: Draw) -> tuple[Any, ...]:
    return (" ".join(draw.words(0, 8)),)


_NUMBERS_HEAD, _NUMBERS_BEGIN = "numbers: list[int]", "x = list(numbers); the list `numbers`"
_WORDS_HEAD, _WORDS_BEGIN = (
    "text: str",
    "x = text.split(); the list of the words of `text`, which spaces separate",
)
_NUMBER_EDGES: Edges = (([],), ([4],), ([-7, 3],))
_WORD_EDGES: Edges = (("",), ("a",), ("one two one",))
_RECORD_EDGES: Edges = (([],), ([("ann", "Ankara", 3)],), ([("bob", "Rome", 0), ("bob", "Rome", 0)],))

_add_process(
    "process_numbers", 2, _NUMBERS_BEGIN, _NUMBERS_HEAD, _numbers, _NUMBER_EDGES,
    first=_NUMBER_STEPS, second=_NUMBER_STEPS, end=_NUMBER_ENDS,
)  # fmt: skip
_add_process(
    "transform_numbers", 3, _NUMBERS_BEGIN, _NUMBERS_HEAD, _numbers, _NUMBER_EDGES,
    first=_NUMBER_STEPS[::2], second=_NUMBER_STEPS[1::2], third=_NUMBER_STEPS, end=_NUMBER_ENDS[::2],
)  # fmt: skip
_add_process(
    "process_words", 2, _WORDS_BEGIN, _WORDS_HEAD, _words, _WORD_EDGES,
    first=_WORD_STEPS, second=_WORD_STEPS, end=_WORD_ENDS,
)  # fmt: skip
_add_process(
    "transform_words", 3, _WORDS_BEGIN, _WORDS_HEAD, _words, _WORD_EDGES,
    first=_WORD_STEPS[::2], second=_WORD_STEPS[1::2], third=_WORD_STEPS, end=_WORD_ENDS[:5],
)  # fmt: skip
add(
    Family(
        name="process_records",
        topic="pipelines",
        level=3,
        choices={"test": _RECORD_FILTERS, "key": _RECORD_KEYS, "value": _RECORD_VALUES, "last": _RECORD_ENDS},
        write=_write_records,
        inputs=_records,
        edges=_RECORD_EDGES,
    )
)
