"""Policies that need no model: a function, a random admissible action, the environment's own expert."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from palaestra.agents.policies.core import Completion, Request, View
from palaestra.errors import OptionError

_MOST_WORDS = 8


class ByteTokenizer:
    """Ids 0-255 are the bytes of UTF-8 text; 256 opens a prompt and 257 closes a completion."""

    bos_id = 256
    stop_id = 257

    def encode(self, text: str) -> list[int]:
        """Return the bytes of ``text``; a lone surrogate becomes a question mark."""
        return list(text.encode(errors="replace"))

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ``ids``; specials are left out, broken UTF-8 becomes U+FFFD."""
        return bytes(number for number in ids if number < 256).decode(errors="replace")


class ScriptedPolicy:
    """Answers with ``function(view)``, a text, and reads no tokens. Its log-probs are 0: it never doubts."""

    def __init__(self, function: Callable[[View], str], *, name: str = "scripted") -> None:
        self.name = name
        self.tokenizer = ByteTokenizer()
        self._function = function

    async def generate(self, requests: Sequence[Request]) -> list[Completion]:
        """Return the function's answer to each request's view."""
        return [completion(self.tokenizer, self._function(view_of(request))) for request in requests]

    def forget(self, session: str) -> None:
        """Nothing is kept, so there is nothing to drop."""


class RandomPolicy:
    """Draws one of ``info["admissible_actions"]`` uniformly, with the episode's own generator.

    Where the environment lists none, since any text is an action, it writes one to eight words of the
    observation in any order: the floor for environments that are answered in free text.
    """

    def __init__(self) -> None:
        self.name = "random"
        self.tokenizer = ByteTokenizer()

    async def generate(self, requests: Sequence[Request]) -> list[Completion]:
        """Return a random action for each request.

        Raises ``OptionError`` where the environment's list of admissible actions is empty.
        """
        return [self._complete(request) for request in requests]

    def _complete(self, request: Request) -> Completion:
        view = view_of(request)
        if "admissible_actions" in view.info:
            return _random_completion(self.tokenizer, request)
        words = view.observation.split() or ["?"]
        count = int(request.generator.integers(1, _MOST_WORDS + 1))
        drawn = request.generator.integers(len(words), size=count)
        return completion(self.tokenizer, " ".join(words[int(number)] for number in drawn))

    def forget(self, session: str) -> None:
        """Nothing is kept, so there is nothing to drop."""


class ExpertPolicy:
    """Follows the environment's expert, except that with probability ``noise`` it acts at random.

    Such an action carries the tag ``noise``. Traces with some noise show how to recover from a mistake;
    imitation leaves the tagged turns out of its loss. Half of the random actions are admissible now, the
    others were so at some time in the episode: the mistakes of a learner are mostly of that kind, and it
    must have seen what they bring and what to do next.
    """

    def __init__(self, noise: float = 0.0) -> None:
        if not 0.0 <= noise <= 1.0:
            raise OptionError(f"noise is a probability, not {noise}")
        self.name = f"expert(noise={noise:g})" if noise else "expert"
        self.noise = noise
        self.tokenizer = ByteTokenizer()
        self._once: dict[str, dict[str, None]] = {}

    async def generate(self, requests: Sequence[Request]) -> list[Completion]:
        """Return the expert's next action, or a tagged random one.

        Raises ``OptionError`` where the environment has no expert.
        """
        return [self._complete(request) for request in requests]

    def _complete(self, request: Request) -> Completion:
        view = view_of(request)
        if view.expert is None:
            raise OptionError("this environment has no expert; environments with has_expert = True do")
        if not self.noise:
            return completion(self.tokenizer, view.expert())
        once = self._once.setdefault(request.session, {})
        once.update(dict.fromkeys(view.info.get("admissible_actions", ())))
        if request.generator.random() >= self.noise:
            return completion(self.tokenizer, view.expert())
        if request.generator.random() < 0.5:
            return _random_completion(self.tokenizer, request, noise=True)
        return completion(self.tokenizer, _drawn(request, list(once)), noise=True)

    def forget(self, session: str) -> None:
        """Drop the actions that the episode once allowed."""
        self._once.pop(session, None)


def completion(tokenizer: ByteTokenizer, text: str, *, noise: bool = False) -> Completion:
    """Return ``text`` as a completion written with certainty."""
    ids = [*tokenizer.encode(f" {text}"), tokenizer.stop_id]
    return Completion(ids, [0.0] * len(ids), "stop", {"noise": True} if noise else {})


def view_of(request: Request) -> View:
    """Return the view of ``request``. Raises ``OptionError`` when it has none."""
    if request.view is None:
        raise OptionError("a scripted policy needs Request.view; rollout fills it in")
    return request.view


def _random_completion(tokenizer: ByteTokenizer, request: Request, *, noise: bool = False) -> Completion:
    return completion(
        tokenizer, _drawn(request, view_of(request).info.get("admissible_actions")), noise=noise
    )


def _drawn(request: Request, actions: Sequence[str] | None) -> str:
    if not actions:
        raise OptionError("a random action needs info['admissible_actions'], and this environment gives none")
    drawn: np.integer = request.generator.integers(len(actions))
    return actions[int(drawn)]
