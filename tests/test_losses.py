"""Losses of single tokens against numbers computed by hand, and the weights that average them."""

import math

import pytest
import torch

from palaestra.errors import OptionError, UnknownNameError
from palaestra.trainers.core import losses
from palaestra.trainers.core.schedules import decay, warm_up


def test_token_logprobs_and_entropy_of_a_distribution_computed_by_hand():
    logits = torch.log(torch.tensor([[0.5, 0.25, 0.25], [0.1, 0.2, 0.7]]))
    found = losses.token_logprobs(logits, torch.tensor([0, 2]))
    assert found.tolist() == pytest.approx([math.log(0.5), math.log(0.7)], abs=1e-6)
    expected = [1.5 * math.log(2), -(0.1 * math.log(0.1) + 0.2 * math.log(0.2) + 0.7 * math.log(0.7))]
    assert losses.entropy(logits).tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("tokens", [1, 128, 300])
@pytest.mark.parametrize("biased", [False, True])
def test_scores_of_a_head_are_those_of_its_logits_and_so_is_their_gradient(tokens, biased):
    generator = torch.Generator().manual_seed(0)
    inputs = [torch.randn(tokens, 6, generator=generator), torch.randn(11, 6, generator=generator)]
    inputs += [torch.randn(11, generator=generator)] if biased else []
    targets = torch.randint(0, 11, (tokens,), generator=generator)
    weights = torch.randn(tokens, generator=generator)

    def gradients(score):
        leaves = [value.clone().requires_grad_() for value in inputs]
        logprobs, entropies = score(leaves[0], leaves[1], leaves[2] if biased else None)
        (logprobs * weights).sum().backward()
        return [logprobs.detach(), entropies.detach(), *(leaf.grad for leaf in leaves)]

    def plain(hidden, weight, bias):
        logits = torch.nn.functional.linear(hidden, weight, bias)
        return losses.token_logprobs(logits, targets), losses.entropy(logits)

    found = gradients(lambda hidden, weight, bias: losses.scores(hidden, weight, bias, targets))
    for value, expected in zip(found, gradients(plain), strict=True):
        assert torch.allclose(value, expected, atol=1e-4, rtol=1e-5)


