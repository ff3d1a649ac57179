"""The conformance suite: does an environment keep the contract? One call, or ``palaestra check ID``.

``check`` runs every check of ``CHECKS`` in turn. A check never brings the checker down: an exception of the
environment is a failed check, and so is a call that does not return. For that, each check runs in a thread
of its own and the caller waits for it with a deadline. Python cannot end a thread, so that a hanging call is
left behind; the checks after it are skipped, since it may still be changing the process they would measure.
"""

from __future__ import annotations

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

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from palaestra.envs.conformance_bed import Bed, Check, NotApplicable, Seen, Violation, global_generators
from palaestra.envs.conformance_checks import CONTRACT_CHECKS
from palaestra.envs.conformance_leaks import RESOURCE_CHECKS
from palaestra.envs.conformance_scores import SCORE_CHECKS
from palaestra.envs.registration import spec
from palaestra.errors import DataError, MissingExtraError, OptionError, UnknownNameError

CHECKS: tuple[Check, ...] = (*CONTRACT_CHECKS, *SCORE_CHECKS, *RESOURCE_CHECKS)

# The request is wrong, not the environment: an option that does not exist, data that is not there.
_REQUEST_ERRORS = (UnknownNameError, OptionError, DataError, MissingExtraError)


@dataclass(frozen=True, slots=True)
class Result:
    """What one check found: the law, what was seen and, for a failed check, how to mend it."""

    name: str
    status: Literal["passed", "failed", "skipped"]
    law: str
    seen: str
    mend: str
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Report:
    """The results of all checks of one environment, in the order in which they ran."""

    env_id: str
    options: Mapping[str, Any]
    results: list[Result]

    @property
    def passed(self) -> bool:
        """Whether no check failed (a skipped one does not count as failed)."""
        return self.count("failed") == 0

    @property
    def figures(self) -> dict[str, float]:
        """All figures of all checks, by name."""
        return {name: value for result in self.results for name, value in result.figures.items()}

    def count(self, status: Literal["passed", "failed", "skipped"]) -> int:
        """Return how many checks have this status."""
        return sum(result.status == status for result in self.results)


@dataclass(slots=True)
class _Outcome:
    """What the thread of a check leaves behind: what it saw, or the exception that ended it."""

    seen: Seen | None = None
    error: BaseException | None = None


def check(
    env_id: str,
    options: Mapping[str, Any] | None = None,
    *,
    cycles: int = 1000,
    tasks: int = 20,
    seed: int = 0,
    call_deadline_s: float = 60.0,
    check_deadline_s: float = 600.0,
) -> Report:
    """Look whether ``env_id``, made with ``options``, keeps the contract of an environment.

    ``cycles`` are the lives over which leaks are sought, ``tasks`` how many tasks the expert and each
    attacking agent play (of each split, for the expert). A call into the environment that takes longer than
    ``call_deadline_s``, or a check longer than ``check_deadline_s``, is a failed check.

    The process should do nothing else meanwhile: its global random state, working directory and memory are
    looked at, and left as they were. Raises ``UnknownNameError``, ``OptionError``, ``DataError`` or
    ``MissingExtraError`` where the environment cannot be made as asked.
    """
    spec(env_id)
    if cycles < 1 or tasks < 1:
        raise OptionError(f"cycles and tasks must be at least 1, not {cycles} and {tasks}")
    report = Report(env_id, dict(options or {}), [])
    errors: dict[str, str] = {}
    for one in CHECKS:
        if stopped := errors.get(""):
            report.results.append(Result(one.name, "skipped", one.law, stopped, one.mend))
            continue
        if one.needs and _failed(report, one.needs):
            text = f"not run: it needs {one.needs!r} to pass"
            report.results.append(Result(one.name, "skipped", one.law, text, one.mend))
            continue
        bed = Bed(env_id, report.options, cycles, tasks, seed)
        outcome = _run(one, bed, call_deadline_s, check_deadline_s)
        if one.name == "make" and isinstance(outcome.error, _REQUEST_ERRORS):
            raise outcome.error
        report.results.append(_result(one, outcome, errors))
    return report


def _failed(report: Report, name: str) -> bool:
    return any(result.name == name and result.status == "failed" for result in report.results)


def _run(one: Check, bed: Bed, call_deadline_s: float, check_deadline_s: float) -> _Outcome:
    """Run one check in a thread, and put back what belongs to the process, also after a hanging call."""
    outcome = _Outcome()
    # What a check makes no use of should end early enough for it to say so.
    bed.stop_at = time.monotonic() + 0.8 * check_deadline_s
    thread = threading.Thread(target=_guarded, args=(one, bed, outcome), name=one.name, daemon=True)
    with (
        chdir(os.getcwd()),
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


def _result(one: Check, outcome: _Outcome, errors: dict[str, str]) -> Result:
    """Judge an outcome. ``errors`` holds the errors so far, so that one defect is reported once.

    An error that was reported before makes a later check "skipped": it could not be carried out. The key ""
    means that no further check can be.
    """
    error = outcome.error
    if error is None:
        seen = outcome.seen or Seen("nothing")
        return Result(one.name, "passed", one.law, seen.text, one.mend, seen.figures)
    if isinstance(error, NotApplicable):
        return Result(one.name, "skipped", one.law, str(error), one.mend)
    if isinstance(error, Violation):
        return Result(one.name, "failed", one.law, str(error), one.mend)
    if isinstance(error, _Late):
        errors[""] = f"not run: the call that hung in {one.name!r} may still be at work in this process"
        return Result(one.name, "failed", one.law, str(error), "Give whatever it waits for a deadline.")
    text = _describe(error)
    if text in errors:
        return Result(
            one.name, "skipped", one.law, f"stopped by the same error as {errors[text]!r}", one.mend
        )
    errors[text] = one.name
    if one.name == "make":
        errors[""] = "not run: the environment cannot be made"
    return Result(one.name, "failed", one.law, text, one.mend)


def _describe(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    where = f" (line {frames[-1].lineno} of {frames[-1].filename}, in {frames[-1].name})" if frames else ""
    return f"{type(error).__name__}: {error}{where}"


_COLOURS = {"passed": "green", "failed": "bold red", "skipped": "yellow"}


def render(report: Report, console: Console) -> None:
    """Print a report: one row a check, then the law and the mending of each that failed, then the sums."""
    options = " ".join(f"{name}={value}" for name, value in report.options.items())
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", title_justify="left")
    table.add_column("check", no_wrap=True)
    table.add_column("status", no_wrap=True)
    table.add_column("what was seen")
    for result in report.results:
        colour = _COLOURS[result.status]
        table.add_row(escape(result.name), f"[{colour}]{result.status}[/]", escape(result.seen))
    console.print(f"[bold]{escape(report.env_id)}[/] {escape(options)}")
    console.print(table)
    for result in report.results:
        if result.status == "failed":
            console.print(f"\n[bold red]{escape(result.name)}[/]")
            console.print(f"  the law:  {escape(result.law)}\n  was seen: {escape(result.seen)}")
            console.print(f"  to mend:  {escape(result.mend)}")
    figures = ", ".join(f"{name} {value:,.0f}" for name, value in report.figures.items())
    sums = ", ".join(f"{report.count(status)} {status}" for status in ("passed", "failed", "skipped"))
    console.print(f"\n[bold]{sums}[/]" + (f"   [dim]{figures}[/]" if figures else ""), soft_wrap=True)
