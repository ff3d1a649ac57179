"""Rows read along a tree against rows read one by one."""

import copy

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM

from palaestra.trainers.core import trees
from palaestra.trainers.core.batch import Row
from palaestra.trainers.core.learner import Learner, LearnerConfig
from palaestra.trainers.core.packing import micro_batches, shared_batches

VOCABULARY = 40


def small_model(key_value_heads=2):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=key_value_heads,
            max_position_embeddings=1024,
        )
        return LlamaForCausalLM(config).eval()


def family(seed, groups=2, tries=5):
    """Rows in groups that begin alike, one that is the beginning of another, a twin, and a long one."""
    generator = np.random.default_rng(seed)

    def text(length):
        return generator.integers(0, VOCABULARY, length).tolist()

    rows = []
    for _ in range(groups):
        opening, turn = text(30), text(25)
        rows += [
            opening + (turn if n % 2 else []) + text(int(generator.integers(5, 40))) for n in range(tries)
        ]
    rows += [rows[0], rows[1][:40], text(300)]
    return [np.array(row) for row in rows]


def ordered(rows):
    return [rows[number] for number in trees.in_order(rows)]


@pytest.mark.parametrize("seed", range(4))
def test_every_row_stands_whole_on_its_branch(seed):
    rows = ordered(family(seed))
    ids, tree, places = trees.grow(rows)
    assert sum(tree.lengths) == ids.shape[1] == tree.position_ids.shape[1] < sum(map(len, rows))
    piece_of = np.repeat(np.arange(len(tree.lengths)), tree.lengths)
    for row, place in zip(rows, places, strict=True):
        assert ids[0, place].tolist() == row.tolist()
        assert tree.position_ids[0, place].tolist() == list(range(len(row)))
        branch = list(dict.fromkeys(piece_of[place].tolist()))
        assert tree.ancestors[branch[-1]] == branch[:-1]


def test_what_many_rows_share_is_read_once():
    opening = list(range(30))
    rows = ordered([np.array([*opening, 30 + n, *range(n)]) for n in range(8)])
    ids, _, _ = trees.grow(rows)
    assert ids.shape[1] == 30 + sum(len(row) - 30 for row in rows)


@pytest.mark.parametrize("key_value_heads", [1, 2, 4])
def test_hidden_states_are_those_of_the_rows_alone(key_value_heads):
    model, rows = small_model(key_value_heads), ordered(family(5))
    ids, tree, places = trees.grow(rows)
    with torch.no_grad():
        found = trees.hidden_states(model, ids, tree)[0]
        for row, place in zip(rows, places, strict=True):
            alone = model.get_decoder()(input_ids=torch.from_numpy(row)[None]).last_hidden_state[0]
            assert torch.allclose(found[place], alone, atol=1e-5)
    assert model.config._attn_implementation != trees.ATTENTION


def policy_rows(rows, seed=0):
    """Rows whose last third is trained, each with an advantage of its own, also where tokens are shared."""
    generator = np.random.default_rng(seed)
    made = []
    for ids in rows:
        sampled = [at >= len(ids) * 2 // 3 for at in range(len(ids))]
        value = float(generator.normal())
        made.append(
            Row(
                ids=ids.tolist(),
                sampled=sampled,
                logprobs=[-3.7 * s for s in sampled],
                advantage=[value * s for s in sampled],
            )
        )
    return made


@pytest.mark.parametrize("budget", [1, 120, 10_000])
@pytest.mark.parametrize("options", [{}, {"auxiliary_coefficient": 0.5, "kl_coefficient": 0.3}])
def test_the_gradient_is_that_of_padded_rows(budget, options):
    rows = policy_rows(family(7))
    found = []
    for shares in (True, False):
        model = small_model()
        learner = Learner(model, LearnerConfig(tokens_per_micro_batch=budget, **options))
        assert learner.shares_beginnings
        learner.shares_beginnings = shares
        metrics = learner.gradients(rows)
        found.append((torch.cat([p.grad.flatten() for p in model.parameters()]), metrics))
    (shared, metrics), (padded, expected) = found
    assert float((shared - padded).norm() / padded.norm()) < 1e-5
    assert {name: metrics[name] for name in metrics if name != "read_tokens"} == pytest.approx(
        {name: expected[name] for name in expected if name != "read_tokens"}, rel=1e-4, abs=1e-6
    )
    assert metrics["read_tokens"] < expected["read_tokens"] or budget == 1


def test_lines_keep_the_budget_and_hold_every_trained_token_once():
    rows, config = policy_rows(family(8, groups=4)), LearnerConfig(tokens_per_micro_batch=400)
    lines, padded = list(shared_batches(rows, config)), list(micro_batches(rows, config))
    assert all(line.input_ids.shape[1] <= 400 for line in lines)
    assert sorted(torch.cat([b.target for b in lines]).tolist()) == sorted(
        torch.cat([b.target for b in padded]).tolist()
    )


def test_a_model_that_attends_in_its_own_way_gets_padded_rows():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        shape = {
            "vocab_size": VOCABULARY,
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
        }
        sliding = MistralForCausalLM(MistralConfig(**shape, sliding_window=8))
        whole = MistralForCausalLM(MistralConfig(**shape, sliding_window=None))
    assert not trees.suit(sliding)
    assert trees.suit(whole)
    learner = Learner(sliding, LearnerConfig(learning_rate=1e-3))
    assert learner.update(policy_rows(family(9)))["read_tokens"] > sum(map(len, family(9))) * 0.9


def test_a_model_that_takes_no_tree_gets_padded_rows(monkeypatch):
    model = small_model()
    decoder = model.get_decoder()
    plain = type(decoder).forward

    def forward(self, input_ids=None, position_ids=None, use_cache=None):
        return plain(self, input_ids=input_ids, position_ids=position_ids, use_cache=use_cache)

    monkeypatch.setattr(type(decoder), "forward", forward)
    assert not trees.suit(model)
    assert model.config._attn_implementation != trees.ATTENTION


def test_the_model_is_left_in_its_mode():
    model = copy.deepcopy(small_model()).train()
    assert trees.suit(model)
    assert model.training
