"""The policy that a run starts from."""

from __future__ import annotations

from palaestra.agents.policies import load_policy
from palaestra.agents.policies.tiny import TinyPolicy
from palaestra.errors import OptionError


def trainable_policy(name: str) -> TinyPolicy:
    """Return the saved policy of this name, such as ``tiny:DIR``.

    Raises ``UnknownNameError`` for a name of no policy, ``OptionError`` for one without weights to train.
    """
    policy = load_policy(name)
    if not isinstance(policy, TinyPolicy):
        raise OptionError(f"the policy {name!r} has no weights to train; name one that has, such as tiny:DIR")
    return policy
