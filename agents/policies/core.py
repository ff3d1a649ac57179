"""The policy interface: token ids in, sampled ids and their log-probs out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np

from palaestra.errors import InfrastructureError, OptionError


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to sample: ``temperature`` 0 is greedy; sampling ends at a stop id or after ``max_tokens``."""

    temperature: float = 1.0
    max_tokens: int = 32

    def __post_init__(self) -> None:
        if self.temperature < 0:
            raise OptionError(f"temperature must not be negative, got {self.temperature}")
        if self.max_tokens < 1:
            raise OptionError(f"max_tokens must be at least 1, got {self.max_tokens}")


@dataclass(frozen=True, slots=True)
class View:
    """What a policy that does not read tokens may look at: the present observation, info and the expert.

    ``expert`` is privileged: only the ``expert`` policy calls it.
    """

    observation: str
    info: Mapping[str, Any]
    expert: Callable[[], str] | None = None


@dataclass(slots=True)
class Request:
    """One completion asked of a policy.

    ``session`` names the episode, so that a policy can keep its key-value cache across turns;
    ``generator`` belongs to the episode, so that what is sampled does not depend on who else is in the
    batch. ``ids`` is the whole prompt, never only its new part.
    """

    ids: Sequence[int]
    session: str
    generator: np.random.Generator
    sampling: Sampling = Sampling()
    view: View | None = None


@dataclass(frozen=True, slots=True)
class Completion:
    """What was sampled: ids (the stop id included), the log-prob of each id under the distribution it was
    sampled from, and why it ended. ``tags`` say what else the turn's record should remember.
    """

    ids: list[int]
    logprobs: list[float]
    finish_reason: Literal["stop", "length"]
    tags: dict[str, Any] = field(default_factory=dict)


class PartialFailure(InfrastructureError):
    """Some requests of a batch failed. ``results`` holds the completion or the error of each, in order, so
    that what befell one episode does not befall the others.
    """

    def __init__(self, results: Sequence[Completion | Exception]) -> None:
        self.results = list(results)
        errors = [result for result in results if isinstance(result, Exception)]
        super().__init__(f"{len(errors)} of {len(results)} requests failed; the first: {errors[0]}")


@runtime_checkable
class Tokenizer(Protocol):
    """What a context and an agent need of a tokenizer.

    ``encode`` never produces a special id from text: an observation that spells out the end-of-turn token
    is plain text and cannot forge a turn. ``bos_id`` opens every prompt, ``stop_id`` closes a completion.
    """

    bos_id: int
    stop_id: int

    def encode(self, text: str) -> list[int]:
        """Return the ids of ``text`` alone: no special tokens are added or recognised."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ``ids`` with special tokens left out."""
        ...


@runtime_checkable
class Policy(Protocol):
    """Turns prompts into completions. ``name`` appears in results.

    A policy that limits prompt and completion together says so in an attribute ``context_tokens``.
    """

    name: str

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer that made the prompts."""
        ...

    async def generate(self, requests: Sequence[Request]) -> list[Completion]:
        """Return one completion for each request, in order.

        Raises ``PartialFailure`` where some failed and others did not.
        """
        ...

    def forget(self, session: str) -> None:
        """Drop whatever is kept for ``session`` (its episode ended)."""
        ...
