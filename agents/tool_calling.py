"""ReAct by native tool calls, for models whose chat template shows tools: think, call one, see the result.

How a call is written is each model family's own: JSON between ``<tool_call>`` tags (Qwen, Hermes, SmolLM3,
and what the ``openai`` policy makes of a server's calls), after ``[TOOL_CALLS]`` (Mistral), or bare, with
``parameters`` instead of ``arguments`` (Llama 3.1). ``parse_call`` reads them all. Whatever text stands
before the call is the thought.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from palaestra.agents.chat import Tool
from palaestra.agents.policies.core import Sampling
from palaestra.agents.react import make_context
from palaestra.agents.rollout import Actor, Agent
from palaestra.errors import OptionError, UnknownNameError

_UNLIMITED_TOKENS = 10_000_000
_CORRECTIONS = 2
"""Malformed calls in a row that are answered with what was wrong, before the next one acts as it stands."""

_NAMED = re.compile(r"\[TOOL_CALLS\]\s*(?P<name>[\w.-]+)\s*(?:\[CALL_ID\][\w-]*)?\s*(?:\[ARGS\])?\s*(?=\{)")
_MARKS = ("<tool_call>", "[TOOL_CALLS]", "<|python_tag|>")
_SYSTEM = "Act by calling one tool at a time. You may think in a few words before a call."


@dataclass(frozen=True, slots=True)
class EnvTool:
    """A tool that acts on the environment: its JSON ``schema`` (a chat completions function), and the text
    that ``action`` makes of its arguments.
    """

    schema: Tool
    action: Callable[[Mapping[str, Any]], str]

    @property
    def name(self) -> str:
        """The function's name."""
        return str(self.schema["function"]["name"])

    @property
    def required(self) -> list[str]:
        """The arguments that must be given."""
        return list(self.schema["function"]["parameters"].get("required", ()))


@dataclass(frozen=True, slots=True)
class Call:
    """What a completion calls. ``thought`` is the text before it."""

    name: str
    arguments: Mapping[str, Any]
    thought: str = ""


def function(name: str, description: str, arguments: Mapping[str, str]) -> Tool:
    """Return the schema of a tool whose ``arguments`` (name: description) are texts, all required."""
    properties = {key: {"type": "string", "description": text} for key, text in arguments.items()}
    parameters = {"type": "object", "properties": properties, "required": list(arguments)}
    return {
        "type": "function",
        "function": {"name": name, "description": description, "parameters": parameters},
    }


ACT = EnvTool(
    function("act", "Take an action and see what happens.", {"action": "the action, as the task wants it"}),
    lambda arguments: str(arguments["action"]),
)


def tool_calling(
    tools: Sequence[EnvTool] | None = None,
    context: Literal["append", "window"] = "append",
    *,
    window_turns: int | None = None,
    system: str = _SYSTEM,
    sampling: Sampling | None = None,
    max_context_tokens: int | None = None,
) -> Agent:
    """Return an agent that acts by calling ``tools``, one a turn; of several calls only the first counts.

    By default the tools are the functions that the environment offers (schemas in ``info["tools"]``, as Apps
    has them with ``mode="json"`` or ``"functions"``); where it offers none there is one tool, ``act``, whose
    text is the action. A completion without a call is a plain message: it acts as it stands and is not valid.
    A malformed call (no JSON, an unknown tool, an argument missing) is answered with what was wrong, as a
    tool would; the environment does not see it, unless there were two in a row.

    Raises ``OptionError`` for settings that cannot be used, and, once it plays, for a policy whose template
    shows no tools.
    """
    if tools is not None:
        _check_names(tools)
    sampling = sampling or Sampling(max_tokens=256)

    async def agent(actor: Actor) -> None:
        usable = offered(actor.info) if tools is None else tools
        schemas = [tool.schema for tool in usable]
        limit = min(max_context_tokens or _UNLIMITED_TOKENS, actor.context_tokens or _UNLIMITED_TOKENS)
        history = make_context(context, actor.tokenizer, limit, window_turns, system, schemas)
        history.begin(actor.observation)
        corrected = 0
        while not actor.done:
            ids, kept = history.prompt(sampling.max_tokens)
            completion = await actor.generate(ids, sampling, kept=kept)
            history.record(completion)
            text = actor.tokenizer.decode(completion.ids)
            call, problem = checked(text, usable)
            if problem and corrected < _CORRECTIONS:
                corrected += 1
                history.observe(problem, tool=True)
                continue
            corrected = 0
            action = _action(call, usable) if call else text.strip()
            admissible = actor.info.get("admissible_actions")
            valid = call is not None and (admissible is None or action in admissible)
            tags = {"tool": call.name} if call else {}
            if call and call.thought:
                tags["thought"] = call.thought
            observation, _, _ = await actor.step(action, valid=valid, tags=tags)
            history.observe(observation, tool=call is not None)

    agent.__name__ = f"tool-calling-{context}{window_turns or ''}"
    return agent


