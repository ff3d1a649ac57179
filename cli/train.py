"""``palaestra train ALGORITHM ...``: finds a trainer by name and turns its ``Config`` into options.

A trainer is a module of ``palaestra.trainers`` that holds a class ``Config`` and a function ``train``. The
modules are read, not imported, to find that out, so listing them loads no torch; only the named one is
imported.
"""

from __future__ import annotations

import ast
import importlib
import pkgutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

import palaestra.trainers
from palaestra.cli.main import parse_config
from palaestra.errors import MissingExtraError, UnknownNameError


@dataclass(frozen=True)
class Choice:
    """A trainer and the settings it is to be run with."""

    trainer: str
    config: Any


def trainers() -> dict[str, str]:
    """Return the name of every trainer with the first line of its module's documentation."""
    found: dict[str, str] = {}
    for folder in palaestra.trainers.__path__:
        for module in pkgutil.iter_modules([folder]):
            file = Path(folder, f"{module.name}.py")
            tree = ast.parse(file.read_text(encoding="utf-8")) if file.is_file() else ast.Module([], [])
            classes = {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
            functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
            if "Config" in classes and "train" in functions:
                found[module.name] = (ast.get_docstring(tree) or "").partition("\n")[0]
    return found


def parse(arguments: Sequence[str]) -> Choice:
    """Return the trainer named first with its settings; lists the trainers and leaves when asked for help.

    Raises ``UnknownNameError`` with the nearest name, ``MissingExtraError`` where torch is not installed.
    """
    known = trainers()
    if not arguments or arguments[0] in ("-h", "--help"):
        _print_trainers(known)
        sys.exit(0 if arguments else 2)
    name, *rest = arguments
    if name not in known:
        raise UnknownNameError("trainer", name, known)
    try:
        module = importlib.import_module(f"palaestra.trainers.{name}")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "palaestra":
            raise
        raise MissingExtraError(f"`palaestra train {name}` (it imports {error.name})", "train") from error
    return Choice(name, parse_config(module.Config, f"palaestra train {name}", rest))


def run(choice: Choice) -> int:
    """Train, and print the run directory that it left."""
    module = importlib.import_module(f"palaestra.trainers.{choice.trainer}")
    directory: Path = module.train(choice.config)
    # Plain print, because scripts read the directory from the last line and rich would wrap it.
    print(f"\nMake a page of this run: palaestra view {directory}\n{directory}")
    return 0


def _print_trainers(known: dict[str, str]) -> None:
    console = Console(highlight=False)
    console.print(
        "[bold]palaestra train[/] ALGORITHM [dim]...[/]   train a policy; the run directory is printed last\n"
    )
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for name, line in known.items():
        table.add_row(name, escape(line))
    console.print(table)
    console.print("\n[dim]palaestra train ALGORITHM --help   its settings")
