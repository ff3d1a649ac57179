"""Generated tasks: item ``i`` of a split is a family, a combination of its choices, and tests for it."""

from __future__ import annotations

import ast
import copy
from collections import Counter
from functools import lru_cache
from itertools import islice
from typing import Any

import numpy as np

from palaestra.envs.code.draw import Draw
from palaestra.envs.code.family import LEVELS, SPLITS, Family, Statement, families, values_of
from palaestra.envs.code.mutate import Case, bounded, count_failures, mutants
from palaestra.envs.code.problem import Example, Problem
from palaestra.envs.core import Task, TaskSet
from palaestra.errors import ContractError, OptionError, UnknownNameError

HIDDEN_TESTS = 20
PUBLIC_TESTS = 3
NEAR_MISSES = 4
_ENTROPY = 0xC0DE
_MOST_DRAWS = 200
_MOST_MUTANTS = 30
_LONGEST_EXAMPLE = 300
# A constant or a lucky guess must not pass: no value may be expected by more of the drawn tests than this.
_MOST_ALIKE = HIDDEN_TESTS // 2
_LEAST_UNALIKE = 4


class GeneratedTasks(TaskSet):
    """``size`` function-writing tasks of one split; task ``i`` depends on split, level and ``i`` alone.

    The splits share the families but no combination of their parameters. ``difficulty`` is None (all) or a
    level: 1 one idea, 2 several cases or steps, 3 an algorithm.
    Raises ``UnknownNameError`` for an unknown split, ``OptionError`` for a level or size that cannot be.
    """

    def __init__(self, split: str, difficulty: int | None = None, size: int = 100_000) -> None:
        if split not in SPLITS:
            raise UnknownNameError("split", split, SPLITS)
        if difficulty is not None and difficulty not in LEVELS:
            raise OptionError(f"difficulty must be one of {LEVELS} or None, not {difficulty!r}")
        if size < 1:
            raise OptionError(f"size must be at least 1, not {size}")
        self.split, self.difficulty, self.size = split, difficulty, size
        self._prefix = f"{split}-" if difficulty is None else f"{split}-{difficulty}-"

    def __len__(self) -> int:
        return self.size

    def task(self, index: int) -> Task:
        """Return task ``index``."""
        return _task(self.split, self.difficulty, index, f"{self._prefix}{index}")

    def find(self, task_id: str) -> Task:
        """Return the task with this id; raises ``UnknownNameError`` with the nearest of the first ids."""
        index = self.index_of(task_id)
        if index is None:
            # Their names are known without making the tasks.
            names = (f"{self._prefix}{number}" for number in range(min(self.size, 1000)))
            raise UnknownNameError("task", task_id, names)
        return self.task(index)

    def index_of(self, task_id: str) -> int | None:
        """Return the index in a task id of this split and level."""
        number = task_id.removeprefix(self._prefix)
        if number == task_id or not (number.isascii() and number.isdigit()) or str(int(number)) != number:
            return None
        return int(number) if int(number) < self.size else None


@lru_cache(maxsize=256)
def _task(split: str, difficulty: int | None, index: int, name: str) -> Task:
    generator = np.random.default_rng([_ENTROPY, SPLITS.index(split), difficulty or 0, index])
    pool = list(families(difficulty))
    while True:
        one = pool[int(generator.integers(len(pool)))]
        chosen = one.combination(split, int(generator.integers(one.combinations(split))))
        statement = one.write(chosen)
        public, hidden = _cases(one, statement, Draw(generator, values_of(chosen)))
        if _varied(hidden):
            break
    data = {
        "problem": _problem(one.name, statement, public, hidden),
        "difficulty": one.level,
        "topic": one.topic,
    }
    return Task(name, goal_of(one.name, statement.text), split, one.name, data)


def _varied(cases: list[Case]) -> bool:
    """Return whether several cases are failed by whatever always returns the same."""
    common = Counter(repr(value) for _, value in cases).most_common(1)
    return len(cases) - sum(count for _, count in common) >= _LEAST_UNALIKE


