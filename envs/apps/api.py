"""An app, its APIs, and what can go wrong with a call.

An API is a function whose first parameter is the ``Call`` (who asks, when, and the database); the other
parameters are the arguments that callers name. Its annotations and docstring are its documentation:

    @api(NOTES, "POST")
    def create_note(call: Call, title: str, body: str = "") -> Json:
        '''Create a note.

Args:
            title: its title.
            body: its text.

Returns:
            The new note: {note_id, title, body}.
        '''
"""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal, get_type_hints

from palaestra.envs.apps.values import ArgumentProblem, Json, Kind, kind_of

if TYPE_CHECKING:
    from palaestra.envs.apps.life import Life
    from palaestra.envs.apps.world import Database

Method = Literal["GET", "POST", "PATCH", "PUT", "DELETE"]
_REQUIRED = inspect.Parameter.empty
TOKEN = "access_token"
_STATUS = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    409: "conflict",
    422: "invalid_argument",
    429: "too_many_calls",
}


class ApiError(Exception):
    """A refused call: an HTTP ``status`` and a message that says what to do."""

    def __init__(self, status: int, message: str) -> None:
        self.status, self.code, self.message = status, _STATUS[status], message
        super().__init__(f"{status} {self.code}: {message}")


def not_found(what: str, number: object, hint: str = "") -> ApiError:
    """Return the error for something that does not exist, or is not the caller's to see."""
    return ApiError(404, f"there is no {what} {number!r} of yours" + (f"; {hint}" if hint else ""))


@dataclass(frozen=True)
class App:
    """One app: its tables, and how a life fills them.

    ``schema`` is SQL; every table is called ``<app>_...`` and has ``id INTEGER PRIMARY KEY``. ``automatic``
    names columns that the app sets by itself (times, counters): nobody is judged by them. A table in
    ``volatile`` (such as a history of searches) is not judged at all. With ``accounts`` people log in.
    """

    name: str
    description: str
    schema: str
    seed: Callable[[Life, Database], None] | None = None
    accounts: bool = True
    automatic: tuple[str, ...] = ("created_at", "updated_at")
    volatile: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    """Apps whose rows ``seed`` reads."""


@dataclass(frozen=True)
class Parameter:
    """One argument of an API."""

    name: str
    kind: Kind
    description: str
    default: Json = _REQUIRED

    @property
    def required(self) -> bool:
        """Whether it must be given."""
        return self.default is _REQUIRED

    def document(self) -> dict[str, Json]:
        """Return it as the docs show it."""
        shown = {"name": self.name, "type": self.kind.name, "required": self.required}
        if not self.required:
            shown["default"] = self.default
        return shown | {"description": self.description}


@dataclass(frozen=True)
class Api:
    """One API of an app."""

    app: App
    method: Method
    function: Callable[..., Json]
    login: bool = True

    @property
    def name(self) -> str:
        """Its name within the app."""
        return self.function.__name__

    @property
    def full_name(self) -> str:
        """``app.name``."""
        return f"{self.app.name}.{self.name}"

    @cached_property
    def documentation(self) -> Docstring:
        """Its docstring, read. Raises ``TypeError`` for one without the sections that are needed."""
        return Docstring.read(self.full_name, self.function.__doc__ or "")

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """Its arguments, the access token first. Raises ``TypeError`` for one that is not documented."""
        hints = get_type_hints(self.function)
        arguments = list(inspect.signature(self.function).parameters.values())[1:]
        described = self.documentation.arguments
        if set(described) != {argument.name for argument in arguments}:
            raise TypeError(f"{self.full_name}: the docstring describes {sorted(described)}")
        token = Parameter(TOKEN, kind_of(str), f"from {self.app.name}.login")
        return (
            *((token,) if self.login else ()),
            *(Parameter(a.name, kind_of(hints[a.name]), described[a.name], a.default) for a in arguments),
        )

    @property
    def path(self) -> str:
        """Its address, in the manner of REST."""
        return f"/{self.app.name}/{self.name}"

    def document(self) -> dict[str, Json]:
        """Return its documentation."""
        return {
            "app": self.app.name,
            "api": self.name,
            "method": self.method,
            "path": self.path,
            "description": self.documentation.summary,
            "parameters": [parameter.document() for parameter in self.parameters],
            "returns": self.documentation.returns,
        }

    def schema(self) -> dict[str, Json]:
        """Return it as a function for models that call tools, named ``app__api``."""
        properties = {p.name: {**p.kind.schema, "description": p.description} for p in self.parameters}
        required = [p.name for p in self.parameters if p.required]
        return {
            "type": "function",
            "function": {
                "name": f"{self.app.name}__{self.name}",
                "description": f"{self.documentation.summary} Returns: {self.documentation.returns}",
                "parameters": {"type": "object", "properties": properties, "required": required},
            },
        }

    def bind(self, given: dict[str, Json]) -> dict[str, Json]:
        """Return all arguments, checked and converted. Raises ``ApiError``."""
        known = {parameter.name: parameter for parameter in self.parameters}
        for name in given:
            if name not in known:
                raise ApiError(422, f"{self.full_name} has no argument {name!r}; {nearest(name, known)}")
        missing = [name for name, parameter in known.items() if parameter.required and name not in given]
        if missing:
            raise ApiError(422, f"{self.full_name} needs {', '.join(missing)}")
        bound = {}
        for name, parameter in known.items():
            if name not in given:
                bound[name] = parameter.default
                continue
            try:
                bound[name] = parameter.kind.convert(given[name])
            except ArgumentProblem as problem:
                raise ApiError(422, f"{name} must be {problem}, not {_short(given[name])}") from None
        return bound


def api(app: App, method: Method, *, login: bool = True) -> Callable[[Callable[..., Json]], Api]:
    """Make a function an API of ``app``; without ``login`` it takes no access token."""

    def decorate(function: Callable[..., Json]) -> Api:
        return Api(app, method, function, login)

    return decorate


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a hint at the known names, the nearest one first if there is any."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return (f"did you mean {near[0]!r}? " if near else "") + "There are: " + ", ".join(names)


def _short(value: Json) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


@dataclass(frozen=True)
class Docstring:
    """What the docstring of an API says."""

    summary: str
    arguments: dict[str, str]
    returns: str

    @staticmethod
    def read(name: str, text: str) -> Docstring:
        """Read the sections. Raises ``TypeError`` where the summary or what it returns is missing."""
        parts = re.split(r"^(Args|Returns):\s*$", inspect.cleandoc(text), flags=re.MULTILINE)
        sections = dict(zip(parts[1::2], parts[2::2], strict=True))
        summary = " ".join(parts[0].split())
        returns = " ".join(sections.get("Returns", "").split())
        if not summary or not returns:
            raise TypeError(f"{name}: the docstring needs a summary and a section Returns")
        return Docstring(summary, _described(sections.get("Args", "")), returns)

    @property
    def fields(self) -> frozenset[str] | None:
        """The keys of an answer, written as {one, another} in what it returns; None where none are."""
        found = re.search(r"\{([a-z0-9_, ]+)\}", self.returns)
        return frozenset(part.strip() for part in found[1].split(",")) if found else None


def _described(section: str) -> dict[str, str]:
    """Read ``name: text`` lines; lines that are indented further go on."""
    found: dict[str, str] = {}
    name = ""
    for line in inspect.cleandoc("\n" + section).splitlines():
        begin = re.match(r"([a-z_0-9]+): *(.*)", line)
        if begin:
            name = begin[1]
            found[name] = begin[2].strip()
        elif line.strip():
            found[name] += " " + line.strip()
    return found
