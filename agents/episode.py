"""The episode record: what an agent leaves behind, and everything a trainer learns from.

An episode is a list of turns. Each turn holds the token ids that were added to the prompt since the last
turn (``prompt_ids``), after ``kept`` ids of the running sequence that stayed; so an append context stores
every id once, and a window context (``kept`` 0) stores each prompt whole. ``sequences`` is the one builder
that makes token rows, masks and log-probs out of them, and it asserts the prefix property at every turn.

On disk: JSON lines, one episode a line, schema-versioned, readable by ``datasets.load_dataset("json")``.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from palaestra.errors import ContractError, DataError, StorageError

SCHEMA_VERSION = 1
Outcome = Literal["terminated", "truncated", "failed"]


@dataclass(slots=True)
class Turn:
    """One exchange: the observation shown, the ids sent and sampled, the action taken, what it earned."""

    observation: str
    prompt_ids: list[int]
    kept: int
    completion_ids: list[int]
    logprobs: list[float]
    action: str
    reward: float = 0.0
    valid: bool = True
    finish_reason: str = "stop"
    tags: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Episode:
    """A whole try at one task. ``outcome`` ``failed`` means that the infrastructure failed (``failure``
    says how): such an episode has no reward that may be used, and trainers leave it out.

    ``group`` and ``attempt`` place it among tries at the same task; ``tags`` records what else was in its
    context (skills, hints, reflections). ``final_observation`` is what the last action brought.
    """

    env_id: str
    task_id: str
    goal: str
    seed: int
    policy: str
    agent: str
    options: dict[str, Any] = field(default_factory=dict)
    scenario: str = ""
    group: str = ""
    attempt: int = 0
    turns: list[Turn] = field(default_factory=list)
    final_observation: str = ""
    reward: float = 0.0
    success: bool = False
    outcome: Outcome = "truncated"
    failure: str = ""
    checks: dict[str, bool] = field(default_factory=dict)
    tags: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    key: str = ""
    schema: int = SCHEMA_VERSION

    @property
    def failed(self) -> bool:
        """Whether the infrastructure, not the agent, ended this episode."""
        return self.outcome == "failed"

    @property
    def sampled_tokens(self) -> int:
        """How many tokens the policy sampled."""
        return sum(len(turn.completion_ids) for turn in self.turns)

    @property
    def prompt_tokens(self) -> int:
        """How many tokens were added to prompts (kept ones counted once)."""
        return sum(len(turn.prompt_ids) for turn in self.turns)

    def to_json(self) -> str:
        """Return the episode as one line of JSON (finite numbers only)."""
        record = asdict(self)
        line = json.dumps(record, ensure_ascii=False, allow_nan=False)
        # A lone surrogate, which an environment's text may hold, exists in JSON only when escaped.
        return line if _is_utf8(line) else json.dumps(record, allow_nan=False)

    @staticmethod
    def from_json(line: str) -> Episode:
        """Read one line. Raises ``DataError`` when it is cut, corrupt or of another schema."""
        try:
            record = json.loads(line)
            if record.get("schema") != SCHEMA_VERSION:
                raise DataError(
                    f"episode of schema {record.get('schema')!r}; this version reads {SCHEMA_VERSION}"
                )
            turns = [Turn(**turn) for turn in record.pop("turns")]
            return Episode(turns=turns, **record)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"not an episode: {error}; the line begins {line[:60]!r}") from error


@dataclass(frozen=True, slots=True)
class Sequence:
    """One row of T tokens: ``ids``, the ``mask`` (True where the policy sampled the id), the behaviour
    ``logprobs`` (0 where the mask is False), and ``turn`` (the turn that sampled each id, -1 elsewhere).
    """

    ids: list[int]
    mask: list[bool]
    logprobs: list[float]
    turn: list[int]


def sequences(episode: Episode) -> list[Sequence]:
    """Return the token rows of an episode: one where every turn extends the last, more where a turn
    starts afresh. A turn with the tag ``aside`` (a question beside the episode) has a row of its own, which
    no other turn extends. Raises ``ContractError`` where the prefix property or a length is broken.
    """
    rows: list[Sequence] = []
    row: Sequence | None = None
    for number, turn in enumerate(episode.turns):
        if len(turn.completion_ids) != len(turn.logprobs):
            raise ContractError(
                f"turn {number} has {len(turn.completion_ids)} ids, {len(turn.logprobs)} logprobs"
            )
        if not all(math.isfinite(value) for value in turn.logprobs):
            raise ContractError(f"turn {number} has a log-prob that is not finite")
        if turn.tags.get("aside"):
            rows.append(Sequence([], [], [], []))
            _extend(rows[-1], turn, number)
            continue
        if row is None or turn.kept == 0:
            row = Sequence([], [], [], [])
            rows.append(row)
        _extend(row, turn, number)
    return rows


def _extend(row: Sequence, turn: Turn, number: int) -> None:
    if turn.kept != len(row.ids):
        raise ContractError(
            f"turn {number} keeps {turn.kept} ids of a sequence of {len(row.ids)}: not a prefix extension"
        )
    added, sampled = len(turn.prompt_ids), len(turn.completion_ids)
    row.ids.extend(turn.prompt_ids + turn.completion_ids)
    row.mask.extend([False] * added + [True] * sampled)
    row.logprobs.extend([0.0] * added + turn.logprobs)
    row.turn.extend([-1] * added + [number] * sampled)


class EpisodeWriter:
    """Appends episodes to a JSON-lines file, each whole or not at all.

    A line that could not be written whole (a full disk) is cut off again, so that everything written
    before stays readable; then ``StorageError`` is raised.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _cut_partial_line(path)
            self._file = path.open("ab", buffering=0)
        except OSError as error:
            raise StorageError(f"cannot write episodes to {path}: {error}") from error

    def write(self, episode: Episode) -> None:
        """Append one episode. Raises ``StorageError`` when the disk refuses it."""
        line = episode.to_json().encode() + b"\n"
        end = self._file.seek(0, 2)
        try:
            written = 0
            while written < len(line):
                written += self._file.write(line[written:]) or 0
        except OSError as error:
            # Where even that is refused, the next writer cuts the partial line off.
            with contextlib.suppress(OSError):
                self._file.truncate(end)
            raise StorageError(
                f"cannot write to {self.path}: {error}. The {end} bytes written before are intact; "
                "free some space and run the same command again"
            ) from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> EpisodeWriter:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _cut_partial_line(path: Path) -> None:
    """Drop what a killed process left after the last newline; nothing whole is lost."""
    if not path.exists():
        return
    with path.open("r+b") as file:
        end = whole = file.seek(0, 2)
        tail = b""
        # From the end backwards: a file of a long run need not fit in memory.
        while whole > 0 and b"\n" not in tail:
            step = min(whole, 65536)
            file.seek(whole - step)
            tail = file.read(step)
            whole = whole - step + tail.rfind(b"\n") + 1
        if whole != end:
            file.truncate(whole)


def read_episodes(path: Path) -> Iterator[Episode]:
    """Yield the episodes of a file. Raises ``DataError`` with the line number of a broken one.

    A last line without its newline was being written when its process died, and is passed over.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise DataError(f"cannot read episodes from {path}: {error}") from error
    with file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                return
            try:
                yield Episode.from_json(line.decode())
            except (DataError, UnicodeDecodeError) as error:
                raise DataError(f"{path}, line {number}: {error}") from error


def success_rate(episodes: Iterable[Episode]) -> float:
    """Return the share of successes among the episodes that did not fail (nan when there are none)."""
    judged = [episode.success for episode in episodes if not episode.failed]
    return sum(judged) / len(judged) if judged else math.nan


def tag_all(episodes: Iterable[Episode], tags: Mapping[str, Any]) -> None:
    """Add ``tags`` to every episode."""
    for episode in episodes:
        episode.tags.update(tags)
