"""Checkpoints: whole or not there, verified when read.

A checkpoint is a folder ``step-00000012`` with

* ``policy/``        what ``policy.save`` writes: weights (safetensors), the model's config, the tokenizer;
* ``learner.pt``     optimiser, step count and torch's generators, read without running any code in it;
* ``state.json``     the step, the data cursor, whatever else the trainer keeps;
* ``manifest.json``  size and SHA-256 of every other file; written last.

It is written into a hidden folder beside its place, flushed, and renamed: a killed process or a full disk
never leaves half a checkpoint under a valid name.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError

from palaestra.errors import CheckpointError, StorageError

_NAME = re.compile(r"step-(\d{8})")
_PARTIAL = ".partial-"
_MANIFEST = "manifest.json"


class Saveable(Protocol):
    """A policy that can write itself into a folder."""

    def save(self, directory: Path) -> Any:
        """Write weights, config and tokenizer into ``directory``."""
        ...


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint whose files were all found whole."""

    path: Path
    step: int
    state: dict[str, Any]
    learner: dict[str, Any]

    @property
    def policy(self) -> Path:
        """The folder of the policy, for its ``load``."""
        return self.path / "policy"


def save(
    directory: Path,
    step: int,
    *,
    policy: Saveable,
    learner: Mapping[str, Any],
    state: Mapping[str, Any] | None = None,
    keep: int = 0,
) -> Path:
    """Write the checkpoint of ``step`` into ``directory`` and return its folder.

    ``keep`` > 0 then removes all but the newest ``keep``. Raises ``StorageError`` when the disk refuses;
    the unfinished folder is removed and earlier checkpoints are as they were.
    """
    target = directory / f"step-{step:08d}"
    partial = directory / f"{_PARTIAL}{target.name}-{os.getpid()}"
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        policy.save(partial / "policy")
        torch.save(dict(learner), partial / "learner.pt")
        (partial / "state.json").write_text(json.dumps({"step": step, **(state or {})}, indent=1) + "\n")
        (partial / _MANIFEST).write_text(json.dumps(_manifest(partial), indent=1) + "\n")
        _flush(partial)
        shutil.rmtree(target, ignore_errors=True)
        partial.rename(target)
        _flush_folder(directory)
    # safetensors and torch report a full disk as errors of their own, the second as a RuntimeError.
    except (OSError, RuntimeError, SafetensorError, StorageError) as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise StorageError(
            f"cannot write the checkpoint {target}: {error}. Earlier checkpoints are intact; free some space "
            "and run the same command again to go on from the newest"
        ) from error
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    if keep:
        for old in checkpoints(directory)[:-keep]:
            shutil.rmtree(old)
    return target


def load(path: Path) -> Checkpoint:
    """Verify every file of the checkpoint at ``path`` and read it.

    Raises ``CheckpointError`` that names the missing or damaged file and the newest intact checkpoint beside
    it, if there is one.
    """
    _verify(path)
    try:
        state = json.loads((path / "state.json").read_text())
        learner = torch.load(path / "learner.pt", map_location="cpu", weights_only=True)
        return Checkpoint(path, int(state.pop("step")), state, learner)
    except Exception as error:
        raise CheckpointError(f"{path} cannot be read: {error}{_advice(path)}") from error


def latest(directory: Path) -> Path | None:
    """Return the newest finished checkpoint of ``directory``, or None; unfinished folders are passed over."""
    found = checkpoints(directory)
    return found[-1] if found else None


def checkpoints(directory: Path) -> list[Path]:
    """Return the finished checkpoints of ``directory``, oldest first."""
    folders = directory.iterdir() if directory.is_dir() else ()
    return sorted(path for path in folders if _NAME.fullmatch(path.name) and path.is_dir())


def remove_unfinished(directory: Path) -> None:
    """Remove what a killed process left half written. Only the one process that owns the run may ask."""
    for path in directory.glob(f"{_PARTIAL}*"):
        shutil.rmtree(path, ignore_errors=True)


def _verify(path: Path) -> None:
    problem = _problem(path)
    if problem:
        raise CheckpointError(f"the checkpoint {path} cannot be used: {problem}{_advice(path)}")


def _problem(path: Path) -> str:
    """Say what is wrong with a checkpoint's files, or nothing."""
    if not path.is_dir():
        return "it does not exist"
    try:
        files = json.loads((path / _MANIFEST).read_text())["files"]
        expected = {str(name): (int(entry["bytes"]), str(entry["sha256"])) for name, entry in files.items()}
    except OSError:
        return f"its {_MANIFEST} is missing, so it was never finished"
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return f"its {_MANIFEST} is damaged ({error})"
    for name, (size_bytes, digest) in expected.items():
        file = path / name
        if not file.is_file():
            return f"its file {name} is missing"
        found_bytes = file.stat().st_size
        if found_bytes != size_bytes:
            return f"its file {name} has {found_bytes} bytes of {size_bytes}"
        if _sha256(file) != digest:
            return f"the content of its file {name} changed after it was written"
    return ""


def _advice(path: Path) -> str:
    for other in reversed(checkpoints(path.parent)):
        if other != path and not _problem(other):
            return f". The newest intact one is {other}: move the damaged folder away and run again to use it"
    return ". There is no other intact checkpoint beside it"


def _manifest(folder: Path) -> dict[str, Any]:
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return {
        "files": {
            file.relative_to(folder).as_posix(): {"bytes": file.stat().st_size, "sha256": _sha256(file)}
            for file in files
        }
    }


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _flush(folder: Path) -> None:
    """Push every file of ``folder`` to the disk, so that the rename cannot overtake the content."""
    for file in folder.rglob("*"):
        if file.is_file():
            with file.open("rb") as stream:
                os.fsync(stream.fileno())


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
