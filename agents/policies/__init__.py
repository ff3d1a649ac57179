"""Policies: whatever turns a prompt into a completion, behind one interface."""

from __future__ import annotations

from pathlib import Path

from palaestra.agents.policies.core import Policy
from palaestra.errors import CheckpointError, MissingExtraError, UnknownNameError

POLICIES = ("random", "expert", "tiny:DIR", "hf:DIR", "smollm2", "vllm:DIR", "openai:MODEL@URL")


def load_policy(name: str) -> Policy:
    """Return the policy called ``name``: ``random``, ``expert``, ``tiny:DIR`` (a saved tiny policy),
    ``hf:DIR`` (a model folder of transformers, or a LoRA adapter's), ``smollm2`` (the folder that
    ``palaestra models smollm2`` makes), ``vllm:DIR`` (a model folder, by vLLM), or ``openai:MODEL@URL``
    (any compatible server; options follow a ``#``, see ``OpenAIPolicy.parse``).

    Raises ``UnknownNameError`` for another name, ``MissingExtraError`` where torch (vllm, or httpx2 for a
    server) is not installed, ``OptionError`` for options that cannot be used, and ``CheckpointError`` where
    ``DIR`` holds no policy.
    """
    kind, colon, place = name.partition(":")
    if name in ("random", "expert"):
        # Imported here, as below, so that these two policies never wait for torch.
        from palaestra.agents.policies.scripted import ExpertPolicy, RandomPolicy

        return RandomPolicy() if name == "random" else ExpertPolicy()
    if kind == "openai" and colon and place:
        return _load_server(name)
    if name != "smollm2" and not (kind in ("tiny", "hf", "vllm") and colon and place):
        raise UnknownNameError("policy", name, POLICIES)
    try:
        return _load_folder(kind, Path(place))
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "palaestra":
            raise
        extra = "vllm" if error.name == "vllm" else "train"
        raise MissingExtraError(f"the policy {name!r} (it imports {error.name})", extra) from error


def _load_server(name: str) -> Policy:
    try:
        from palaestra.agents.policies.openai import OpenAIPolicy
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "palaestra":
            raise
        raise MissingExtraError(f"the policy {name!r} (it imports {error.name})", "openai") from error
    return OpenAIPolicy.parse(name)


def _load_folder(kind: str, directory: Path) -> Policy:
    if kind == "tiny":
        from palaestra.agents.policies.tiny import TinyPolicy

        return TinyPolicy.load(directory)
    if kind == "vllm":
        from palaestra.agents.policies.vllm import VLLMPolicy

        return VLLMPolicy.load(directory)
    from palaestra.agents.policies.hf import HFPolicy

    if kind == "smollm2":
        from palaestra.agents.policies.smollm2 import default_folder, is_made

        directory = default_folder()
        if not is_made(directory):
            raise CheckpointError(f"{directory} is not there yet; make it with: palaestra models smollm2")
    return HFPolicy.load(directory)
