"""Gold programs: written once as a function, given out as plain cells or as reusable functions.

A gold function takes the parameters that its goal names, uses ``apis`` and the functions of ``skills``, and
ends by completing the task. Empty lines in it divide it into cells.
"""

from __future__ import annotations

import ast
import copy
import inspect
import textwrap
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

from palaestra.envs.apps import skills
from palaestra.envs.apps.scenario import NearMiss
from palaestra.envs.apps.values import Json
from palaestra.errors import ContractError

COMPLETE = "apis.supervisor.complete_task("


def plain(gold: Callable[..., None], parameters: Mapping[str, Json]) -> list[str]:
    """Return the program as cells of straight code, its parameters assigned first."""
    cells = [*_plain_cells(gold)]
    assigned = "\n".join(f"{name} = {parameters[name]!r}" for name in _names(gold))
    if assigned:
        cells[0] = f"{assigned}\n{cells[0]}"
    return cells


def functions(gold: Callable[..., None], name: str, parameters: Mapping[str, Json]) -> list[str]:
    """Return the program as two cells: the functions, with the scenario's own last, and the call."""
    source = _function(gold)
    used = [skill for skill in _skill_sources() if skill in _called(source)]
    source.name = name
    definitions = [ast.unparse(_skill_sources()[skill]) for skill in used] + [ast.unparse(source)]
    arguments = ", ".join(f"{key}={parameters[key]!r}" for key in _names(gold))
    return ["\n\n\n".join(definitions), f"{name}({arguments})"]


def near_miss(gold: Callable[..., None], parameters: Mapping[str, Json], miss: NearMiss) -> list[str]:
    """Return the cells of a near miss.

    Raises ``ContractError`` for one that would change nothing, and for one that is no Python.
    """
    if unknown := set(miss.parameters) - set(_names(gold)):
        raise ContractError(f"{miss.name}: the gold program has no parameter {sorted(unknown)}")
    cells = plain(gold, {**parameters, **miss.parameters})
    if miss.edit is not None:
        old, new = miss.edit
        if not any(old in cell for cell in cells):
            raise ContractError(
                f"{miss.name}: the plain program does not hold {old!r}:\n" + "\n\n".join(cells)
            )
        cells = [cell.replace(old, new) for cell in cells]
    if miss.extra:
        *before, last = cells
        begin = last.rindex(COMPLETE)
        cells = [*before, f"{last[:begin]}{textwrap.dedent(miss.extra).strip()}\n{last[begin:]}"]
    for cell in cells:
        try:
            ast.parse(cell)
        except SyntaxError as error:
            raise ContractError(f"{miss.name}: {error.msg} in line {error.lineno} of:\n{cell}") from None
    return cells


def _names(gold: Callable[..., None]) -> list[str]:
    return list(inspect.signature(gold).parameters)


def apps_of(gold: Callable[..., None]) -> set[str]:
    """Return the apps whose APIs a gold program calls, the supervisor's and the docs left out."""
    tree = ast.parse("\n".join(_plain_cells(gold)))
    found = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "apis"
    }
    return found - {"supervisor", "api_docs"}


def apis_of(gold: Callable[..., None]) -> set[str]:
    """Return the APIs that a gold program names, as ``app.api``."""
    tree = ast.parse("\n".join(_plain_cells(gold)))
    return {
        f"{node.value.attr}.{node.attr}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Attribute)
        and isinstance(node.value.value, ast.Name)
        and node.value.value.id == "apis"
    }


# ---- from a function to cells ------------------------------------------------------------------------


@lru_cache(maxsize=1024)
def _plain_cells(gold: Callable[..., None]) -> tuple[str, ...]:
    """Return the body as cells, calls of skills replaced by what they do. Parameters are free names."""
    function = _function(gold)
    names = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
    cells = [
        [plain for statement in paragraph for plain in _inlined(statement, names)]
        for paragraph in _paragraphs(gold, function.body)
    ]
    texts = tuple("\n".join(ast.unparse(ast.fix_missing_locations(one)) for one in cell) for cell in cells)
    if not texts[-1].rpartition("\n")[2].startswith(COMPLETE):
        raise ContractError(f"the gold program {gold.__module__} must end with {COMPLETE}...)")
    return texts


def _function(gold: Callable[..., None]) -> ast.FunctionDef:
    (function,) = ast.parse(textwrap.dedent(inspect.getsource(gold))).body
    assert isinstance(function, ast.FunctionDef)
    if ast.get_docstring(function) is not None:
        function.body.pop(0)
    for argument in (*function.args.args, *function.args.kwonlyargs):
        argument.annotation = None
    function.returns = None
    return function


