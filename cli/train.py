"""``palaestra train ALGORITHM ...``: finds a trainer by name and turns its ``Config`` into options.

A trainer is a module that holds a class ``Config`` and a function ``train``: one of ``palaestra.trainers``,
or a file of your own, named by its path. The package's modules are read, not imported, to find that out, so
listing them loads no torch; only the named one is imported.

A trainer may hold ``PRESETS``: settings by name, such as the published ones of its paper. ``--preset NAME``
puts them under the options that are given.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import pkgutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

import palaestra.trainers
from palaestra.cli.main import parse_config
from palaestra.errors import DataError, MissingExtraError, OptionError, UnknownNameError

Presets = Mapping[str, Mapping[str, object]]


@dataclass(frozen=True)
class Choice:
    """What trains, and the settings that it is to be run with."""

    train: Callable[[Any], Path]
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

    Raises ``UnknownNameError`` with the nearest name for a trainer or preset that does not exist,
    ``DataError`` or ``OptionError`` for a file that is no trainer, ``MissingExtraError`` where torch is not
    installed.
    """
    if not arguments or arguments[0] in ("-h", "--help"):
        _print_trainers(trainers())
        sys.exit(0 if arguments else 2)
    name, *rest = arguments
    module = _file(Path(name)) if name.endswith(".py") else _member(name)
    presets: Presets = getattr(module, "PRESETS", {})
    preset, given = take_preset(rest)
    if preset is not None:
        given = [*preset_arguments(presets, preset), *given]
    config = parse_config(module.Config, f"palaestra train {name}", given, more=_described(presets))
    return Choice(module.train, config)


def run(choice: Choice) -> int:
    """Train, and print the run directory that it left."""
    directory = choice.train(choice.config)
    # Plain print, because scripts read the directory from the last line and rich would wrap it.
    print(f"\nMake a page of this run: palaestra view {directory}\n{directory}")
    return 0


def take_preset(arguments: Sequence[str]) -> tuple[str | None, list[str]]:
    """Return the value of ``--preset`` (None where it is not given) and all other arguments.

    Raises ``OptionError`` for a ``--preset`` without a name, or more than one.
    """
    names: list[str] = []
    others: list[str] = []
    waiting = iter(arguments)
    for argument in waiting:
        flag, equals, value = argument.partition("=")
        if flag != "--preset":
            others.append(argument)
            continue
        name = value if equals else next(waiting, "")
        if not name or name.startswith("-"):
            raise OptionError("--preset needs a name; --help lists the presets")
        names.append(name)
    if len(names) > 1:
        raise OptionError(f"--preset is given {len(names)} times; a run has one preset at most")
    return (names[0] if names else None), others


def preset_arguments(presets: Presets, name: str) -> list[str]:
    """Return a preset as the options that one would type: put first, later ones override them.

    Raises ``UnknownNameError`` with the nearest name.
    """
    if name not in presets:
        raise UnknownNameError("preset", name, presets)
    typed: list[str] = []
    for field, value in presets[name].items():
        flag = field.replace("_", "-")
        if isinstance(value, bool):
            typed.append(f"--{flag}" if value else f"--no-{flag}")
        elif isinstance(value, tuple):
            typed += [f"--{flag}", *map(str, value)]
        else:
            typed += [f"--{flag}", str(value)]
    return typed


def _member(name: str) -> ModuleType:
    """Return a trainer of the package."""
    known = trainers()
    if name not in known:
        raise UnknownNameError("trainer", name, known)
    try:
        return importlib.import_module(f"palaestra.trainers.{name}")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "palaestra":
            raise
        raise MissingExtraError(f"`palaestra train {name}` (it imports {error.name})", "train") from error


def _file(path: Path) -> ModuleType:
    """Return a trainer that is a file of the user's own."""
    spec = importlib.util.spec_from_file_location(f"palaestra_trainer_{path.stem}", path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise DataError(f"there is no trainer file {path}")
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their annotations up in the module that sys.modules holds.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    if missing := [name for name in ("Config", "train") if not hasattr(module, name)]:
        raise OptionError(f"{path} is no trainer: it has no {' and no '.join(missing)}")
    return module


def _described(presets: Presets) -> str:
    """Return the presets as text for the help."""
    if not presets:
        return ""
    typed = {name: " ".join(map(_shortened, preset_arguments(presets, name))) for name in presets}
    lines = [f"  {name}: {arguments or '(the defaults)'}" for name, arguments in typed.items()]
    return "\n".join(["Presets (--preset NAME; options given beside it override it):", *lines])


def _shortened(argument: str) -> str:
    """Return an argument as it is typed; of a text, its beginning."""
    return argument if " " not in argument else f'"{argument[:30]}..."'


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
    console.print("\n[dim]palaestra train ALGORITHM --help           its settings and presets")
    console.print("[dim]palaestra train ALGORITHM --preset NAME    settings of a paper, under those given")
    console.print("[dim]palaestra train ./FILE.py                  a trainer of your own")
