"""Policies: whatever turns a prompt into a completion, behind one interface."""

from __future__ import annotations

from pathlib import Path

from palaestra.agents.policies.core import Policy
from palaestra.errors import MissingExtraError, UnknownNameError

POLICIES = ("random", "expert", "tiny:DIR")


def load_policy(name: str) -> Policy:
    """Return the policy called ``name``: ``random``, ``expert``, or ``tiny:DIR`` (a saved tiny policy).

    Raises ``UnknownNameError`` for another name, ``MissingExtraError`` where torch is not installed, and
    ``CheckpointError`` where ``DIR`` holds no policy.
    """
    # Imported here, so that the random and the expert policy never wait for torch.
    kind, colon, place = name.partition(":")
    if name in ("random", "expert"):
        from palaestra.agents.policies.scripted import ExpertPolicy, RandomPolicy

        return RandomPolicy() if name == "random" else ExpertPolicy()
    if kind == "tiny" and colon and place:
        try:
            from palaestra.agents.policies.tiny import TinyPolicy
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] == "palaestra":
                raise
            raise MissingExtraError(f"the policy {name!r} (it imports {error.name})", "train") from error
        return TinyPolicy.load(Path(place))
    raise UnknownNameError("policy", name, POLICIES)
