"""The typed errors of Palaestra: each says what was wrong and what to do about it.

This module knows nobody and may be imported from every floor.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class PalaestraError(Exception):
    """Base of every error that Palaestra raises on purpose."""


class UnknownNameError(PalaestraError, KeyError):
    """A name (environment id, task, split, option, policy) that does not exist.

    The message names the nearest valid one.
    """

    def __init__(self, kind: str, name: object, known: Iterable[str]) -> None:
        names = sorted(str(candidate) for candidate in known)
        near = difflib.get_close_matches(str(name), names, n=1, cutoff=0.4)
        message = f"unknown {kind} {name!r}."
        if near:
            message += f" Did you mean {near[0]!r}?"
        shown = ", ".join(names[:8]) + (f", … ({len(names)} in all)" if len(names) > 8 else "")
        self.message = f"{message} Known: {shown or 'none'}."
        super().__init__(self.message)

    def __str__(self) -> str:
        # KeyError would show the repr of the message, quotes and all.
        return self.message


class OptionError(PalaestraError, ValueError):
    """An option with a value that cannot be used, or one that would do nothing."""


class DataError(PalaestraError):
    """A file or record that cannot be read: cut, corrupt, or of another schema."""


class StorageError(PalaestraError):
    """Writing failed (a full disk, a missing right); what was written before is intact."""


class CheckpointError(DataError):
    """A checkpoint that is incomplete or does not match its manifest."""


class DivergenceError(PalaestraError, ArithmeticError):
    """Training produced numbers that are not finite; the weights from before are kept."""


class MissingExtraError(PalaestraError, ImportError):
    """An optional dependency is not installed; the message names the extra that brings it."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs the extra {extra!r}: pip install 'palaestra[{extra}]'")


class InfrastructureError(PalaestraError):
    """The machine failed, not the agent: never a reward, retried in a fresh environment."""


class DeadlineError(InfrastructureError):
    """Something took longer than it may; it was abandoned or killed."""


class WorkerError(InfrastructureError):
    """A worker process crashed, hung or broke its protocol; it was killed and replaced."""


class FailureRateError(InfrastructureError):
    """More of a run failed for reasons of infrastructure than the run allows."""


class ContractError(PalaestraError):
    """An environment, agent or policy broke a contract of Palaestra (a law of the design)."""
