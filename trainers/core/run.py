"""The run directory: everything a training run leaves, and how the same command goes on with it.

    config.json      trainer, resolved settings, versions
    metrics.jsonl    one line a step, flushed as it happens
    tensorboard/     the same numbers, where tensorboard is installed
    checkpoints/     see ``palaestra.trainers.core.checkpoint``
    episodes/        the episodes of some steps, one JSON-lines file a step

Giving the same command again resumes from the newest checkpoint: whatever was logged after it is dropped,
so that nothing is there twice.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import importlib.util
import json
import math
import os
import platform
from collections.abc import Collection, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from palaestra.errors import DataError, OptionError, StorageError
from palaestra.trainers.core import checkpoint
from palaestra.trainers.core.checkpoint import Checkpoint, Saveable

_PACKAGES = ("palaestra", "torch", "transformers", "tokenizers", "numpy", "gymnasium")


class Run:
    """One run directory, owned by this process from construction to ``close``.

    ``resumed`` is the checkpoint to go on from, or None for a fresh start; ``step`` is its step, or 0.
    """

    def __init__(
        self, directory: Path, trainer: str, config: Any, *, free: Collection[str] = (), keep: int = 2
    ) -> None:
        """Open ``directory``, new or old. ``config`` is the trainer's dataclass; the names in ``free`` (and
        ``out``) may change when a run is resumed, ``keep`` checkpoints are kept.

        Raises ``OptionError`` when the run was begun with other settings or is in use, ``CheckpointError``
        when its newest checkpoint is damaged, ``StorageError`` when the directory cannot be written.
        """
        self.directory = directory
        self.keep = keep
        self._lock = _own(directory)
        try:
            _settle_config(directory, trainer, config, {*free, "out"})
            checkpoint.remove_unfinished(self._checkpoints)
            newest = checkpoint.latest(self._checkpoints)
            self.resumed: Checkpoint | None = checkpoint.load(newest) if newest else None
            self.step = self.resumed.step if self.resumed else 0
            self._drop_what_came_later()
            self._metrics = (directory / "metrics.jsonl").open("ab", buffering=0)
        except BaseException:
            os.close(self._lock)
            raise
        self._board = _tensorboard(directory / "tensorboard", self.step)

    @property
    def _checkpoints(self) -> Path:
        return self.directory / "checkpoints"

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Append the metrics of ``step``. Raises ``StorageError``; earlier lines are intact."""
        finite = {name: value if math.isfinite(value) else None for name, value in metrics.items()}
        line = json.dumps({"step": step, **finite}).encode() + b"\n"
        end = self._metrics.seek(0, 2)
        try:
            written = 0
            while written < len(line):
                written += self._metrics.write(line[written:])
        except OSError as error:
            self._metrics.truncate(end)
            raise StorageError(
                f"cannot write to {self.directory / 'metrics.jsonl'}: {error}. What was written before is "
                "intact; free some space and run the same command again"
            ) from error
        if self._board is not None:
            self._plot(step, metrics)

    def _plot(self, step: int, metrics: Mapping[str, float]) -> None:
        try:
            for name, value in metrics.items():
                self._board.add_scalar(name, value, step)
        except OSError as error:
            raise StorageError(
                f"cannot write to {self.directory / 'tensorboard'}: {error}; free some space and run the "
                "same command again"
            ) from error

    def save(
        self, step: int, policy: Saveable, learner: Mapping[str, Any], state: Mapping[str, Any] | None = None
    ) -> Path:
        """Write the checkpoint of ``step``; only the newest ``keep`` stay."""
        return checkpoint.save(
            self._checkpoints, step, policy=policy, learner=learner, state=state, keep=self.keep
        )

    def episodes_file(self, step: int) -> Path:
        """Return the file for the episodes of ``step``."""
        return self.directory / "episodes" / f"step-{step:08d}.jsonl"

    def close(self) -> None:
        """Close the files and let go of the directory."""
        self._metrics.close()
        if self._board is not None:
            # It may find the disk full once more; the error that says so was raised already.
            with contextlib.suppress(OSError):
                self._board.close()
        os.close(self._lock)

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _drop_what_came_later(self) -> None:
        """Forget what the interrupted run logged after its last checkpoint: those steps come again, and
        without a checkpoint all of them, the evaluation before the first included.
        """
        last = self.step if self.resumed else -1
        for file in (self.directory / "episodes").glob("step-*.jsonl"):
            if int(file.stem.removeprefix("step-")) > last:
                file.unlink()
        path = self.directory / "metrics.jsonl"
        if not path.exists():
            return
        lines = path.read_bytes().splitlines(keepends=True)
        kept = [line for line in lines if _step_of(line) <= last]
        if kept != lines:
            _write_whole(path, b"".join(kept))


def _own(directory: Path) -> int:
    """Create ``directory`` and lock it for this process; the lock goes when the process does."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        strangers = [path.name for path in directory.iterdir() if path.name != ".lock"]
        if strangers and not (directory / "config.json").exists():
            raise OptionError(
                f"{directory} holds {sorted(strangers)[0]!r} but no config.json, so it is no run directory; "
                "give another --out"
            )
        lock = os.open(directory / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise StorageError(f"cannot make the run directory {directory}: {error}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise OptionError(f"another process is training in {directory}; give another --out") from error
    return lock


def _settle_config(directory: Path, trainer: str, config: Any, free: set[str]) -> None:
    """Write config.json, or compare with the one that the run was begun with."""
    path = directory / "config.json"
    given = json.loads(json.dumps(dataclasses.asdict(config), default=str))
    if path.exists():
        try:
            record = json.loads(path.read_text())
            begun_trainer, begun = record["trainer"], dict(record["config"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path} is damaged ({error}); give another --out") from error
        if begun_trainer != trainer:
            raise OptionError(f"{directory} is a run of {begun_trainer!r}, not of {trainer!r}")
        _refuse_changes(directory, _defaults(config) | begun, given, free)
    record = {"trainer": trainer, "config": given, "versions": _versions()}
    _write_whole(path, (json.dumps(record, indent=1) + "\n").encode())


def _defaults(config: Any) -> dict[str, Any]:
    """Return what a run had that was begun before a setting existed, as JSON has it."""
    found = {
        field.name: field.default
        for field in dataclasses.fields(config)
        if field.default is not dataclasses.MISSING
    }
    return json.loads(json.dumps(found, default=str))


def _refuse_changes(directory: Path, begun: dict[str, Any], given: dict[str, Any], free: set[str]) -> None:
    for name in sorted({*begun, *given} - free):
        if begun.get(name) != given.get(name):
            raise OptionError(
                f"{directory} was begun with {name}={begun.get(name)!r}, now it is {given.get(name)!r}. Give "
                "the old value to go on with that run, or another --out to begin a new one"
            )


def _step_of(line: bytes) -> float:
    """Return the step of a metrics line; one that was cut by a killed process belongs to no step."""
    try:
        return json.loads(line)["step"] if line.endswith(b"\n") else math.inf
    except (ValueError, KeyError, TypeError):
        return math.inf


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _write_whole(path: Path, content: bytes) -> None:
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise StorageError(f"cannot write {path}: {error}; free some space and run again") from error


def _tensorboard(directory: Path, step: int) -> Any:
    """Return a writer, or None where tensorboard is not installed."""
    if importlib.util.find_spec("tensorboard") is None:
        return None
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(directory), purge_step=step + 1)
