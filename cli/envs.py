"""``palaestra envs``: the table of registered environments, and the page of one."""

from __future__ import annotations

import importlib
import inspect
import os
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

import tyro
from gymnasium.envs.registration import load_env_creator
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from palaestra.envs.core import TextEnv
from palaestra.envs.registration import registered_ids, spec
from palaestra.errors import ContractError, OptionError

# Appending, because tyro otherwise keeps only the last of a repeated option and says nothing.
ImportOption = Annotated[
    tuple[tuple[str, ...], ...],
    tyro.conf.arg(name="import", metavar="MODULE..."),
    tyro.conf.UseAppendAction,
]
EnvOptions = Annotated[
    tuple[tuple[str, ...], ...], tyro.conf.arg(metavar="NAME=VALUE..."), tyro.conf.UseAppendAction
]


@dataclass(frozen=True)
class Config:
    """List the registered environments, or show the documentation page of one."""

    id: tyro.conf.Positional[str] = ""
    """The environment whose page is shown; without it, all are listed."""
    modules: ImportOption = ()
    """Modules to import first, which register more environments."""


def run(config: Config) -> int:
    """Print the table, or the page of ``config.id``. Raises ``UnknownNameError`` for an unknown id."""
    import_modules(config.modules)
    console = Console(highlight=False)
    if config.id:
        _print_page(console, config.id)
    else:
        _print_table(console)
    return 0


def import_modules(groups: Iterable[Iterable[str]]) -> None:
    """Import modules that register environments; the working folder is searched too.

    Raises ``OptionError`` naming the module that cannot be imported, and why.
    """
    # A console script does not have the working folder on its path, and that is where an author's file is.
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    for name in flatten(groups):
        try:
            importlib.import_module(name)
        except Exception as error:  # a module may fail in any way; the author needs to see which and why
            raise OptionError(f"cannot import {name!r}: {type(error).__name__}: {error}") from error


def flatten(groups: Iterable[Iterable[str]]) -> list[str]:
    """Return the values of an option that may be repeated and takes several values each time."""
    return [value for group in groups for value in group]


def env_class(env_id: str) -> type[TextEnv]:
    """Return the class behind an id, without making an environment.

    Raises ``UnknownNameError`` for an unknown id, ``ContractError`` when its entry point cannot be loaded
    or is no ``TextEnv``.
    """
    entry_point = spec(env_id).entry_point
    try:
        loaded = load_env_creator(entry_point) if isinstance(entry_point, str) else entry_point
    except Exception as error:  # someone else's module may fail in any way while it is imported
        raise ContractError(f"{env_id} cannot be loaded from {entry_point!r}: {error}") from error
    if not (isinstance(loaded, type) and issubclass(loaded, TextEnv)):
        raise ContractError(f"{env_id} is made by {entry_point!r}, which is not a TextEnv class")
    return loaded


def summary(env: type[TextEnv]) -> str:
    """Return the first line of the class's own documentation."""
    return (env.__doc__ or "").strip().partition("\n")[0]


def _print_table(console: Console) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for heading in ("id", "step", "splits", "expert"):
        table.add_column(heading)
    for env_id in registered_ids():
        try:
            env = env_class(env_id)
        except ContractError as error:
            table.add_row(f"{env_id}\n[red]{escape(str(error))}[/]", "-", "-", "-")
            continue
        expert = "yes" if env.has_expert else "no"
        described = f"{env_id}\n[dim]{escape(summary(env))}[/]"
        table.add_row(described, env.step_kind, ", ".join(env.splits), expert)
    console.print(table)
    console.print("\n[dim]palaestra envs ID shows the page of one, palaestra play ID lets you play it.")


def _print_page(console: Console, env_id: str) -> None:
    env = env_class(env_id)
    console.print(f"[bold]{escape(env_id)}[/]   [dim]{env.__module__}:{env.__qualname__}[/]\n")
    console.print(escape(reflow(env.__doc__ or "This environment has no documentation.")))
    console.print(
        f"\nsteps are {env.step_kind}   splits: {', '.join(env.splits)}   "
        f"expert: {'yes' if env.has_expert else 'no'}\n"
    )
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for heading in ("option", "type", "default"):
        table.add_column(heading)
    for name, (annotation, default) in options_of(env_id).items():
        table.add_row(name, escape(annotation), escape(default))
    console.print(table)


def reflow(documentation: str) -> str:
    """Return a docstring with the lines of a paragraph joined, so that the terminal can wrap them its way.

    A line that opens with a label, such as ``Reward:``, stays a line of its own.
    """
    text = inspect.cleandoc(documentation)
    return re.sub(r"(?<=\S)\n(?=\S)(?![A-Z][a-z]+:|[-*] )", " ", text)


def options_of(env_id: str) -> dict[str, tuple[str, str]]:
    """Return each option of ``gym.make(env_id)`` with its type and default, both as text."""
    env = env_class(env_id)
    parameters = inspect.signature(env).parameters
    overridden = spec(env_id).kwargs
    found: dict[str, tuple[str, str]] = {}
    for name in env.options():
        parameter = parameters[name]
        annotation = "" if parameter.annotation is parameter.empty else str(parameter.annotation)
        default = overridden.get(name, parameter.default)
        found[name] = (annotation, "required" if default is parameter.empty else repr(default))
    return found
