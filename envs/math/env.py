"""The Math environment: a problem, perhaps a Python tool, one final answer, a verdict by value."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any, ClassVar, Literal

from palaestra.envs.core import Info, Task, TaskSet, TextEnv, Verdict
from palaestra.envs.math import answers
from palaestra.envs.math.generated import LEVELS, GeneratedExercises
from palaestra.envs.math.problems import load
from palaestra.envs.math.verify import is_right
from palaestra.errors import ContractError, OptionError, UnknownNameError
from palaestra.sandboxes.core import Limits
from palaestra.sandboxes.ladder import BACKENDS, default_sandbox
from palaestra.sandboxes.session import Session

SOURCES = ("reasoning-gym", "gsm8k", "math")
TOOLS = ("python",)
_TOOL_LIMITS = Limits(cpu_s=10.0, wall_s=30.0, memory_bytes=1 << 30)
_LONGEST_OUTPUT = 4000  # characters shown of what a program printed

_ASK = "Give the final answer as \\boxed{...}."
_ASK_WITH_PYTHON = (
    "You can run Python: write a block that begins with ```python and ends with ```, and its output comes "
    "back. Variables are kept from block to block; numpy and sympy are there. When you know the answer, "
    "write no block and give the final answer as \\boxed{...}."
)


class MathEnv(TextEnv):
    r"""Solve a mathematical problem and give one final answer, alone or with a Python tool.

    Observation: the problem and how to answer; with the tool, afterwards what each program printed.
    Action: any text. Its final answer is the last ``\boxed{...}``, ``<answer>...</answer>``, line
    ``Answer: ...`` or line ``#### number``: of several answers the last one counts, and an answer that names
    alternatives is wrong. With ``tools="python"``, an action with a ```python block runs the block instead,
    in a sandboxed session (10 s of processor time a block, 1 GiB, no network, none of your files); an answer
    beside it is not taken.
    Reward: 1 for an answer of the right value (numbers exactly, expressions by math-verify, exercises with
    several right answers by all points of their generator's scorer), else 0; there is no partial credit.
    End: terminates at the first final answer. A text with neither an answer nor a program costs a step, and
    ``max_steps`` (default 1, with the tool 8) truncate; with a single step, any text is the answer.
    Splits: train, valid, test. Generated exercises are split by a hash of their text, so that no question is
    in two splits; GSM8K and MATH as published, with a tenth of train as valid. A single file is split by a
    hash of the question, or taken whole by ``split="all"``.
    Options: ``source`` ("reasoning-gym", generated, needs no data; "gsm8k"; "math"); ``split``; ``data`` (for
    GSM8K and MATH: a .jsonl file, or a folder with train.jsonl and test.jsonl; without it ``datasets`` loads
    them); ``difficulty`` (generated: "easy", the default, "medium", "hard"; MATH: "easy" for levels 1 and 2,
    "medium" for 3, "hard" for 4 and 5, default all); ``generators`` (names, default all: see
    ``palaestra.envs.math.generated``); ``tools`` ("python"); ``sandbox`` (for the tool: "fork", "bubblewrap",
    "docker", or "subprocess", which isolates nothing; default the strongest that works here); ``max_steps``;
    ``render_mode``.
    Info adds ``tools`` (a list), ``scenario`` (the generator or subject) and, once a program has run,
    ``sandbox`` (the rung of isolation it ran under).
    A snapshot of an episode with the tool is restored by running its programs again.
    Needs ``pip install 'palaestra[math]'``, and ``palaestra[data]`` to have data sets loaded.
    Versions: v0.

    Sources: reasoning-gym (Stojanovski et al., 2025), GSM8K (Cobbe et al., 2021), MATH (Hendrycks et al.,
    2021), math-verify.
    """

    step_kind: ClassVar[Literal["compute", "io"]] = "io"  # a step may wait for the checker or the sandbox
    splits: ClassVar[tuple[str, ...]] = ("train", "valid", "test", "all")
    has_expert: ClassVar[bool] = True

    def __init__(
        self,
        split: str = "train",
        source: str = "reasoning-gym",
        data: str | os.PathLike[str] | None = None,
        difficulty: str | None = None,
        generators: Iterable[str] | None = None,
        tools: str | None = None,
        sandbox: str | None = None,
        max_steps: int | None = None,
        render_mode: str | None = None,
        **unknown: Any,
    ) -> None:
        if source not in SOURCES:
            raise UnknownNameError("source", source, SOURCES)
        if tools not in (None, *TOOLS):
            raise UnknownNameError("tool", tools, TOOLS)
        if sandbox not in (None, *BACKENDS):
            raise UnknownNameError("sandbox", sandbox, BACKENDS)
        if sandbox is not None and tools is None:
            raise OptionError("sandbox is for the tool: pass tools='python' with it")
        tasks: TaskSet
        if source == "reasoning-gym":
            if data is not None:
                raise OptionError("data is for source='gsm8k' and source='math'; exercises are generated")
            tasks = GeneratedExercises(split, difficulty or LEVELS[0], _names(generators))
        else:
            if generators is not None:
                raise OptionError("generators are those of source='reasoning-gym'")
            tasks = load(source, split, data, difficulty)
        steps = max_steps if max_steps is not None else 1 if tools is None else 8
        super().__init__(tasks, max_steps=steps, render_mode=render_mode, **unknown)
        self.source, self.tools, self.sandbox = source, tools, sandbox
        self._ask = _ASK_WITH_PYTHON if tools else _ASK
        self._answer: str | None = None
        self._session: Session | None = None

    # ---- the episode -----------------------------------------------------------------------------------

    def _start(self, task: Task) -> str:
        self._end_session()
        self._answer = None
        return f"{task.goal.strip()}\n\n{self._ask}"

    def _apply(self, action: str) -> tuple[str, bool]:
        program = answers.code(action) if self.tools else None
        if program is not None:
            return self._run(program), False
        self._answer = answers.extract(action)
        if self._answer is None:
            # Whoever has one step has answered with it, wrongly: no limit cut the episode off.
            return f"There is no final answer in this. {self._ask}", self.max_steps == 1
        return "Your answer is taken.", True

    def _run(self, program: str) -> str:
        """Run a program in the session of this episode, which begins with its first program."""
        if self._session is None:
            self._session = default_sandbox(self.sandbox, kind="numeric").session(_TOOL_LIMITS)
        result = self._session.run(program)
        if result.ended is not None:
            self._session.reset()
        text = result.text.strip() or "(no output)"
        if len(text) <= _LONGEST_OUTPUT:
            return text
        half = _LONGEST_OUTPUT // 2
        return f"{text[:half]}\n... ({len(text) - 2 * half} characters left out) ...\n{text[-half:]}"

    def _verify(self) -> Verdict:
        answered = self._answer is not None
        right = self._answer is not None and is_right(self.task, self._answer)
        return Verdict(float(right), right, {"answered": answered, "right": right})

    def _info(self) -> Info:
        info: Info = {"tools": [self.tools] if self.tools else [], "scenario": self.task.scenario}
        if self._session is not None:
            info["sandbox"] = self._session.sandbox.rung.name
        return info

    def _save(self) -> tuple[str | None] | None:
        return None if self.tools else (self._answer,)

    def _load(self, state: tuple[str | None]) -> None:
        (self._answer,) = state

    def _end_session(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None

    def close(self) -> None:
        """End the episode, and the tool's session with it."""
        self._live = False
        self._end_session()

    def __getstate__(self) -> dict[str, Any]:
        """Return what pickle keeps. Raises ``ContractError`` while a Python session runs."""
        if self._session is not None:
            raise ContractError("a running Python session cannot be pickled: pickle env.snapshot() instead")
        return self.__dict__.copy()

    # ---- the expert ------------------------------------------------------------------------------------

    def expert(self) -> str:
        """Return the gold answer, as a final answer."""
        return _boxed(self.task.data["gold"])

    def near_misses(self) -> list[list[str]]:
        """Return other values, and the gold answer among others, before another, or not marked as one."""
        gold = self.task.data["gold"]
        wrong = _wrong(self.task)
        spam = [
            gold,
            f"{_boxed(gold)} or rather {_boxed(wrong)}",
            f"<answer>{gold}</answer>\nAnswer: {wrong}",
            _boxed(f"{gold} \\text{{ or }} {wrong}"),
            _boxed(f"{wrong}, {gold}"),
            _boxed(f"{wrong} = {gold}"),
            *(_boxed(text) for text in (wrong, "", "nan", "\\text{unknown}", "...")),
        ]
        return [[text] for text in spam]


def _names(generators: Iterable[str] | None) -> Iterable[str] | None:
    if isinstance(generators, str):
        raise OptionError(f"generators is a list of names: pass [{generators!r}]")
    return generators


def _boxed(answer: str) -> str:
    return f"\\boxed{{{answer}}}"


def _wrong(task: Task) -> str:
    """Return an answer that is near the gold one, and wrong."""
    gold = task.data["gold"]
    value = answers.number(gold)
    if value is not None:
        return str(value + 1)
    # Twice an antiderivative is none; and nothing else that is asked for stays itself with something added.
    return f"2*({gold})" if task.scenario == "simple_integration" else f"{gold} + 1"
