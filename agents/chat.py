r"""Formats: how observations become token ids around sampled text, plainly or by a chat template.

A chat template is applied by piece: it is rendered around marks, and what stands before, between and after
them is cut out and encoded, special tokens and all. Observations are encoded as text in which no special
token is recognised, so one that spells ``<|im_end|>`` cannot forge a turn. What was sampled is never
rendered: its ids stay as they are, even where a template would strip or rewrite it.

``ChatFormat`` also renders whole conversations when it is made, and refuses a template whose pieces do not
give the ids that the template gives.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from palaestra.agents.policies.core import Tokenizer
from palaestra.errors import OptionError

if TYPE_CHECKING:
    from palaestra.agents.codec import TextCodec

Tool = Mapping[str, Any]
# Role and text of each message; a "call" is an assistant message that calls a tool of that name.
Script = list[tuple[str, str]]

_REMEDY = (
    "; no growing sequence can equal it. Pass exact=False to keep earlier turns as they were sampled, or "
    "give the tokenizer a chat template that keeps them"
)
# Shadows the function that templates ask for today's date: a prompt must not depend on the day.
_FIXED_DATE = "{%- macro strftime_now(format) -%}{{ format" + (
    "".join(
        f" | replace('%{letter}', '{value}')"
        for letter, value in {
            "Y": "2024",
            "m": "07",
            "d": "26",
            "b": "Jul",
            "B": "July",
            "A": "Friday",
        }.items()
    )
    + " }}{%- endmacro %}"
)
_MAX_INSTRUCTED = 64  # formats remembered: agents may write a system message for every episode
_CALL_ID = "call00000"  # nine letters and digits, as the templates of Mistral insist


class TemplateError(OptionError):
    """A chat template that cannot be applied by piece; the message says why and what to do."""


class Format(Protocol):
    """How observations become ids around completions.

    ``lead`` is the text that a written (not sampled) completion begins with.
    """

    lead: str

    def opening(self, observation: str) -> list[int]:
        """Return everything before the first completion, the first observation included."""
        ...

    def reply(self, observation: str, *, tool: bool = False) -> list[int]:
        """Return what follows a completion and its stop id, up to where the next completion begins.

        ``tool`` says that the observation is the result of a tool call.
        """
        ...

    def instructed(self, system: str, tools: Sequence[Tool] = ()) -> Format:
        """Return this format with a system message, and tools (JSON schemas) that may be called."""
        ...


class PlainFormat:
    r"""No template: the system text, if any, then every observation as ``"{observation}\n>"``."""

    lead = " "

    def __init__(self, tokenizer: Tokenizer, system: str = "") -> None:
        self._tokenizer, self._system = tokenizer, system

    def opening(self, observation: str) -> list[int]:
        """Return the id that opens a prompt, the system text and the first observation."""
        system = f"{self._system}\n\n" if self._system else ""
        return [self._tokenizer.bos_id, *self._tokenizer.encode(f"{system}{observation}\n>")]

    def reply(self, observation: str, *, tool: bool = False) -> list[int]:
        """Return the next observation; the result of a tool call is one like others."""
        return self._tokenizer.encode(f"{observation}\n>")

    def instructed(self, system: str, tools: Sequence[Tool] = ()) -> PlainFormat:
        """Return a plain format that opens with ``system``. Raises ``OptionError`` for tools."""
        if tools:
            raise OptionError("tools need a chat template that shows them, and this policy has no template")
        return PlainFormat(self._tokenizer, system)


@dataclass(frozen=True, slots=True)
class _Piece:
    """Template ids around one content, with the plain text that touches it: a tokenizer may merge the two."""

    codec: TextCodec
    head: list[int]
    near: str
    escape: Callable[[str], str]
    far: str
    tail: list[int]

    def ids(self, content: str) -> list[int]:
        return [*self.head, *self.codec.content(self.near + self.escape(content) + self.far), *self.tail]


class ChatFormat:
    """A chat template, applied by piece.

    ``tokenizer`` is a fast tokenizer of transformers that has a chat template. Without ``system`` the
    template may add a system message of its own; a template without a place for one gets ``system`` at the
    beginning of the first observation. ``tools`` are JSON schemas; with them, results of tool calls become
    tool messages where the template has such. ``template_options`` go to the template as they are
    (``enable_thinking``, ``date_string``). A template that asks for today's date is told a fixed one.

    With ``exact``, a template is refused that writes earlier turns anew as a conversation goes on (drops
    thoughts, moves tools to the last message). Without, earlier turns stay as they were shown and sampled.

    Raises ``TemplateError`` for a template that cannot be applied by piece, or shows no tools.
    """

    def __init__(
        self,
        tokenizer: Any,
        system: str = "",
        tools: Sequence[Tool] = (),
        *,
        exact: bool = True,
        template_options: Mapping[str, Any] | None = None,
    ) -> None:
        self._tokenizer, self._system, self._tools, self._exact = tokenizer, system, list(tools), exact
        self._options = dict(template_options or {})
        self._instructed: dict[str, ChatFormat] = {}
        # Imported here, since plain formats do without the tokenizers package.
        from palaestra.agents.codec import codec_of

        self._codec = codec_of(tokenizer)
        digest = hashlib.sha256(repr((system, self._tools, self._options)).encode()).hexdigest()[:24]
        self._system_mark, self._first, self._said, self._next, self._again, self._last = (
            f"q{digest}{letter}" for letter in "ghijkl"
        )
        self._template = self._dated_template()
        self._check_tools()
        try:
            self._learn(in_first=False)
        except TemplateError:
            if not system:
                raise
            self._learn(in_first=True)

    def opening(self, observation: str) -> list[int]:
        """Return the ids up to where the assistant first speaks."""
        return self._opening.ids(f"{self._system}\n\n{observation}" if self._in_first else observation)

    def reply(self, observation: str, *, tool: bool = False) -> list[int]:
        """Return the ids between a completion's stop id and where the assistant speaks again.

        The result of a tool call is a user message where the template has no tool messages. Raises
        ``TemplateError`` where the template, with these tools, can only go on after a tool call.
        """
        piece = self._tool_reply if tool and self._tool_reply is not None else self._user_reply
        if isinstance(piece, TemplateError):
            raise piece
        return piece.ids(observation)

    def instructed(self, system: str, tools: Sequence[Tool] = ()) -> ChatFormat:
        """Return the same template with this system message and these tools, learnt once.

        Raises ``TemplateError``.
        """
        key = json.dumps([system, list(tools)], sort_keys=True)
        if len(self._instructed) > _MAX_INSTRUCTED:
            self._instructed.clear()
        if key not in self._instructed:
            self._instructed[key] = ChatFormat(
                self._tokenizer, system, tools, exact=self._exact, template_options=self._options
            )
        return self._instructed[key]

    # ---- learning the pieces -------------------------------------------------------------------------

    def _learn(self, *, in_first: bool) -> None:
        self._in_first = in_first
        shown = self._system and not in_first
        self._begin: Script = [("system", self._system_mark)] if shown else []
        self._begin.append(("user", self._first))
        opening = self._render(self._begin)
        self._opening = self._piece(opening, self._begin, self._first)
        whole = self._render([*self._begin, ("assistant", self._said), ("user", self._next)])
        self.lead = self._find_stop(opening, whole)
        self._tool_reply = self._learn_tool_reply() if self._tools else None
        try:
            self._user_reply: _Piece | TemplateError = self._learn_reply("assistant", "user")
        except TemplateError as error:
            if self._tool_reply is None:
                raise
            self._user_reply = error

    def _find_stop(self, opening: str, whole: str) -> str:
        """Note what ends an assistant message; return the white space that the template begins one with."""
        before, after = _cut(whole, self._said)
        between = _cut(after, self._next)[0]
        found = [token for _, token in self._codec.controls_in(between)]
        if not found:
            raise TemplateError(
                "the chat template ends an assistant message with no special token, so nothing tells where a "
                "turn ends; use a template that does (most end it with the tokenizer's eos_token)"
            )
        eos = str(self._tokenizer.eos_token)
        self._stop = eos if eos in found else found[0]
        self.stop_id = self._codec.controls[self._stop]
        lead = before.removeprefix(opening)
        return lead if lead.isspace() else ""

    def _learn_tool_reply(self) -> _Piece | None:
        for said in ("call", "assistant"):
            try:
                return self._learn_reply(said, "tool")
            except TemplateError:
                continue
        return None

    def _learn_reply(self, said: str, role: str) -> _Piece:
        """Return the piece of a ``role`` message after a message of kind ``said``; check it."""
        short: Script = [*self._begin, (said, self._said), (role, self._next)]
        long: Script = [*short, (said, self._again), (role, self._last)]
        opening, first, second = self._render(self._begin), self._render(short), self._render(long)
        if self._exact and not (first.startswith(opening) and second.startswith(first)):
            raise TemplateError(
                "the chat template writes earlier turns anew as a conversation goes on" + _REMEDY
            )
        if self._exact:
            self._check_thoughts(said, role)
        reply, later = self._after_stop(first, self._said), self._after_stop(second, self._again)
        if reply.replace(self._next, "") != later.replace(self._last, ""):
            raise TemplateError(
                f"the chat template writes a {role} message in another way in a later turn, so it has no "
                "fixed pieces"
            )
        piece = self._piece(reply, short, self._next)
        self._check_ids(piece, said, role)
        return piece

    def _after_stop(self, text: str, said: str) -> str:
        after = _cut(text, said)[1]
        _, stop, rest = after.partition(self._stop)
        if not stop:
            raise TemplateError(f"the chat template ends some assistant messages without {self._stop!r}")
        return rest.lstrip() if self._stop in self._codec.swallows_after else rest

    def _piece(self, text: str, script: Script, mark: str) -> _Piece:
        """Return the piece of ``text`` (cut from the rendered ``script``) with ``mark`` as its content."""
        before, after = _cut(text, mark)
        shown: list[tuple[str, bool]] = [(before, True)]
        if self._system_mark in before:
            ahead, behind = _cut(before, self._system_mark)
            escape = self._escape(self._begin, self._system_mark)
            shown = [(ahead, True), (escape(self._system), False), (behind, True)]
        head, near = self._codec.mixed(shown)
        far, tail = self._codec.split_first(after)
        return _Piece(self._codec, head, near, self._escape(script, mark), far, self._codec.template(tail))

    def _escape(self, script: Script, mark: str) -> Callable[[str], str]:
        """Return what the template does to a content before it writes it: nothing, strip, JSON."""
        probe = f' \n"{mark}"\\é<b>\t\n '
        shown = self._render(script)
        probed = self._render([(role, probe if text == mark else text) for role, text in script])
        for escape in _ESCAPES:
            if probed == shown.replace(mark, escape(probe)):
                return escape
        raise TemplateError(
            "the chat template changes what it is given in a way that cannot be followed (neither strips it "
            "nor writes it as JSON)"
        )

    # ---- checks ----------------------------------------------------------------------------------------

    def _dated_template(self) -> str:
        try:
            template = self._tokenizer.get_chat_template(tools=self._tools or None)
        except ValueError as error:
            raise TemplateError(f"this tokenizer has no chat template: {error}") from error
        return _FIXED_DATE + template if "strftime_now" in template else template

    def _check_tools(self) -> None:
        if not self._tools:
            return
        spelled = [token for _, token in self._codec.controls_in(json.dumps(self._tools, ensure_ascii=False))]
        if spelled:
            raise TemplateError(
                f"a tool's schema spells the special token {spelled[0]!r}; write it otherwise"
            )
        script = [("user", self._first)]
        if self._render(script) == self._render(script, tools=False):
            raise TemplateError(
                "the chat template shows no tools; describe them in the system message instead"
            )

    def _check_thoughts(self, said: str, role: str) -> None:
        thought = f"<think>\n{self._again}\n</think>\n\n{self._said}"
        messages = [_message(*line) for line in [*self._begin, (said, self._said), (role, self._next)]]
        messages[-2]["content"] = thought
        if self._again not in self._render_messages(messages):
            raise TemplateError("the chat template drops the thoughts of earlier turns" + _REMEDY)

    def _check_ids(self, piece: _Piece, said: str, role: str) -> None:
        """Compare the ids of a harmless conversation with those that the template gives to the whole."""
        first, second, third = (f"You see {mark}." for mark in (self._first, self._next, self._last))
        system = f"{self._system}\n\n" if self._in_first else ""
        begin = [(name, self._system if name == "system" else system + first) for name, _ in self._begin]
        if not self._codec.controls_in(self._system):
            self._compare(self.opening(first), self._codec.template(self._render(begin)))
        script: Script = begin
        for answer, observation in ((self._said, second), (self._again, third)):
            script = [*script, (said, answer), (role, observation)]
            whole = self._render(script)
            written = whole[whole.index(self._stop, whole.index(answer)) :]
            self._compare([self.stop_id, *piece.ids(observation)], self._codec.template(written))

    def _compare(self, ids: Sequence[int], expected: Sequence[int]) -> None:
        if list(ids) == list(expected):
            return
        both = zip([*ids, -1], [*expected, -1], strict=False)
        place = max(0, next((n for n, (a, b) in enumerate(both) if a != b), 0) - 3)
        raise TemplateError(
            f"the pieces of the chat template do not give its ids: {self._spelled(ids[place : place + 8])} "
            f"instead of {self._spelled(expected[place : place + 8])}. The tokenizer merges text across the "
            "template's messages; use a template with special tokens around them"
        )

    def _spelled(self, ids: Sequence[int]) -> list[str]:
        return self._tokenizer.convert_ids_to_tokens(list(ids))

    def _render(self, script: Script, *, tools: bool = True) -> str:
        return self._render_messages([_message(role, text) for role, text in script], tools=tools)

    def _render_messages(self, messages: Sequence[Mapping[str, Any]], *, tools: bool = True) -> str:
        """Return the conversation as the template writes it. Raises ``TemplateError`` where it refuses."""
        try:
            return self._tokenizer.apply_chat_template(
                list(messages),
                tools=self._tools if tools and self._tools else None,
                chat_template=self._template,
                tokenize=False,
                add_generation_prompt=True,
                **self._options,
            )
        except Exception as error:  # jinja2 and the templates raise what they like
            raise TemplateError(f"the chat template cannot be rendered: {error}") from error


def _message(role: str, text: str) -> dict[str, Any]:
    if role == "call":
        call = {"id": _CALL_ID, "type": "function", "function": {"name": text, "arguments": {}}}
        return {"role": "assistant", "content": "", "tool_calls": [call]}
    message = {"role": role, "content": text}
    return {**message, "tool_call_id": _CALL_ID} if role == "tool" else message


def _cut(text: str, mark: str) -> tuple[str, str]:
    before, _, after = text.partition(mark)
    if text.count(mark) != 1:
        raise TemplateError(
            f"the chat template shows a message {text.count(mark)} times in one rendering, not once"
        )
    return before, after


def _as_json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


_ESCAPES: tuple[Callable[[str], str], ...] = (
    lambda text: text,
    str.strip,
    str.lstrip,
    str.rstrip,
    _as_json,
    lambda text: _as_json(text.strip()),
)
