"""The learner against the plain computation: full logits, one row at a time, no packing."""

import copy
import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import Gemma2Config, Gemma2ForCausalLM, LlamaConfig, LlamaForCausalLM

from palaestra.errors import ContractError, DivergenceError, OptionError, UnknownNameError
from palaestra.trainers.core.batch import Row
from palaestra.trainers.core.learner import Learner, LearnerConfig
from palaestra.trainers.core.packing import micro_batches

VOCABULARY = 50


def small_model(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        config = LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=2,
            max_position_embeddings=128,
        )
        return LlamaForCausalLM(config).eval()


def make_rows(seed=0, count=9, imitate=False, sign=1.0):
    """Rows of turns: a few observed tokens, a few sampled ones; lengths from 6 to about 60."""
    generator = np.random.default_rng(seed)
    rows = []
    for _ in range(count):
        ids, sampled, advantage = [], [], []
        for _ in range(int(generator.integers(1, 6))):
            observed, acted = int(generator.integers(2, 9)), int(generator.integers(1, 5))
            ids += generator.integers(0, VOCABULARY, observed + acted).tolist()
            sampled += [False] * observed + [True] * acted
            advantage += [0.0] * observed + [float(generator.normal())] * acted
        logprobs = [float(-generator.exponential(4.0)) if is_sampled else 0.0 for is_sampled in sampled]
        weights = [sign * w for w in advantage]
        ids += generator.integers(0, VOCABULARY, 3).tolist()
        tail = [0.0] * 3
        rows.append(
            Row(
                ids=ids,
                sampled=[*sampled, False, False, False],
                logprobs=logprobs + tail,
                advantage=None if imitate else weights + tail,
                imitation=weights + tail if imitate else None,
            )
        )
    return rows


def gradient_of(model):
    grads = [
        parameter.grad.flatten().clone() for parameter in model.parameters() if parameter.grad is not None
    ]
    return torch.cat(grads)


def learner_gradient(model, rows, **options):
    model = copy.deepcopy(model)
    Learner(model, LearnerConfig(**options)).gradients(rows)
    return gradient_of(model)


def plain_gradient(
    model,
    rows,
    *,
    aggregation="token-mean",
    constant=0,
    clip=0.2,
    kl=0.0,
    entropy=0.0,
    auxiliary=0.0,
    reference=None,
):
    """The same loss written the slow, obvious way, with log_softmax over all logits of one row at a time."""
    model, reference = copy.deepcopy(model), reference or model
    rows_counted = sum(any(row.sampled) for row in rows)
    tokens = sum(sum(row.sampled) for row in rows)
    observed = sum(len(row.ids) - 1 - sum(row.sampled[1:]) for row in rows)
    total = torch.zeros(())
    for row in rows:
        ids = torch.tensor([row.ids])
        log_softmax = model(input_ids=ids).logits[0, :-1].log_softmax(-1)
        with torch.no_grad():
            old = reference(input_ids=ids).logits[0, :-1].log_softmax(-1)
        picked = log_softmax.gather(1, ids[0, 1:, None])[:, 0]
        old_picked = old.gather(1, ids[0, 1:, None])[:, 0]
        mask = torch.tensor(row.sampled[1:], dtype=torch.float32)
        if row.advantage is not None:
            advantage = torch.tensor(row.advantage[1:])
            ratio = torch.exp(picked - torch.tensor(row.logprobs[1:]))
            per_token = -torch.minimum(advantage * ratio, advantage * ratio.clamp(1 - clip, 1 + clip))
            d = old_picked - picked
            factor = torch.tensor(row.divergence[1:]) if row.divergence else 1.0
            per_token = per_token + kl * factor * (d.exp() - d - 1)
            per_token = per_token + entropy * (log_softmax.exp() * log_softmax).sum(-1)
        else:
            per_token = -torch.tensor(row.imitation[1:]) * picked
        per_token = per_token * mask
        weight = {
            "token-mean": 1 / tokens,
            "sequence-mean": 1 / (rows_counted * mask.sum()),
            "sequence-sum": 1 / rows_counted,
            "constant": 1 / (rows_counted * max(1, constant)),
        }[aggregation]
        total = total + (per_token * weight).sum() - auxiliary / observed * (picked * (1 - mask)).sum()
    total.backward()
    return gradient_of(model)


def close(first, second):
    return float((first - second).abs().max()) <= 1e-6 * max(1.0, float(second.abs().max()))


AGGREGATIONS = [("token-mean", 0), ("sequence-mean", 0), ("sequence-sum", 0), ("constant", 20)]


@pytest.mark.parametrize(("aggregation", "constant"), AGGREGATIONS)
@pytest.mark.parametrize("imitate", [False, True])
def test_the_gradient_equals_the_plain_one(aggregation, constant, imitate):
    model, rows = small_model(), make_rows(imitate=imitate)
    found = learner_gradient(
        model, rows, aggregation=aggregation, constant_tokens=constant, tokens_per_micro_batch=150
    )
    assert close(found, plain_gradient(model, rows, aggregation=aggregation, constant=constant))


