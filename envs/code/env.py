"""The Code environment: a problem, a program, a sandbox that grades it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from palaestra.envs.code.family import SPLITS
from palaestra.envs.code.feedback import run_public_tests
from palaestra.envs.code.generator import GeneratedTasks, wrong_solutions
from palaestra.envs.code.mutate import mutants
from palaestra.envs.code.problem import Problem, assemble, extract_code
from palaestra.envs.code.sets import SET_SPLITS, ProblemSet
from palaestra.envs.core import Info, Task, TaskSet, TextEnv, Verdict
from palaestra.errors import ContractError, OptionError, UnknownNameError
from palaestra.sandboxes.core import Limits, Sandbox
from palaestra.sandboxes.grading import Grade, Outcome, grade, grade_in_process
from palaestra.sandboxes.ladder import BACKENDS, default_sandbox

SOURCES = ("generated", *SET_SPLITS)
SUBMIT = "submit"
NO_CODE = "no code"
_NEAR_MISSES = 3
_MOST_MUTANTS = 20
_TRIAL_CPU_S = 1.0

_ASK = {
    True: "Complete this Python function:",
    False: "Solve this task in Python:",
}
_SINGLE = "Answer with the program in one ```python block. Hidden tests decide."
_MULTI = (
    "Answer with the program in one ```python block: the public tests are run on it and you see what came "
    "out. When you are done, answer with the single word submit: hidden tests then judge your last program."
)


@dataclass(frozen=True, slots=True)
class _Saved:
    """The state of an episode; nothing in it changes."""

    program: str
    submitted: bool
    grade: Grade | None
    passed: int


class CodeEnv(TextEnv):
    """Write a Python function that passes hidden tests.

    Observation: the head of the function with its docstring and examples (``source="mbpp"``: a sentence and
    one test). With ``feedback=True``, afterwards what the public tests said of each program: how many passed,
    and for each that did not, what came out and what was expected, or the end of the traceback.
    Action: a message with the program in a ```python block (the last one counts), or the bare program. Where
    the observation shows the head of a function, its body alone is enough. With ``feedback=True`` the action
    ``submit`` hands in the last program.
    Reward: 1 when all hidden tests pass, else 0. They run in another process than the program, both in a
    sandbox; only plain values cross. (The tests of 4 of MBPP's problems handle objects, so they run in the
    program's process, where a cheat could forge the grade: their ``trust`` is "inprocess".)
    End: terminates at the first action, or with ``feedback=True`` at ``submit``; then it also truncates after
    ``max_steps`` (default 8), and the last program is graded.
    Splits: generated tasks have ``train``, ``valid`` and ``test``: the same families of tasks, no combination
    of a family's parameters in two splits (25,677, 3,263 and 3,263 combinations). HumanEval has ``test``;
    MBPP has its authors' ``train`` (374 problems), ``valid`` (90) and ``test`` (500).
    Options: ``split`` (default: the first that the source has); ``source`` ("generated", "humaneval" or
    "mbpp"); ``data``, a file of such a set: JSON lines, perhaps gzipped (without it `datasets` fetches the
    set: ``pip install 'palaestra[data]'``); ``difficulty`` of generated tasks (1, 2, 3, or None: all) and
    ``size``, how many the split has (100,000); ``feedback``; ``sandbox``, a backend's name (default: the
    strongest that works here); ``cpu_s``, the processor time a program may use (5 s); ``max_steps``;
    ``render_mode``.
    Info adds ``source``, ``entry_point``, ``outcome`` (of the grade: "passed", "failed", "timeout", ...; None
    before it), ``trust`` and ``rung`` (how the grade was isolated), and with ``feedback=True``
    ``public_passed``, a fraction; generated tasks add ``difficulty`` and ``topic``.
    Errors: ``InfrastructureError`` where the sandbox fails; that is never a reward.
    Versions: v0.

    Source: HumanEval (Chen et al., 2021) and MBPP (Austin et al., 2021) for the formats of their sets.
    """

    splits: ClassVar[tuple[str, ...]] = SPLITS
    step_kind: ClassVar[Literal["compute", "io"]] = "io"
    has_expert: ClassVar[bool] = True

    def __init__(
        self,
        split: str | None = None,
        source: str = "generated",
        data: str | os.PathLike[str] | None = None,
        difficulty: int | None = None,
        size: int | None = None,
        feedback: bool = False,
        sandbox: str | None = None,
        cpu_s: float = 5.0,
        max_steps: int | None = None,
        render_mode: str | None = None,
        **unknown: Any,
    ) -> None:
        if source not in SOURCES:
            raise UnknownNameError("source", source, SOURCES)
        if sandbox is not None and sandbox not in BACKENDS:
            raise UnknownNameError("sandbox", sandbox, BACKENDS)
        if max_steps is not None and not feedback:
            raise OptionError("max_steps is for feedback=True: without it the first action ends the episode")
        tasks = _task_set(source, split, data, difficulty, size)
        super().__init__(tasks, max_steps=max_steps or 8, render_mode=render_mode, **unknown)
        self.source, self.feedback, self.sandbox_name = source, feedback, sandbox
        self.limits = _limits(cpu_s)
        self._program = ""
        self._submitted = False
        self._grade: Grade | None = None
        self._public_passed = 0

    # ---- the episode -----------------------------------------------------------------------------------

    @property
    def problem(self) -> Problem:
        """The problem of the present task."""
        return self.task.data["problem"]

    @property
    def _sandbox(self) -> Sandbox:
        # Shared by the process and never held here, so that an environment can be pickled and spawned.
        return default_sandbox(self.sandbox_name)

    def _start(self, task: Task) -> str:
        self._program, self._submitted, self._grade, self._public_passed = "", False, None, 0
        return first_observation(task.data["problem"], self.feedback)

    def _apply(self, action: str) -> tuple[str, bool]:
        if self.feedback and action.strip().lower() == SUBMIT:
            return self._hand_in()
        code = extract_code(action)
        if not code.strip():
            if self.feedback:
                return "There is no program in this message.", False
            return self._hand_in()
        self._program, self._grade = assemble(self.problem, code), None
        if not self.feedback:
            return self._hand_in()
        said = run_public_tests(self._sandbox, self.problem, self._program, self.limits)
        self._public_passed = said.passed
        return said.text, False

    def _hand_in(self) -> tuple[str, bool]:
        self._submitted = True
        return f"Handed in: {self._outcome()}.", True

    def _outcome(self) -> str:
        graded = self._graded()
        return NO_CODE if graded is None else str(graded.outcome)

    def _graded(self) -> Grade | None:
        """Grade the last program, once; None when there is none."""
        if self._grade is None and self._program.strip():
            self._grade = self._grade_of(self._program, self.limits)
        return self._grade

    def _grade_of(self, program: str, limits: Limits) -> Grade:
        problem = self.problem
        judge = grade_in_process if problem.objects else grade
        return judge(
            self._sandbox,
            candidate=program,
            tests=problem.tests,
            prelude=problem.prelude,
            entry_point=problem.entry_point,
            limits=limits,
        )

    def _verify(self) -> Verdict:
        graded = self._graded()
        passed = graded is not None and graded.passed
        return Verdict(float(passed), passed, {"hidden tests": passed})

    def _info(self) -> Info:
        data, graded = self.task.data, self._grade
        over = self._submitted or self.steps >= self.max_steps
        info: Info = {
            "source": self.source,
            "entry_point": self.problem.entry_point,
            "outcome": self._outcome() if over else None,
            "trust": graded.trust if graded else None,
            "rung": graded.rung if graded else None,
        }
        if self.feedback:
            info["public_passed"] = self._public_passed / max(1, len(self.problem.public))
        for name in ("difficulty", "topic"):
            if name in data:
                info[name] = data[name]
        return info

    def _save(self) -> _Saved:
        return _Saved(self._program, self._submitted, self._grade, self._public_passed)

    def _load(self, state: _Saved) -> None:
        self._program, self._submitted = state.program, state.submitted
        self._grade, self._public_passed = state.grade, state.passed

    # ---- the expert ------------------------------------------------------------------------------------

    def expert(self) -> str:
        """Return the gold solution, then ``submit``. Raises ``ContractError`` where the set has none."""
        gold = _message(self._gold())
        done = self._program == assemble(self.problem, extract_code(gold))
        return SUBMIT if self.feedback and done else gold

    def _gold(self) -> str:
        if not self.problem.solution:
            raise ContractError(
                f"the problem {self.task.id!r} comes without a solution, so there is no expert"
            )
        return self.problem.solution

    def near_misses(self) -> list[list[str]]:
        """Return the gold solution with one thing wrong, in ways that the hidden tests notice."""
        wrong = wrong_solutions(self.problem) if self.source == "generated" else self._failing_mutants()
        return [[_message(program), SUBMIT] if self.feedback else [_message(program)] for program in wrong]

    def _failing_mutants(self) -> list[str]:
        found: list[str] = []
        limits = _limits(_TRIAL_CPU_S)
        for number, mutant in enumerate(mutants(self._gold(), entry_point=self.problem.entry_point)):
            if number == _MOST_MUTANTS or len(found) == _NEAR_MISSES:
                break
            graded = self._grade_of(mutant, limits)
            # One that hangs would be no nearer a miss than one that is wrong, and dear to look at.
            if not graded.passed and graded.outcome is not Outcome.TIMEOUT:
                found.append(mutant)
        return found


def _limits(cpu_s: float) -> Limits:
    # On a busy machine a program waits most of its time: the wall limit is for those that sleep.
    return Limits(cpu_s=cpu_s, wall_s=10.0 + 4.0 * cpu_s)


def _task_set(
    source: str,
    split: str | None,
    data: str | os.PathLike[str] | None,
    difficulty: int | None,
    size: int | None,
) -> TaskSet:
    if source == "generated":
        if data is not None:
            raise OptionError("data is for the sets: pass source='humaneval' or 'mbpp' with it")
        return GeneratedTasks(split or SPLITS[0], difficulty, 100_000 if size is None else size)
    if difficulty is not None or size is not None:
        raise OptionError(f"difficulty and size are options of generated tasks; source={source!r} has none")
    return ProblemSet(source, split or SET_SPLITS[source][0], data)


def first_observation(problem: Problem, feedback: bool) -> str:
    """Return what the agent is told at the beginning."""
    if problem.head:
        body = f"```python\n{problem.prompt.strip()}\n```"
    else:
        tests = "\n".join(f"assert {one.expression} == {one.expected}" for one in problem.public)
        body = f"{problem.prompt.strip()}\n\nIt must pass this test:\n```python\n{tests}\n```"
    return f"{_ASK[problem.head]}\n\n{body}\n\n{_MULTI if feedback else _SINGLE}"


def _message(program: str) -> str:
    return f"```python\n{program.strip()}\n```"
