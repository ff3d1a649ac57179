"""Skills out of the Python that an agent ran: its top-level functions, each with all that it stands on.

Nothing is run here; the source is only read. A function becomes a skill when every name it uses is its own,
a builtin, an import, a literal constant, another function, or a tool of the environment. One that leans on a
variable that only that run had cannot work in another task and is left out, with the reason.
"""

from __future__ import annotations

import ast
import builtins
import graphlib
import symtable
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from palaestra.agents.skills.core import Example, Provenance, Refusal, Skill, SkillRefusedError

SESSION_NAMES = frozenset({"ToolError"})
"""What every session of the sandbox defines besides the builtins."""
_Statement = ast.Import | ast.ImportFrom | ast.Assign | ast.AnnAssign


@dataclass(frozen=True, slots=True)
class Extraction:
    """The skills found, helpers before those that call them, and why other functions were left out."""

    skills: list[Skill] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)


def extract(source: str, provenance: Provenance | None = None, known: Collection[str] = ()) -> Extraction:
    """Return the skills in ``source``, which may be several blocks of one task joined.

    ``known`` names skills that the agent could call already: they become ``needs``. The last call of a
    function with literal arguments becomes its example, whose result validation records. Raises
    ``SkillRefusedError`` for source that does not parse.
    """
    tree = parse(source, "(source)")
    bound = _bindings(tree)
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    tables = {
        table.get_name(): table
        for table in symtable.symtable(source, "skill", "exec").get_children()
        if table.get_type() != "class"  # a generic function lies inside the scope of its type parameters
    }
    found = Extraction()
    for name, node in functions.items():
        reader = _Reader(source, bound, functions, known, name, node)
        try:
            reader.resolve(_globals_of(tables[name]))
        except SkillRefusedError as error:
            found.left_out[name] = error.detail
            continue
        found.skills.append(reader.skill(provenance or Provenance(), _example(tree, name)))
    _leave_out_dependents(found, functions, known)
    found.skills[:] = _helpers_first(found.skills)
    return found


def called_skills(source: str, names: Collection[str]) -> set[str]:
    """Return which of ``names`` the code calls without defining them itself.

    Code that does not parse calls nothing. A name that is only mentioned was not used.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    nodes = list(ast.walk(tree))
    calls = {node.func.id for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    definitions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    defined = {node.name for node in nodes if isinstance(node, definitions)}
    stored = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    return (calls & set(names)) - defined - stored


def parse(source: str, name: str) -> ast.Module:
    """Return the syntax tree of ``source``. Raises ``SkillRefusedError`` for what does not compile."""
    try:
        compile(source, "skill", "exec", dont_inherit=True)
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise SkillRefusedError(name, Refusal.SYNTAX, str(error)) from error


def bound_names(statement: ast.stmt) -> Iterator[str]:
    """Yield the names that an import, an assignment to plain names, or a definition binds."""
    if isinstance(statement, ast.Import | ast.ImportFrom):
        for alias in statement.names:
            yield alias.asname or alias.name.partition(".")[0]
    elif isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield statement.name
    else:
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                yield node.id


def is_constant(statement: ast.stmt) -> bool:
    """Return whether the statement gives one plain name a literal value."""
    if isinstance(statement, ast.Assign):
        target = statement.targets[0] if len(statement.targets) == 1 else None
    else:
        target = statement.target if isinstance(statement, ast.AnnAssign) else None
    value = getattr(statement, "value", None)
    return isinstance(target, ast.Name) and value is not None and is_literal(value)


def is_literal(node: ast.expr) -> bool:
    """Return whether the expression is a plain literal."""
    try:
        ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return False
    return True


def signature_of(node: ast.FunctionDef) -> str:
    """Return ``name(arguments) -> type`` as the function's source has it."""
    result = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return f"{node.name}({ast.unparse(node.args)}){result}"


def _bindings(tree: ast.Module) -> dict[str, ast.stmt | None]:
    """Map each top-level name to the statement that binds it; None when several or a compound one do."""
    bound: dict[str, ast.stmt | None] = {}
    for statement in tree.body:
        simple = isinstance(statement, _Statement | ast.FunctionDef)
        for name in bound_names(statement):
            again = name in bound and not isinstance(statement, ast.FunctionDef)
            bound[name] = None if again or not simple else statement
    return bound


def _globals_of(table: symtable.SymbolTable) -> set[str]:
    names = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_global()}
    return names.union(*(_globals_of(child) for child in table.get_children()))