def _paragraphs(gold: Callable[..., None], body: Sequence[ast.stmt]) -> list[list[ast.stmt]]:
    lines = textwrap.dedent(inspect.getsource(gold)).splitlines()
    found: list[list[ast.stmt]] = []
    for before, statement in zip([None, *body], body, strict=False):
        apart = before is None or any(
            not line.strip() for line in lines[(before.end_lineno or 0) : statement.lineno - 1]
        )
        if apart:
            found.append([])
        found[-1].append(statement)
    return found


def _called(tree: ast.AST) -> set[str]:
    return {
        node.func.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }


@lru_cache(maxsize=1)
def _skill_sources() -> dict[str, ast.FunctionDef]:
    """Return the skills by name, without annotations."""
    found = {}
    for name, skill in vars(skills).items():
        if inspect.isfunction(skill):
            tree = ast.parse(textwrap.dedent(inspect.getsource(skill)))
            (function,) = _Unannotated().visit(tree).body
            found[name] = function
    return found


class _Unannotated(ast.NodeTransformer):
    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        node.returns = None
        self.generic_visit(node)
        return node

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        if node.value is None:
            return node
        return ast.copy_location(ast.Assign([node.target], node.value), node)


def _inlined(statement: ast.stmt, names: set[str]) -> list[ast.stmt]:
    """Return a statement, or where it is ``name = skill(...)`` what the skill does instead.

    Raises ``ContractError`` for a skill called in any other place.
    """
    if isinstance(statement, ast.AnnAssign) and statement.value is not None:
        statement = ast.Assign([statement.target], statement.value)
    call = statement.value if isinstance(statement, ast.Assign | ast.Expr) else None
    is_skill = (
        isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in _skill_sources()
    )
    inner = [part for part in ast.walk(statement) if part is not call]
    if any(_called_name(part) in _skill_sources() for part in inner):
        raise ContractError(f"call a skill as a statement of its own, not in: {ast.unparse(statement)}")
    if not is_skill:
        return [statement]
    assert isinstance(call, ast.Call)
    body = _body_for(call, names)
    last = body[-1]
    if isinstance(last, ast.Return) and last.value is not None:
        body[-1] = (
            ast.Assign(statement.targets, last.value)
            if isinstance(statement, ast.Assign)
            else ast.Expr(last.value)
        )
    # `found = found` is left where the skill returns a local that was given the target's own name.
    return [one for one in body if not _idle(one)]


def _called_name(node: ast.AST) -> str:
    return node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""


def _idle(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == ast.unparse(
        statement.value
    )


def _body_for(call: ast.Call, names: set[str]) -> list[ast.stmt]:
    """Return the body of a called skill with its arguments in place, its own names apart from ``names``."""
    assert isinstance(call.func, ast.Name)
    skill = copy.deepcopy(_skill_sources()[call.func.id])
    if ast.get_docstring(skill) is not None:
        skill.body.pop(0)
    places = [argument.arg for argument in skill.args.args]
    given = dict(zip(places, call.args, strict=False))
    spread = [keyword for keyword in call.keywords if keyword.arg not in places]
    given |= {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg in places}
    own = {n.id for n in ast.walk(skill) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    renamed = {name: f"{name}_" for name in own & names}
    swap = _Swap(given, skill.args.kwarg.arg if skill.args.kwarg else "", spread, renamed)
    return [swap.visit(statement) for statement in skill.body]


class _Swap(ast.NodeTransformer):
    """Puts arguments in the place of parameters."""

    def __init__(
        self,
        given: Mapping[str, ast.expr],
        spread_name: str,
        spread: Sequence[ast.keyword],
        renamed: Mapping[str, str],
    ) -> None:
        self.given, self.spread_name, self.spread, self.renamed = given, spread_name, spread, renamed

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id in self.given:
            return copy.deepcopy(self.given[node.id])
        return ast.Name(self.renamed.get(node.id, node.id), node.ctx)

    def visit_Call(self, node: ast.Call) -> ast.expr:
        spreads = [k for k in node.keywords if k.arg is None and ast.unparse(k.value) == self.spread_name]
        self.generic_visit(node)
        if spreads:
            node.keywords = [k for k in node.keywords if k not in spreads] + copy.deepcopy(list(self.spread))
        if _called_name(node) == "getattr" and len(node.args) == 2 and isinstance(node.args[1], ast.Constant):
            return ast.Attribute(node.args[0], str(node.args[1].value), ast.Load())
        return node
