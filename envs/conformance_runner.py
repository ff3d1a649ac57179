"""What carries out one check of the conformance suite: here, or in a process of its own.

Each check runs in a thread and is waited for with a deadline, so that a hanging call is named. Python cannot
end a thread, and an environment may end its whole process (``os._exit``, a crash in C); ``RemoteRunner``
therefore keeps a ``Runner`` in a killable child process and turns the death of that process into a finding.
"""

from __future__ import annotations

import faulthandler
import io
import os
import threading
import time
import traceback
import warnings
from collections.abc import Mapping
from contextlib import chdir, redirect_stdout
from dataclasses import dataclass, field
from typing import Any, Literal

import gymnasium
from gymnasium.envs.registration import EnvSpec

from palaestra.envs.conformance_bed import (
    Bed,
    Check,
    NotApplicable,
    Seen,
    Violation,
    global_generators,
    kept_environment,
)
from palaestra.envs.conformance_checks import CONTRACT_CHECKS
from palaestra.envs.conformance_leaks import RESOURCE_CHECKS
from palaestra.envs.conformance_scores import SCORE_CHECKS
from palaestra.errors import (
    DataError,
    DeadlineError,
    MissingExtraError,
    OptionError,
    UnknownNameError,
    WorkerError,
)
from palaestra.sandboxes.worker import Worker

CHECKS: tuple[Check, ...] = (*CONTRACT_CHECKS, *SCORE_CHECKS, *RESOURCE_CHECKS)

# The request is wrong, not the environment: an option that does not exist, data that is not there.
_REQUEST_ERRORS = (UnknownNameError, OptionError, DataError, MissingExtraError)
# The child's own deadline comes first and can say more; this one is for calls that let no other thread run.
_GRACE_S = 15.0


@dataclass(frozen=True, slots=True)
class Finding:
    """How a check went, in plain values, so that it can come from another process."""

    kind: Literal["seen", "violation", "not applicable", "late", "error"]
    text: str
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be checked and how; see ``conformance.check``. ``registered`` lets a child register it."""

    registered: EnvSpec
    options: Mapping[str, Any]
    cycles: int
    tasks: int
    seed: int
    call_deadline_s: float
    check_deadline_s: float


class Runner:
    """Runs single checks in this process, which should do nothing else meanwhile."""

    def __init__(self, request: Request) -> None:
        self._request = request

    def run(self, number: int) -> Finding:
        """Run check ``number`` of ``CHECKS``; raises only what is wrong with the request itself."""
        one, request = CHECKS[number], self._request
        bed = Bed(request.registered.id, request.options, request.cycles, request.tasks, request.seed)
        outcome = _run(one, bed, request.call_deadline_s, request.check_deadline_s)
        if one.name == "make" and isinstance(outcome.error, _REQUEST_ERRORS):
            raise outcome.error
        return _finding(outcome)

    def close(self) -> None:
        """Nothing to end: every check closes what it made."""


class RemoteRunner:
    """Runs single checks in a child process, and in a new one after the environment has ended it."""

    def __init__(self, request: Request) -> None:
        self._deadline_s = request.check_deadline_s + _GRACE_S
        self._worker = Worker(f"{__name__}:in_child", {"request": request})

    def run(self, number: int) -> Finding:
        """Run check ``number`` of ``CHECKS``; raises only what is wrong with the request itself."""
        if not self._worker.alive:
            self._worker.restart()
        try:
            return self._worker.call("run", number, deadline_s=self._deadline_s)
        except DeadlineError:
            text = f"a call that lets no other thread run had not returned after {self._deadline_s:g} s"
            return Finding("late", text)
        except WorkerError as error:
            return Finding("error", f"the environment ended its process: {error}")

    def close(self) -> None:
        """End the child process and whatever it started."""
        self._worker.close()


def in_child(request: Request) -> Runner:
    """Return the runner of a child process, which may not know the environment yet."""
    faulthandler.enable()  # a crash in C then leaves its stack in the worker's log
    gymnasium.registry.setdefault(request.registered.id, request.registered)
    return Runner(request)


@dataclass(slots=True)
class _Outcome:
    """What the thread of a check leaves behind: what it saw, or the exception that ended it."""

    seen: Seen | None = None
    error: BaseException | None = None


def _run(one: Check, bed: Bed, call_deadline_s: float, check_deadline_s: float) -> _Outcome:
    """Run one check in a thread, and put back what belongs to the process, also after a hanging call."""
    outcome = _Outcome()
    # What a check makes no use of should end early enough for it to say so.
    bed.stop_at = time.monotonic() + 0.8 * check_deadline_s
    thread = threading.Thread(target=_guarded, args=(one, bed, outcome), name=one.name, daemon=True)
    with (
        chdir(os.getcwd()),
        kept_environment(),
        global_generators(None),
        redirect_stdout(io.StringIO()),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        thread.start()
        late = _wait(thread, bed, call_deadline_s, time.monotonic() + check_deadline_s)
    # A new object, because a thread that was left behind may still write to its own.
    return outcome if late is None else _Outcome(error=_Late(late))


class _Late(Exception):
    """A call, or a whole check, did not end in time."""


def _guarded(one: Check, bed: Bed, outcome: _Outcome) -> None:
    try:
        try:
            outcome.seen = one.run(bed)
        finally:
            bed.close_all()
    except BaseException as error:  # whatever the environment raises, SystemExit included, is its own failure
        outcome.error = error


def _wait(thread: threading.Thread, bed: Bed, call_deadline_s: float, until: float) -> str | None:
    """Wait for the thread; return what was late, or None when it ended."""
    while True:
        thread.join(min(0.2, call_deadline_s / 5))
        if not thread.is_alive():
            return None
        now, doing = time.monotonic(), bed.doing
        if doing is not None and now - doing[1] > call_deadline_s:
            return f"{doing[0]} had not returned after {call_deadline_s:g} s"
        if now > until:
            return "the check did not end in time; fewer tasks or cycles make it shorter"


def _finding(outcome: _Outcome) -> Finding:
    match outcome.error:
        case None:
            seen = outcome.seen or Seen("nothing")
            return Finding("seen", seen.text, seen.figures)
        case NotApplicable() as error:
            return Finding("not applicable", str(error))
        case Violation() as error:
            return Finding("violation", str(error))
        case _Late() as error:
            return Finding("late", str(error))
        case error:
            return Finding("error", _describe(error))


def _describe(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    where = f" (line {frames[-1].lineno} of {frames[-1].filename}, in {frames[-1].name})" if frames else ""
    return f"{type(error).__name__}: {error}{where}"
