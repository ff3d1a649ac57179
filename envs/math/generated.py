"""Generated exercises: a choice of reasoning-gym's generators, each at three levels of difficulty.

Left out on purpose are generators

* whose gold answers proved wrong: gsm_symbolic's texts do not always say what was computed, and
  intermediate_integration may answer with an integral; of basic_arithmetic we take no division and no form
  without parentheses, of polynomial_equations no cubics, three real roots of which may be taken for none;
* that depend on more than a seed: today's date (the clock tasks of time_intervals), or the order of a set,
  which differs between processes (polynomial_multiplication);
* without a unique answer (number_sequence), or with too few questions to keep splits apart (coin_flip);
* whose scorer accepts numbers that were not given, and which take half a second an exercise (puzzle24).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Any

from palaestra.envs.core import Task, TaskSet
from palaestra.errors import DataError, MissingExtraError, OptionError, UnknownNameError

SPLITS = ("train", "valid", "test")
LEVELS = ("easy", "medium", "hard")
_SIZE = 100_000
# Each exercise is the first of so many candidates that belongs to its split.
_CANDIDATES = 256
# A question belongs to a split by its text: a half of all to train, a quarter each to the others.
_SHARES = ("train", "train", "valid", "test")

_NUMBER = r"\d{1,30}(?:\.\d{1,30})?"
_EXPRESSION = r"(?:[-+() \d]|\*(?!\*)|/(?!/))+"
_POLYNOMIAL = r"(?:[-+() \d]|[xXC](?![A-Za-z])|\*(?!\*)|/(?!/)|\*\*\(?\d{1,3}(?!\d))+"
_AS_PYTHON = {"\\cdot": "*", "\\times": "*", "×": "*", "\\div": "/", "÷": "/", "^": "**", "{": "(", "}": ")"}
_AS_FACTORS = {"\\cdot": "×", "\\times": "×", "*": "×"}

Parameters = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Generator:
    """How one generator is used: its parameters at each level, and how its answers are judged.

    Without ``shape`` an answer must equal the gold one by value. With it, several answers can be right, and
    the generator's own ``score_answer`` must give all of its points to an answer of that shape, a regular
    expression. The shape keeps out what the scorers let pass: "nan", words between numbers, an ``Integral``
    left unsolved. ``signs`` are rewritten before, as LaTeX has signs that the scorer does not read.
    """

    easy: Parameters
    medium: Parameters
    hard: Parameters
    shape: str | None = None
    signs: Mapping[str, str] = field(default_factory=dict)
    evaluates: bool = False
    """Its scorer evaluates the text, so it runs in the checker's process."""

    def parameters(self, level: str) -> Parameters:
        """Return the generator's parameters at one level of ``LEVELS``."""
        return {"easy": self.easy, "medium": self.medium, "hard": self.hard}[level]