class _Reader:
    """Finds out what one function stands on."""

    def __init__(
        self,
        source: str,
        bound: dict[str, ast.stmt | None],
        functions: dict[str, ast.FunctionDef],
        known: Collection[str],
        name: str,
        node: ast.FunctionDef,
    ) -> None:
        self.source, self.bound, self.functions, self.known = source, bound, functions, known
        self.name, self.node = name, node
        self.statements: list[ast.stmt] = []
        self.needs: set[str] = set()
        self.tools: set[str] = set()

    def resolve(self, names: set[str]) -> None:
        """Sort the names it uses. Raises ``SkillRefusedError`` for one that is lost after the run."""
        parts = [*self.node.decorator_list, *self.node.args.defaults, *self.node.args.kw_defaults]
        outside = {node.id for part in parts if part for node in ast.walk(part) if isinstance(node, ast.Name)}
        for name in sorted((names | outside | self._annotations()) - {self.name} - SESSION_NAMES):
            if name in self.bound:
                self._take(name, self.bound[name])
            elif name in self.known:
                self.needs.add(name)
            elif not hasattr(builtins, name):
                self.tools |= _dotted(self.node, name)

    def skill(self, provenance: Provenance, example: Example | None) -> Skill:
        """Return the function as a skill."""
        parts = [ast.unparse(statement) for statement in sorted(self.statements, key=lambda s: s.lineno)]
        # The function keeps its own layout and comments, which the models that read it were meant to see.
        decorators = [f"@{ast.unparse(node)}" for node in self.node.decorator_list]
        function = ast.get_source_segment(self.source, self.node) or ast.unparse(self.node)
        preamble = "\n".join(parts) + "\n\n" if parts else ""
        return Skill(
            name=self.name,
            kind="code",
            body=preamble + "\n".join([*decorators, function]) + "\n",
            description=ast.get_docstring(self.node) or "",
            signature=signature_of(self.node),
            needs=tuple(sorted(self.needs)),
            tools=tuple(sorted(self.tools)),
            example=example,
            provenance=provenance,
        )

    def _annotations(self) -> set[str]:
        arguments = self.node.args
        given = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        given += [extra for extra in (arguments.vararg, arguments.kwarg) if extra]
        parts = [self.node.returns, *(argument.annotation for argument in given)]
        return {node.id for part in parts if part for node in ast.walk(part) if isinstance(node, ast.Name)}

    def _take(self, name: str, statement: ast.stmt | None) -> None:
        if isinstance(statement, ast.FunctionDef):
            self.needs.add(name)
        elif isinstance(statement, ast.Import | ast.ImportFrom):
            alias = next(a for a in statement.names if (a.asname or a.name.partition(".")[0]) == name)
            self.statements.append(_only(statement, alias))
        elif statement is not None and is_constant(statement):
            self.statements.append(statement)
        else:
            raise SkillRefusedError(
                self.name, Refusal.MISSING, f"it uses {name!r}, a variable that only that run had"
            )


def _only(statement: ast.Import | ast.ImportFrom, alias: ast.alias) -> ast.stmt:
    """Return the import with this one name of it alone."""
    if isinstance(statement, ast.Import):
        return ast.copy_location(ast.Import([alias]), statement)
    return ast.copy_location(ast.ImportFrom(statement.module, [alias], statement.level), statement)


def _dotted(function: ast.FunctionDef, root: str) -> set[str]:
    """Return the longest dotted paths that begin with ``root``, such as ``apis.phone.login``."""
    paths, inner = set(), set()
    for node in ast.walk(function):
        parts, top = [], node
        while isinstance(top, ast.Attribute):
            parts.append(top.attr)
            top = top.value
        if isinstance(top, ast.Name) and top.id == root:
            path = ".".join([root, *reversed(parts)])
            paths.add(path)
            inner.add(path.rpartition(".")[0])
    return paths - inner


def _example(tree: ast.Module, name: str) -> Example | None:
    """Return the last top-level call of the function whose arguments are all literals."""
    found = None
    for statement in tree.body:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        for node in ast.walk(statement):
            if is_plain_call(node, name):
                found = Example(ast.unparse(node))
    return found


def is_plain_call(node: ast.AST, name: str) -> bool:
    """Return whether the node calls the function ``name`` with literal arguments only."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name):
        return False
    named = [keyword for keyword in node.keywords if keyword.arg is not None]
    values = [*node.args, *(keyword.value for keyword in named)]
    return len(named) == len(node.keywords) and all(is_literal(value) for value in values)


def _leave_out_dependents(found: Extraction, functions: Collection[str], known: Collection[str]) -> None:
    """Leave out, until none is left, those that need a function of this source that was left out."""
    while True:
        names = {skill.name for skill in found.skills}
        lost = {
            skill.name: sorted(missing)[0]
            for skill in found.skills
            if (missing := set(skill.needs) & set(functions) - names - set(known))
        }
        if not lost:
            return
        found.left_out.update(
            {name: f"it needs {lacks!r}, which was left out" for name, lacks in lost.items()}
        )
        found.skills[:] = [skill for skill in found.skills if skill.name not in lost]


def _helpers_first(skills: list[Skill]) -> list[Skill]:
    by_name = {skill.name: skill for skill in skills}
    graph = {skill.name: [name for name in skill.needs if name in by_name] for skill in skills}
    try:
        return [by_name[name] for name in graphlib.TopologicalSorter(graph).static_order()]
    except graphlib.CycleError:
        return skills  # functions that call one another; the library will say what it lacks
