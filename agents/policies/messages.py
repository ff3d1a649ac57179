r"""Messages as ids: the tokenizer of servers that speak chat messages and show no token ids.

Ids 0-255 are the bytes of text; marks above them say where messages begin and end. A prompt reads

    <bos> [TOOLS json END] [SYSTEM text END] USER text END ASSISTANT

and a completion ``text [CALL name FIELD arguments] END``. ``messages_of`` reads ids back into exactly the
messages and tools that made them. Text becomes bytes and never a mark, whatever it spells, so no observation
can forge a turn; and contexts, episodes and agents work as they do with any other tokenizer.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from palaestra.errors import ContractError

Message = dict[str, Any]
Tool = Mapping[str, Any]

_BOS, _END, _SYSTEM, _TOOLS, _USER, _ASSISTANT, _TOOL, _CALL, _FIELD = range(256, 265)
_MARKS = {"system": _SYSTEM, "user": _USER, "assistant": _ASSISTANT, "tool": _TOOL}
_ROLES = {mark: role for role, mark in _MARKS.items()}


class MessageTokenizer:
    """Bytes and the marks of messages. A tool call reads as ``<tool_call>{"name": ..., "arguments": ...}
    </tool_call>``, as the models of many families write it.
    """

    bos_id = _BOS
    stop_id = _END

    def __init__(self) -> None:
        self.format = MessageFormat()

    def encode(self, text: str) -> list[int]:
        """Return the bytes of ``text``; a lone surrogate becomes a question mark."""
        return list(text.encode(errors="replace"))

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ``ids`` without marks; broken UTF-8 becomes U+FFFD."""
        text, calls = _split([number for number in ids if number < _BOS or number >= _CALL], _CALL)
        return text + "".join(_shown(*_split(call, _FIELD)) for call in calls)


class MessageFormat:
    """Observations as user messages (results of tool calls: tool messages), after a system message if any.

    ``tools`` are JSON schemas as chat completions take them; they travel inside the prompt's ids.
    """

    lead = ""

    def __init__(self, system: str = "", tools: Sequence[Tool] = ()) -> None:
        self._system, self._tools = system, list(tools)

    def opening(self, observation: str) -> list[int]:
        """Return everything before the first completion."""
        begin: list[Message] = [{"role": "system", "content": self._system}] if self._system else []
        return ids_of([*begin, {"role": "user", "content": observation}], self._tools)

    def reply(self, observation: str, *, tool: bool = False) -> list[int]:
        """Return what follows a completion and its stop id; ``tool`` says that a tool call brought it."""
        return [_TOOL if tool else _USER, *observation.encode(errors="replace"), _END, _ASSISTANT]

    def instructed(self, system: str, tools: Sequence[Tool] = ()) -> MessageFormat:
        """Return a format with this system message and these tools."""
        return MessageFormat(system, tools)


def completion_ids(text: str, call: tuple[str, str] | None = None, *, ended: bool = True) -> list[int]:
    """Return the ids of what the assistant said: text, then a call (name, JSON arguments), then the stop id
    unless it was cut off.
    """
    ids = list(text.encode(errors="replace"))
    if call is not None:
        name, arguments = (part.encode(errors="replace") for part in call)
        ids += [_CALL, *name, _FIELD, *arguments]
    return [*ids, _END] if ended else ids


def ids_of(messages: Sequence[Message], tools: Sequence[Tool] = ()) -> list[int]:
    """Return the ids of a conversation in which the assistant speaks next. ``messages_of`` is its inverse."""
    shown = json.dumps(list(tools)).encode()
    ids = [_BOS, *([_TOOLS, *shown, _END] if tools else [])]
    for message in messages:
        call = None
        if message.get("tool_calls"):
            function = message["tool_calls"][0]["function"]
            call = (function["name"], function["arguments"])
        ids += [_MARKS[message["role"]], *completion_ids(message["content"] or "", call)]
    return [*ids, _ASSISTANT]


def messages_of(ids: Sequence[int]) -> tuple[list[Message], list[Tool]]:
    """Return the messages and tools of a prompt, as chat completions take them.

    A call gets an id by its place, which the tool message after it names; a tool message that follows no
    call becomes a user message, since servers refuse others. Raises ``ContractError`` where the ids are not
    a conversation in which the assistant speaks next.
    """
    if len(ids) < 2 or ids[0] != _BOS or ids[-1] != _ASSISTANT:
        raise ContractError(
            "this prompt is not made of messages: build it with tokenizer.format (opening, then reply), as "
            "contexts do"
        )
    messages: list[Message] = []
    tools: list[Tool] = []
    call_id: str | None = None
    calls = 0
    for mark, content in _framed(ids):
        if mark == _TOOLS:
            tools = json.loads(bytes(content))
            continue
        text, found = _split(content, _CALL)
        message: Message = {"role": _ROLES[mark], "content": text}
        if mark == _TOOL:
            message = _answer(text, call_id)
        call_id = None
        if found:
            call_id, calls = f"call{calls:05d}", calls + 1
            message = _calling(text, call_id, *_split(found[0], _FIELD))
        messages.append(message)
    return messages, tools


def _framed(ids: Sequence[int]) -> list[tuple[int, Sequence[int]]]:
    """Cut a conversation into its mark and content pairs."""
    pieces: list[tuple[int, Sequence[int]]] = []
    at, last = 1, len(ids) - 1
    while at < last:
        mark = ids[at]
        end = next((place for place in range(at + 1, last) if ids[place] == _END), None)
        if end is None or (mark != _TOOLS and mark not in _ROLES):
            raise ContractError(
                f"message {len(pieces)} of the prompt (at id {at}) has no beginning or no end"
            )
        content = ids[at + 1 : end]
        if any(number >= _BOS and not (mark == _ASSISTANT and number >= _CALL) for number in content):
            raise ContractError(f"message {len(pieces)} of the prompt (at id {at}) has a mark inside")
        pieces.append((mark, content))
        at = end + 1
    return pieces


def _calling(text: str, call_id: str, name: str, arguments: Sequence[Sequence[int]]) -> Message:
    function = {"name": name, "arguments": _text(arguments[0]) if arguments else "{}"}
    # Servers want null, not an empty text, beside a call.
    call = {"id": call_id, "type": "function", "function": function}
    return {"role": "assistant", "content": text or None, "tool_calls": [call]}


def _answer(text: str, call_id: str | None) -> Message:
    if call_id is None:
        return {"role": "user", "content": text}
    return {"role": "tool", "tool_call_id": call_id, "content": text}


def _split(ids: Sequence[int], mark: int) -> tuple[str, list[Sequence[int]]]:
    """Return the text before the first ``mark``, and the ids after each."""
    parts: list[list[int]] = [[]]
    for number in ids:
        if number == mark:
            parts.append([])
        else:
            parts[-1].append(number)
    return _text(parts[0]), list(parts[1:])


def _shown(name: str, arguments: Sequence[Sequence[int]]) -> str:
    given = _text(arguments[0]) if arguments else "{}"
    return f'<tool_call>\n{{"name": {json.dumps(name)}, "arguments": {given}}}\n</tool_call>'


def _text(ids: Sequence[int]) -> str:
    return bytes(number for number in ids if number < _BOS).decode(errors="replace")
