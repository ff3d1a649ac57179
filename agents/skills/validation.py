"""Whether a code skill is fit for the library: first read, then tried in the sandbox, never run elsewhere.

Reading refuses what would run at definition. Trying defines the skill in a fresh session, calls its recorded
example and watches what else happens (``watch.py``); where no tools are needed, the result is confirmed by a
split grade, whose verdict a skill cannot write. A skill can still behave in its example and not later, so
validation makes a library useful, and only the sandbox makes it safe: run skills nowhere else.
"""

from __future__ import annotations

import ast
import builtins
import keyword
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.resources import files
from typing import Any

from palaestra.agents.skills.core import Example, Refusal, Skill, SkillRefusedError
from palaestra.agents.skills.extraction import bound_names, is_constant, is_plain_call, parse
from palaestra.sandboxes.core import Ended, Limits, Sandbox
from palaestra.sandboxes.grading import Outcome, grade
from palaestra.sandboxes.ladder import default_sandbox
from palaestra.sandboxes.session import CellResult, Session, Tool

LIMITS = Limits(cpu_s=1.0, wall_s=10.0, memory_bytes=256 << 20, output_bytes=64 << 10)
"""What one try of a skill may use."""
LONGEST_BODY_CHARACTERS = 20_000
LONGEST_NAME_CHARACTERS = 64
_DECORATORS = ("functools.cache", "functools.lru_cache", "cache", "lru_cache")
_ENDINGS = {
    Ended.CPU_LIMIT: Refusal.LOOPS,
    Ended.WALL_LIMIT: Refusal.LOOPS,
    Ended.MEMORY_LIMIT: Refusal.MEMORY,
    Ended.OUTPUT_LIMIT: Refusal.OUTPUT,
    Ended.EXITED: Refusal.EXITS,
}
_GRADES = {Outcome.TIMEOUT: Refusal.LOOPS, Outcome.CRASHED: Refusal.EXITS}
_ERRORS = {
    "SystemExit": Refusal.EXITS,
    "MemoryError": Refusal.MEMORY,
    "ImportError": Refusal.MISSING,
    "ModuleNotFoundError": Refusal.MISSING,
    "NameError": Refusal.MISSING,
}


class Validator:
    """Validates code skills. Without a ``sandbox`` the process's shared one is opened at the first skill.

    ``tools`` are what the environment gives its sessions, or a recording of it; the example of a skill that
    uses others is not called, and the skill is marked ``defined`` instead of ``called``.
    """

    def __init__(
        self,
        sandbox: Sandbox | None = None,
        limits: Limits = LIMITS,
        tools: Mapping[str, Tool] | None = None,
    ) -> None:
        self._sandbox = sandbox
        self.limits = limits
        self.tools = dict(tools or {})

    def __call__(self, skill: Skill, needs: Sequence[Skill] = ()) -> Skill:
        """Return the skill, ``checked`` and its example's result filled in.

        ``needs`` are the skills it calls, helpers first. Raises ``SkillRefusedError``, ``SandboxError``.
        """
        function = read(skill)
        sandbox = self._sandbox or default_sandbox()
        callable_here = set(skill.tools) <= set(self.tools)
        example = skill.example if callable_here else None
        with Session(sandbox, self.limits, self.tools) as session:
            trial = _Trial(session, skill, needs, function)
            trial.define()
            if example is None:
                return replace(skill, checked="defined")
            result = trial.call(example.call)
            if not skill.tools and trial.call(example.call) != result:
                raise SkillRefusedError(skill.name, Refusal.UNSTEADY, f"{example.call}, called twice")
        recorded = result if example.result is None else example.result
        if not _equal(result, recorded):
            raise SkillRefusedError(skill.name, Refusal.WRONG_RESULT, f"{result:.200}, not {recorded:.200}")
        if not skill.tools and _literal(recorded) is not None:
            self._confirm(sandbox, skill, needs, example.call, recorded)
        return replace(skill, checked="called", example=Example(example.call, recorded))

    def _confirm(
        self, sandbox: Sandbox, skill: Skill, needs: Sequence[Skill], call: str, recorded: str
    ) -> None:
        program = "\n".join([*(needed.body for needed in needs), skill.body])
        verdict = grade(sandbox, candidate=program, tests=f"assert {call} == {recorded}", limits=self.limits)
        if not verdict.passed:
            reason = _GRADES.get(verdict.outcome, Refusal.WRONG_RESULT)
            raise SkillRefusedError(skill.name, reason, f"{verdict.outcome}: {verdict.message}")


def read(skill: Skill) -> ast.FunctionDef:
    """Return the function of a code skill. Raises ``SkillRefusedError`` for what may not even be tried."""

    def refuse(reason: Refusal, detail: str) -> None:
        raise SkillRefusedError(skill.name, reason, detail)

    if not skill.name.isidentifier() or keyword.iskeyword(skill.name) or skill.name.startswith("__"):
        refuse(Refusal.NAME, "a function's name is an identifier without leading underscores")
    if len(skill.name) > LONGEST_NAME_CHARACTERS or len(skill.body) > LONGEST_BODY_CHARACTERS:
        refuse(Refusal.TOO_LONG, f"at most {LONGEST_BODY_CHARACTERS} characters")
    statements = parse(skill.body, skill.name).body
    function = statements[-1] if statements else None
    if not isinstance(function, ast.FunctionDef) or function.name != skill.name:
        raise SkillRefusedError(skill.name, Refusal.FORM, f"the last statement must be def {skill.name}(...)")
    for statement in statements:
        if statement is not function and not _is_preamble(statement):
            refuse(Refusal.FORM, f"line {statement.lineno}: {ast.unparse(statement):.80}")
        for name in bound_names(statement):
            if hasattr(builtins, name):
                refuse(Refusal.SHADOWS, f"line {statement.lineno} binds {name!r}")
    for node in _run_at_definition(function):
        refuse(Refusal.RUNS_WHEN_DEFINED, f"line {node.lineno}: {ast.unparse(node):.80}")
    for node in ast.walk(function):
        if isinstance(node, ast.Global):
            refuse(Refusal.TAMPERS, f"line {node.lineno}: {ast.unparse(node)}")
    _read_example(skill)
    return function


