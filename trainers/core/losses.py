"""Losses of single tokens, and the weights that make one loss out of many tokens.

Every function works on N tokens at once and returns N losses; nothing is averaged here. How tokens are
averaged is decided by ``row_weights`` over all rows of an update before it is cut into micro-batches: the
loss is the sum over tokens of weight x loss, and gradients add up to the same numbers however it was cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from palaestra.errors import OptionError, UnknownNameError

Aggregation = Literal["token-mean", "sequence-mean", "sequence-sum", "constant"]
AGGREGATIONS: tuple[str, ...] = get_args(Aggregation)

# A ratio beyond e^20 is a numerical accident; the bound keeps it from becoming infinite.
_LOG_RATIO_BOUND = 20.0
_K3_BOUND = 10.0
# Tokens whose logits are worked on at once: enough for fast products, few enough to stay in the cache.
_SCORED_AT_ONCE = 128


def token_logprobs(logits: Tensor, targets: Tensor) -> Tensor:
    """Return log p(target) (N,) from ``logits`` (N, V) and ``targets`` (N,).

    ``gather - logsumexp`` needs no second (N, V) tensor, which log_softmax would make.
    """
    return logits.gather(-1, targets.unsqueeze(-1)).squeeze(-1) - torch.logsumexp(logits, dim=-1)


def entropy(logits: Tensor) -> Tensor:
    """Return the entropy in nats (N,) of the next-token distributions ``logits`` (N, V)."""
    return torch.logsumexp(logits, dim=-1) - (torch.softmax(logits, dim=-1) * logits).sum(-1)


def scores(hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return log p(target) (N,) and the entropy in nats (N,) of a linear output head on ``hidden``.

    ``hidden`` is (N, width), ``weight`` (V, width). They are what ``token_logprobs`` and ``entropy`` say of
    the logits, at a fraction of their memory traffic: one (N, V) tensor is kept and becomes the gradient of
    the logits in place, so going backward works once. The entropy carries no gradient.
    """
    return _Scores.apply(hidden, weight, bias, targets)  # type: ignore[return-value]


class _Scores(torch.autograd.Function):
    """The head, log_softmax, the target's log-prob and the entropy as one step."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor
    ) -> tuple[Tensor, Tensor]:
        log_p = hidden.new_empty(len(hidden), len(weight))
        entropies = hidden.new_empty(len(hidden))
        scratch = hidden.new_empty(min(len(hidden), _SCORED_AT_ONCE), len(weight))
        for begin in range(0, len(hidden), _SCORED_AT_ONCE):
            some = slice(begin, min(begin + _SCORED_AT_ONCE, len(hidden)))
            logits = torch.mm(hidden[some], weight.t(), out=scratch[: some.stop - begin])
            if bias is not None:
                logits += bias
            torch.log_softmax(logits, -1, out=log_p[some])
            entropies[some] = -torch.linalg.vecdot(torch.exp(log_p[some], out=logits), log_p[some])
        ctx.save_for_backward(hidden, weight, targets, log_p)
        ctx.mark_non_differentiable(entropies)
        return log_p.gather(1, targets.unsqueeze(1)).squeeze(1), entropies

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride] - once_differentiable hides the names
        ctx: Any, *grad_outputs: Tensor
    ) -> tuple[Tensor | None, ...]:
        hidden, weight, targets, log_p = ctx.saved_tensors
        gradient = grad_outputs[0]
        # d log p(target) / d logits = onehot(target) - p
        by_logits = log_p.exp_().mul_(-gradient.unsqueeze(1))
        by_logits.scatter_add_(1, targets.unsqueeze(1), gradient.unsqueeze(1))
        of_hidden, of_weight, of_bias = ctx.needs_input_grad[:3]
        return (
            by_logits @ weight if of_hidden else None,
            by_logits.t() @ hidden if of_weight else None,
            by_logits.sum(0) if of_bias else None,
            None,
        )


def policy_gradient(
    logprobs: Tensor,
    behaviour: Tensor,
    advantage: Tensor,
    *,
    clip_low: float = 0.2,
    clip_high: float = 0.2,
    dual_clip: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """Return the clipped surrogate loss (N,) and which tokens the clip silenced (N,) bool.

    ``logprobs`` are the present policy's, ``behaviour`` those under which the tokens were sampled, all (N,).
    The ratio is clipped to [1 - clip_low, 1 + clip_high] (PPO; a larger ``clip_high`` is DAPO's
    clip-higher). ``dual_clip`` > 1 bounds the loss of a bad action at -dual_clip x advantage (Ye et al.
    2020); 0 switches it off.
    """
    ratio = torch.exp(torch.clamp(logprobs - behaviour, -_LOG_RATIO_BOUND, _LOG_RATIO_BOUND))
    free = -advantage * ratio
    clipped = -advantage * torch.clamp(ratio, 1.0 - clip_low, 1.0 + clip_high)
    loss = torch.maximum(free, clipped)
    silenced = clipped > free
    if dual_clip:
        bound = -advantage * dual_clip
        beyond = (advantage < 0) & (loss > bound)
        loss = torch.where(beyond, bound, loss)
        silenced = silenced | beyond
    return loss, silenced


def clip_cov(
    logprobs: Tensor,
    behaviour: Tensor,
    advantage: Tensor,
    inside: Tensor,
    *,
    share: float,
    low: float,
    high: float,
    generator: torch.Generator,
    clip_low: float = 0.2,
    clip_high: float = 0.2,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the clipped surrogate (N,) with some over-confident tokens dropped, which tokens the clip
    silenced (N,) bool, and which were dropped (N,) bool (Clip-Cov, Cui et al. 2025).

    Candidates are tokens ``inside`` (N,) bool that the clip did not silence and whose covariance lies
    strictly between ``low`` and ``high`` (in units of advantage x nats). Of them, as many as ``share`` of
    the tokens inside, but at least one, are drawn at random and lose their loss: raising what is likely and
    good (and lowering what is unlikely and bad) is what uses up entropy.
    """
    loss, silenced = policy_gradient(logprobs, behaviour, advantage, clip_low=clip_low, clip_high=clip_high)
    covariance = covariances(logprobs, advantage, inside)
    fit = inside & ~silenced & (covariance > low) & (covariance < high)
    candidates = fit.nonzero().squeeze(-1)
    count = max(1, int(share * int(inside.sum())))
    # Drawn on the CPU, so that a seed means the same on every device.
    order = torch.randperm(len(candidates), generator=generator)[:count].to(candidates.device)
    dropped = torch.zeros_like(inside)
    dropped[candidates[order]] = True
    return torch.where(dropped, 0.0, loss), silenced, dropped


