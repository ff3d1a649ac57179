"""Multi-turn generation: kept caches against encoding the history anew each turn, in one run.

    OMP_NUM_THREADS=1 python benchmarks/generation.py [--sessions 64] [--rounds 3]

Sessions grow by an observation and a completion a turn. Each turn every contestant answers the same prompts
with the same fresh model and samples the same number of tokens; the history grows by what the tiny policy
said. Contestants: the tiny policy with its kept caches; the tiny policy with its caches dropped before each
turn; and ``generate`` of transformers on a left-padded batch, asked for no log-probs, which the tiny policy
returns. Seconds are CPU time of this one-threaded process, per turn the smallest of the rounds, since noise
of the machine only ever adds time; turns are summed up to the 5th, the 10th and the 20th.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
import transformers
from transformers import GenerationConfig

import palaestra
from palaestra.agents.policies.core import Completion, Request, Sampling
from palaestra.agents.policies.tiny import TinyPolicy

TURNS = (5, 10, 20)
SAMPLED_TOKENS = 6
OURS, DROPPED, THEIRS = "tiny, caches kept", "tiny, caches dropped", "transformers generate"
CONTESTANTS = (OURS, DROPPED, THEIRS)
OBJECTS = ("mug", "plate", "soapbottle", "apple", "knife", "candle", "pan", "book", "spoon", "towel")
PLACES = ("cabinet", "drawer", "countertop", "shelf", "fridge", "sidetable")


def observation(generator: np.random.Generator) -> str:
    """Return a sentence of a household, about 35 tokens long."""
    count = int(generator.integers(4, 8))
    things = [f"a {OBJECTS[generator.integers(10)]} {generator.integers(1, 9)}" for _ in range(count)]
    place = f"{PLACES[generator.integers(6)]} {generator.integers(1, 20)}"
    return f"You arrive at {place}. On the {place}, you see {', '.join(things)}.\n>"


def fresh_policy() -> TinyPolicy:
    """Return an untrained policy (width 128, 2 layers) that never stops early: a completion is as long as
    its ``max_tokens``, for every contestant.
    """
    generator = np.random.default_rng(0)
    policy = TinyPolicy.new([observation(generator) for _ in range(500)])
    policy.tokenizer.stop_id = -1
    policy.model.generation_config.eos_token_id = None
    return policy


def requests(prompts: Sequence[list[int]], turn: int, temperature: float = 1.0) -> list[Request]:
    """Return a request for each session's prompt."""
    sampling = Sampling(temperature, SAMPLED_TOKENS)
    return [
        Request(ids, f"session {number}", np.random.default_rng((number, turn)), sampling)
        for number, ids in enumerate(prompts)
    ]


def generate_anew(
    policy: TinyPolicy, prompts: Sequence[list[int]], *, greedy: bool = False
) -> list[list[int]]:
    """Return the completions of transformers' ``generate``, [sessions, SAMPLED_TOKENS]."""
    longest = max(map(len, prompts))
    pad_id = policy.model.config.pad_token_id
    ids = torch.tensor([[pad_id] * (longest - len(prompt)) + prompt for prompt in prompts])
    mask = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    config = GenerationConfig(
        do_sample=not greedy,
        top_k=None if greedy else 0,
        max_new_tokens=SAMPLED_TOKENS,
        pad_token_id=pad_id,
    )
    with torch.inference_mode():
        output = policy.model.generate(ids, attention_mask=mask, generation_config=config)
    assert output.shape == (len(prompts), longest + SAMPLED_TOKENS), "transformers stopped early"
    return output[:, longest:].tolist()


def converse(
    sessions: int, act: Callable[[int, list[list[int]]], list[Completion]], policy: TinyPolicy
) -> int:
    """Play ``TURNS[-1]`` turns of all sessions, each answered by ``act``; return the prompt tokens added."""
    generators = [np.random.default_rng((1, number)) for number in range(sessions)]
    prompts = [[policy.tokenizer.bos_id] for _ in generators]
    added = 0
    for turn in range(TURNS[-1]):
        for prompt, generator in zip(prompts, generators, strict=True):
            ids = policy.tokenizer.encode(observation(generator))
            added += len(ids)
            prompt += ids
        for prompt, completion in zip(prompts, act(turn, prompts), strict=True):
            assert len(completion.ids) == SAMPLED_TOKENS
            prompt += completion.ids
    return added


