"""Model folders: written aside and renamed, so that a killed process leaves the old folder or the new one."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from transformers.utils import logging as transformers_logging

from palaestra.errors import StorageError


def replace_folder(directory: Path, write: Callable[[Path], None]) -> None:
    """Let ``write`` fill a folder beside ``directory``, then put it in its place.

    Raises ``StorageError`` when the disk refuses.
    """
    aside = directory.with_name(directory.name + ".partial")
    try:
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        with quiet():
            write(aside)
        shutil.rmtree(directory, ignore_errors=True)
        aside.replace(directory)
    except Exception as error:  # safetensors and tokenizers raise bare errors of their own for a full disk
        raise StorageError(f"cannot write the model to {directory}: {error}") from error


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers from drawing its own progress bars across ours."""
    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            transformers_logging.enable_progress_bar()