def test_the_gradient_with_every_loss_switched_on_equals_the_plain_one():
    model, rows = small_model(), make_rows()
    found = learner_gradient(
        model, rows, kl_coefficient=0.3, entropy_coefficient=0.2, auxiliary_coefficient=0.5
    )
    expected = plain_gradient(model, rows, kl=0.3, entropy=0.2, auxiliary=0.5)
    assert close(found, expected)


def test_every_token_has_its_own_weight_of_divergence():
    """As SCoRe wants it: first attempts are held to the reference, second ones hardly."""
    reference, model = small_model(), small_model(seed=1)
    generator = np.random.default_rng(3)
    rows = [replace(row, divergence=generator.uniform(0, 2, len(row.ids)).tolist()) for row in make_rows()]
    learner = Learner(copy.deepcopy(reference), LearnerConfig(kl_coefficient=0.5))
    learner.model.load_state_dict(model.state_dict())
    learner.gradients(rows)
    assert close(gradient_of(learner.model), plain_gradient(model, rows, kl=0.5, reference=reference))


def test_the_weight_of_an_update_is_that_of_its_whole_loss():
    norms = [
        Learner(small_model(), LearnerConfig(entropy_coefficient=0.2)).update(make_rows(), weight=weight)
        for weight in (1.0, 1e-3)
    ]
    assert norms[1]["grad_norm"] == pytest.approx(1e-3 * norms[0]["grad_norm"], rel=1e-4)


def test_tokens_of_no_advantage_are_shown_where_the_loss_looks_at_them():
    row = Row([1, 2, 3, 4], [False, True, True, True], [0.0, -1.0, -2.0, -3.0], [0.0, 1.0, 0.0, -1.0])
    seen = []

    def loss(logprobs, behaviour, advantage, weight):
        seen.append(sorted(advantage[weight > 0].tolist()))
        return -advantage * logprobs, torch.zeros_like(weight, dtype=torch.bool)

    for shown in (False, True):
        Learner(small_model(), LearnerConfig(zero_advantages=shown)).update([row], loss)
    assert seen == [[-1.0, 1.0], [-1.0, 0.0, 1.0]]


def test_the_kl_is_to_the_model_at_construction_and_pulls_back_to_it():
    model, rows = small_model(), make_rows()
    learner = Learner(model, LearnerConfig(kl_coefficient=1.0))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.ones_like(parameter))
    far = learner.update(rows)["kl"]
    assert far > 0
    still = [Row(r.ids, r.sampled, r.logprobs, [0.0] * len(r.ids)) for r in rows]
    for _ in range(20):
        near = learner.update(still)["kl"]
    assert near < far / 2


@pytest.mark.parametrize(("aggregation", "constant"), AGGREGATIONS)
def test_the_gradient_does_not_depend_on_the_cut_into_micro_batches(aggregation, constant):
    model, rows = small_model(), make_rows(count=12)
    options = {"aggregation": aggregation, "constant_tokens": constant}
    whole = learner_gradient(model, rows, tokens_per_micro_batch=100_000, **options)
    for budget in (1, 60, 130, 400):
        assert close(learner_gradient(model, rows, tokens_per_micro_batch=budget, **options), whole)
    shuffled = [rows[i] for i in np.random.default_rng(1).permutation(len(rows))]
    assert close(learner_gradient(model, shuffled, tokens_per_micro_batch=130, **options), whole)


def test_micro_batches_keep_the_budget_and_hold_every_trained_token_once():
    rows = make_rows(count=20)
    budget = 100
    batches = list(micro_batches(rows, LearnerConfig(tokens_per_micro_batch=budget)))
    for batch in batches:
        assert batch.input_ids.numel() <= budget or batch.input_ids.shape[0] == 1
    trained = sorted(itertools.chain.from_iterable(batch.target.tolist() for batch in batches))
    assert trained == sorted(i for row in rows for i, s in zip(row.ids, row.sampled, strict=True) if s)
    lengths = [batch.input_ids.shape[1] for batch in batches]
    assert lengths == sorted(lengths, reverse=True)


def test_tokens_of_no_advantage_count_in_the_mean_but_are_not_read():
    model, rows = small_model(), make_rows(count=4)
    idle = Row([1, 2, 3, 4], [False, True, True, True], [0.0, -1.0, -1.0, -1.0], [0.0] * 4)
    tokens = sum(sum(row.sampled) for row in rows)
    alone = learner_gradient(model, rows)
    diluted = learner_gradient(model, [*rows, idle])
    assert close(diluted, alone * tokens / (tokens + 3))
    config = LearnerConfig()
    read = [sum(b.input_ids.numel() for b in micro_batches(r, config)) for r in (rows, [*rows, idle])]
    assert read[0] == read[1]