def check_equal(sessions: int, policy: TinyPolicy) -> str:
    """Say how many greedy completions of a conversation are those of transformers, id for id."""
    same: list[bool] = []

    def act(turn: int, prompts: list[list[int]]) -> list[Completion]:
        completions = policy.generate_sync(requests(prompts, turn, temperature=0))
        theirs = generate_anew(policy, prompts, greedy=True)
        same.extend(ours.ids == ids for ours, ids in zip(completions, theirs, strict=True))
        return completions

    converse(sessions, act, policy)
    return f"{sum(same)} of {len(same)}"


def measure(
    sessions: int, kept: TinyPolicy, dropped: TinyPolicy
) -> tuple[dict[str, list[float]], int, list[bool]]:
    """Return the CPU seconds of every turn for each contestant, the prompt tokens added in all, and for each
    completion whether the tiny policy sampled the same without its caches.
    """
    same: list[bool] = []
    seconds: dict[str, list[float]] = {name: [] for name in CONTESTANTS}

    def clocked(name: str, call: Callable[[], list[Completion]]) -> list[Completion]:
        start = time.process_time()
        answer = call()
        seconds[name].append(time.process_time() - start)
        return answer

    def anew(prompts: list[list[int]]) -> list[Completion]:
        return [Completion(ids, [], "length") for ids in generate_anew(kept, prompts)]

    def act(turn: int, prompts: list[list[int]]) -> list[Completion]:
        asked, asked_again = requests(prompts, turn), requests(prompts, turn)
        completions = clocked(OURS, lambda: kept.generate_sync(asked))
        dropped.drop_caches()
        again = clocked(DROPPED, lambda: dropped.generate_sync(asked_again))
        same.extend(a.ids == b.ids for a, b in zip(again, completions, strict=True))
        clocked(THEIRS, lambda: anew(prompts))
        return completions

    kept.drop_caches()
    return seconds, converse(sessions, act, kept), same


def report(sessions: int, best: dict[str, np.ndarray]) -> None:
    """Print the seconds up to each number of turns, and what the others take of ours."""
    print(f"{'turns':>5}  {'contestant':<24}{'seconds':>9}{'sampled tokens/s':>19}{'time / ours':>14}")
    for turns in TURNS:
        ours = best[OURS][:turns].sum()
        for name in CONTESTANTS:
            total = best[name][:turns].sum()
            rate = sessions * turns * SAMPLED_TOKENS / total
            print(f"{turns:>5}  {name:<24}{total:>9.2f}{rate:>19,.0f}{total / ours:>13.1f}x")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sessions", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print("$ OMP_NUM_THREADS=1 python benchmarks/generation.py " + " ".join(sys.argv[1:]))
    print(
        f"Python {platform.python_version()}, torch {torch.__version__}, transformers "
        f"{transformers.__version__}, palaestra {palaestra.__version__}, {platform.machine()}, "
        f"{os.cpu_count()} cores (one thread used)"
    )
    print(f"load average of the machine at the start: {os.getloadavg()[0]:.1f} (idle: 0)")
    kept = fresh_policy()
    dropped = TinyPolicy(kept.model, kept.tokenizer, max_batch=arguments.sessions)
    kept.max_batch = arguments.sessions
    print(f"greedy completions equal to transformers', id for id: {check_equal(8, kept)}")
    rounds, added, same = [], 0, []
    start = time.perf_counter()
    for _ in range(arguments.rounds):
        seconds, added, same = measure(arguments.sessions, kept, dropped)
        rounds.append(seconds)
    wall_s = time.perf_counter() - start
    size = sum(parameter.numel() for parameter in kept.model.parameters())
    print(
        f"{arguments.sessions} sessions, {added / arguments.sessions / TURNS[-1]:.1f} observation tokens and "
        f"{SAMPLED_TOKENS} sampled a turn; width 128, 2 layers, {size / 1e6:.2f} M parameters, not trained"
    )
    print(f"sampled completions that are the same without kept caches: {sum(same)} of {len(same)}")
    print(f"{arguments.rounds} rounds, {wall_s:.0f} s of wall time\n")
    report(arguments.sessions, {name: np.min([r[name] for r in rounds], axis=0) for name in CONTESTANTS})


if __name__ == "__main__":
    main()
