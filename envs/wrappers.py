"""Wrappers of text environments: a step limit, a price for invalid actions, potential-based shaping.

Each records its arguments, so that the ``spec`` of a wrapped environment stays JSON-able and can be made
again with ``gymnasium.make(spec)``.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from typing import Any

import gymnasium
from gymnasium.utils import RecordConstructorArgs

from palaestra.envs.core import Info
from palaestra.errors import ContractError, OptionError

Step = tuple[str, float, bool, bool, Info]
TextEnvironment = gymnasium.Env[str, str]
Potential = Callable[[Info], float]


class StepLimit(gymnasium.Wrapper[str, str, str, str], RecordConstructorArgs):
    """Truncate after ``max_steps`` steps; an episode that ends by itself at that step only terminates.

    Gymnasium's ``TimeLimit`` sets both flags in that case, so that a success looks like a cut episode.
    """

    def __init__(self, env: TextEnvironment, max_steps: int) -> None:
        if max_steps < 1:
            raise OptionError(f"max_steps must be at least 1, not {max_steps}")
        RecordConstructorArgs.__init__(self, max_steps=max_steps)
        gymnasium.Wrapper.__init__(self, env)
        self.max_steps = max_steps
        self._steps = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, Info]:
        """Begin an episode and the count anew."""
        self._steps = 0
        return self.env.reset(seed=seed, options=options)

    def step(self, action: str) -> Step:
        """Take one action and count it."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._steps += 1
        truncated = not terminated and (truncated or self._steps >= self.max_steps)
        return observation, float(reward), terminated, truncated, info


class InvalidActionPenalty(gymnasium.Wrapper[str, str, str, str], RecordConstructorArgs):
    """Take ``penalty`` off the reward of an action that the last info did not list as admissible.

    ``info["invalid_action"]`` tells of every step whether it was such a one. Rewards may then be negative,
    down to ``-penalty``. Raises ``ContractError`` where the environment lists no ``admissible_actions``.
    """

    def __init__(self, env: TextEnvironment, penalty: float = 0.1) -> None:
        if not (math.isfinite(penalty) and penalty >= 0.0):
            raise OptionError(f"penalty must be a finite number of at least 0, not {penalty!r}")
        RecordConstructorArgs.__init__(self, penalty=penalty)
        gymnasium.Wrapper.__init__(self, env)
        self.penalty = penalty
        self._admissible: frozenset[str] = frozenset()

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, Info]:
        """Begin an episode and remember which actions are admissible first."""
        observation, info = self.env.reset(seed=seed, options=options)
        self._remember(info)
        return observation, info

    def step(self, action: str) -> Step:
        """Take one action; it is compared with what was admissible before it."""
        invalid = action not in self._admissible
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._remember(info)
        info["invalid_action"] = invalid
        return observation, float(reward) - self.penalty * invalid, terminated, truncated, info

    def _remember(self, info: Info) -> None:
        if "admissible_actions" not in info:
            raise ContractError(
                f"{self.env} lists no admissible_actions in its info, so no action can be called invalid"
            )
        self._admissible = frozenset(info["admissible_actions"])


class RewardShaping(gymnasium.Wrapper[str, str, str, str], RecordConstructorArgs):
    """Add ``discount * potential(next info) - potential(info)`` to every reward.

    Such shaping leaves the best policies what they were, because it telescopes over an episode (Ng, Harada
    and Russell, ICML 1999); for that the potential of a terminal state is 0, whatever ``potential`` says.
    After a truncation it counts, since the state goes on. ``potential`` is a function of ``info`` or its
    name ``"module:function"``; with the name the wrapper's spec is JSON-able. The environment's own reward
    stays in ``info["task_reward"]``. Raises ``ContractError`` when the potential is not finite.
    """

    def __init__(self, env: TextEnvironment, potential: str | Potential, discount: float = 1.0) -> None:
        if not 0.0 <= discount <= 1.0:
            raise OptionError(f"discount must be in [0, 1], not {discount!r}")
        # Not deep-copied: a potential may be the method of an object that cannot be copied.
        RecordConstructorArgs.__init__(self, _disable_deepcopy=True, potential=potential, discount=discount)
        gymnasium.Wrapper.__init__(self, env)
        self.potential = _function(potential) if isinstance(potential, str) else potential
        self.discount = discount
        self._last = 0.0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, Info]:
        """Begin an episode and take its first potential."""
        observation, info = self.env.reset(seed=seed, options=options)
        self._last = self._value(info)
        return observation, info

    def step(self, action: str) -> Step:
        """Take one action; the reward returned is the shaped one."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        value = 0.0 if terminated else self._value(info)
        shaped = float(reward) + self.discount * value - self._last
        self._last = value
        info["task_reward"] = float(reward)
        return observation, shaped, terminated, truncated, info

    def _value(self, info: Info) -> float:
        value = float(self.potential(info))
        if not math.isfinite(value):
            raise ContractError(f"the potential must be finite, not {value!r}")
        return value


def _function(name: str) -> Potential:
    module, colon, function = name.partition(":")
    if not (module and colon and function):
        raise OptionError(f"a potential is named 'module:function', not {name!r}")
    try:
        found: Potential = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise OptionError(f"the potential {name!r} cannot be imported: {error}") from error
    if not callable(found):
        raise OptionError(f"the potential {name!r} is no function")
    return found