def _is_preamble(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.ImportFrom):
        return statement.level == 0 and all(alias.name != "*" for alias in statement.names)
    return isinstance(statement, ast.Import) or is_constant(statement)


def _run_at_definition(function: ast.FunctionDef) -> list[ast.expr]:
    """Return the calls in what Python evaluates when it meets the function: they could do anything."""
    arguments = function.args
    given = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    given += [extra for extra in (arguments.vararg, arguments.kwarg) if extra]
    parts = [
        *arguments.defaults,
        *arguments.kw_defaults,
        function.returns,
        *(arg.annotation for arg in given),
    ]
    for decorator in function.decorator_list:
        plain = decorator.func if isinstance(decorator, ast.Call) else decorator
        if ast.unparse(plain) not in _DECORATORS:
            return [decorator]
    risky = (
        ast.Call,
        ast.Await,
        ast.Yield,
        ast.YieldFrom,
        ast.NamedExpr,
        ast.comprehension,
        ast.FormattedValue,
    )
    return [part for part in parts if part and any(isinstance(node, risky) for node in ast.walk(part))]


def _read_example(skill: Skill) -> None:
    if skill.example is None:
        return
    try:
        call = ast.parse(skill.example.call, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        call = None
    if call is None or not is_plain_call(call, skill.name):
        raise SkillRefusedError(
            skill.name, Refusal.NOT_PLAIN, f"{skill.example.call:.80} is no call with literal arguments"
        )


class _Trial:
    """One skill in one fresh session."""

    def __init__(
        self, session: Session, skill: Skill, needs: Sequence[Skill], function: ast.FunctionDef
    ) -> None:
        self.session, self.skill = session, skill
        statements = parse(skill.body, skill.name).body
        self.own = sorted({name for statement in statements for name in bound_names(statement)})
        source = files("palaestra.agents.skills").joinpath("watch.py").read_text(encoding="utf-8")
        # The watch lives in a namespace of its own, so that none of its names meets the skill's.
        self._must(
            f"__watch__ = (lambda own: (exec({source!r}, own), own['Watch'](globals()))[1])"
            "({'__name__': 'watch'})"
        )
        for needed in needs:
            self._must(needed.body)
        self._must("__watch__.begin()")

    def define(self) -> None:
        """Run its definition. Raises ``SkillRefusedError`` unless that defines and does nothing else."""
        result = self._run(self.skill.body, Refusal.RUNS_WHEN_DEFINED)
        if result.stdout or result.stderr:
            self._refuse(Refusal.RUNS_WHEN_DEFINED, f"it prints {result.text!r:.80}")

    def call(self, call: str) -> str:
        """Return the ``repr`` of the example's result. Raises ``SkillRefusedError``."""
        cell = self._run(f"__watch__.call(lambda: {call})", Refusal.RAISED)
        if len(cell.stdout) >= self.session.limits.output_bytes:
            self._refuse(Refusal.OUTPUT, f"{len(cell.stdout)} characters")
        result = cell.value or "None"
        if " at 0x" in result:
            self._refuse(Refusal.NOT_PLAIN, f"its result is {result:.80}")
        return result

    def _run(self, cell: str, otherwise: Refusal) -> CellResult:
        result = self.session.run(cell)
        if result.ended is not None:
            self._refuse(_ENDINGS.get(result.ended, Refusal.CRASHED), str(result.ended))
        self._look()
        if result.error is not None:
            last = result.error.strip().splitlines()[-1]
            self._refuse(_ERRORS.get(last.partition(":")[0], otherwise), last[:200])
        return result

    def _look(self) -> None:
        """Refuse the skill for the first thing it did that it may not."""
        result = self.session.run(f"__watch__.found({self.own!r})")
        if result.ended is not None:
            self._refuse(_ENDINGS.get(result.ended, Refusal.CRASHED), str(result.ended))
        findings = _literal(result.value or "")
        if not result.ok or not isinstance(findings, list):
            # Whatever spoils a look at an interpreter spoils it for everyone who comes after.
            self._refuse(Refusal.TAMPERS, (result.error or "it cannot be examined any more")[-200:])
        for name, detail in findings[:1]:
            self._refuse(Refusal[name], detail)

    def _must(self, cell: str) -> None:
        result = self.session.run(cell)
        if not result.ok:
            self._refuse(Refusal.MISSING, f"what it needs does not load: {result.text[-200:]}")

    def _refuse(self, reason: Refusal, detail: str) -> None:
        raise SkillRefusedError(self.skill.name, reason, detail)


def _literal(text: str) -> Any:
    """Return the value of a literal; None for what is none (and for the literal None)."""
    try:
        return ast.literal_eval(text)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None


def _equal(one: str, other: str) -> bool:
    """Whether two results are equal as values; those that are no literals must read the same."""
    value = _literal(one)
    return one == other or (
        value is not None and value == _literal(other) and type(value) is type(_literal(other))
    )
