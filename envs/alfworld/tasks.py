"""The official ALFWorld games as tasks: from the official folder, or from compressed row files.

Nothing of a game but its name is read before it is asked for, so one corrupt file spoils only itself.
"""

from __future__ import annotations

import json
import lzma
import os
import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from palaestra.envs.alfworld.game import TASK_TYPES, WORDINGS, Game, parse_problem
from palaestra.envs.core import Task, TaskSet
from palaestra.errors import DataError, OptionError, UnknownNameError

OFFICIAL_SPLITS = ("train", "valid_seen", "valid_unseen", "valid_train")
DATA_VARIABLE = "ALFWORLD_DATA"

_SOLVABLE = re.compile(rb'"solvable"\s*:\s*(true|false)')
_SENTENCE = re.compile(r'Your task is to: (.*?)\\?"')
_ROW = re.compile(r'\{"split": "\w+", "dir": "([^"]+)", "trial": "([^"]+)", "solvable": (true|false)')


@dataclass(frozen=True, slots=True)
class Entry:
    """One game that was found and not yet read: ``origin`` for messages, and where its JSON is."""

    folder: str
    trial: str
    origin: str
    path: Path | None = None
    packed: bytes = b""

    @property
    def id(self) -> str:
        """The task id, such as ``pick_heat_then_place_in_recep-Egg-None-Fridge-13/trial_T2019…``."""
        return f"{self.folder}/{self.trial}"

    @property
    def task_type(self) -> str:
        """The task type in the folder's name."""
        return self.folder.partition("-")[0]

    def record(self) -> dict[str, Any]:
        """Read the JSON; raises ``DataError`` that names the file."""
        try:
            text = self.path.read_bytes() if self.path else zlib.decompress(self.packed)
            record = json.loads(text)
        except (OSError, ValueError, zlib.error) as error:
            raise DataError(f"{self.origin} cannot be read as JSON ({error}); fetch the data anew") from error
        if not isinstance(record, dict):
            raise DataError(f"{self.origin} holds no JSON object; fetch the data anew")
        return record


def _sentence(record: dict[str, Any], origin: str) -> str:
    """Return what follows "Your task is to: ", which the official files hold inside their grammar."""
    if isinstance(record.get("task"), str):
        return record["task"]
    match = _SENTENCE.search(str(record.get("grammar", "")))
    if match is None:
        raise DataError(f"{origin}: its grammar holds no task sentence; fetch the data anew")
    return match[1]


def _problem(record: dict[str, Any], origin: str) -> str:
    for key in ("pddl_problem", "problem"):
        if isinstance(record.get(key), str):
            return record[key]
    raise DataError(f"{origin}: there is no 'pddl_problem' in it; fetch the data anew")


def _playable(folder: str) -> bool:
    # The benchmark leaves out goals with sliced objects or movable receptacles, though games exist.
    return folder.partition("-")[0] in TASK_TYPES and "Sliced" not in folder and "movable" not in folder


def data_folder(data: str | os.PathLike[str] | None) -> Path:
    """Return the folder given, or that of ``ALFWORLD_DATA``; raises ``OptionError`` or ``DataError``."""
    given = os.fspath(data) if data is not None else os.environ.get(DATA_VARIABLE, "")
    if not given:
        raise OptionError(
            "source='official' needs the official games: pass data=FOLDER, or set ALFWORLD_DATA "
            "(`pip install alfworld` and `alfworld-download` fetch them)"
        )
    folder = Path(given).expanduser()
    if not folder.is_dir():
        raise DataError(
            f"{folder} is no folder; data or {DATA_VARIABLE} must name that of the ALFWorld games"
        )
    return folder


