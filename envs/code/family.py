"""Families of generated tasks: one Python function each, whose keyword-only parameters are chosen per task.

    @family(level=1, inputs=lambda draw: (draw.integers(-9, 9),), edges=[([],)], by=(1, 2, 3))
    def rotate(values: list[int], *, by: int) -> list[int]:
        \"\"\"Return ``values`` rotated to the left by {by} places.\"\"\"
        ...

The function is the reference solution and its docstring the statement. ``by`` is not a parameter of the task:
its value is put into the code and into the text, and branches that it decides are folded away.
"""

from __future__ import annotations

import ast
import copy
import hashlib
import inspect
import math
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import product
from typing import Any, TypeVar

from palaestra.envs.code.draw import Draw
from palaestra.errors import ContractError

SPLITS = ("train", "valid", "test")
LEVELS = (1, 2, 3)
# Of the parameter combinations of a family, so many go to valid and so many to test; train has the others.
HELD_OUT = 0.1
_LINE = 92

Inputs = Callable[[Draw], tuple[Any, ...]]
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Value:
    """A choice for a parameter: a literal, with the words that the statement has for it."""

    words: str
    value: Any


@dataclass(frozen=True, slots=True)
class Rule:
    """A choice for a parameter that the code calls: an expression over ``x`` (and ``y``), and its words."""

    words: str
    code: str


Choice = Value | Rule


@dataclass(frozen=True, slots=True)
class Statement:
    """What a combination of choices says: the head of the function, its text and its reference solution."""

    head: str
    text: str
    source: str


@dataclass(frozen=True)
class Family:
    """One family: its choices, how a combination of them reads, and what inputs it is tested on."""

    name: str
    topic: str
    level: int
    choices: Mapping[str, tuple[Choice, ...]]
    write: Callable[[Mapping[str, Choice]], Statement]
    inputs: Inputs
    edges: tuple[tuple[Any, ...], ...]

    @property
    def size(self) -> int:
        """How many combinations of choices there are."""
        return math.prod(len(choices) for choices in self.choices.values())

    @cached_property
    def _combinations(self) -> Mapping[str, list[tuple[int, ...]]]:
        """The combinations of each split, as places in the choices; every one belongs to one split."""
        every = sorted(
            product(*(range(len(choices)) for choices in self.choices.values())),
            key=lambda places: hashlib.blake2b(f"{self.name}{places}".encode(), digest_size=8).digest(),
        )
        held_out = math.ceil(len(every) * HELD_OUT)
        parts = (every[2 * held_out :], every[:held_out], every[held_out : 2 * held_out])
        return dict(zip(SPLITS, parts, strict=True))

    def combinations(self, split: str) -> int:
        """Return how many combinations of choices belong to ``split``."""
        return len(self._combinations[split])

    def combination(self, split: str, index: int) -> dict[str, Choice]:
        """Return one combination of a split: parameter -> choice."""
        places = self._combinations[split][index]
        return {
            name: choices[place] for (name, choices), place in zip(self.choices.items(), places, strict=True)
        }


CATALOGUE: dict[str, Family] = {}
"""Every family by name; filled when the modules of ``envs/code/families`` are imported."""


def add(family: Family) -> None:
    """Put a family into the catalogue; raises ``ContractError`` for one that cannot be split or found."""
    if family.name in CATALOGUE:
        raise ContractError(f"there are two families {family.name!r}")
    if family.size < 3:
        raise ContractError(f"the family {family.name!r} has too few combinations for three splits")
    CATALOGUE[family.name] = family


def family(
    *, level: int, inputs: Inputs, edges: Sequence[tuple[Any, ...]] = (), **choices: Sequence[Any]
) -> Callable[[F], F]:
    """Return a decorator that makes a function a family; its topic is the name of its module.

    ``inputs`` draws the arguments of one test, ``edges`` are arguments that are always tested. ``choices``
    gives each keyword-only parameter of the function its choices: ``Value``, ``Rule`` or plain literals.
    """

    def decorate(function: F) -> F:
        add(
            Family(
                name=function.__name__,
                topic=function.__module__.rpartition(".")[2],
                level=level,
                choices={name: tuple(map(_choice, options)) for name, options in choices.items()},
                write=lambda chosen: _written(function, chosen),
                inputs=inputs,
                edges=tuple(edges),
            )
        )
        return function

    return decorate


def _choice(option: Any) -> Choice:
    if isinstance(option, Value | Rule):
        return option
    return Value(repr(option), option)


def values_of(chosen: Mapping[str, Choice]) -> dict[str, Any]:
    """Return the literals that were chosen (of a rule: its code) by parameter."""
    return {name: one.value if isinstance(one, Value) else one.code for name, one in chosen.items()}


def fill(text: str, chosen: Mapping[str, Choice]) -> str:
    """Put the words of the choices into a statement and lay its paragraphs out anew."""
    for _ in range(2):  # the words of a choice may name another parameter
        for name, one in chosen.items():
            text = text.replace(f"{{{name}}}", one.words)
    paragraphs = inspect.cleandoc(text).split("\n\n")
    return "\n\n".join(textwrap.fill(" ".join(part.split()), _LINE) for part in paragraphs)


# ---- from a function to a statement ------------------------------------------------------------------------


@cache
def _tree(function: Callable[..., Any]) -> ast.FunctionDef:
    module = ast.parse(textwrap.dedent(inspect.getsource(function)))
    definition = module.body[0]
    assert isinstance(definition, ast.FunctionDef)
    definition.decorator_list = []
    return definition


