"""The policy that a run starts from, or goes on with."""

from __future__ import annotations

from pathlib import Path

from palaestra.agents.policies import load_policy
from palaestra.agents.policies.hf import HFPolicy
from palaestra.agents.policies.smollm2 import default_folder
from palaestra.agents.policies.tiny import TinyPolicy
from palaestra.errors import OptionError

TrainablePolicy = TinyPolicy | HFPolicy


def trainable_policy(name: str) -> TrainablePolicy:
    """Return the saved policy of this name: ``tiny:DIR``, ``hf:DIR`` or ``smollm2``.

    Models of transformers are read in float32, whatever the machine prefers for generation: an optimiser's
    steps are lost in fewer bits. Raises ``UnknownNameError`` for a name of no policy, ``OptionError`` for one
    without weights to train.
    """
    kind, _, place = name.partition(":")
    if name == "smollm2" or (kind == "hf" and place):
        return HFPolicy.load(Path(place) if place else default_folder(), dtype="float32")
    policy = load_policy(name)
    if not isinstance(policy, TinyPolicy):
        raise OptionError(f"the policy {name!r} has no weights to train; name one that has, such as tiny:DIR")
    return policy


def resumed_policy(name: str, directory: Path) -> TrainablePolicy:
    """Return the policy that a checkpoint in ``directory`` holds, of the kind that ``name`` began with."""
    if name == "smollm2" or name.startswith("hf:"):
        return HFPolicy.load(directory, dtype="float32")
    return TinyPolicy.load(directory)
