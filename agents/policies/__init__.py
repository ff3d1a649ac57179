"""Policies: whatever turns a prompt into a completion, behind one interface."""

from __future__ import annotations

from pathlib import Path

from palaestra.agents.policies.core import Policy
from palaestra.errors import OptionError, UnknownNameError

POLICY_KINDS = ("random", "expert", "tiny:DIR")


def load_policy(name: str) -> Policy:
    """Return the policy called ``random``, ``expert`` or ``tiny:DIR`` (a folder that training wrote).

    Raises ``UnknownNameError`` with the nearest kind, and ``DataError`` when DIR holds no policy.
    """
    from palaestra.agents.policies.scripted import ExpertPolicy, RandomPolicy

    kind, colon, rest = name.partition(":")
    if kind == "tiny":
        if not rest:
            raise OptionError(
                "a tiny policy is named with its folder: tiny:DIR (train one with `palaestra train sft`)"
            )
        from palaestra.agents.policies.tiny import TinyPolicy  # brings torch, so only when asked for

        return TinyPolicy.load(Path(rest))
    if colon or kind not in ("random", "expert"):
        raise UnknownNameError("policy", name, POLICY_KINDS)
    return RandomPolicy() if kind == "random" else ExpertPolicy()
