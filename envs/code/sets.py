"""Sets of problems in HumanEval's and MBPP's formats, from a local file or through `datasets`."""

from __future__ import annotations

import ast
import builtins
import doctest
import gzip
import json
import os
import re
import sys
import zlib
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from palaestra.envs.code.problem import Example, Problem
from palaestra.envs.core import ListTaskSet, Task
from palaestra.errors import DataError, MissingExtraError, UnknownNameError
from palaestra.sandboxes.grading import split_prompt

SET_SPLITS = {"humaneval": ("test",), "mbpp": ("train", "valid", "test")}
# Name and configuration at the Hugging Face hub, and what the splits are called there.
_PUBLISHED = {
    "humaneval": ("openai/openai_humaneval", None, {"test": "test"}),
    "mbpp": (
        "google-research-datasets/mbpp",
        "full",
        {"train": "train", "valid": "validation", "test": "test"},
    ),
}
# MBPP's splits by task id, as its authors made them; 1 to 10 are meant for prompts.
_MBPP_IDS = {"test": range(11, 511), "valid": range(511, 601), "train": range(601, 975)}
# Their tests make objects of the candidate's classes, or pass a class: 4 of 974.
_MBPP_OF_OBJECTS = {367, 533, 601, 927}
_DOCTEST = doctest.DocTestParser()

Row = Mapping[str, Any]


class ProblemSet(ListTaskSet):
    """The problems of one split of ``source`` ("humaneval" or "mbpp").

    ``data`` is a JSON-lines file, or one compressed with gzip: rows with ``prompt``, ``entry_point``,
    ``test`` and perhaps ``canonical_solution`` (HumanEval and MultiPL-E's MBPP), or with ``text`` or
    ``prompt``, ``code`` and ``test_list`` (MBPP). Without ``data`` the set comes from its publisher through
    `datasets`. Raises ``DataError`` (naming the line) for what cannot be read, ``UnknownNameError`` for an
    unknown split and ``MissingExtraError`` without `datasets`.
    """

    def __init__(self, source: str, split: str, data: str | os.PathLike[str] | None = None) -> None:
        known = SET_SPLITS[source]
        if split not in known:
            raise UnknownNameError("split", split, known)
        if data is None:
            tasks = _published(source, split)
        else:
            path = Path(data).expanduser()
            tasks = [task for task in _of_file(path, source, _modified_ns(path)) if task.split == split]
            if not tasks:
                raise DataError(f"{path} has no problems of the split {split!r}")
        super().__init__(tasks)


def _modified_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError as error:
        raise DataError(
            f"{path} cannot be read ({error.strerror}); data must name a JSON-lines file"
        ) from error


@lru_cache(maxsize=8)
def _of_file(path: Path, source: str, _modified: int) -> tuple[Task, ...]:
    try:
        packed = path.read_bytes()
        content = gzip.decompress(packed) if packed[:2] == b"\x1f\x8b" else packed
        text = content.decode()
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as text or gzip ({error}); fetch it anew") from error
    lines = enumerate(text.split("\n"), start=1)
    return tuple(
        _tasks(((f"{path} line {n}", line) for n, line in lines if line.strip()), source, json.loads)
    )


@lru_cache(maxsize=8)
def _published(source: str, split: str) -> tuple[Task, ...]:
    try:
        import datasets  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise MissingExtraError(f"source={source!r} without data=FILE", "data") from error
    name, configuration, splits = _PUBLISHED[source]
    try:
        rows = list(datasets.load_dataset(name, configuration, split=splits[split]))
    except Exception as error:  # the library raises whatever its transports do
        raise DataError(f"{name} could not be had through `datasets` ({error}); pass data=FILE") from error
    return tuple(_tasks(((f"{name} row {n}", row) for n, row in enumerate(rows)), source, dict))


def _tasks(rows: Iterable[tuple[str, Any]], source: str, read: Callable[[Any], Any]) -> Iterable[Task]:
    seen: set[str] = set()
    for origin, raw in rows:
        try:
            row = read(raw)
            task = _mbpp(row) if "test_list" in row else _humaneval(row, source)
        except (ValueError, KeyError, TypeError, SyntaxError, AttributeError, IndexError) as error:
            raise DataError(f"{origin} is no {source} problem ({error!r}); fetch the set anew") from error
        if task.id in seen:
            raise DataError(f"{origin}: the problem {task.id!r} occurs twice")
        seen.add(task.id)
        yield task


def _text(row: Row, *names: str) -> str:
    for name in names:
        if isinstance(row.get(name), str):
            return row[name]
    raise KeyError(f"there is no text {' or '.join(map(repr, names))} in it")


# ---- HumanEval's format: a head to complete, and check(candidate) ------------------------------------------


