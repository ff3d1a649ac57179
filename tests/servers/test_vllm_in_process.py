"""The vllm policy for real: ids, log-probs, prefix cache, weights that change in place.

Runs where vllm can be imported, such as in an environment of its own.
"""

from __future__ import annotations

import asyncio
import importlib.util
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("transformers")
import torch

from palaestra.agents.episode import sequences
from palaestra.agents.policies import load_policy
from palaestra.agents.policies.core import Request, Sampling
from palaestra.agents.policies.hf import HFPolicy
from palaestra.agents.react import react
from palaestra.agents.rollout import Job, RolloutSettings, rollout
from palaestra.envs.panel import make_panel
from palaestra.errors import CheckpointError, MissingExtraError, OptionError
from servers.transformers_serve import save_tiny_model

HAVE_VLLM = importlib.util.find_spec("vllm") is not None


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("vllm") / "model"
    save_tiny_model(place)
    return place


@pytest.fixture(scope="module")
def policy(folder):
    if not HAVE_VLLM:
        pytest.skip("vllm is not installed here")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")
        patch.setenv("VLLM_CPU_OMP_THREADS_BIND", "nobind")
        patch.setenv("VLLM_NO_USAGE_STATS", "1")
        from palaestra.agents.policies.vllm import VLLMPolicy

        return VLLMPolicy.load(folder, dtype="float32", context_tokens=512, enforce_eager=True, block_size=32)


def play(policy, *, concurrency=8, temperature=1.0):
    jobs = [Job(item) for item in make_panel("palaestra/GuessNumber-v0", 6, seed=1).items]
    agent = react(sampling=Sampling(temperature=temperature, max_tokens=8))
    return rollout(jobs, agent, policy, RolloutSettings(concurrency=concurrency, retries=0))


def worst_difference(episodes, model, temperature=1.0):
    """Return the largest difference of a log-prob from the model's own, and over how many ids."""
    worst, sampled = 0.0, 0
    for episode in episodes:
        [row] = sequences(episode)
        with torch.inference_mode():
            logits = model(input_ids=torch.tensor([row.ids])).logits[0, :-1].double()
        logprobs = (logits / temperature).log_softmax(-1)
        for place in np.flatnonzero(row.mask):
            worst = max(worst, abs(logprobs[place - 1, row.ids[place]].item() - row.logprobs[place]))
            sampled += 1
    return worst, sampled


@pytest.mark.vllm
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_ids_and_log_probs_are_those_of_the_model(policy, folder, temperature):
    episodes = play(policy, temperature=temperature)
    assert not any(episode.failed for episode in episodes)
    worst, sampled = worst_difference(episodes, HFPolicy.load(folder, dtype="float32").model, temperature)
    assert sampled > 200
    assert worst < 1e-3
    # Later turns find most of their prompt in the prefix cache.
    cached = [turn.tags.get("cached_tokens", 0) for turn in episodes[0].turns]
    assert cached[-1] > cached[1] > 0


@pytest.mark.vllm
def test_what_is_sampled_depends_on_the_episode_alone(policy):
    alone, together = play(policy, concurrency=1), play(policy)
    assert [[turn.completion_ids for turn in episode.turns] for episode in alone] == [
        [turn.completion_ids for turn in episode.turns] for episode in together
    ]


@pytest.mark.vllm
def test_weights_change_in_place_and_back(policy, folder, tmp_path):
    other = HFPolicy.load(folder, dtype="float32")
    with torch.no_grad():
        for parameter in other.model.parameters():
            parameter.mul_(1.1)
    other.save(tmp_path / "other")
    before = play(policy)
    assert worst_difference(before, other.model)[0] > 0.1
    policy.load_weights(tmp_path / "other")
    after = play(policy)
    worst, sampled = worst_difference(after, other.model)
    assert sampled > 200
    assert worst < 1e-3
    assert "cached_tokens" not in after[0].turns[0].tags
    policy.load_weights(folder)
    assert [[turn.completion_ids for turn in episode.turns] for episode in play(policy)] == [
        [turn.completion_ids for turn in episode.turns] for episode in before
    ]


@pytest.mark.vllm
def test_a_folder_without_weights_leaves_those_from_before(policy, tmp_path):
    before = play(policy)
    with pytest.raises(CheckpointError, match="from before stay"):
        policy.load_weights(tmp_path)
    assert [e.turns[0].completion_ids for e in play(policy)] == [e.turns[0].completion_ids for e in before]


@pytest.mark.vllm
def test_prompts_that_do_not_fit_are_refused(policy):
    request = Request([1] * 510, "session", np.random.default_rng(0), Sampling(max_tokens=8))
    with pytest.raises(OptionError, match="takes 1 to 512"):
        asyncio.run(policy.generate([request]))


@pytest.mark.vllm
def test_a_stop_id_ends_a_completion(policy):
    ids = policy.tokenizer.format.opening("Hello")
    requests = [Request(ids, f"session {n}", np.random.default_rng(n), Sampling(1.0, 300)) for n in range(8)]
    for completion in policy.generate_sync(requests):
        ended = completion.ids[-1] in policy.tokenizer.stop_ids
        assert completion.finish_reason == ("stop" if ended else "length")
        assert ended or len(completion.ids) == 300
        assert not set(completion.ids[:-1]) & policy.tokenizer.stop_ids


@pytest.mark.skipif(HAVE_VLLM, reason="vllm is installed here")
def test_without_vllm_the_name_says_what_to_install(folder):
    with pytest.raises(MissingExtraError, match="vllm"):
        load_policy(f"vllm:{folder}")
