"""A coding problem, and the way from a model's message to a whole program."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass

_FENCE = re.compile(r"^[ \t]*```[ \t]*(\w*)[^\n]*\n(.*?)(?:^[ \t]*```|\Z)", re.DOTALL | re.MULTILINE)
_FUTURE = re.compile(r"^from __future__ import [^\n]*\n?", re.MULTILINE)
_PYTHON = ("python", "python3", "py", "")


@dataclass(frozen=True, slots=True)
class Example:
    """A public test: an expression that calls the function, and the expression of what it must equal."""

    expression: str
    expected: str


@dataclass(frozen=True, slots=True)
class Problem:
    """One function to write, with its tests.

    ``prompt`` is what the model is shown: the head of the function with its docstring (``head`` is True), or
    a sentence. ``prelude`` is trusted source that stands before the function: imports and helpers. ``tests``
    are hidden: asserts, or ``check(candidate)``. ``solution`` is a whole program that solves it, or empty.
    ``objects`` says that the tests handle objects of classes, which cannot cross from one process to another.
    """

    prompt: str
    entry_point: str
    tests: str
    head: bool = True
    prelude: str = ""
    public: tuple[Example, ...] = ()
    solution: str = ""
    objects: bool = False


def extract_code(message: str) -> str:
    """Return the last Python block of a message, or the whole message where it has none.

    The text is never parsed here: only the sandbox reads untrusted programs.
    """
    blocks = [body for language, body in _FENCE.findall(message) if language.lower() in _PYTHON]
    return blocks[-1] if blocks else message


def assemble(problem: Problem, code: str) -> str:
    """Return the program that ``code`` makes: as it is, or as the body of the function in the prompt."""
    if not problem.head:
        return code
    name = re.escape(problem.entry_point)
    if not re.search(rf"^(?:(?:async )?def {name}\b|{name}\s*=[^=])", code, re.MULTILINE):
        return problem.prompt.rstrip() + "\n" + _as_body(code)
    if not problem.prelude:
        return code
    # Such imports must come first in a program, also before the prelude's.
    future = "".join(line.rstrip() + "\n" for line in _FUTURE.findall(code))
    return f"{future}{problem.prelude.rstrip()}\n\n\n{_FUTURE.sub('', code)}"


def _as_body(code: str) -> str:
    """Indent a body that came without its indentation, or whose first line lost it."""
    lines = code.strip("\n").split("\n")
    if not lines[0].strip() or lines[0][0].isspace():
        return code
    rest = [line for line in lines[1:] if line.strip()]
    # What an opened block begins with lies deeper still.
    second = " " * (8 if lines[0].rstrip().endswith(":") else 4)
    if rest and rest[0].startswith(second) and all(line.startswith("    ") for line in rest):
        return "\n".join(["    " + lines[0], *lines[1:]]) + "\n"
    return textwrap.indent("\n".join(lines), "    ") + "\n"
