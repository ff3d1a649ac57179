"""Files that only ever grow by whole lines, so that a crash or a cut costs the last line at most."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from palaestra.errors import StorageError


def whole_lines(path: Path) -> list[bytes]:
    """Return the lines of a file that end with a newline; the rest was being written when its process died.

    A file that is not there has none. Raises ``StorageError`` when it cannot be read.
    """
    try:
        data = path.read_bytes() if path.exists() else b""
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error}") from error
    return data.split(b"\n")[:-1]


def write_whole(path: Path, lines: list[bytes]) -> None:
    """Replace a file by these lines, or leave it as it was. Raises ``StorageError``."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            file.write(b"".join(line + b"\n" for line in lines))
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise StorageError(f"cannot write {path}: {error}; what was there before is intact") from error


class Journal:
    """Appends lines, each whole or not at all, and notices when another process writes to the same file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        kept = sum(len(line) + 1 for line in whole_lines(path))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("ab", buffering=0)
            # What follows the last newline would otherwise become the beginning of the next line.
            self._file.truncate(kept)
        except OSError as error:
            raise StorageError(f"cannot write to {path}: {error}") from error
        self._end = kept

    def append(self, line: bytes, *, lasting: bool = True) -> None:
        """Append one line; ``lasting`` waits until the disk has it.

        Raises ``StorageError`` when the disk refuses it or another process has written to the file.
        """
        if os.fstat(self._file.fileno()).st_size != self._end:
            raise StorageError(
                f"{self.path} was changed by someone else since it was opened; open the library again"
            )
        data = line + b"\n"
        try:
            written = 0
            while written < len(data):
                written += self._file.write(data[written:]) or 0
            if lasting:
                os.fsync(self._file.fileno())
        except OSError as error:
            # Where even that is refused, the next one to open the file cuts the partial line off.
            with contextlib.suppress(OSError):
                self._file.truncate(self._end)
            raise StorageError(
                f"cannot write to {self.path}: {error}; what was written before is intact"
            ) from error
        self._end += len(data)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