GENERATORS: dict[str, Generator] = {
    # arithmetic
    "basic_arithmetic": Generator(
        # Division that does not come out even is answered by something else; and without parentheses
        # (allow_parentheses=False) the gold answer is computed from left to right.
        {"max_terms": 3, "max_digits": 2, "operators": ("+", "-", "*")},
        {"min_terms": 3, "max_terms": 4, "max_digits": 3, "operators": ("+", "-", "*")},
        {"min_terms": 5, "min_digits": 2, "operators": ("+", "-", "*")},
    ),
    "chain_sum": Generator(
        {"min_terms": 2, "max_terms": 3, "min_digits": 2, "max_digits": 3},
        {"min_terms": 4, "max_terms": 5, "min_digits": 3, "max_digits": 4},
        {"min_terms": 6, "max_terms": 10, "min_digits": 4, "max_digits": 6},
    ),
    "decimal_chain_sum": Generator(
        {"min_terms": 2, "max_terms": 2, "max_digits": 2, "max_decimal_places": 2},
        {"min_terms": 3, "max_terms": 4, "max_digits": 3, "max_decimal_places": 3},
        {"min_terms": 5, "max_terms": 8, "max_digits": 4, "max_decimal_places": 4},
    ),
    "products": Generator(
        {"min_digits": 2, "max_digits": 2},
        {"min_digits": 3, "max_digits": 4},
        {"min_terms": 3, "max_terms": 3, "min_digits": 3, "max_digits": 4},
    ),
    "fraction_simplification": Generator(
        {"max_value": 50, "min_factor": 2, "max_factor": 20},
        {"max_value": 300, "min_factor": 2, "max_factor": 60},
        {"max_value": 2000, "min_factor": 10, "max_factor": 200},
        shape=r"\$?(?:\d{1,9} ?/ ?\d{1,9}|\\d?frac\{\d{1,9}\}\{\d{1,9}\})\$?",
    ),
    "complex_arithmetic": Generator(
        {"operations": ("+", "-"), "operations_weights": [0.5, 0.5]},
        {"operations_weights": [0.2, 0.2, 0.4, 0.2]},
        {
            "min_real": -99,
            "max_real": 99,
            "min_imag": -99,
            "max_imag": 99,
            "operations": ("*", "/"),
            "operations_weights": [0.5, 0.5],
        },
        shape=rf"-?(?:{_NUMBER})?i|-?{_NUMBER}(?: ?[-+] ?(?:{_NUMBER})?i)?",
    ),
    "bitwise_arithmetic": Generator(
        {"difficulty": 1},
        {"difficulty": 2},
        {"difficulty": 4},
        shape=r"-?0[xX][0-9a-fA-F]{1,99}|-?(?:0|[1-9]\d{0,99})",
    ),
    # dates
    "calendar_arithmetic": Generator(
        {"tasks": ["weekday_offset", "weekday_of_date_from_first_date"], "offset_upper_bound": 30},
        {"tasks": ["weekday_offset", "recurring_event_day", "count_days"], "offset_upper_bound": 100},
        {"tasks": ["weekday_of_date", "count_days", "count_business_days"], "offset_upper_bound": 360},
    ),
    "time_intervals": Generator(
        {"task_types": ["date"], "max_date_difference_days": 60},
        {"task_types": ["date"], "max_date_difference_days": 900},
        {"task_types": ["datetime"], "max_date_difference_days": 900},
        shape=r"\d{1,6}(?: days?)?(?:, \d{1,2}:\d\d(?::\d\d)?)?",
    ),
    # number theory
    "gcd": Generator(
        {"max_value": 200},
        {"max_value": 2000},
        {"min_numbers": 3, "max_numbers": 4, "max_value": 10_000},
    ),
    "lcm": Generator(
        {"max_value": 60},
        {"max_value": 200},
        {"min_numbers": 3, "max_numbers": 3, "max_value": 200},
    ),
    "prime_factorization": Generator(
        {"min_value": 10, "max_value": 3000},
        {"min_value": 3000, "max_value": 100_000},
        {"min_value": 100_000, "max_value": 10_000_000},
        shape=r"\d{1,12}(?: ?× ?\d{1,12})*",
        signs=_AS_FACTORS,
    ),
    "count_primes": Generator({"max_n": 150}, {"max_n": 1000}, {"max_n": 10_000}),
    "count_bits": Generator({"max_n": 2**12}, {"max_n": 2**20}, {"max_n": 2**31 - 1}),
    "base_conversion": Generator(
        {"max_base": 10, "max_value": 300},
        {"max_base": 16, "max_value": 5000},
        {"max_base": 36, "max_value": 1_000_000},
    ),
    # algebra
    "simple_equations": Generator(
        {"max_terms": 2, "max_value": 20},
        {"min_terms": 2, "max_terms": 4, "max_value": 100},
        {"min_terms": 4, "max_terms": 6, "max_value": 500},
    ),
    "polynomial_equations": Generator(
        {"max_degree": 1, "max_value": 20},
        {"max_degree": 2, "max_value": 30},
        {"min_degree": 2, "max_degree": 2, "min_terms": 3, "max_terms": 5, "max_value": 200},
        shape=rf"-?{_NUMBER}(?:, ?-?{_NUMBER})*",
    ),
    "simple_integration": Generator(
        {"max_terms": 2, "max_degree": 3},
        {"min_terms": 3, "max_terms": 4, "max_degree": 6},
        {"min_terms": 5, "max_terms": 7, "max_degree": 12, "max_bounds": 50},
        shape=_POLYNOMIAL,
        signs=_AS_PYTHON,
        evaluates=True,
    ),
    # geometry
    "simple_geometry": Generator(
        # Such bounds that the last angle, too, is one of a convex polygon.
        {"min_sides": 3, "max_sides": 4, "min_angle": 61, "max_angle": 89},
        {"min_sides": 5, "max_sides": 6, "min_angle": 109, "max_angle": 134},
        {"min_sides": 7, "max_sides": 9, "min_angle": 136, "max_angle": 149},
    ),
    "advanced_geometry": Generator(
        {"min_coord": -5, "max_coord": 5, "task_types": ["orthocenter"]},
        {"task_types": ["orthocenter", "incircle_radius"]},
        {"min_coord": -100, "max_coord": 100, "task_types": ["orthocenter", "incircle_radius"]},
        shape=rf"\( ?-?{_NUMBER}, ?-?{_NUMBER} ?\)|{_NUMBER}",
    ),
    # probability
    "dice": Generator(
        {"num_dice": 3, "max_dice_size": 20},
        {"num_dice": 4, "max_dice_size": 20},
        {"num_dice": 6, "max_dice_size": 20},
    ),
    # puzzles
    "countdown": Generator(
        {"min_numbers": 3, "max_numbers": 3, "max_value": 30},
        {"min_numbers": 4, "max_numbers": 4, "max_value": 50},
        {"min_numbers": 5, "max_numbers": 5},
        shape=_EXPRESSION,
        signs=_AS_PYTHON,
        evaluates=True,
    ),
}


