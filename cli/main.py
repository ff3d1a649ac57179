"""``palaestra NAME ...``: a lazy table of commands and the one place where errors become exit codes.

Only the module of the command that was asked for is imported, so ``palaestra --help`` never waits for torch.
A command module holds ``run(config) -> int`` (the exit code) and either a dataclass ``Config``, which
tyro turns into options, or its own ``parse(arguments)``.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import os
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import palaestra
from palaestra.errors import PalaestraError

EXIT_ERROR = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141


@dataclass(frozen=True, slots=True)
class Command:
    """One command: the module behind it, its line of help, and whether running it again resumes it."""

    module: str
    help: str
    resumes: bool = False


COMMANDS: dict[str, Command] = {
    "demo": Command(
        "palaestra.cli.demo",
        "Train a tiny agent on ALFWorld and measure it, in minutes on a CPU.",
        resumes=True,
    ),
    "envs": Command("palaestra.cli.envs", "List the environments, or show the page of one."),
    "play": Command("palaestra.cli.play", "Play an environment yourself, in this terminal."),
    "bench": Command("palaestra.cli.bench", "Measure agents and policies on a panel of tasks.", resumes=True),
    "panels": Command("palaestra.cli.panels", "List the panels of tasks that `bench` knows, or show one."),
    "train": Command("palaestra.cli.train", "Train a policy: `palaestra train ALGORITHM ...`.", resumes=True),
    "view": Command("palaestra.cli.view", "Turn a run, a benchmark or episodes into one HTML page."),
    "skills": Command("palaestra.cli.skills", "Skill libraries: `skills list|show|diff LIBRARY`."),
    "models": Command("palaestra.cli.models", "`models smollm2`: make a small language model's folder."),
    "sandbox": Command("palaestra.cli.sandbox", "`sandbox doctor`: which sandboxes hold on this machine."),
    "check": Command("palaestra.cli.check", "Check that an environment keeps the contract."),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    0 done, 1 a typed error or a failed check, 2 wrong usage, 130 interrupted, 141 the reader of our output
    went away. ``--debug`` or ``PALAESTRA_DEBUG=1`` shows the traceback of a typed error.
    """
    # libgomp reads this when torch is loaded: spinning at barriers makes a shared machine ten times slower.
    os.environ.setdefault("GOMP_SPINCOUNT", "0")
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given or os.environ.get("PALAESTRA_DEBUG", "") not in ("", "0")
    given = [argument for argument in given if argument != "--debug"]
    if not given or given[0] in ("-h", "--help"):
        _print_help()
        return 0 if given else EXIT_USAGE
    if given[0] in ("-V", "--version"):
        print(f"palaestra {palaestra.__version__}")
        return 0
    name, *rest = given
    if name not in COMMANDS:
        _complain(_unknown_command(name))
        return EXIT_USAGE
    return _guarded(name, rest, debug)


def _guarded(name: str, rest: list[str], debug: bool) -> int:
    try:
        code = _run(importlib.import_module(COMMANDS[name].module), name, rest)
        # Output still in the buffer would otherwise meet a closed pipe after this handler is gone.
        sys.stdout.flush()
        return code
    except PalaestraError as error:
        if debug:
            traceback.print_exc()
        _complain(str(error))
        return EXIT_ERROR
    except KeyboardInterrupt:
        again = "; the same command goes on from where it stopped" if COMMANDS[name].resumes else ""
        _complain(f"interrupted{again}")
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BROKEN_PIPE
    except SystemExit as leaving:  # tyro leaves this way, after --help (0) and after a wrong option (2)
        return leaving.code if isinstance(leaving.code, int) else 0 if leaving.code is None else EXIT_ERROR


def _run(module: ModuleType, name: str, rest: list[str]) -> int:
    if hasattr(module, "parse"):
        return module.run(module.parse(rest))
    return module.run(parse_config(module.Config, f"palaestra {name}", rest))


def parse_config(config_class: type[Any], program: str, arguments: Sequence[str], *, more: str = "") -> Any:
    """Return a ``config_class`` from ``arguments``; leaves with 0 after help, 2 after a wrong option.

    The help describes the class by its docstring, and then says ``more``.
    """
    import tyro

    about = " ".join((inspect.getdoc(config_class) or "").split("\n")) + f"\n\n{more}" if more else None
    return tyro.cli(config_class, prog=program, args=list(arguments), description=about)


def _unknown_command(name: str) -> str:
    near = difflib.get_close_matches(name, COMMANDS, n=1, cutoff=0.4)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"unknown command {name!r}.{hint} Commands: {', '.join(COMMANDS)}."


def _complain(message: str) -> None:
    print(f"palaestra: {message}", file=sys.stderr)


def _print_help() -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, show_header=False, padding=(0, 2, 0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for name, command in COMMANDS.items():
        table.add_row(name, command.help)
    console = Console(highlight=False)
    console.print("[bold]palaestra[/] COMMAND [dim]...[/]   environments, agents and trainers\n")
    console.print(table)
    console.print("\n[dim]palaestra COMMAND --help   the options of one command")
    console.print("[dim]palaestra --version        the version")
    console.print("[dim]--debug                    show the traceback of an error (or PALAESTRA_DEBUG=1)")


if __name__ == "__main__":
    sys.exit(main())