def _written(function: Callable[..., Any], chosen: Mapping[str, Choice]) -> Statement:
    definition = copy.deepcopy(_tree(function))
    parameters = {argument.arg for argument in definition.args.kwonlyargs}
    if parameters != set(chosen):
        raise ContractError(
            f"{function.__name__} has the parameters {parameters}, but choices for {set(chosen)}"
        )
    definition.args.kwonlyargs, definition.args.kw_defaults = [], []
    definition.body = definition.body[1:]  # the docstring
    filled = _Filled(definition.name, chosen).visit(definition)
    _cut_dead_ends(filled)
    _forget_any(filled)
    source = ast.unparse(ast.fix_missing_locations(filled))
    head = source.partition("\n")[0]
    return Statement(head, fill(function.__doc__ or "", chosen), source + "\n")


def _cut_dead_ends(tree: ast.AST) -> None:
    """Cut what follows a ``return`` in the same block: folded branches leave such statements behind."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            ends = [
                place
                for place, one in enumerate(body)
                if isinstance(one, ast.Return | ast.Continue | ast.Break)
            ]
            del body[ends[0] + 1 if ends else len(body) :]


def _forget_any(tree: ast.AST) -> None:
    """Simplify annotations that name ``Any``: a task's program imports nothing."""
    for node in ast.walk(tree):
        for name in ("annotation", "returns"):
            annotation = getattr(node, name, None)
            if annotation and any(
                isinstance(one, ast.Name) and one.id == "Any" for one in ast.walk(annotation)
            ):
                setattr(node, name, annotation.value if isinstance(annotation, ast.Subscript) else None)


class _Filled(ast.NodeTransformer):
    """Puts choices in the place of parameters, and folds away the branches that they decide."""

    def __init__(self, name: str, chosen: Mapping[str, Choice]) -> None:
        self._name, self._chosen = name, chosen

    def visit_Name(self, node: ast.Name) -> ast.expr:
        one = self._chosen.get(node.id)
        if one is None:
            return node
        if isinstance(one, Rule):
            raise ContractError(f"in {self._name}, the rule {node.id!r} must be called")
        if isinstance(one.value, tuple):
            return ast.parse(repr(one.value), mode="eval").body
        return ast.Constant(one.value)

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        node = self._generic(node)
        sides = [node.left, *node.comparators]
        if not all(isinstance(side, ast.Constant) for side in sides):
            return node
        return ast.Constant(
            eval(compile(ast.fix_missing_locations(ast.Expression(node)), "<choice>", "eval"))
        )

    def visit_Call(self, node: ast.Call) -> ast.expr:
        one = self._chosen.get(node.func.id) if isinstance(node.func, ast.Name) else None
        if isinstance(one, Rule):
            arguments = dict(zip("xyz", [self.visit(argument) for argument in node.args], strict=False))
            return _Applied(arguments).visit(ast.parse(one.code, mode="eval").body)
        if isinstance(node.func, ast.Name) and node.func.id == self._name:
            # The reference calls itself: it no longer has these parameters.
            node.keywords = [keyword for keyword in node.keywords if keyword.arg not in self._chosen]
        return self._generic(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        node = self._generic(node)
        if isinstance(node.op, ast.Not) and isinstance(node.operand, ast.Constant):
            return ast.Constant(not node.operand.value)
        return node

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.expr:
        node = self._generic(node)
        decisive = isinstance(node.op, ast.Or)
        left: list[ast.expr] = []
        for value in node.values:
            if not isinstance(value, ast.Constant):
                left.append(value)
            elif bool(value.value) == decisive:
                left.append(value)
                break
        if not left:
            return ast.Constant(not decisive)
        if isinstance(left[0], ast.Constant):
            return left[0]
        return left[0] if len(left) == 1 else ast.BoolOp(node.op, left)

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        node = self._generic(node)
        if isinstance(node.value, ast.Tuple) and isinstance(node.slice, ast.Constant):
            return ast.Constant(ast.literal_eval(node.value)[node.slice.value])
        return node

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        node = self._generic(node)
        nothing = (
            isinstance(node.right, ast.Constant) and type(node.right.value) is int and not node.right.value
        )
        return node.left if nothing and isinstance(node.op, ast.Add | ast.Sub) else node

    def visit_IfExp(self, node: ast.IfExp) -> ast.expr:
        node = self._generic(node)
        if isinstance(node.test, ast.Constant):
            return node.body if node.test.value else node.orelse
        return node

    def visit_If(self, node: ast.If) -> ast.stmt | list[ast.stmt]:
        node = self._generic(node)
        if isinstance(node.test, ast.Constant):
            return node.body if node.test.value else node.orelse
        # What is decided inside may leave nothing of a branch.
        return node if node.body else []

    def _generic(self, node: Any) -> Any:
        return self.generic_visit(node)


class _Applied(ast.NodeTransformer):
    """Puts the arguments of a call in the place of ``x``, ``y`` and ``z``."""

    def __init__(self, arguments: Mapping[str, ast.expr]) -> None:
        self._arguments = arguments

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return copy.deepcopy(self._arguments.get(node.id, node))


def families(level: int | None = None) -> Iterator[Family]:
    """Yield the families of one level, or all, in the order of the catalogue."""
    import palaestra.envs.code.families  # noqa: F401  (fills the catalogue)

    return (one for one in CATALOGUE.values() if level is None or one.level == level)