def goal_of(entry_point: str, text: str) -> str:
    """Return the sentence that stands for a task in tables and logs."""
    return f"Write {entry_point}: {' '.join(text.split())}"


def _problem(name: str, statement: Statement, public: list[Case], hidden: list[Case]) -> Problem:
    examples = tuple(Example(_call(name, arguments), repr(value)) for arguments, value in public)
    shown = "\n\n".join(f">>> {one.expression}\n{one.expected}" for one in examples).replace("\\", "\\\\")
    text = "\n".join(f"    {line}" if line else "" for line in f"{statement.text}\n\n{shown}".split("\n"))
    prompt = f'{statement.head}\n    """{text.lstrip()}\n    """\n'
    tests = "".join(f"assert {_call(name, arguments)} == {value!r}\n" for arguments, value in hidden)
    return Problem(prompt, name, tests, public=examples, solution=statement.source)


def _call(name: str, arguments: tuple[Any, ...]) -> str:
    return f"{name}({', '.join(map(repr, arguments))})"


def _cases(one: Family, statement: Statement, draw: Draw) -> tuple[list[Case], list[Case]]:
    """Return the public and the hidden cases: no two have the same arguments."""
    function = bounded(statement.source, one.name)
    drawn: list[Case] = []
    seen: set[str] = set()
    alike: Counter[str] = Counter()
    for arguments in one.edges:
        seen.add(repr(arguments))
    for _ in range(_MOST_DRAWS):
        if len(drawn) == HIDDEN_TESTS + PUBLIC_TESTS:
            break
        arguments = one.inputs(draw)
        if repr(arguments) in seen:
            continue
        seen.add(repr(arguments))
        case = _case(function, one.name, arguments)
        alike[repr(case[1])] += 1
        if alike[repr(case[1])] <= _MOST_ALIKE:
            drawn.append(case)
    public = _choose_public(drawn)
    edges = [_case(function, one.name, arguments) for arguments in one.edges]
    return public, [*edges, *(case for case in drawn if case not in public)]


def _case(function: Any, name: str, arguments: tuple[Any, ...]) -> Case:
    value = function(*copy.deepcopy(arguments))
    if ast.literal_eval(repr((arguments, value))) != (arguments, value):
        raise ContractError(f"{name}{arguments!r} gives {value!r}, which is no literal")
    return arguments, value


def _choose_public(drawn: list[Case]) -> list[Case]:
    """Choose short cases with different values, as far as there are any."""
    public: list[Case] = []
    for case in sorted(drawn, key=lambda case: len(repr(case)) > _LONGEST_EXAMPLE):
        if len(public) < PUBLIC_TESTS and case[1] not in [value for _, value in public]:
            public.append(case)
    return public


def cases_of(problem: Problem) -> list[Case]:
    """Read the hidden tests of a generated problem back from its asserts."""
    cases: list[Case] = []
    for statement in ast.parse(problem.tests).body:
        assert isinstance(statement, ast.Assert)
        assert isinstance(statement.test, ast.Compare)
        assert isinstance(statement.test.left, ast.Call)
        arguments = tuple(ast.literal_eval(argument) for argument in statement.test.left.args)
        cases.append((arguments, ast.literal_eval(statement.test.comparators[0])))
    return cases


def wrong_solutions(problem: Problem, limit: int = NEAR_MISSES) -> list[str]:
    """Return mutants of the reference solution that fail hidden tests, those that fail the fewest first.

    Mutants that loop are left out: they would be no nearer a miss, and dear to run.
    """
    cases, found = cases_of(problem), []
    for number, mutant in enumerate(islice(mutants(problem.solution), _MOST_MUTANTS)):
        failures = count_failures(mutant, problem.entry_point, cases)
        if failures:
            found.append((failures, number, mutant))
    return [mutant for _, _, mutant in sorted(found)[:limit]]
