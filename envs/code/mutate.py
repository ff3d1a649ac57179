"""Near misses: a program with one thing wrong, made by changing its syntax tree in one place.

Only trusted programs (reference and canonical solutions) are mutated. ``count_failures`` runs a mutant of one
of our own solutions in this process; whatever comes from a file is run in the sandbox instead.
"""

from __future__ import annotations

import ast
import copy
import pickle
from collections.abc import Callable, Iterator, Sequence
from typing import Any

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitOr,
}
_TWINS = {"min": "max", "max": "min", "any": "all", "all": "any", "upper": "lower", "lower": "upper"}
# Calls whose value resembles their argument: leaving them out is a step forgotten.
_TRANSPARENT = {"sorted", "abs", "set", "reversed", "list", "str", "int", "round"}

Change = Callable[[Any], ast.AST | None]
"""Changes a node, or makes another for its place; None where it cannot."""

Case = tuple[tuple[Any, ...], Any]
"""The arguments of a call, and what it must return."""


def _other_comparison(node: ast.Compare) -> ast.AST | None:
    node.ops[0] = _COMPARISONS[type(node.ops[0])]()
    return node


def _other_operator(node: ast.BinOp | ast.AugAssign) -> ast.AST | None:
    if type(node.op) not in _OPERATORS:
        return None
    node.op = _OPERATORS[type(node.op)]()
    return node


def _one_more(node: ast.Constant) -> ast.AST | None:
    if isinstance(node.value, bool) or not isinstance(node.value, int | float):
        return None
    node.value = node.value + 1
    return node


def _one_less(node: ast.Constant) -> ast.AST | None:
    if isinstance(node.value, bool) or not isinstance(node.value, int | float):
        return None
    node.value = node.value - 1
    return node


def _and_for_or(node: ast.BoolOp) -> ast.AST | None:
    node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
    return node


def _no_guard(node: ast.If) -> ast.AST | None:
    """Drop the treatment of a special case: an ``if`` without ``else`` that leaves or goes on."""
    if node.orelse or not isinstance(node.body[-1], ast.Return | ast.Continue | ast.Break | ast.Raise):
        return None
    node.test, node.body = ast.Constant(False), [ast.Pass()]
    return node


def _never(node: ast.If | ast.IfExp) -> ast.AST | None:
    node.test = ast.Constant(False)
    return node


def _other_truth(node: ast.Constant) -> ast.AST | None:
    if not isinstance(node.value, bool):
        return None
    node.value = not node.value
    return node


def _twin(node: ast.Name | ast.Attribute) -> ast.AST | None:
    if isinstance(node, ast.Name) and node.id in _TWINS:
        node.id = _TWINS[node.id]
    elif isinstance(node, ast.Attribute) and node.attr in _TWINS:
        node.attr = _TWINS[node.attr]
    else:
        return None
    return node


def _last_statement_lost(node: ast.For | ast.If) -> ast.AST | None:
    """Forget the update at the end of a loop or branch."""
    if len(node.body) < 2:
        return None
    node.body.pop()
    return node


def _other_text(node: ast.Constant) -> ast.AST | None:
    if not isinstance(node.value, str):
        return None
    node.value = node.value[:-1] if node.value else " "
    return node


def _nothing_returned(node: ast.Return) -> ast.AST | None:
    if node.value is None:
        return None
    node.value = ast.Constant(None)
    return node


def _call_left_out(node: ast.Call) -> ast.AST | None:
    """Leave out a step: the call becomes what it was called on."""
    if isinstance(node.func, ast.Name):
        return node.args[0] if node.func.id in _TRANSPARENT and node.args else None
    if isinstance(node.func, ast.Attribute) and not isinstance(node.func.value, ast.Constant):
        return node.func.value
    return None


# The subtle ones first, each with the kind of node that it is for.
CHANGES: tuple[tuple[Any, Change], ...] = (
    (ast.Compare, _other_comparison),
    (ast.Constant, _one_more),
    (ast.If, _no_guard),
    (ast.BinOp | ast.AugAssign, _other_operator),
    (ast.Call, _call_left_out),
    (ast.Constant, _one_less),
    (ast.BoolOp, _and_for_or),
    (ast.For | ast.If, _last_statement_lost),
    (ast.Name | ast.Attribute, _twin),
    (ast.Constant, _other_truth),
    (ast.If | ast.IfExp, _never),
    (ast.Constant, _other_text),
    (ast.Return, _nothing_returned),
)


