"""The table of environments, their registration with Gymnasium, and the discovery of plug-ins.

A third party makes its environments known by an entry point of the group ``palaestra.envs`` that names a
function; the function is called once, at ``import palaestra``, and calls ``register`` for each environment.
A plug-in that fails is reported by a warning and skipped: it never breaks anybody else's import.
"""

from __future__ import annotations

import warnings
from importlib.metadata import entry_points
from typing import Any

import gymnasium
from gymnasium.envs.registration import EnvSpec

from palaestra.errors import OptionError, UnknownNameError

ENTRY_POINT_GROUP = "palaestra.envs"

# One line an environment: id -> "module:class". Strings, so that importing palaestra imports none of them.
ENVIRONMENTS: dict[str, str] = {
    "palaestra/ALFWorld-v0": "palaestra.envs.alfworld.env:ALFWorldEnv",
    "palaestra/AppWorld-v0": "palaestra.envs.appworld.env:AppWorldEnv",
    "palaestra/Apps-v0": "palaestra.envs.apps.env:AppsEnv",
    "palaestra/Code-v0": "palaestra.envs.code.env:CodeEnv",
    "palaestra/GuessNumber-v0": "palaestra.envs.guess_number:GuessNumberEnv",
    "palaestra/Math-v0": "palaestra.envs.math.env:MathEnv",
}

_registered: set[str] = set()


def register(env_id: str, entry_point: str, **kwargs: Any) -> None:
    """Register one environment with Gymnasium so that ``gym.make`` and ``gym.make_vec`` find it.

    ``entry_point`` is a ``"module:Class"`` string of a ``TextEnv``; ``kwargs`` are its default options.
    The vector entry point is ours (see ``palaestra.envs.vector``), which isolates a failing member.
    Raises ``OptionError`` when the entry point is not a string, since then the spec is not JSON-able.
    """
    if not isinstance(entry_point, str) or ":" not in entry_point:
        raise OptionError(f"entry_point must be a 'module:Class' string, not {entry_point!r}")
    gymnasium.register(
        id=env_id,
        entry_point=entry_point,
        vector_entry_point=f"palaestra.envs.vector:{env_id}",
        kwargs=kwargs,
    )
    _registered.add(env_id)


def register_all() -> None:
    """Register Palaestra's own environments, then those of every installed plug-in."""
    for env_id, entry_point in ENVIRONMENTS.items():
        register(env_id, entry_point)
    for point in entry_points(group=ENTRY_POINT_GROUP):
        try:
            point.load()()
        except Exception as error:  # a plug-in may fail in any way; the others must still load
            warnings.warn(
                f"the palaestra plug-in {point.name!r} ({point.value}) failed and was skipped: {error!r}",
                RuntimeWarning,
                stacklevel=2,
            )


def registered_ids() -> list[str]:
    """Return the ids of all environments registered through Palaestra, sorted."""
    return sorted(_registered)


def spec(env_id: str) -> EnvSpec:
    """Return the Gymnasium spec of ``env_id``; raises ``UnknownNameError`` with the nearest id."""
    if env_id not in gymnasium.registry:
        raise UnknownNameError("environment", env_id, _registered)
    return gymnasium.registry[env_id]
