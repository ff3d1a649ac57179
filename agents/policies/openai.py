"""The policy behind any OpenAI-compatible server: by chat messages, or by token ids where it takes them.

By messages, prompts are made with ``MessageTokenizer`` and log-probs are unknown (0, and tagged so): fit to
measure and to imitate, not to learn from by policy gradient. With the model's own tokenizer, prompts go to
``/completions`` as ids; a server that gives ids and log-probs back (vLLM does) is then as good as a model in
this process. Start vLLM with ``--logprobs-mode processed_logprobs`` where the temperature is not 1.
"""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote

from palaestra.agents.context import ContextFull
from palaestra.agents.policies.core import Completion, PartialFailure, Request, Tokenizer
from palaestra.agents.policies.messages import MessageTokenizer, completion_ids, messages_of
from palaestra.agents.policies.server import Refused, Server, ServerError
from palaestra.errors import (
    ContractError,
    InfrastructureError,
    MissingExtraError,
    OptionError,
    UnknownNameError,
)

_SEEDS = 2**31 - 1
_TOO_LONG = re.compile(r"context.length|context.window|context.size|maximum context|max_model_len", re.I)
_FILTERED = re.compile(r"content.filter|content.policy|content management policy", re.I)
_OPTIONS = (
    "key",
    "tokenizer",
    "stop",
    "context_tokens",
    "prompt_price",
    "cached_price",
    "completion_price",
    "concurrency",
    "retries",
    "deadline_s",
    "body.FIELD",
)


@dataclass(frozen=True, slots=True)
class Prices:
    """What a million tokens cost; ``cached`` prompt tokens cost as much as others where it is None."""

    prompt: float = 0.0
    completion: float = 0.0
    cached: float | None = None

    def cost(self, prompt_tokens: int, cached_tokens: int, completion_tokens: int) -> float:
        """Return the price of one answer, in the currency of the prices."""
        cached = self.prompt if self.cached is None else self.cached
        fresh_tokens = prompt_tokens - cached_tokens
        spent = fresh_tokens * self.prompt + cached_tokens * cached + completion_tokens * self.completion
        return spent / 1e6


