"""Near misses: a program with one thing wrong, made by changing its syntax tree in one place.

Only trusted programs (reference and canonical solutions) are mutated. ``count_failures`` runs a mutant of one
of our own solutions in this process; whatever comes from a file is run in the sandbox instead.
"""

from __future__ import annotations

import ast
import copy
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

Change = Callable[[Any], bool]
Case = tuple[tuple[Any, ...], Any]
"""The arguments of a call, and what it must return."""


def _other_comparison(node: ast.AST) -> bool:
    if not isinstance(node, ast.Compare):
        return False
    node.ops[0] = _COMPARISONS[type(node.ops[0])]()
    return True


def _other_operator(node: ast.AST) -> bool:
    if not isinstance(node, ast.BinOp | ast.AugAssign) or type(node.op) not in _OPERATORS:
        return False
    node.op = _OPERATORS[type(node.op)]()
    return True


def _one_more(node: ast.AST) -> bool:
    number = node.value if isinstance(node, ast.Constant) else None
    if not isinstance(node, ast.Constant) or isinstance(number, bool) or not isinstance(number, int | float):
        return False
    node.value = number + 1
    return True


def _one_less(node: ast.AST) -> bool:
    number = node.value if isinstance(node, ast.Constant) else None
    if not isinstance(node, ast.Constant) or isinstance(number, bool) or not isinstance(number, int | float):
        return False
    node.value = number - 1
    return True


def _and_for_or(node: ast.AST) -> bool:
    if not isinstance(node, ast.BoolOp):
        return False
    node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
    return True


def _no_guard(node: ast.AST) -> bool:
    """Drop the treatment of a special case: an ``if`` without ``else`` that leaves or goes on."""
    if not isinstance(node, ast.If) or node.orelse:
        return False
    if not isinstance(node.body[-1], ast.Return | ast.Continue | ast.Break | ast.Raise):
        return False
    node.test, node.body = ast.Constant(False), [ast.Pass()]
    return True


def _never(node: ast.AST) -> bool:
    if not isinstance(node, ast.If | ast.IfExp):
        return False
    node.test = ast.Constant(False)
    return True


def _other_truth(node: ast.AST) -> bool:
    if not isinstance(node, ast.Constant) or type(node.value) is not bool:
        return False
    node.value = not node.value
    return True


def _twin(node: ast.AST) -> bool:
    if isinstance(node, ast.Name) and node.id in _TWINS:
        node.id = _TWINS[node.id]
    elif isinstance(node, ast.Attribute) and node.attr in _TWINS:
        node.attr = _TWINS[node.attr]
    else:
        return False
    return True


def _last_statement_lost(node: ast.AST) -> bool:
    """Forget the update at the end of a loop or branch."""
    if not isinstance(node, ast.For | ast.If) or len(node.body) < 2:
        return False
    node.body.pop()
    return True


def _other_text(node: ast.AST) -> bool:
    if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
        return False
    node.value = node.value[:-1] if node.value else " "
    return True


def _nothing_returned(node: ast.AST) -> bool:
    if not isinstance(node, ast.Return) or node.value is None:
        return False
    node.value = ast.Constant(None)
    return True


# The subtle ones first; each looks at a node, changes it in place and says whether it did.
CHANGES: tuple[Change, ...] = (
    _other_comparison,
    _one_more,
    _no_guard,
    _other_operator,
    _one_less,
    _and_for_or,
    _last_statement_lost,
    _twin,
    _other_truth,
    _never,
    _other_text,
    _nothing_returned,
)


def mutants(source: str, *, entry_point: str = "") -> Iterator[str]:
    """Yield programs with one change each, a change of every kind before the second of any.

    Docstrings and annotations stay as they are; with an entry point, so does everything before it.
    """
    tree = ast.parse(source)
    streams = [_changed(tree, change, entry_point) for change in CHANGES]
    streams.insert(4, _without_call(tree, entry_point))
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


def _changed(tree: ast.Module, change: Change, entry_point: str) -> Iterator[str]:
    for place in range(len(_places(tree, entry_point))):
        fresh = copy.deepcopy(tree)
        if change(_places(fresh, entry_point)[place]):
            yield ast.unparse(ast.fix_missing_locations(fresh))


class _CallDropped(ast.NodeTransformer):
    """Replaces one call by what it was called on."""

    def __init__(self, wanted: ast.AST) -> None:
        self._wanted = wanted

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        if node is not self._wanted:
            return node
        return node.func.value if isinstance(node.func, ast.Attribute) else node.args[0]


def _without_call(tree: ast.Module, entry_point: str) -> Iterator[str]:
    for place in range(len(_places(tree, entry_point))):
        fresh = copy.deepcopy(tree)
        node = _places(fresh, entry_point)[place]
        if isinstance(node, ast.Call) and _droppable(node):
            yield ast.unparse(ast.fix_missing_locations(_CallDropped(node).visit(fresh)))


def _droppable(node: ast.Call) -> bool:
    if isinstance(node.func, ast.Name):
        return node.func.id in _TRANSPARENT and bool(node.args)
    return isinstance(node.func, ast.Attribute) and not isinstance(node.func.value, ast.Constant)


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