@lru_cache(maxsize=8)
def _entries_of_rows(path: Path, _modified_ns: int) -> tuple[Entry, ...]:
    """Read a row file once a process; the rows stay compressed one by one, since a game is large."""
    found: list[Entry] = []
    try:
        with lzma.open(path, "rt", encoding="utf-8") as rows:
            for number, line in enumerate(rows, start=1):
                folder, trial, solvable = _row_head(line, f"{path.name} line {number}")
                if solvable and _playable(folder):
                    packed = zlib.compress(line.encode(), 1)
                    found.append(Entry(folder, trial, f"{path} line {number}", packed=packed))
    except (OSError, EOFError, lzma.LZMAError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be unpacked ({error}); fetch it anew") from error
    return tuple(sorted(found, key=lambda entry: (entry.folder, entry.trial)))


def _row_head(line: str, origin: str) -> tuple[str, str, bool]:
    match = _ROW.match(line)
    if match:
        return match[1], match[2], match[3] == "true"
    try:
        row = json.loads(line)
        return str(row["dir"]), str(row["trial"]), bool(row["solvable"])
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{origin} is no game row ({error!r}); fetch the file anew") from error


@lru_cache(maxsize=8)
def _entries_of_folder(folder: Path, _modified_ns: int) -> tuple[Entry, ...]:
    """List the games under ``<type>-…/<trial>/``; a file without a readable flag stays in, to be reported."""
    found = [
        Entry(path.parent.parent.name, path.parent.name, str(path), path=path)
        for path in folder.glob("*/*/game.tw-pddl")
        if _playable(path.parent.parent.name) and _solvable(path)
    ]
    return tuple(sorted(found, key=lambda entry: (entry.folder, entry.trial)))


def _solvable(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 65_536))
            match = _SOLVABLE.search(file.read())
            if match is None and size > 65_536:
                file.seek(0)
                match = _SOLVABLE.search(file.read())
    except OSError:
        return True
    return match is None or match[1] == b"true"


def _find_entries(folder: Path, split: str) -> tuple[Entry, ...]:
    rows = folder / f"{split}.jsonl.xz"
    if rows.is_file():
        return _entries_of_rows(rows, rows.stat().st_mtime_ns)
    # The newest release of the data comes last by name: json_2.1.1, 2.1.2, 2.1.3.
    for parent in (folder, *sorted(folder.glob("json_*"), reverse=True)):
        if (parent / split).is_dir():
            return _entries_of_folder(parent / split, (parent / split).stat().st_mtime_ns)
    there = ", ".join(sorted(path.name for path in folder.iterdir())[:8]) or "nothing"
    raise DataError(
        f"{folder} has no games of {split}: neither {split}.jsonl.xz nor {split}/ nor json_2.1.1/{split}/ "
        f"(it holds {there})"
    )


class OfficialGames(TaskSet):
    """The solvable official games of one split, sorted by name.

    ``data`` is the official folder (that of ``ALFWORLD_DATA``, or its ``json_2.1.1``) or one with row files
    ``<split>.jsonl.xz``. ``wording`` chooses the commands and texts; the task sentence stays as it is.
    Raises ``UnknownNameError`` for an unknown split, wording or task type, ``DataError`` for missing data.
    """

    def __init__(
        self,
        split: str,
        *,
        data: str | os.PathLike[str] | None = None,
        task_types: Iterable[str] = TASK_TYPES,
        wording: str = "move",
    ) -> None:
        if split not in OFFICIAL_SPLITS:
            raise UnknownNameError("split", split, OFFICIAL_SPLITS)
        if wording not in WORDINGS:
            raise UnknownNameError("wording", wording, WORDINGS)
        wanted = frozenset(task_types)
        folder = data_folder(data)
        self.split, self.wording = split, wording
        self.entries = [entry for entry in _find_entries(folder, split) if entry.task_type in wanted]
        if not self.entries:
            raise DataError(f"{folder} has no solvable game of {split} with these task types")
        self._indices = {entry.id: index for index, entry in enumerate(self.entries)}

    def __len__(self) -> int:
        return len(self.entries)

    def game(self, index: int) -> Game:
        """Read game ``index``; raises ``DataError`` that names its file when it is corrupt."""
        entry = self.entries[index]
        record = entry.record()
        problem = _problem(record, entry.origin)
        facts = parse_problem(problem, entry.origin)
        return Game(
            id=entry.id,
            task_type=facts.goal.task_type,
            task=_sentence(record, entry.origin),
            scene=entry.folder.rpartition("-")[2],
            split=self.split,
            wording=self.wording,
            facts=facts,
            source=problem,
        )

    def task(self, index: int) -> Task:
        """Return task ``index``, its game under ``data["game"]``."""
        game = self.game(index)
        return Task(game.id, game.task, game.split, game.task_type, {"game": game})

    def find(self, task_id: str) -> Task:
        """Return the task with this id; raises ``UnknownNameError`` with the nearest one."""
        index = self.index_of(task_id)
        if index is None:
            raise UnknownNameError("task", task_id, (entry.id for entry in self.entries))
        return self.task(index)
