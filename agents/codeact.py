"""CodeAct: act by Python. Blocks of code run in a sandbox, what is not code answers the environment.

Source of the idea: CodeAct (Wang et al., 2024).

A block of Python runs in the episode's interpreter, which remembers, and its output is the next observation.
A message without such a block is the action of ``env.step``.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

from palaestra.agents.policies.core import Sampling
from palaestra.agents.react import make_context
from palaestra.agents.rollout import Actor, Agent
from palaestra.agents.transcript import elide
from palaestra.errors import OptionError, UnknownNameError
from palaestra.sandboxes.core import Limits
from palaestra.sandboxes.ladder import BACKENDS, default_sandbox
from palaestra.sandboxes.session import CellResult, Session, Tool, ToolRefusal

_UNLIMITED_TOKENS = 10_000_000

INSTRUCTIONS = (
    "You may run Python. Write the code between a line ```python and a line ```; you are shown what it "
    "prints and the value of its last line, and its variables stay. A message without such a block is your "
    "answer."
)
_CUT_OFF = "The code was cut off before its closing ```; nothing was run. Write less at a time."


def codeact(
    context: Literal["append", "window"] = "append",
    *,
    window_turns: int | None = None,
    sampling: Sampling | None = None,
    max_context_tokens: int | None = None,
    max_turns: int = 20,
    tools: Callable[[Actor], Mapping[str, Tool]] | None = None,
    limits: Limits | None = None,
    sandbox: str | None = None,
    max_output_chars: int = 2000,
    instructions: str = INSTRUCTIONS,
) -> Agent:
    """Return a CodeAct agent.

    All blocks of one message run together as one cell, under ``limits``; the text around them is a thought.
    ``tools`` gives the host's functions that the code of an episode may call; they are described below
    ``instructions``, which stand below the first observation. ``sandbox`` names a backend, the default one
    unless given. Output is shown with its middle left out beyond ``max_output_chars``. After ``max_turns``
    messages an episode ends as truncated, with the tag ``turn_limit``. A turn of code has the tags ``cell``
    (the code) and ``cell_ok``. What the sandbox fails at is an ``InfrastructureError``, which the policy is
    never shown.

    Raises ``OptionError`` or ``UnknownNameError`` for settings that cannot be used.
    """
    if max_turns < 1 or max_output_chars < 1:
        raise OptionError("max_turns and max_output_chars must be at least 1")
    if sandbox is not None and sandbox not in BACKENDS:
        raise UnknownNameError("sandbox", sandbox, BACKENDS)
    sampling = sampling or Sampling(max_tokens=512)

    async def agent(actor: Actor) -> None:
        limit = min(max_context_tokens or _UNLIMITED_TOKENS, actor.context_tokens or _UNLIMITED_TOKENS)
        history = make_context(context, actor.tokenizer, limit, window_turns)
        callable_tools = tools(actor) if tools else {}
        interpreter = _Interpreter(
            lambda: Session(
                default_sandbox(sandbox),
                limits or Limits(),
                {name: _checked(tool) for name, tool in callable_tools.items()},
            )
        )
        actor.observation = f"{actor.observation}\n\n{instructions}{describe(callable_tools)}"
        history.begin(actor.observation)
        try:
            for _ in range(max_turns):
                ids, kept = history.prompt(sampling.max_tokens)
                completion = await actor.generate(ids, sampling, kept=kept)
                history.record(completion)
                message = parse(actor.tokenizer.decode(completion.ids), completion.finish_reason == "length")
                if message.cut_off:
                    actor.act_elsewhere(message.text, _CUT_OFF, valid=False)
                elif message.code:
                    result = await interpreter.run(message.code)
                    shown = elide(result.text, max_output_chars) or "(no output)"
                    tags = {"cell": message.code, "cell_ok": result.ok}
                    actor.act_elsewhere(message.text, shown, tags=tags)
                else:
                    await actor.step(message.text)
                    if actor.done:
                        return
                history.observe(actor.observation)
            actor.episode.tags["turn_limit"] = True
        finally:
            interpreter.close()

    agent.__name__ = f"codeact-{context}{window_turns or ''}"
    return agent


@dataclass(frozen=True, slots=True)
class Message:
    """What a completion says: its whole ``text``, the ``code`` in it, and whether the code breaks off."""

    text: str
    code: str
    cut_off: bool


def parse(text: str, ran_out: bool = False) -> Message:
    """Read a completion. A last block without its end counts as whole, unless the tokens ``ran_out`` there:
    some models stop at the closing mark.
    """
    blocks: list[list[str]] = []
    inside = False
    for line in text.strip().split("\n"):
        mark = line.strip().lower()
        if not inside and mark in ("```python", "```py"):
            inside = True
            blocks.append([])
        elif inside and mark == "```":
            inside = False
        elif inside:
            blocks[-1].append(line)
    code = "\n".join("\n".join(block) for block in blocks)
    return Message(text.strip(), code if code.strip() else "", inside and ran_out)


def describe(tools: Mapping[str, Tool]) -> str:
    """Return a line for each tool: its name, its parameters, and the first line of its docstring."""
    lines = []
    for name, tool in tools.items():
        purpose = (inspect.getdoc(tool) or "").partition("\n")[0]
        lines.append(f"\n{name}{_parameters(tool)}" + (f": {purpose}" if purpose else ""))
    return "\nIt may call these functions:" + "".join(lines) if lines else ""


def _checked(tool: Tool) -> Tool:
    """Return ``tool`` with wrong arguments refused: they are the code's mistake, not the host's."""

    @functools.wraps(tool)
    def call(*arguments: Any, **named: Any) -> Any:
        try:
            inspect.signature(tool).bind(*arguments, **named)
        except TypeError as error:
            raise ToolRefusal(str(error)) from None
        except ValueError:  # a function of C that does not say what it takes
            pass
        return tool(*arguments, **named)

    return call


def _parameters(tool: Tool) -> str:
    # Annotations that are kept as text may name what cannot be found; some functions of C have no signature.
    for evaluated in (True, False):
        with contextlib.suppress(Exception):
            return str(inspect.signature(tool, eval_str=evaluated))
    return "(...)"


class _Interpreter:
    """The session of one episode, made at its first cell, in a thread of its own: sessions wait for programs,
    and the other episodes must not.
    """

    def __init__(self, make: Callable[[], Session]) -> None:
        self._make = make
        self._session: Session | None = None
        self._used = False
        self._thread = ThreadPoolExecutor(1, "codeact")

    async def run(self, code: str) -> CellResult:
        """Run a cell. One that hit a limit ended the session; the next cell begins a new one."""
        self._used = True
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._run, code)

    def close(self) -> None:
        """End the session, after the cell it is at where the episode was cancelled. Does not wait."""
        if self._used:
            self._thread.submit(self._close)
        self._thread.shutdown(wait=False)

    def _run(self, code: str) -> CellResult:
        if self._session is None:
            self._session = self._make()
        result = self._session.run(code)
        if result.ended is not None:
            self._close()
        return result

    def _close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.close()
