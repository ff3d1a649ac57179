"""The conformance suite: does an environment keep the contract? One call, or ``palaestra check ID``.

``check`` runs every check of ``CHECKS`` in turn, in a child process. A check never brings the checker down:
an exception of the environment is a failed check, and so is a call that does not return or one that ends the
process. After a hanging call the other checks are skipped, since each might hang as long again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from palaestra.envs.conformance_bed import Check
from palaestra.envs.conformance_runner import CHECKS, Finding, RemoteRunner, Request, Runner
from palaestra.envs.registration import spec
from palaestra.errors import OptionError, UnknownNameError


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


def check(
    env_id: str,
    options: Mapping[str, Any] | None = None,
    *,
    cycles: int = 1000,
    tasks: int = 20,
    seed: int = 0,
    call_deadline_s: float = 60.0,
    check_deadline_s: float = 600.0,
    isolation: Literal["process", "none"] = "process",
) -> Report:
    """Look whether ``env_id``, made with ``options``, keeps the contract of an environment.

    ``cycles`` are the lives over which leaks are sought, ``tasks`` how many tasks the expert and each
    attacking agent play (of each split, for the expert). A call into the environment that takes longer than
    ``call_deadline_s``, or a check longer than ``check_deadline_s``, is a failed check.

    With ``isolation="none"`` the checks run in the calling process, for a debugger. It should do nothing
    else meanwhile (its global random state, working directory, variables and memory are looked at, and left
    as they were), and an environment that ends its process ends the caller.

    Raises ``UnknownNameError``, ``OptionError``, ``DataError`` or ``MissingExtraError`` where the environment
    cannot be made as asked.
    """
    registered = spec(env_id)
    if cycles < 1 or tasks < 1:
        raise OptionError(f"cycles and tasks must be at least 1, not {cycles} and {tasks}")
    if isolation not in ("process", "none"):
        raise UnknownNameError("isolation", isolation, ("process", "none"))
    if isolation == "process" and str(registered.entry_point).startswith("__main__:"):
        raise OptionError(
            f"{env_id} is defined in __main__, which the process of the checks cannot import: "
            "put it in a module, or pass isolation='none'"
        )
    report = Report(env_id, dict(options or {}), [])
    request = Request(registered, report.options, cycles, tasks, seed, call_deadline_s, check_deadline_s)
    runner = RemoteRunner(request) if isolation == "process" else Runner(request)
    try:
        _run_all(runner, report)
    finally:
        runner.close()
    return report


def _run_all(runner: Runner | RemoteRunner, report: Report) -> None:
    errors: dict[str, str] = {}
    for number, one in enumerate(CHECKS):
        if stopped := errors.get(""):
            result = Result(one.name, "skipped", one.law, stopped, one.mend)
        elif one.needs and _failed(report, one.needs):
            result = Result(
                one.name, "skipped", one.law, f"not run: it needs {one.needs!r} to pass", one.mend
            )
        else:
            result = _result(one, runner.run(number), errors)
        report.results.append(result)


def _failed(report: Report, name: str) -> bool:
    return any(result.name == name and result.status == "failed" for result in report.results)


def _result(one: Check, finding: Finding, errors: dict[str, str]) -> Result:
    """Judge a finding. ``errors`` holds the errors so far, so that one defect is reported once.

    An error that was reported before makes a later check "skipped": it could not be carried out. The key ""
    means that no further check can be.
    """
    text = finding.text
    match finding.kind:
        case "seen":
            return Result(one.name, "passed", one.law, text, one.mend, finding.figures)
        case "not applicable":
            return Result(one.name, "skipped", one.law, text, one.mend)
        case "violation":
            return Result(one.name, "failed", one.law, text, one.mend)
        case "late":
            errors[""] = f"not run: a call hung in {one.name!r}, and may be at work still or hang again"
            return Result(one.name, "failed", one.law, text, "Give whatever it waits for a deadline.")
    # By its first line: below it a crashed process leaves its stack, in which addresses differ each time.
    kind = text.partition("\n")[0]
    if kind in errors:
        told = f"stopped by the same error as {errors[kind]!r}"
        return Result(one.name, "skipped", one.law, told, one.mend)
    errors[kind] = one.name
    if one.name == "make":
        errors[""] = "not run: the environment cannot be made"
    return Result(one.name, "failed", one.law, text, one.mend)


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