def offered(info: Mapping[str, Any]) -> Sequence[EnvTool]:
    """Return the tools that an environment offers as schemas in ``info["tools"]``; ``ACT`` where none is."""
    schemas = [tool for tool in info.get("tools", ()) if isinstance(tool, dict)]
    if not schemas:
        return (ACT,)
    tools = [
        EnvTool(schema, functools.partial(_written_call, schema["function"]["name"])) for schema in schemas
    ]
    _check_names(tools)
    return tools


def _written_call(name: str, arguments: Mapping[str, Any]) -> str:
    return json.dumps({"name": name, "arguments": dict(arguments)}, ensure_ascii=False)


def _check_names(tools: Sequence[EnvTool]) -> None:
    names = [tool.name for tool in tools]
    if not names or len(set(names)) != len(names):
        raise OptionError(f"tools need names, each its own; got {names}")


def checked(text: str, tools: Sequence[EnvTool]) -> tuple[Call | None, str]:
    """Return the call in ``text`` and what is wrong with it, "" where nothing is; None and "" for no call.

    A call with something wrong is None too.
    """
    try:
        call = parse_call(text)
        if call is None:
            return None, ""
        tool = _named(call.name, tools)
    except (ValueError, UnknownNameError) as error:
        return None, f"Error: {error}"
    missing = [name for name in tool.required if name not in call.arguments]
    if missing:
        return (
            None,
            f"Error: {call.name} needs {', '.join(missing)}; got {', '.join(call.arguments) or 'nothing'}",
        )
    return call, ""


def parse_call(text: str) -> Call | None:
    """Return the first tool call in a completion, None where it calls nothing.

    Raises ``ValueError`` that says what is wrong with something that set out to be a call.
    """
    named = _NAMED.search(text)
    if named:
        arguments = _object(text[named.end() :])
        return Call(named["name"], _mapping(arguments), text[: named.start()].strip())
    begin = min((text.find(mark) for mark in _MARKS if mark in text), default=-1)
    if begin < 0:
        return _bare(text)
    body = text[begin:]
    for mark in _MARKS:
        body = body.removeprefix(mark)
    found = _object(body)
    if isinstance(found, list) and found:
        found = found[0]
    call = _call(found, text[:begin].strip())
    if call is None:
        raise ValueError('a call reads {"name": ..., "arguments": {...}}')
    return call


def _bare(text: str) -> Call | None:
    """Return the call that is the whole text; any other text, even JSON of another shape, is a message."""
    if not text.lstrip().startswith(("{", "[")):
        return None
    try:
        found = _object(text)
    except ValueError:
        return None
    return _call(found[0] if isinstance(found, list) and found else found, "")


def _call(found: Any, thought: str) -> Call | None:
    if not isinstance(found, dict) or not isinstance(found.get("name"), str):
        return None
    arguments = found.get("arguments", found.get("parameters", {}))
    return Call(found["name"], _mapping(arguments), thought)


def _object(text: str) -> Any:
    try:
        return json.JSONDecoder(strict=False).raw_decode(text.lstrip())[0]
    except ValueError as error:
        raise ValueError(f"the call is not JSON ({error})") from error


def _mapping(arguments: Any) -> Mapping[str, Any]:
    # Some models write the arguments as a text that holds JSON, as the protocol itself does.
    found = _object(arguments) if isinstance(arguments, str) else arguments
    if not isinstance(found, dict):
        raise ValueError(f"arguments are an object of named values, not {json.dumps(found)[:80]}")
    return found


def _named(name: str, tools: Sequence[EnvTool]) -> EnvTool:
    for tool in tools:
        if tool.name == name:
            return tool
    raise UnknownNameError("tool", name, [tool.name for tool in tools])


def _action(call: Call, tools: Sequence[EnvTool]) -> str:
    return _named(call.name, tools).action(call.arguments).strip()
