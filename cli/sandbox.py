"""``palaestra sandbox doctor`` says which sandboxes this machine can give, and what each of them lacks."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from palaestra.errors import PalaestraError, UnknownNameError
from palaestra.sandboxes.core import Rung
from palaestra.sandboxes.ladder import BACKENDS, LADDER, open_sandbox

_USAGE = """usage: palaestra sandbox doctor

Open every sandbox that this machine could give, run a dozen hostile programs in each, and say which hold.
The exit code is 1 when none does."""


@dataclass(frozen=True)
class Finding:
    """What came of opening one backend."""

    name: str
    rung: Rung | None
    seconds: float
    problem: str = ""


def parse(arguments: Sequence[str]) -> str:
    """Return the subcommand; leaves after ``--help``. Raises ``UnknownNameError``."""
    if not arguments or set(arguments) & {"-h", "--help"}:
        print(_USAGE)
        raise SystemExit(0 if arguments else 2)
    name, *rest = arguments
    if name != "doctor":
        raise UnknownNameError("subcommand of sandbox", name, ["doctor"])
    if rest:
        raise UnknownNameError("option of sandbox doctor", rest[0], ["--help"])
    return name


def run(name: str) -> int:
    """Examine every backend and print what was found."""
    console = Console(highlight=False)
    console.print(f"{platform.system()} {platform.release()}, {platform.machine()}, {_user()}, {_landlock()}")
    findings = [examine(backend) for backend in BACKENDS if backend != "subprocess"]
    console.print(_table(findings))
    working = [finding.name for finding in findings if finding.rung is not None]
    best = next((backend for backend in LADDER if backend in working), None)
    if best is None:
        console.print("no sandbox works here; environments that run code will refuse to start")
        return 1
    console.print(f"used where nobody names one: [bold]{best}[/]")
    console.print("subprocess: works everywhere and isolates nothing; it is used only when named")
    return 0


def examine(backend: str) -> Finding:
    """Open one backend, which tests it with hostile programs, and close it again."""
    began = time.perf_counter()
    try:
        with open_sandbox(backend) as sandbox:
            return Finding(backend, sandbox.rung, time.perf_counter() - began)
    except PalaestraError as error:
        return Finding(backend, None, time.perf_counter() - began, str(error))


def _table(findings: Sequence[Finding]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("sandbox", "", "made of, or why not", "lacks", "seconds"):
        table.add_column(heading, overflow="fold")
    for finding in findings:
        if finding.rung is None:
            table.add_row(finding.name, "[red]no[/]", finding.problem, "", f"{finding.seconds:.1f}")
            continue
        parts, lacks = ", ".join(finding.rung.parts), ", ".join(finding.rung.lacks) or "nothing"
        table.add_row(finding.name, "[green]holds[/]", parts, lacks, f"{finding.seconds:.1f}")
    return table


def _user() -> str:
    return "root" if hasattr(os, "geteuid") and os.geteuid() == 0 else "an ordinary user"


def _landlock() -> str:
    from palaestra.sandboxes.inside import kernel

    if not kernel.supported():
        return "no Landlock known on this platform"
    abi = kernel.landlock_abi()
    return f"Landlock version {abi}" if abi else "no Landlock"
