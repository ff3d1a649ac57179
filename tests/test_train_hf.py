"""SFT and GRPO on a model folder of transformers: it learns, is saved, resumes, and loads again as it was."""

import json

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from chat_templates import make_tokenizer  # noqa: E402
from transformers import LlamaConfig, LlamaForCausalLM  # noqa: E402

from palaestra.agents.policies.hf import HFPolicy  # noqa: E402
from palaestra.errors import OptionError  # noqa: E402
from palaestra.trainers import grpo, sft  # noqa: E402
from palaestra.trainers.core.policies import trainable_policy  # noqa: E402

GUESS = {
    "env": "palaestra/GuessNumber-v0",
    "options": ("highest=8", "max_steps=4"),
    "max_context_tokens": 400,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A little chat model with random weights, as `save_pretrained` leaves it."""
    directory = tmp_path_factory.mktemp("models") / "little"
    tokenizer = make_tokenizer("qwen")
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=512,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        LlamaForCausalLM(config).save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory


def sft_config(out, folder, **changes):
    settings = {**GUESS, "episodes": 40, "noise": 0.0, "epochs": 6, "batch_tokens": 1000, **changes}
    return sft.Config(out=out, policy=f"hf:{folder}", learning_rate=1e-2, warmup_steps=2, **settings)


def grpo_config(out, folder, iterations):
    return grpo.Config(
        out=out,
        policy=f"hf:{folder}",
        iterations=iterations,
        tasks_per_iteration=3,
        group_size=4,
        max_new_tokens=6,
        learning_rate=1e-3,
        checkpoint_every=1,
        **GUESS,
    )


def rows(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def weights(run):
    return HFPolicy.load(run / "policy", dtype="float32").model.state_dict()


def test_sft_then_grpo_then_more_of_it(tmp_path, folder):
    cloned = sft.train(sft_config(tmp_path / "sft", folder))
    losses = [row["learner/imitation_loss"] for row in rows(cloned)]
    assert losses[-1] < losses[0] / 2

    straight = grpo.train(grpo_config(tmp_path / "straight", cloned / "policy", 2))
    halved = grpo.train(grpo_config(tmp_path / "halved", cloned / "policy", 1))
    grpo.train(grpo_config(tmp_path / "halved", cloned / "policy", 2))
    one, other = weights(straight), weights(halved)
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert all(row.get("learner/max_logprob_gap", 0.0) < 1e-3 for row in rows(straight))


def test_a_model_is_trained_in_full_precision_whatever_the_machine_prefers(folder):
    assert trainable_policy(f"hf:{folder}").model.dtype == torch.float32
    with pytest.raises(OptionError, match="no weights"):
        trainable_policy("random")
