"""The learner: rows in, one optimiser step (or several) on the model's weights out. Knows no algorithm."""

from __future__ import annotations

import copy
import itertools
import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from palaestra.errors import ContractError, DivergenceError
from palaestra.trainers.core import losses, trees
from palaestra.trainers.core.batch import Row
from palaestra.trainers.core.config import LearnerConfig
from palaestra.trainers.core.packing import MicroBatch, micro_batches, shared_batches
from palaestra.trainers.core.schedules import decay, warm_up

__all__ = ["Learner", "LearnerConfig", "Metrics", "PolicyLoss", "scores", "selected_logits"]

Metrics = dict[str, float]

PolicyLoss = Callable[[Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
"""From the present policy's log-probs, the behaviour's, the advantages and the weights in the policy stream
(0: not in it), all (N,), to the losses (N,) and which tokens are silenced (N,) bool."""


class Learner:
    """Updates the weights of ``model`` (a causal language model of transformers) in place.

    With a ``kl_coefficient`` it keeps a copy of the model as it is *now* as the reference, so make it before
    loading a checkpoint's weights into the model.
    """

    def __init__(self, model: Any, config: LearnerConfig) -> None:
        self.config = config
        self._policy_loss: PolicyLoss = self.clipped_surrogate
        self._weight = 1.0
        self.model = model.to(config.device)
        self.steps = 0
        self.optimizer = torch.optim.AdamW(
            _parameter_groups(model, config.weight_decay),
            lr=config.learning_rate,
            betas=config.betas,
            fused=True,
        )
        self.reference = copy.deepcopy(model).eval().requires_grad_(False) if config.kl_coefficient else None
        _check_head(model)
        self.shares_beginnings = trees.suit(model)
        """Whether tokens that rows begin with in common are read once; else rows are padded."""

    def update(
        self, rows: Sequence[Row], policy_loss: PolicyLoss | None = None, weight: float = 1.0
    ) -> Metrics:
        """Learn from ``rows``; return metrics, averaged over the optimiser steps taken.

        ``policy_loss`` takes the place of the clipped surrogate for this update, whose whole loss (bonuses
        and penalties too) is multiplied by ``weight``.
        ``read_tokens`` are those that the model read, padding included, and ``tokens_per_s`` their rate.
        Raises ``ContractError`` when no token of ``rows`` would be trained, ``DivergenceError`` when the
        gradient is not finite; the weights are then as the last finite step left them.
        """
        began = time.perf_counter()
        self._policy_loss = policy_loss or self.clipped_surrogate
        self._weight = weight
        self.model.train()
        try:
            parts = _parts(rows, self.config.mini_batches) * self.config.epochs
            taken = [metrics for part in parts if (metrics := self._step(part))]
        finally:
            self.model.eval()
        if not taken:
            raise ContractError("an update needs at least one token with a weight; every row has none")
        metrics = _mean(taken)
        # What the first step sees are the weights that sampled: any gap is the engines', not learning's.
        metrics["max_logprob_gap"] = taken[0]["max_logprob_gap"]
        for name in ("trained_tokens", "read_tokens"):
            metrics[name] = sum(step[name] for step in taken)
        metrics["tokens_per_s"] = metrics["read_tokens"] / (time.perf_counter() - began)
        return metrics

    def _step(self, rows: Sequence[Row]) -> Metrics:
        """Take one optimiser step; return its metrics, none where no token of ``rows`` has a weight."""
        self.optimizer.zero_grad(set_to_none=True)
        metrics = self.gradients(rows)
        if not metrics:
            return {}
        rate = self.learning_rate
        norm = float(nn.utils.clip_grad_norm_(self.model.parameters(), self.config.max_grad_norm))
        if not math.isfinite(norm):
            self.optimizer.zero_grad(set_to_none=True)
            raise DivergenceError(
                f"the gradient of optimiser step {self.steps} is not finite (loss {metrics['loss']}); the "
                "weights are still those of the step before. Go on from a checkpoint with a lower "
                f"learning_rate than {rate:g}"
            )
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.steps += 1
        return {**metrics, "grad_norm": norm, "learning_rate": rate}

    @property
    def learning_rate(self) -> float:
        """The rate of the next optimiser step."""
        config, step = self.config, self.steps
        factor = warm_up(step, config.warmup_steps) * decay(step, config.decay_steps, config.decay)
        return config.learning_rate * factor

    def gradients(self, rows: Sequence[Row]) -> Metrics:
        """Add the gradient of the loss over ``rows`` to the model's parameters; return metrics of the loss.

        The sum over micro-batches is the gradient of the whole, since ``row_weights`` saw all the rows.
        """
        sums: dict[str, Tensor] = {}
        gap = 0.0
        batches = shared_batches if self.shares_beginnings else micro_batches
        for batch in batches(rows, self.config):
            loss, found, batch_gap = self._loss(batch)
            loss.backward()
            gap = max(gap, batch_gap)
            for name, value in found.items():
                sums[name] = sums[name] + value.detach() if name in sums else value.detach()
        return _readable({name: float(value) for name, value in sums.items()}, gap) if sums else {}

    def _loss(self, batch: MicroBatch) -> tuple[Tensor, dict[str, Tensor], float]:
        """Return the loss of a micro-batch, sums for the metrics, and the largest log-prob gap."""
        config = self.config
        logprobs, entropies = scores(
            self.model, batch, config.precision, entropy_gradient=config.entropy_coefficient != 0
        )
        surrogate, silenced = self._policy_loss(logprobs, batch.behaviour, batch.advantage, batch.policy)
        sums = {
            "policy_loss": (surrogate * batch.policy).sum(),
            "imitation_loss": losses.signed_cross_entropy(
                logprobs, batch.imitation, config.negative_floor_nats
            ).sum(),
            "auxiliary_loss": losses.signed_cross_entropy(logprobs, batch.auxiliary).sum(),
        }
        loss = sums["policy_loss"] + sums["imitation_loss"]
        loss = loss + config.auxiliary_coefficient * sums["auxiliary_loss"]
        if config.entropy_coefficient:
            loss = loss - config.entropy_coefficient * (entropies * batch.policy).sum()
        if self.reference is not None:
            divergence = losses.k3(logprobs, self._reference_logprobs(batch))
            sums["kl"] = (divergence * batch.divergence * batch.policy).sum()
            loss = loss + config.kl_coefficient * sums["kl"]
        loss = self._weight * loss
        sums["loss"] = loss
        gap = _count(sums, batch, logprobs.detach(), silenced, entropies.detach())
        return loss, sums, gap

    def clipped_surrogate(
        self, logprobs: Tensor, behaviour: Tensor, advantage: Tensor, weight: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the losses and silenced tokens of PPO's surrogate with the configured clips."""
        return losses.policy_gradient(
            logprobs,
            behaviour,
            advantage,
            clip_low=self.config.clip_low,
            clip_high=self.config.clip_high,
            dual_clip=self.config.dual_clip,
        )

    @torch.no_grad()
    def _reference_logprobs(self, batch: MicroBatch) -> Tensor:
        return scores(self.reference, batch, self.config.precision)[0]

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint needs besides the weights: optimiser, step count, torch's generators."""
        state = {"optimizer": self.optimizer.state_dict(), "steps": self.steps, "rng": torch.get_rng_state()}
        if self.config.device != "cpu":
            state["device_rng"] = torch.cuda.get_rng_state(self.config.device)
        return state

    def load_state(self, state: dict[str, Any]) -> None:
        """Take back what ``state`` returned; the model's weights are loaded apart."""
        self.optimizer.load_state_dict(state["optimizer"])
        self.steps = int(state["steps"])
        # Dropout draws from the global generators, so an exact resume has to put them back.
        torch.set_rng_state(state["rng"].cpu())
        if "device_rng" in state and self.config.device != "cpu":
            torch.cuda.set_rng_state(state["device_rng"].cpu(), self.config.device)


def scores(
    model: Any, batch: MicroBatch, precision: str = "float32", *, entropy_gradient: bool = False
) -> tuple[Tensor, Tensor]:
    """Return the log-probs (N,) of the targets of ``batch`` and the entropies (N,) where they are predicted.

    The entropies carry a gradient only with ``entropy_gradient``, which costs two more (N, V) tensors.
    """
    head = model.get_output_embeddings()
    if type(head) is nn.Linear and precision == "float32" and not entropy_gradient:
        return losses.scores(_selected_states(model, batch), head.weight, head.bias, batch.target)
    logits = selected_logits(model, batch, precision)
    with torch.set_grad_enabled(entropy_gradient):
        entropies = losses.entropy(logits)
    return losses.token_logprobs(logits, batch.target), entropies


def selected_logits(model: Any, batch: MicroBatch, precision: str = "float32") -> Tensor:
    """Return the logits (N, V), float32, at the positions of ``batch``; no others are ever made."""
    with torch.autocast(batch.input_ids.device.type, torch.bfloat16, enabled=precision == "bfloat16"):
        return model.get_output_embeddings()(_selected_states(model, batch)).float()


def _selected_states(model: Any, batch: MicroBatch) -> Tensor:
    """Return the last hidden states (N, width) at the positions of ``batch``."""
    if batch.tree is None:
        hidden = model.get_decoder()(input_ids=batch.input_ids, use_cache=False).last_hidden_state
    else:
        hidden = trees.hidden_states(model, batch.input_ids, batch.tree)
    return hidden.flatten(0, 1).index_select(0, batch.position)


def _count(
    sums: dict[str, Tensor], batch: MicroBatch, logprobs: Tensor, silenced: Tensor, entropies: Tensor
) -> float:
    """Add the counts and sums behind the metrics to ``sums``; return the largest log-prob gap."""
    on_policy = batch.policy > 0
    taught = on_policy | (batch.imitation != 0)
    gap = torch.where(on_policy, logprobs - batch.behaviour, 0.0)
    bounded = gap.clamp(-20.0, 20.0)
    sums["silenced"] = (silenced & on_policy).sum()
    sums["approximate_kl"] = (torch.exp(bounded) - 1.0 - bounded).sum()
    sums["entropy"] = torch.where(taught, entropies, 0.0).sum()
    sums["policy_tokens"] = on_policy.sum()
    sums["taught_tokens"] = taught.sum()
    sums["trained_tokens"] = torch.tensor(batch.target.numel())
    sums["read_tokens"] = torch.tensor(batch.input_ids.numel())
    return float(gap.abs().max())


def _readable(sums: Metrics, gap: float) -> Metrics:
    """Return the metrics of one step; those of streams that took no part are left out."""
    policy_tokens, taught_tokens = sums.pop("policy_tokens"), sums.pop("taught_tokens")
    silenced, approximate_kl = sums.pop("silenced"), sums.pop("approximate_kl")
    metrics = {"loss": sums.pop("loss"), "entropy": sums.pop("entropy") / max(1.0, taught_tokens)}
    if policy_tokens:
        metrics["clip_fraction"] = silenced / policy_tokens
        metrics["approximate_kl"] = approximate_kl / policy_tokens
    metrics["max_logprob_gap"] = gap
    return metrics | {name: value for name, value in sums.items() if value != 0}


def _mean(steps: list[Metrics]) -> Metrics:
    names = dict.fromkeys(name for step in steps for name in step)
    return {name: math.fsum(step.get(name, 0.0) for step in steps) / len(steps) for name in names}


def _parts(rows: Sequence[Row], parts: int) -> list[Sequence[Row]]:
    bounds = [round(part * len(rows) / parts) for part in range(parts + 1)]
    return [rows[begin:end] for begin, end in itertools.pairwise(bounds)]


def _parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Return the trainable parameters in two groups: norms and biases are never decayed."""
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return [
        {"params": [p for p in trainable if p.dim() >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trainable if p.dim() < 2], "weight_decay": 0.0},
    ]


@torch.no_grad()
def _check_head(model: Any) -> None:
    """Refuse a model whose logits are more than its head on its last hidden state (scaling, soft caps)."""
    was_training = model.training
    model.eval()
    ids = torch.arange(4, device=next(model.parameters()).device).unsqueeze(0)
    expected = model(input_ids=ids, use_cache=False).logits
    found = model.get_output_embeddings()(
        model.get_decoder()(input_ids=ids, use_cache=False).last_hidden_state
    )
    model.train(was_training)
    if not torch.allclose(expected.float(), found.float(), atol=1e-3, rtol=1e-3):
        raise ContractError(
            f"the logits of {type(model).__name__} are not its output head on its last hidden state; "
            "the learner cannot train this kind of model"
        )