class GeneratedExercises(TaskSet):
    """100,000 exercises of one split and level; exercise ``n`` of a generator depends on these alone.

    Indices go round the generators: with three of them, indices 0, 3, 6, … are the first one's 0, 1, 2, …
    Raises ``MissingExtraError`` where reasoning-gym is not installed.
    """

    def __init__(self, split: str, level: str, generators: Iterable[str] | None = None) -> None:
        for kind, name, known in (("split", split, SPLITS), ("difficulty", level, LEVELS)):
            if name not in known:
                raise UnknownNameError(kind, name, known)
        self.split, self.level = split, level
        self.names = tuple(GENERATORS) if generators is None else tuple(dict.fromkeys(generators))
        for name in self.names:
            if name not in GENERATORS:
                raise UnknownNameError("generator", name, GENERATORS)
        if not self.names:
            raise OptionError("generators is empty: name at least one, or leave it out for all")
        _reasoning_gym()

    def __len__(self) -> int:
        return _SIZE

    def task(self, index: int) -> Task:
        """Return task ``index``."""
        name, number = self._place(index)
        return exercise(self.split, self.level, name, number)

    def _place(self, index: int) -> tuple[str, int]:
        number, place = divmod(index, len(self.names))
        return self.names[place], number

    def find(self, task_id: str) -> Task:
        """Return the task with this id; raises ``UnknownNameError`` with the nearest id."""
        index = self.index_of(task_id)
        if index is None:
            # Ids alone, since making thousands of exercises for the sake of a message takes a minute.
            places = (self._place(index) for index in range(2000))
            known = (f"{self.split}-{self.level}-{name}-{number}" for name, number in places)
            raise UnknownNameError("task", task_id, known)
        return self.task(index)

    def index_of(self, task_id: str) -> int | None:
        """Return the index in a task id of this set, such as ``train-easy-gcd-17``."""
        match = re.fullmatch(rf"{self.split}-{self.level}-(\w+)-(0|[1-9]\d{{0,9}})", task_id, re.ASCII)
        if match is None or match.group(1) not in self.names:
            return None
        index = int(match.group(2)) * len(self.names) + self.names.index(match.group(1))
        return index if index < _SIZE else None


@lru_cache(maxsize=256)
def exercise(split: str, level: str, name: str, number: int) -> Task:
    """Make exercise ``number`` of a generator. Raises ``DataError`` where it finds none for the split."""
    shape, made = GENERATORS[name].shape, dataset(name, level)
    # All splits share one sequence of candidates: a seed for each would not keep them apart, since an item
    # is seeded with the sum of seed and index, and since small questions come up again and again.
    for candidate in range(number * _CANDIDATES, (number + 1) * _CANDIDATES):
        entry = made[candidate]
        gold = entry["answer"]
        # base_conversion writes 0 as nothing, and polynomials may have no real roots.
        sound = bool(gold) if shape is None else re.fullmatch(shape, gold)
        if sound and _split_of(entry["question"]) == split:
            data = {"generator": name, "level": level, "gold": gold, "entry": entry}
            return Task(f"{split}-{level}-{name}-{number}", entry["question"], split, name, data)
    raise DataError(f"{name} made no question of split {split!r} in {_CANDIDATES} trials ({level})")


def _split_of(question: str) -> str:
    return _SHARES[hashlib.sha256(question.encode()).digest()[0] % len(_SHARES)]


@cache  # one for each generator and level
def dataset(name: str, level: str) -> Any:
    """Return the reasoning-gym data set of one generator at one level."""
    parameters = GENERATORS[name].parameters(level)
    return _reasoning_gym().create_dataset(name, seed=0, size=_SIZE * _CANDIDATES, **parameters)


def _reasoning_gym() -> Any:
    try:
        import reasoning_gym
    except ImportError as error:
        raise MissingExtraError("source='reasoning-gym'", "math") from error
    return reasoning_gym
