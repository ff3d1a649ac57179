"""Policies that need no model: a function, a random choice, the environment's own expert.

They answer from the request's ``view`` and write their action as bytes, so that every agent, context and
record works with them as with a language model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from palaestra.agents.policies.core import Completion, Request, Tokenizer, View
from palaestra.errors import ContractError, OptionError


class ByteTokenizer:
    """One id a UTF-8 byte, and two more: ``bos_id`` 256 and ``stop_id`` 257. Needs no training."""

    bos_id = 256
    stop_id = 257

    def encode(self, text: str) -> list[int]:
        """Return the bytes of ``text``; no text can produce a special id."""
        return list(text.encode("utf-8", "surrogatepass"))

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ``ids``; special ids are left out, broken UTF-8 is replaced."""
        return bytes(i for i in ids if i < 256).decode("utf-8", "replace")


class ScriptedPolicy:
    """Answers with what ``function`` makes of the view of each request."""

    def __init__(self, function: Callable[[View], str], name: str = "scripted") -> None:
        self.name = name
        self.tokenizer: Tokenizer = ByteTokenizer()
        self._function = function

    async def generate(self, requests: Sequence[Request]) -> list[Completion]:
        """Return one completion for each request, in order."""
        return [self._complete(request) for request in requests]

    def forget(self, session: str) -> None:
        """Nothing is kept for a session."""

    def _complete(self, request: Request) -> Completion:
        text, tags = self._choose(request)
        ids = [*self.tokenizer.encode(" " + text), self.tokenizer.stop_id]
        return Completion(ids, [0.0] * len(ids), "stop", tags)

    def _choose(self, request: Request) -> tuple[str, dict[str, Any]]:
        return self._function(_view(request)), {}


class RandomPolicy(ScriptedPolicy):
    """Chooses uniformly among ``info["admissible_actions"]``, by the episode's own generator."""

    def __init__(self) -> None:
        super().__init__(lambda view: "", name="random")

    def _choose(self, request: Request) -> tuple[str, dict[str, Any]]:
        return _random_action(request), {}


class ExpertPolicy(ScriptedPolicy):
    """Asks the environment's expert; with probability ``noise`` takes a random admissible action instead.

    A noisy turn is tagged ``{"noise": True}``, so that imitation can show it without teaching it: what the
    expert does next teaches how to recover.
    """

    def __init__(self, noise: float = 0.0) -> None:
        if not 0.0 <= noise < 1.0:
            raise OptionError(f"the expert's noise must be in [0, 1), not {noise}")
        super().__init__(lambda view: "", name="expert" if noise == 0 else f"expert-noise-{noise:g}")
        self.noise = noise

    def _choose(self, request: Request) -> tuple[str, dict[str, Any]]:
        view = _view(request)
        if view.expert is None:
            raise ContractError("the expert policy needs an environment with has_expert = True")
        action = view.expert()
        if self.noise and request.generator.random() < self.noise:
            return _random_action(request), {"noise": True}
        return action, {}


def _view(request: Request) -> View:
    if request.view is None:
        raise ContractError("a scripted policy answers from request.view, which is missing")
    return request.view


def _random_action(request: Request) -> str:
    actions = _view(request).info.get("admissible_actions")
    if not actions:
        raise ContractError("random actions need info['admissible_actions'], which this environment lacks")
    return actions[int(request.generator.integers(len(actions)))]