def _humaneval(row: Row, source: str) -> Task:
    prompt, entry_point, tests = _text(row, "prompt"), _text(row, "entry_point"), _text(row, "test")
    name = _text(row, "task_id", "name")
    definition = _definition(ast.parse(f"{prompt.rstrip()}\n    pass\n"), entry_point)
    canonical = row.get("canonical_solution")
    problem = Problem(
        prompt=prompt,
        entry_point=entry_point,
        tests=tests,
        prelude=split_prompt(prompt, entry_point),
        public=tuple(_examples(definition)) or tuple(_first_assert(tests, entry_point)),
        solution=prompt + canonical if isinstance(canonical, str) else "",
    )
    described = (ast.get_docstring(definition) or "").partition(">>>")[0]
    goal = f"Write {entry_point}: {' '.join(described.split())}"
    split = "test" if source == "humaneval" else _mbpp_split(int(name.split("_")[1]))
    return Task(name, goal, split, source, {"problem": problem})


def _definition(tree: ast.Module, entry_point: str) -> ast.FunctionDef:
    for statement in tree.body:
        if isinstance(statement, ast.FunctionDef) and statement.name == entry_point:
            return statement
    raise ValueError(f"its prompt does not begin the function {entry_point!r}")


def _examples(definition: ast.FunctionDef) -> Iterable[Example]:
    """Read the docstring's ``>>>`` examples that are expressions with a value."""
    try:
        found = _DOCTEST.get_examples(ast.get_docstring(definition) or "")
    except ValueError:  # a docstring that only looks like doctest
        return
    for example in found:
        try:
            expression = ast.unparse(ast.parse(example.source.strip(), mode="eval"))
            wanted = ast.unparse(ast.parse(example.want.strip(), mode="eval"))
        except SyntaxError:
            continue
        yield Example(expression, wanted)


def _first_assert(tests: str, entry_point: str) -> Iterable[Example]:
    """Read the first assert, of ``check`` or at the top, that needs nothing but the candidate."""
    tree = ast.parse(tests)
    checks = [one for one in tree.body if isinstance(one, ast.FunctionDef) and one.name == "check"]
    candidate = {"candidate", entry_point}
    for statement in (checks[0] if checks else tree).body:
        if isinstance(statement, ast.Assert):
            names = {node.id for node in ast.walk(statement.test) if isinstance(node, ast.Name)}
            if names & candidate and all(hasattr(builtins, name) for name in names - candidate):
                yield _as_example(statement.test, {"candidate": entry_point})
                return


def _as_example(test: ast.expr, names: Mapping[str, str]) -> Example:
    """Return a test as an example: ``left == right`` shows both sides, any other must be true."""
    for node in ast.walk(test):
        if isinstance(node, ast.Name):
            node.id = names.get(node.id, node.id)
    if isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], ast.Eq):
        return Example(ast.unparse(test.left), ast.unparse(test.comparators[0]))
    return Example(f"bool({ast.unparse(test)})", "True")


# ---- MBPP's format: a sentence, and asserts ----------------------------------------------------------------


def _mbpp(row: Row) -> Task:
    number = int(row["task_id"])
    sentence, tests = _text(row, "text", "prompt"), [str(test) for test in row["test_list"]]
    code = row.get("code")
    given = (*(row.get("test_imports") or ()), str(row.get("test_setup_code") or ""))
    prelude = "\n".join(part for part in (*given, *_modules_used("\n".join(tests))) if part)
    first = ast.parse(tests[0]).body[-1]
    entry_point = _called(first, str(code or ""))
    public = (_as_example(first.test, {}),) if isinstance(first, ast.Assert) else ()
    problem = Problem(
        prompt=sentence,
        entry_point=entry_point,
        tests="\n".join(tests) + "\n",
        head=False,
        prelude=prelude,
        public=public,
        solution=str(code or ""),
        objects=number in _MBPP_OF_OBJECTS,
    )
    return Task(f"MBPP/{number}", sentence, _mbpp_split(number), "mbpp", {"problem": problem})


def _modules_used(tests: str) -> Iterable[str]:
    """Return imports of standard modules that tests name without importing them, as ``sys.getsizeof``."""
    used = {
        node.value.id
        for node in ast.walk(ast.parse(tests))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }
    return (f"import {name}" for name in sorted(used & sys.stdlib_module_names))


def _mbpp_split(number: int) -> str:
    return next((split for split, ids in _MBPP_IDS.items() if number in ids), "prompt")


def _called(statement: ast.stmt, code: str) -> str:
    """Return the function that a test calls: one that the solution defines, or the first not built in."""
    called = [
        node.func.id
        for node in ast.walk(statement)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    ]
    defined = set(re.findall(r"^def (\w+)", code, re.MULTILINE))
    candidates = [name for name in called if name in defined] or [
        name for name in called if not hasattr(builtins, name)
    ]
    if not candidates:
        raise ValueError("its first test calls no function")
    return candidates[0]