class OpenAIPolicy:
    """Completions of ``model`` at ``server``.

    With ``tokenizer`` (that of the model) prompts and, where the server can, completions are its ids.
    ``stop`` texts end a completion; ``body`` holds fields that go into every request as they are, and None
    takes one out (``{"reasoning_effort": "low", "seed": None}``). Each sampled completion draws one number of
    its request's generator, as the server's seed.

    Tags of a completion: ``prompt_tokens``, ``cached_tokens``, ``completion_tokens`` as the server counts
    them; ``cost`` where ``prices`` are given; ``logprobs`` "unknown" where they are; ``tries_in_vain``;
    ``model`` where another one answered; ``thought``, what a model thought or said beside a call.
    """

    def __init__(
        self,
        server: Server,
        model: str,
        *,
        tokenizer: Tokenizer | None = None,
        stop: Sequence[str] = (),
        prices: Prices | None = None,
        context_tokens: int | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> None:
        if not model:
            raise OptionError("a model's name must not be empty")
        self.name = f"openai:{model}"
        self.server, self.model = server, model
        self.tokenizer: Tokenizer = tokenizer or MessageTokenizer()
        if context_tokens is not None:
            if tokenizer is None:
                raise OptionError("context_tokens needs tokenizer=DIR: by messages, tokens cannot be counted")
            if context_tokens < 1:
                raise OptionError(f"context_tokens must be at least 1, not {context_tokens}")
            self.context_tokens = context_tokens
        self._by_ids = tokenizer is not None
        stops: Collection[int] = getattr(self.tokenizer, "stop_ids", (self.tokenizer.stop_id,))
        self._stop_ids = sorted(stops)
        self._stop, self._prices, self._body = list(stop), prices, dict(body or {})
        self._limit_field = "max_tokens"

    @staticmethod
    def parse(name: str) -> OpenAIPolicy:
        """Return the policy called ``openai:MODEL@URL#OPTION=VALUE&OPTION=VALUE``.

        Options: ``key`` (the environment variable that holds the API key), ``tokenizer`` (a folder),
        ``stop``, ``context_tokens``, ``prompt_price``, ``cached_price``, ``completion_price`` (per million
        tokens), ``concurrency``, ``retries``, ``deadline_s``, and ``body.FIELD`` (JSON). Values are
        percent-encoded.

        Raises ``OptionError`` or ``UnknownNameError`` for a name that cannot be used.
        """
        address, _, given = name.removeprefix("openai:").partition("#")
        found = re.fullmatch(r"(.+)@(https?://.+)", address)
        if found is None:
            raise OptionError(f"{name!r} does not read openai:MODEL@URL, with a URL of http or https")
        options = _Options(given)
        server = Server(
            found[2],
            key=options.text("key"),
            concurrency=options.whole("concurrency", 32),
            retries=options.whole("retries", 5),
            deadline_s=options.number("deadline_s", 300.0),
        )
        place = options.text("tokenizer")
        return OpenAIPolicy(
            server,
            found[1],
            tokenizer=_load_tokenizer(Path(place)) if place else None,
            stop=options.texts("stop"),
            prices=options.prices(),
            context_tokens=options.whole("context_tokens", 0) if options.text("context_tokens") else None,
            body=options.body(),
        )

    async def generate(self, requests: Sequence[Request]) -> list[Completion]:
        """Return one completion for each request.

        Raises ``OptionError`` or ``UnknownNameError`` where the server refuses for good (a wrong key, model
        or option), and ``PartialFailure`` where some requests failed: ``ServerError``, ``DeadlineError``,
        ``ContextFull`` for a prompt that is too long, ``ContractError`` for an answer that makes no sense.
        """
        tasks: list[asyncio.Task[Completion | Exception]] = []
        try:
            async with asyncio.TaskGroup() as group:
                for request in requests:
                    # Before anything waits, so that the order of answers cannot matter.
                    seed = int(request.generator.integers(_SEEDS)) if request.sampling.temperature else 0
                    tasks.append(group.create_task(self._result(request, seed)))
        except* (OptionError, UnknownNameError) as refused:
            raise _first(refused) from None
        results = [task.result() for task in tasks]
        completions = [result for result in results if isinstance(result, Completion)]
        if len(completions) < len(results):
            raise PartialFailure(results)
        return completions

    def forget(self, session: str) -> None:
        """Nothing is kept, so there is nothing to drop."""

    async def _result(self, request: Request, seed: int) -> Completion | Exception:
        try:
            return await (self._complete if self._by_ids else self._chat)(request, seed)
        except (InfrastructureError, ContextFull, ContractError) as error:
            return error

    # ---- by messages ---------------------------------------------------------------------------------

    async def _chat(self, request: Request, seed: int) -> Completion:
        messages, tools = messages_of(request.ids)
        fields: dict[str, Any] = {"messages": messages}
        if tools:
            fields |= {"tools": tools, "parallel_tool_calls": False}
        answer, tags = await self._ask("/chat/completions", fields, request, seed)
        choice = _choice(answer)
        message = choice.get("message")
        if not isinstance(message, dict):
            raise ContractError(f"{self.server.url} gave a choice without a message: {_quoted(choice)}")
        text, call = _content(message.get("content")), _call(message, tags)
        if thought := message.get("reasoning_content") or message.get("reasoning"):
            tags["thought"] = str(thought)
        elif call is not None and text.strip():
            tags["thought"] = text.strip()
        finish_reason = _finish_reason(choice, tags)
        ids = completion_ids(text, call, ended=finish_reason == "stop")
        return Completion(ids, [0.0] * len(ids), finish_reason, {**tags, "logprobs": "unknown"})

    # ---- by ids --------------------------------------------------------------------------------------

    async def _complete(self, request: Request, seed: int) -> Completion:
        fields = {
            "prompt": list(request.ids),
            "return_token_ids": True,
            "logprobs": 0,
            "stop_token_ids": self._stop_ids,
            # The distribution that the log-probs belong to, whatever the model's own settings are.
            "top_p": 1.0,
            "top_k": -1,
            "min_p": 0.0,
            "repetition_penalty": 1.0,
        }
        answer, tags = await self._ask("/completions", fields, request, seed)
        choice = _choice(answer)
        finish_reason = _finish_reason(choice, tags)
        ids, logprobs = choice.get("token_ids"), _logprobs(choice)
        if ids is None:
            # The text is all there is, so these ids may not be those that were sampled.
            tags["ids"], logprobs = "encoded again", None
            ids = self.tokenizer.encode(str(choice.get("text", "")))
            ids += [self.tokenizer.stop_id] if finish_reason == "stop" else []
        self._check_ids(request, choice, ids)
        if finish_reason == "stop" and (not ids or ids[-1] not in self._stop_ids):
            # A stop text ended it, which nobody sampled as the end of a turn.
            tags["finish"], finish_reason = "stop text", "length"
        if logprobs is None:
            tags["logprobs"], logprobs = "unknown", [0.0] * len(ids)
        if len(logprobs) != len(ids) or not all(math.isfinite(value) for value in logprobs):
            raise ContractError(
                f"{self.server.url} gave {len(ids)} ids and {len(logprobs)} log-probs, or one not finite"
            )
        return Completion(ids, logprobs, finish_reason, tags)

    def _check_ids(self, request: Request, choice: Mapping[str, Any], ids: object) -> None:
        if not (isinstance(ids, list) and all(isinstance(number, int) for number in ids)):
            raise ContractError(f"{self.server.url} gave token ids that are no numbers: {_quoted(ids)}")
        prompt = choice.get("prompt_token_ids")
        if prompt is not None and list(prompt) != list(request.ids):
            raise ContractError(
                f"{self.server.url} read another prompt than it was sent ({len(prompt)} ids instead of "
                f"{len(request.ids)}); is {self.model!r} served with the tokenizer that was given here?"
            )

    # ---- asking --------------------------------------------------------------------------------------

    async def _ask(
        self, path: str, fields: Mapping[str, Any], request: Request, seed: int
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the server's answer, and the tags that it gives rise to."""
        limit_field, sampling = self._limit_field, request.sampling
        body = {
            "model": self.model,
            **fields,
            limit_field: sampling.max_tokens,
            "temperature": sampling.temperature,
            "seed": seed if sampling.temperature else None,
            "stop": self._stop or None,
            **self._body,
        }
        body = {field: value for field, value in body.items() if value is not None}
        try:
            answer, in_vain = await self.server.post(path, body, seed)
        except Refused as refused:
            if limit_field == "max_tokens" and "max_completion_tokens" in str(refused):
                # Newer models of OpenAI know the limit by its newer name only, and say so.
                self._limit_field = "max_completion_tokens"
                return await self._ask(path, fields, request, seed)
            raise await self._explained(refused, path) from None
        tags = self._counted(answer)
        if in_vain:
            tags["tries_in_vain"] = in_vain
        if answer.get("model") not in (None, self.model):
            tags["model"] = str(answer["model"])
        return answer, tags

    async def _explained(self, refused: Refused, path: str) -> Exception:
        """Return what ``refused`` means for the run: the episode's own end, or a mistake to be mended."""
        said = str(refused)
        if refused.status in (400, 413, 422) and _TOO_LONG.search(said):
            return ContextFull(said)
        if refused.status == 400 and _FILTERED.search(said):
            return ServerError(said)
        if refused.status not in (400, 404):
            return refused
        models = await self.server.models()
        if models and self.model not in models:
            return UnknownNameError(f"model at {self.server.url}", self.model, models)
        if refused.status == 404:
            return OptionError(f"{said}; is there no {path} at this URL (most end in /v1), or no such model?")
        return refused

    def _counted(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        usage = answer.get("usage")
        if not isinstance(usage, dict):
            return {}
        details = usage.get("prompt_tokens_details") or {}
        prompt, cached, sampled = (
            int(count or 0)
            for count in (
                usage.get("prompt_tokens"),
                details.get("cached_tokens"),
                usage.get("completion_tokens"),
            )
        )
        tags: dict[str, Any] = {"prompt_tokens": prompt, "completion_tokens": sampled}
        if cached:
            tags["cached_tokens"] = cached
        if self._prices is not None:
            tags["cost"] = self._prices.cost(prompt, cached, sampled)
        return tags


class _Options:
    """The options of a policy's name, each used once; one that is left is unknown."""

    def __init__(self, given: str) -> None:
        self._given: dict[str, list[str]] = {}
        for pair in filter(None, given.split("&")):
            name, equals, value = pair.partition("=")
            if not equals:
                raise OptionError(f"{pair!r} does not read OPTION=VALUE")
            if name not in _OPTIONS and not name.startswith("body."):
                raise UnknownNameError("option of an openai policy", name, _OPTIONS)
            self._given.setdefault(name, []).append(unquote(value))
        twice = [name for name, values in self._given.items() if len(values) > 1 and name != "stop"]
        if twice:
            raise OptionError(f"{twice[0]} is given more than once")

    def text(self, name: str) -> str | None:
        return next(iter(self._given.get(name, ())), None)

    def texts(self, name: str) -> list[str]:
        return self._given.get(name, [])

    def number(self, name: str, default: float) -> float:
        text = self.text(name)
        try:
            number = default if text is None else float(text)
        except ValueError:
            raise OptionError(f"{name} is a number, not {text!r}") from None
        if not math.isfinite(number) or number < 0:
            raise OptionError(f"{name} must be finite and not negative, not {text}")
        return number

    def whole(self, name: str, default: int) -> int:
        number = self.number(name, default)
        if number != int(number):
            raise OptionError(f"{name} is a whole number, not {self.text(name)}")
        return int(number)

    def prices(self) -> Prices | None:
        if not any(self.text(name) for name in ("prompt_price", "completion_price", "cached_price")):
            return None
        cached = self.number("cached_price", 0.0) if self.text("cached_price") else None
        return Prices(self.number("prompt_price", 0.0), self.number("completion_price", 0.0), cached)

    def body(self) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        for name, values in self._given.items():
            if name.startswith("body."):
                try:
                    fields[name.removeprefix("body.")] = json.loads(values[0])
                except ValueError:
                    raise OptionError(f"{name} is JSON (a text in quotes), not {values[0]!r}") from None
        return fields


def _first(group: BaseExceptionGroup[Any]) -> BaseException:
    first: BaseException = group
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return first


def _choice(answer: Mapping[str, Any]) -> dict[str, Any]:
    choices = answer.get("choices")
    if not (isinstance(choices, list) and choices and isinstance(choices[0], dict)):
        raise ContractError(f"an answer without choices: {_quoted(answer)}")
    return choices[0]


def _finish_reason(choice: Mapping[str, Any], tags: dict[str, Any]) -> Literal["stop", "length"]:
    reason = choice.get("finish_reason")
    if reason == "length":
        return "length"
    if reason not in ("stop", "tool_calls", None):
        tags["finish"] = str(reason)
    return "stop"


def _content(content: object) -> str:
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, list) and all(isinstance(part, dict) for part in content):
        return "".join(str(part.get("text", "")) for part in content if part.get("type") == "text")
    raise ContractError(f"a message whose content is neither text nor null: {_quoted(content)}")


def _call(message: Mapping[str, Any], tags: dict[str, Any]) -> tuple[str, str] | None:
    """Return name and arguments of the first tool call: a turn is one action, and only a call that is
    answered may stay in the conversation.
    """
    calls = message.get("tool_calls")
    if not calls:
        return None
    try:
        function = calls[0]["function"]
        name, arguments = function["name"], function.get("arguments") or "{}"
        if not isinstance(name, str):
            raise TypeError(name)
    except (KeyError, TypeError, IndexError, AttributeError):
        raise ContractError(f"a tool call that is none: {_quoted(calls)}") from None
    if len(calls) > 1:
        tags["calls_dropped"] = len(calls) - 1
    return name, _object_text(arguments, tags)


def _object_text(arguments: object, tags: dict[str, Any]) -> str:
    """Return arguments as the JSON text of an object, which servers insist on when they see it again."""
    if isinstance(arguments, dict):
        return json.dumps(arguments, ensure_ascii=False)
    try:
        if isinstance(json.loads(str(arguments)), dict):
            return str(arguments)
    except ValueError:
        pass
    tags["arguments_wrong"] = True
    return json.dumps({"arguments": str(arguments)}, ensure_ascii=False)


def _logprobs(choice: Mapping[str, Any]) -> list[float] | None:
    given = choice.get("logprobs")
    values = given.get("token_logprobs") if isinstance(given, dict) else None
    if values is None or not all(isinstance(value, (int, float)) for value in values):
        return None
    return [float(value) for value in values]


def _load_tokenizer(place: Path) -> Tokenizer:
    try:
        from palaestra.agents.policies.hf import HFTokenizer
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "palaestra":
            raise
        raise MissingExtraError(f"tokenizer={place} (it imports {error.name})", "train") from error
    return HFTokenizer.load(place)


def _quoted(value: object) -> str:
    return repr(value)[:300]