def test_good_tokens_become_likelier_and_bad_ones_rarer():
    model = small_model()
    ids = [1, 7, 1, 9]
    sampled = [False, True, False, True]
    with torch.no_grad():
        before = model(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)
    logprobs = [0.0, before[0, 7].item(), 0.0, before[2, 9].item()]
    learner = Learner(model, LearnerConfig(learning_rate=1e-2, warmup_steps=0))
    metrics = learner.update([Row(ids, sampled, logprobs, [0.0, 1.0, 0.0, -1.0])])
    with torch.no_grad():
        after = model(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)
    assert after[0, 7] > before[0, 7]
    assert after[2, 9] < before[2, 9]
    assert metrics["max_logprob_gap"] < 1e-5
    assert metrics["approximate_kl"] == pytest.approx(0.0, abs=1e-6)
    assert metrics["clip_fraction"] == 0.0


def test_imitation_lowers_its_loss_and_negative_weights_push_away():
    model = small_model()
    learner = Learner(model, LearnerConfig(learning_rate=3e-3, warmup_steps=0))
    ids, sampled = [1, 2, 3, 4, 5, 6], [False, True, True, False, True, True]
    row = Row(ids, sampled, [0.0] * 6, imitation=[0.0, 1.0, 1.0, 0.0, -0.1, 0.0])
    first = learner.update([row])
    for _ in range(15):
        last = learner.update([row])
    with torch.no_grad():
        after = model(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)
    assert last["imitation_loss"] < first["imitation_loss"] - 1.0
    assert after[0, 2].exp() > 5 / VOCABULARY
    assert after[3, 5].exp() < 1 / VOCABULARY
    assert first["trained_tokens"] == 3
    assert "clip_fraction" not in first


def test_mini_batches_and_epochs_take_several_optimiser_steps():
    learner = Learner(small_model(), LearnerConfig(mini_batches=3, epochs=2, learning_rate=5e-3))
    metrics = learner.update(make_rows(count=9))
    assert learner.steps == 6
    assert metrics["trained_tokens"] == 2 * sum(sum(row.sampled) for row in make_rows(count=9))


def test_the_learning_rate_follows_warm_up_and_decay():
    options = {"learning_rate": 1.0, "warmup_steps": 3, "decay": "linear", "decay_steps": 10}
    learner = Learner(small_model(), LearnerConfig(**options))
    rates = []
    for learner.steps in range(6):
        rates.append(learner.learning_rate)
    assert rates == pytest.approx([0.25, 0.5 * 0.9, 0.75 * 0.8, 0.7, 0.6, 0.5])


def test_a_saved_state_goes_on_exactly():
    rows = [make_rows(seed=i) for i in range(4)]
    straight = Learner(small_model(), LearnerConfig())
    for batch in rows:
        straight.update(batch)
    first = Learner(small_model(), LearnerConfig())
    for batch in rows[:2]:
        first.update(batch)
    second = Learner(copy.deepcopy(first.model), LearnerConfig())
    second.load_state(copy.deepcopy(first.state()))
    for batch in rows[2:]:
        second.update(batch)
    for one, other in zip(straight.model.parameters(), second.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_bfloat16_computes_nearly_the_same_and_keeps_float32_weights():
    model, rows = small_model(), make_rows(imitate=True)
    exact = learner_gradient(model, rows)
    rough = learner_gradient(model, rows, precision="bfloat16")
    assert rough.dtype == torch.float32
    assert 0 < float((exact - rough).norm() / exact.norm()) < 0.1


def test_a_gradient_that_is_not_finite_leaves_the_weights_alone():
    model = small_model()
    learner = Learner(model, LearnerConfig())
    before = copy.deepcopy(model.state_dict())
    row = Row([1, 2], [False, True], [0.0, -1.0], [0.0, float("inf")])
    with pytest.raises(DivergenceError, match="learning_rate"):
        learner.update([row])
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert learner.steps == 0


def test_nothing_to_learn_is_refused():
    row = Row([1, 2], [False, True], [0.0, -1.0], [0.0, 0.0])
    with pytest.raises(ContractError, match="at least one token"):
        Learner(small_model(), LearnerConfig()).update([row])
    with pytest.raises(ContractError, match="differ in length"):
        Row([1, 2], [False, True], [0.0, -1.0], [0.0])
    with pytest.raises(ContractError, match="first token"):
        Row([1, 2], [True, True], [0.0, -1.0], [0.0, 0.0])


def test_a_model_whose_logits_are_not_its_head_is_refused():
    config = Gemma2Config(
        vocab_size=20,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=1,
        num_key_value_heads=1,
        head_dim=16,
        final_logit_softcapping=0.01,
    )
    with pytest.raises(ContractError, match="Gemma2ForCausalLM"):
        Learner(Gemma2ForCausalLM(config), LearnerConfig())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"dual_clip": 0.5}, "dual_clip"),
        ({"clip_low": 1.5}, "clip_low"),
        ({"aggregation": "constant"}, "constant_tokens"),
        ({"constant_tokens": 5}, "constant_tokens"),
        ({"decay": "linear"}, "decay_steps"),
        ({"kl_coefficient": -1.0}, "kl_coefficient"),
    ],
)
def test_unusable_settings_are_refused(options, words):
    with pytest.raises(OptionError, match=words):
        LearnerConfig(**options)


def test_an_unknown_aggregation_names_the_nearest():
    with pytest.raises(UnknownNameError, match="sequence-mean"):
        LearnerConfig(aggregation="sequence_mean")  # type: ignore[arg-type]
