"""GSM8K and MATH: problems written by people, from a local file or folder, or by ``datasets``."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from palaestra.envs.core import ListTaskSet, Task
from palaestra.envs.math.answers import extract
from palaestra.errors import DataError, MissingExtraError, OptionError, UnknownNameError

SPLITS = ("train", "valid", "test", "all")
# Which of MATH's levels 1 to 5 each difficulty takes.
_LEVELS = {"easy": ("1", "2"), "medium": ("3",), "hard": ("4", "5")}
_TENTH = 0.1

_MATH_SUBJECTS = (
    "algebra",
    "counting_and_probability",
    "geometry",
    "intermediate_algebra",
    "number_theory",
    "prealgebra",
    "precalculus",
)
# Where the publishers' splits lie: repository, configurations. MATH is tested on the 500 of its problems that
# everybody tests on.
_REPOSITORIES: dict[tuple[str, str], tuple[str, tuple[str | None, ...]]] = {
    ("gsm8k", "train"): ("openai/gsm8k", ("main",)),
    ("gsm8k", "test"): ("openai/gsm8k", ("main",)),
    ("math", "train"): ("EleutherAI/hendrycks_math", _MATH_SUBJECTS),
    ("math", "test"): ("HuggingFaceH4/MATH-500", (None,)),
}

Row = Mapping[str, Any]
Pool = Literal["one file", "train and valid", "the split"]
"""What rows are of: everything there is, two splits in one, or just the split."""


def load(
    source: str, split: str, data: str | os.PathLike[str] | None = None, level: str | None = None
) -> ListTaskSet:
    """Return the problems of one split of ``source`` ("gsm8k" or "math").

    ``data`` is a folder with ``train.jsonl`` and so on, or one ``.jsonl`` file; without it the publisher's
    files are loaded by ``datasets``. What the publisher has not split is split by a hash of the question:
    valid is a tenth of train; one file gives a tenth each to test and valid, or all of it to ``split="all"``.

    Raises ``DataError`` for data that is absent or of another form, ``MissingExtraError``,
    ``UnknownNameError``, and ``OptionError`` for a ``level`` where the problems have none.
    """
    path = None if data is None else Path(data)
    known = SPLITS if path is not None and not path.is_dir() else SPLITS[:3]
    if split not in known:
        raise UnknownNameError("split", split, known)
    if level is not None and level not in _LEVELS:
        raise UnknownNameError("difficulty", level, _LEVELS)
    if level is not None and source == "gsm8k":
        raise OptionError("the problems of GSM8K have no level: leave difficulty out")
    if path is None:
        return _published(source, split, level)
    file, pool = _file(path, split)
    stamp = file.stat()
    return _local(source, split, level, file, pool, (stamp.st_mtime_ns, stamp.st_size))


def _file(path: Path, split: str) -> tuple[Path, Pool]:
    if path.is_file():
        return path, "one file"
    if not path.exists():
        raise DataError(f"{path} does not exist: data is a .jsonl file of problems, or a folder of them")
    shared = not (path / "valid.jsonl").exists() and split != "test"
    file = path / ("train.jsonl" if shared else f"{split}.jsonl")
    if not file.is_file():
        raise DataError(f"{path} has no file {file.name}, from which split {split!r} is read")
    return file, "train and valid" if shared else "the split"


# Environments of one process share what was read; the stamp tells a changed file from the old one.
@lru_cache(maxsize=8)
def _local(
    source: str, split: str, level: str | None, file: Path, pool: Pool, stamp: tuple[int, int]
) -> ListTaskSet:
    return _tasks(source, split, level, pool, _rows(file), str(file))


def _rows(file: Path) -> Iterator[Row]:
    try:
        with file.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield _row(line, f"{file}, line {number},")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file} cannot be read: {error}") from error


def _row(line: str, where: str) -> Row:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(f"{where} is not JSON: {error}") from error
    if not isinstance(row, dict):
        raise DataError(f"{where} holds a {type(row).__name__}, but a problem is an object")
    return row


@lru_cache(maxsize=8)
def _published(source: str, split: str, level: str | None) -> ListTaskSet:
    try:
        import datasets  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise MissingExtraError(f"source={source!r} without data=PATH", "data") from error
    name = "train" if split == "valid" else split
    repository, configurations = _REPOSITORIES[source, name]
    rows: list[Row] = []
    for configuration in configurations:
        try:
            rows.extend(datasets.load_dataset(repository, configuration, split=name))
        except Exception as error:  # no network, no such repository, a full disk: datasets raises many kinds
            raise DataError(
                f"datasets could not load {repository}: {error}. Without a network, pass data=PATH to a "
                ".jsonl file or a folder of them"
            ) from error
    return _tasks(
        source, split, level, "the split" if name == "test" else "train and valid", rows, repository
    )


def _tasks(
    source: str, split: str, level: str | None, pool: Pool, rows: Iterable[Row], where: str
) -> ListTaskSet:
    tasks: dict[str, Task] = {}
    for number, row in enumerate(rows, 1):
        task = _task(source, split, row, f"row {number} of {where}")
        chosen = level is None or str(task.data["level"]).removeprefix("Level ") in _LEVELS[level]
        if chosen and _belongs(task.goal, split, pool):
            tasks.setdefault(task.id, task)  # a question that comes twice has one id
    if not tasks:
        raise DataError(
            f"{where} has no problems for split {split!r}" + (f" at level {level}" if level else "")
        )
    return ListTaskSet(list(tasks.values()))


def _task(source: str, split: str, row: Row, where: str) -> Task:
    question = row.get("problem", row.get("question"))
    solution = row.get("solution", row.get("answer"))
    if not (isinstance(question, str) and question.strip() and isinstance(solution, str)):
        known = "'problem' or 'question', and 'answer' or 'solution'"
        raise DataError(f"{where} has the fields {', '.join(row)}; a problem needs {known}")
    answer = row.get("answer", solution)
    # GSM8K puts the answer behind its solution, MATH in a box inside; MATH-500 also gives it alone.
    gold = str(answer).rpartition("####")[2].strip() if "####" in str(answer) else str(answer).strip()
    if "answer" not in row:
        gold = extract(solution)
    if not gold:
        raise DataError(f"{where} has no answer: neither a field 'answer' nor a box in its solution")
    subject = row.get("subject", row.get("type", source))
    name = hashlib.sha256(question.encode()).hexdigest()[:16]
    data = {"gold": gold, "level": row.get("level", "")}
    return Task(f"{source}-{name}", question, split, str(subject), data)


def _belongs(question: str, split: str, pool: Pool) -> bool:
    if pool == "the split" or split == "all":
        return True
    share = int.from_bytes(hashlib.sha256(question.encode()).digest()[-4:], "big") / 2**32
    if pool == "one file":
        return split == ("test" if share < _TENTH else "valid" if share < 2 * _TENTH else "train")
    return split == ("valid" if share < _TENTH else "train")