def test_scores_leave_a_frozen_head_alone_and_go_back_once():
    hidden = torch.randn(3, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    weight = torch.ones(5, 4)
    logprobs, entropies = losses.scores(hidden, weight, None, torch.tensor([0, 1, 4]))
    assert not entropies.requires_grad
    logprobs.sum().backward(retain_graph=True)
    assert weight.grad is None
    with pytest.raises(RuntimeError, match="inplace"):
        logprobs.sum().backward()


@pytest.mark.parametrize(
    ("ratio", "advantage", "expected", "silenced"),
    [
        (1.0, 2.0, -2.0, False),
        (1.5, 2.0, -1.28 * 2.0, True),  # a good token is not raised beyond 1 + clip_high
        (0.5, 2.0, -0.5 * 2.0, False),  # but always back towards its old share
        (0.5, -2.0, 0.8 * 2.0, True),  # a bad token is not lowered beyond 1 - clip_low
        (1.5, -2.0, 1.5 * 2.0, False),
        (9.0, -2.0, 3.0 * 2.0, True),  # dual clip: 3 x |advantage| at most
    ],
)
def test_policy_gradient_clips_low_high_and_dual(ratio, advantage, expected, silenced):
    loss, quiet = losses.policy_gradient(
        torch.tensor([math.log(ratio) - 1.0]),
        torch.tensor([-1.0]),
        torch.tensor([advantage]),
        clip_low=0.2,
        clip_high=0.28,
        dual_clip=3.0,
    )
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    assert quiet.item() is silenced


def test_silenced_tokens_have_no_gradient_and_the_others_do():
    logprobs = torch.tensor([0.5, 0.1, -0.5, 3.0], requires_grad=True)
    advantage = torch.tensor([1.0, 1.0, -1.0, -1.0])
    loss, quiet = losses.policy_gradient(logprobs, torch.zeros(4), advantage, dual_clip=10.0)
    loss.sum().backward()
    assert logprobs.grad is not None
    assert quiet.tolist() == [True, False, True, True]
    assert (logprobs.grad == 0).tolist() == quiet.tolist()


def test_absurd_log_ratios_stay_finite():
    logprobs = torch.tensor([-1000.0, 0.0], requires_grad=True)
    loss, _ = losses.policy_gradient(logprobs, torch.tensor([0.0, -1000.0]), torch.tensor([-1.0, -1.0]))
    penalty = losses.k3(logprobs, torch.tensor([0.0, -1000.0]))
    (loss.sum() + penalty.sum()).backward()
    assert torch.isfinite(loss).all()
    assert torch.isfinite(penalty).all()
    assert torch.isfinite(logprobs.grad).all()


COVARIED = {
    # The means over the four inside are -1 and 0.5:
    # 1.5 x 1, -0.5 x -1, 0.5 x 0.5, -1.5 x -0.5. The last, outside, would be within all bounds: 1 x 1.
    "logprobs": [0.0, -2.0, -0.5, -1.5, 0.0],
    "advantage": [2.0, 0.0, 1.0, -1.0, 1.5],
    "inside": [True, True, True, True, False],
}


def covaried():
    return (
        torch.tensor(COVARIED["logprobs"], requires_grad=True),
        torch.tensor(COVARIED["advantage"]),
        torch.tensor(COVARIED["inside"]),
    )


def test_covariances_are_of_the_tokens_inside():
    logprobs, advantage, inside = covaried()
    found = losses.covariances(logprobs, advantage, inside)
    assert found.tolist() == pytest.approx([1.5, 0.5, 0.25, 0.75, 1.0])
    assert not found.requires_grad


def test_clip_cov_drops_tokens_between_the_bounds_and_no_others():
    for seed in range(20):
        logprobs, advantage, inside = covaried()
        loss, silenced, dropped = losses.clip_cov(
            logprobs,
            logprobs.detach(),
            advantage,
            inside,
            share=0.5,
            low=0.25,
            high=1.5,
            generator=torch.Generator().manual_seed(seed),
        )
        # 0.25 and 1.5 are the bounds themselves: two candidates are left, and half of four tokens is two.
        assert dropped.tolist() == [False, True, False, True, False]
        assert not silenced.any()
        loss.sum().backward()
        assert logprobs.grad is not None
        assert loss.tolist() == pytest.approx([-2.0, 0.0, -1.0, 0.0, -1.5])
        assert logprobs.grad.tolist() == pytest.approx([-2.0, 0.0, -1.0, 0.0, -1.5])


def test_clip_cov_draws_at_most_the_share_but_one_at_least():
    drawn = set()
    for seed in range(30):
        logprobs, advantage, inside = covaried()
        generator = torch.Generator().manual_seed(seed)
        _, _, dropped = losses.clip_cov(
            logprobs, logprobs, advantage, inside, share=1e-4, low=0.0, high=9.0, generator=generator
        )
        assert dropped.sum() == 1
        drawn.add(int(dropped.nonzero()))
    assert drawn == {0, 1, 2, 3}


def test_clip_cov_without_candidates_is_the_clipped_surrogate():
    logprobs, advantage, inside = covaried()
    behaviour = logprobs.detach() - 0.3
    expected, quiet = losses.policy_gradient(logprobs, behaviour, advantage, clip_high=0.28)
    generator = torch.Generator().manual_seed(0)
    bounds = {"share": 1.0, "low": 50.0, "high": 60.0, "generator": generator}
    loss, silenced, dropped = losses.clip_cov(
        logprobs, behaviour, advantage, inside, clip_high=0.28, **bounds
    )
    assert not dropped.any()
    assert torch.equal(loss, expected)
    assert torch.equal(silenced, quiet)
    assert quiet.tolist() == [True, False, True, False, True]


def test_clip_cov_leaves_what_the_clip_silenced():
    logprobs, advantage, inside = covaried()
    behaviour = logprobs.detach() - torch.tensor([1.0, 0.0, 0.0, 0.0, 0.0])
    _, silenced, dropped = losses.clip_cov(
        logprobs,
        behaviour,
        advantage,
        inside,
        share=1.0,
        low=-9.0,
        high=9.0,
        generator=torch.Generator().manual_seed(0),
    )
    assert silenced.tolist() == [True, False, False, False, False]
    assert dropped.tolist() == [False, True, True, True, False]


def test_kl_cov_holds_the_tokens_of_largest_covariance():
    logprobs, advantage, inside = covaried()
    behaviour = logprobs.detach() - 0.5
    loss, held = losses.kl_cov(logprobs, behaviour, advantage, inside, share=0.5, coefficient=0.1)
    assert held.tolist() == [True, False, False, True, False]
    ratio = math.exp(0.5)
    expected = [-2 * ratio + 0.05, 0.0, -ratio, ratio + 0.05]
    assert loss[:4].tolist() == pytest.approx(expected, rel=1e-5)
    one = losses.kl_cov(logprobs, behaviour, advantage, inside, share=1e-4, coefficient=0.1)[1]
    assert one.tolist() == [True, False, False, False, False]


def test_k3_is_zero_at_equality_positive_elsewhere_and_estimates_the_divergence():
    policy, reference = torch.tensor([0.7, 0.2, 0.1]), torch.tensor([0.5, 0.3, 0.2])
    estimates = losses.k3(policy.log(), reference.log())
    true = (policy * (policy / reference).log()).sum()
    assert losses.k3(policy.log(), policy.log()).tolist() == pytest.approx([0.0] * 3, abs=1e-7)
    assert (estimates > 0).all()
    assert (policy * estimates).sum().item() == pytest.approx(true.item(), abs=1e-6)


def test_signed_cross_entropy_pulls_and_pushes():
    logprobs = torch.tensor([-2.0, -3.0])
    assert losses.signed_cross_entropy(logprobs, torch.tensor([1.0, -0.5])).tolist() == [2.0, -1.5]


def test_row_weights_average_as_each_algorithm_says():
    counts = [4, 0, 1]
    token_losses = [[1.0, 2.0, 3.0, 6.0], [], [10.0]]

    def total(aggregation, constant=0):
        weights = losses.row_weights(counts, aggregation, constant)
        return sum(w * sum(row) for w, row in zip(weights, token_losses, strict=True))

    assert total("token-mean") == pytest.approx(22 / 5)
    assert total("sequence-mean") == pytest.approx((3 + 10) / 2)
    assert total("sequence-sum") == pytest.approx((12 + 10) / 2)
    assert total("constant", 8) == pytest.approx((12 / 8 + 10 / 8) / 2)


def test_the_constant_aggregation_does_not_depend_on_how_many_rows_there_are():
    def total(copies):
        return 3 * sum(losses.row_weights([3, 3] * copies, "constant", 16))

    assert total(1) == pytest.approx(total(50))


def test_wrong_aggregations_are_refused():
    with pytest.raises(UnknownNameError, match="token-mean"):
        losses.row_weights([1], "token-means")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="constant_tokens"):
        losses.row_weights([1], "constant")


def test_schedules_warm_up_and_decay():
    assert [warm_up(step, 3) for step in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert warm_up(0, 0) == 1.0
    assert [decay(step, 4, "linear") for step in (0, 1, 4, 9)] == [1.0, 0.75, 0.0, 0.0]
    assert decay(2, 4, "cosine") == pytest.approx(0.5)
    assert decay(100, 4, "constant") == 1.0
    with pytest.raises(UnknownNameError, match="cosine"):
        decay(1, 4, "cosin")  # type: ignore[arg-type]