def mutants(source: str, *, entry_point: str = "") -> Iterator[str]:
    """Yield programs with one change each, a change of every kind before the second of any.

    Docstrings and annotations stay as they are; with an entry point, so does everything before it.
    """
    tree = ast.parse(source)
    streams = [_changed(tree, kind, change, entry_point) for kind, change in CHANGES]
    seen = {ast.unparse(tree)}
    while streams:
        for stream in list(streams):
            mutant = next(stream, None)
            if mutant is None:
                streams.remove(stream)
            elif mutant not in seen:
                seen.add(mutant)
                yield mutant


def _places(tree: ast.Module, entry_point: str) -> list[ast.AST]:
    """Return the nodes that may be changed, in a fixed order."""
    found: list[ast.AST] = []
    for statement in tree.body:
        if not entry_point or getattr(statement, "name", "") == entry_point:
            _collect(statement, found)
    return found


def _collect(node: ast.AST, found: list[ast.AST]) -> None:
    if isinstance(node, ast.FunctionDef):
        has_text = ast.get_docstring(node, clean=False) is not None
        children: list[ast.AST] = [*node.args.defaults, *node.body[has_text:]]
    elif isinstance(node, ast.AnnAssign):
        children = [node.value] if node.value else []
    else:
        found.append(node)
        children = list(ast.iter_child_nodes(node))
    for child in children:
        _collect(child, found)


def _changed(tree: ast.Module, kind: Any, change: Change, entry_point: str) -> Iterator[str]:
    packed = pickle.dumps(tree)  # unpacking is several times cheaper than a deep copy
    for place, original in enumerate(_places(tree, entry_point)):
        if not isinstance(original, kind):
            continue
        fresh = pickle.loads(packed)
        node = _places(fresh, entry_point)[place]
        if (changed := change(node)) is not None:
            if changed is not node:
                fresh = _Exchange(node, changed).visit(fresh)
            yield ast.unparse(ast.fix_missing_locations(fresh))


class _Exchange(ast.NodeTransformer):
    """Puts one node in the place of another."""

    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self._old, self._new = old, new

    def visit(self, node: ast.AST) -> Any:
        """Return the new node for the old one; look further everywhere else."""
        return self._new if node is self._old else self.generic_visit(node)


# ---- running a mutant of our own -------------------------------------------------------------------------

MOST_TICKS = 20_000


class _OutOfTicks(BaseException):
    """A mutant that loops; no ``except Exception`` of its own can stop it."""


class _Ticking(ast.NodeTransformer):
    """Counts at the beginning of every function and of every turn of a loop."""

    def _tick(self, node: Any) -> Any:
        self.generic_visit(node)
        node.body.insert(0, ast.Expr(ast.Call(ast.Name("__tick__", ast.Load()), [], [])))
        return node

    visit_FunctionDef = visit_For = visit_While = _tick


def bounded(source: str, entry_point: str) -> Callable[..., Any]:
    """Return the function of a trusted program; a call raises after ``MOST_TICKS`` turns of loops."""
    tree = ast.fix_missing_locations(_Ticking().visit(ast.parse(source)))
    left = [0]

    def tick() -> None:
        left[0] -= 1
        if left[0] < 0:
            raise _OutOfTicks

    namespace: dict[str, Any] = {"__tick__": tick}
    exec(compile(tree, "<mutant>", "exec", dont_inherit=True), namespace)

    def call(*arguments: Any) -> Any:
        left[0] = MOST_TICKS
        return namespace[entry_point](*arguments)

    return call


def count_failures(source: str, entry_point: str, cases: Sequence[Case]) -> int | None:
    """Return in how many cases a mutant does not give the expected value; None when it loops in one."""
    function = bounded(source, entry_point)
    failures = 0
    for arguments, expected in cases:
        try:
            failures += function(*copy.deepcopy(arguments)) != expected
        except _OutOfTicks:
            return None
        except Exception:
            failures += 1
    return failures