def kl_cov(
    logprobs: Tensor,
    behaviour: Tensor,
    advantage: Tensor,
    inside: Tensor,
    *,
    share: float,
    coefficient: float,
) -> tuple[Tensor, Tensor]:
    """Return the surrogate without a clip (N,), with ``coefficient`` x |log ratio| added at the tokens of
    largest covariance, ``share`` of those ``inside`` but at least one; and which they are (N,) bool
    (KL-Cov, Cui et al. 2025).
    """
    log_ratio = torch.clamp(logprobs - behaviour, -_LOG_RATIO_BOUND, _LOG_RATIO_BOUND)
    covariance = covariances(logprobs, advantage, inside).masked_fill(~inside, -torch.inf)
    count = min(int(inside.sum()), max(1, int(share * int(inside.sum()))))
    held = torch.zeros_like(inside)
    held[covariance.topk(count).indices] = True
    return -advantage * log_ratio.exp() + coefficient * torch.where(held, log_ratio.abs(), 0.0), held


def covariances(logprobs: Tensor, advantage: Tensor, inside: Tensor) -> Tensor:
    """Return (advantage - mean) x (logprob - mean) (N,), the means over the tokens ``inside`` (N,) bool."""
    tokens = inside.sum().clamp(min=1)
    logprobs = logprobs.detach()

    def centred(values: Tensor) -> Tensor:
        return values - torch.where(inside, values, 0.0).sum() / tokens

    return centred(advantage) * centred(logprobs)


def k3(logprobs: Tensor, reference: Tensor) -> Tensor:
    """Return the estimate exp(d) - d - 1 of KL(policy || reference) (N,), with d = reference - logprobs.

    It is never negative, and unbiased for tokens sampled from the policy (Schulman 2020).
    """
    d = torch.clamp(reference - logprobs, -_LOG_RATIO_BOUND, _LOG_RATIO_BOUND)
    return torch.clamp(torch.exp(d) - d - 1.0, max=_K3_BOUND)


def signed_cross_entropy(logprobs: Tensor, weight: Tensor, floor_nats: float = 0.0) -> Tensor:
    """Return -weight x logprobs (N,): positive weights imitate a token, negative ones push it away.

    Pushing away has no lower bound, so keep negative weights small and few; or give a ``floor_nats`` c > 0:
    a token of negative weight whose log-prob is below -c is improbable enough and pushed no further.
    """
    if floor_nats:
        logprobs = torch.where(weight < 0, logprobs.clamp(min=-floor_nats), logprobs)
    return -weight * logprobs


def row_weights(counts: Sequence[int], aggregation: Aggregation, constant_tokens: int = 0) -> list[float]:
    """Return the weight that each token of a row gets, for rows with ``counts`` tokens in the stream.

    With n_r tokens in row r, N tokens and R rows (those with n_r > 0) in the whole update:

    * ``token-mean``     1 / N: every token counts the same, long rows count more (DAPO);
    * ``sequence-mean``  1 / (R n_r): the mean over rows of each row's mean (GRPO as published);
    * ``sequence-sum``   1 / R: the mean over rows of each row's sum;
    * ``constant``       1 / (R constant_tokens): that sum over a constant instead of the row's length
      (Dr. GRPO). Dividing by R too keeps the scale, and so the gradient clip, independent of how many rows
      there are and of how they are cut into micro-batches.
    """
    rows, tokens = sum(count > 0 for count in counts), sum(counts)
    if aggregation == "constant" and constant_tokens < 1:
        raise OptionError("aggregation 'constant' needs constant_tokens >= 1: the length to divide by")
    if aggregation == "token-mean":
        return [1.0 / tokens if count else 0.0 for count in counts]
    if aggregation == "sequence-mean":
        return [1.0 / (rows * count) if count else 0.0 for count in counts]
    if aggregation == "sequence-sum":
        return [1.0 / rows if count else 0.0 for count in counts]
    if aggregation == "constant":
        return [1.0 / (rows * constant_tokens) if count else 0.0 for count in counts]
    raise UnknownNameError("aggregation", aggregation, AGGREGATIONS)
