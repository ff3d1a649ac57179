"""The engines of generation: requests in, completions out, one forward pass after another in between.

``KeptCaches`` keeps the keys and values of every session across turns, so that a turn costs its new tokens
only; it works for any causal language model of transformers with full attention. ``FreshCaches`` encodes
every prompt anew, and works for the others. Both take exactly one uniform number of a request's generator
for a token (none when greedy) and invert the distribution in float64, so that a sample depends neither on
the batch nor on other sessions, up to the rounding of the model's own arithmetic.
"""

from __future__ import annotations

import inspect
from collections.abc import Collection, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from palaestra.agents.policies.core import Completion, Request
from palaestra.agents.policies.slots import Slots
from palaestra.errors import DivergenceError, OptionError

# Sessions kept before the one unused for longest is dropped (which only costs encoding it again).
MAX_SESSIONS = 256
# Tokens of one forward pass, padding included: what a pass needs besides weights and caches grows with them.
_MAX_PASS_TOKENS = 16_384

# Yields after every forward pass, so that whoever drives it may do something else, or stop.
Steps = Generator[None, None, list[Completion]]


@dataclass(slots=True)
class Work:
    """One request under way: its row, how much of it is cached, what to feed next, what was sampled."""

    request: Request
    row: int
    cached: int
    feed: list[int]
    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    finish_reason: Literal["stop", "length"] | None = None

    def completion(self) -> Completion:
        """Return what was sampled."""
        assert self.finish_reason is not None
        return Completion(self.ids, self.logprobs, self.finish_reason)


class Engine(Protocol):
    """What a policy needs of an engine."""

    def steps(self, requests: Sequence[Request]) -> Steps:
        """Generate for ``requests``, which are of different sessions and fit the model."""
        ...

    def forget(self, session: str) -> None:
        """Drop what is kept for ``session``."""
        ...

    def clear(self) -> None:
        """Drop everything that is kept."""
        ...


class KeptCaches:
    """Sessions keep their keys and values, in ``cache_tokens`` tokens of memory at most (rows x columns).

    Raises ``OptionError`` for a model whose state is not one key and value a token: a kept row could not be
    cut back.
    """

    def __init__(
        self, model: Any, stop_ids: Collection[int], *, max_batch: int, cache_tokens: int | None = None
    ) -> None:
        _require_full_attention(model)
        self._model, self._stop_ids, self._max_batch = model, stop_ids, max_batch
        self._cache_tokens = cache_tokens
        self._cache_name = cache_name(model)
        self._slots = Slots(MAX_SESSIONS)

    def steps(self, requests: Sequence[Request]) -> Steps:
        """Generate, ``max_batch`` requests at a time, or as many as the memory for caches holds."""
        try:
            completions: list[Completion] = []
            tokens = max((len(r.ids) + r.sampling.max_tokens for r in requests), default=0)
            size = min(self._max_batch, self._fit(tokens))
            for begin in range(0, len(requests), size):
                completions += yield from self._batch(requests[begin : begin + size])
            return completions
        except BaseException:
            # Half a turn, or numbers that are not finite, may be in the slots.
            self._slots = Slots(MAX_SESSIONS)
            raise

    @property
    def token_bytes(self) -> int:
        """Memory that one cached token takes; 0 before the first forward pass."""
        return self._slots.token_bytes

    def forget(self, session: str) -> None:
        """Free the row of ``session``."""
        self._slots.forget(session)

    def clear(self) -> None:
        """Forget every session."""
        self._slots.clear()

    def _fit(self, tokens: int) -> int:
        """Return how many rows of ``tokens`` columns fit; starts anew where those in use are in the way."""
        if self._cache_tokens is None:
            return MAX_SESSIONS
        rows = max(1, min(MAX_SESSIONS, self._cache_tokens // self._slots.columns_for(tokens)))
        if self._slots.made[0] > rows:
            self._slots = Slots(rows)
        self._slots.max_sessions = rows
        return rows

    def _batch(self, requests: Sequence[Request]) -> Steps:
        works = self._begin(requests)
        for block in _blocks(works):
            sample(block, self._logits(block), self._stop_ids)
            yield
        active = sorted((work for work in works if work.finish_reason is None), key=lambda work: work.row)
        while active:
            sample(active, self._logits(active), self._stop_ids)
            active = [work for work in active if work.finish_reason is None]
            yield
        for work in works:
            # The last id was sampled but never fed, so the cache does not hold it.
            self._slots.keep(work.request.session, [*work.request.ids, *work.ids[:-1]])
        return [work.completion() for work in works]

    def _begin(self, requests: Sequence[Request]) -> list[Work]:
        """Give every request a row; what its row already holds of the prompt need not be fed."""
        rows = self._slots.rows([request.session for request in requests])
        works = []
        for request, row in zip(requests, rows, strict=True):
            # At least the last id is fed: its logits are what the first sample comes from.
            cached = min(self._slots.shared(request.session, request.ids), len(request.ids) - 1)
            works.append(Work(request, row, cached, list(request.ids[cached:])))
        self._slots.reserve(max(len(request.ids) + request.sampling.max_tokens for request in requests))
        return works

    def _logits(self, works: Sequence[Work]) -> Tensor:
        """Feed the ids of every work (rows ascending); return the logits after the last, [len(works), V]."""
        rows, places = _span(works)
        width = max(len(work.feed) for work in works)
        ids = np.zeros((len(rows), width), dtype=np.int64)
        positions = np.full((len(rows), width), -1)
        for work, place in zip(works, places, strict=True):
            # Padding stands left, so that the last column is the last id of every row.
            begin = width - len(work.feed)
            ids[place, begin:] = work.feed
            positions[place, begin:] = range(work.cached, work.cached + len(work.feed))
            work.cached += len(work.feed)
        device = self._model.device
        position_ids = torch.from_numpy(positions).to(device)
        mask = self._slots.open(rows, position_ids, int(positions.max()) + 1, self._model.dtype)
        output = self._model(
            input_ids=torch.from_numpy(ids).to(device),
            attention_mask=mask,
            position_ids=position_ids.clamp_min(0),
            use_cache=True,
            logits_to_keep=1,
            **{self._cache_name: self._slots},
        )
        logits = output.logits[:, -1]
        return logits if len(rows) == len(works) else logits[torch.tensor(places, device=device)]


def cache_name(model: Any) -> str:
    """Return what the model calls its cache: transformers 5.24 gave all of them one name, with aliases."""
    takes = inspect.signature(model.forward).parameters
    return next((name for name in ("cache", "cache_params") if name in takes), "past_key_values")


class FreshCaches:
    """Nothing is kept: every prompt is encoded whole. For models with layers that look back only so far, or
    that hold a running state; the latter get no padding, so only prompts of one length share a batch.
    """

    def __init__(self, model: Any, stop_ids: Collection[int], *, max_batch: int) -> None:
        self._model, self._stop_ids, self._max_batch = model, stop_ids, max_batch
        kinds = set(getattr(model.config.get_text_config(), "layer_types", None) or ())
        self._cache_name = cache_name(model)
        self._pads = not model._is_stateful and kinds <= {"full_attention", "sliding_attention"}

    def steps(self, requests: Sequence[Request]) -> Steps:
        """Generate, ``max_batch`` requests at a time."""
        works = [Work(request, row, 0, list(request.ids)) for row, request in enumerate(requests)]
        for block in self._batches(works):
            yield from self._batch(block)
        return [work.completion() for work in works]

    def forget(self, session: str) -> None:
        """Nothing is kept, so there is nothing to drop."""

    def clear(self) -> None:
        """Nothing is kept, so there is nothing to drop."""

    def _batches(self, works: Sequence[Work]) -> list[list[Work]]:
        batches: list[list[Work]] = []
        for block in _blocks(works, stretch=2.0 if self._pads else 1.0):
            batches += [block[n : n + self._max_batch] for n in range(0, len(block), self._max_batch)]
        return batches

    def _batch(self, works: Sequence[Work]) -> Generator[None]:
        device, width = self._model.device, max(len(work.feed) for work in works)
        mask = torch.zeros(len(works), width, dtype=torch.long)
        for row, work in enumerate(works):
            mask[row, width - len(work.feed) :] = 1
        cache: Any = None
        while any(work.finish_reason is None for work in works):
            ids = torch.tensor([[0] * (width - len(work.feed)) + work.feed for work in works])
            positions = (mask.cumsum(-1) - 1).clamp_min(0)[:, -ids.shape[1] :]
            output = self._model(
                input_ids=ids.to(device),
                # Without padding a model may take its fastest path, or the only one that it has.
                attention_mask=mask.to(device) if self._pads else None,
                position_ids=positions.to(device) if self._pads else None,
                use_cache=True,
                logits_to_keep=1,
                **{self._cache_name: cache},
            )
            cache = output[self._cache_name]
            rows = [row for row, work in enumerate(works) if work.finish_reason is None]
            sample([works[row] for row in rows], output.logits[rows, -1], self._stop_ids)
            # Those that are done are fed their last id again, and nothing more is sampled for them.
            width, mask = 1, torch.cat([mask, torch.ones(len(works), 1, dtype=torch.long)], 1)
            yield


def sample(works: Sequence[Work], logits: Tensor, stop_ids: Collection[int]) -> None:
    """Sample one id for every work from ``logits`` [len(works), V] and note it.

    Raises ``DivergenceError`` when the model's numbers are not finite.
    """
    temperatures = np.array([work.request.sampling.temperature for work in works])
    scale = torch.from_numpy(np.where(temperatures == 0, 1.0, temperatures)).to(logits.device)
    logprobs = torch.log_softmax(logits.double() / scale[:, None], dim=-1)
    uniform = np.array(
        [work.request.generator.random() if t else 0.0 for work, t in zip(works, temperatures, strict=True)]
    )
    cumulated = logprobs.exp().cumsum(-1)
    threshold = torch.from_numpy(uniform).to(logits.device)[:, None] * cumulated[:, -1:]
    chosen = torch.searchsorted(cumulated, threshold, right=True)[:, 0].clamp_max(logits.shape[1] - 1)
    if (temperatures == 0).any():
        greedy = torch.from_numpy(temperatures == 0).to(logits.device)
        chosen = torch.where(greedy, logits.argmax(-1), chosen)
    values = logprobs.gather(1, chosen[:, None])[:, 0]
    if not bool(torch.isfinite(values).all()):
        raise DivergenceError("the model's logits are not finite; go back to an earlier checkpoint")
    for work, number, value in zip(works, chosen.tolist(), values.tolist(), strict=True):
        work.ids.append(number)
        work.logprobs.append(value)
        work.feed = [number]
        if number in stop_ids:
            work.finish_reason = "stop"
        elif len(work.ids) == work.request.sampling.max_tokens:
            work.finish_reason = "length"


def check_requests(requests: Sequence[Request], context_tokens: int) -> None:
    """Raise ``OptionError`` for a prompt that does not fit the model, or a session that asks twice."""
    for request in requests:
        total = len(request.ids) + request.sampling.max_tokens
        if not request.ids or total > context_tokens:
            raise OptionError(
                f"a prompt of {len(request.ids)} tokens and {request.sampling.max_tokens} to sample; the "
                f"model takes 1 to {context_tokens} together. Use a shorter window or a longer context"
            )
    if len({request.session for request in requests}) != len(requests):
        raise OptionError("a session can be asked for one completion at a time")


def finish(model: Any, steps: Steps) -> list[Completion]:
    """Run ``steps`` to their end, the model in evaluation mode and without gradients."""
    while True:
        done = advance(model, steps)
        if done is not None:
            return done


def advance(model: Any, steps: Steps) -> list[Completion] | None:
    """Run one of ``steps``; return the completions after the last, None before."""
    was_training = model.training
    if was_training:
        model.eval()
    try:
        with torch.inference_mode():
            next(steps)
    except StopIteration as end:
        return end.value
    finally:
        if was_training:
            model.train()
    return None


def _span(works: Sequence[Work]) -> tuple[list[int], list[int]]:
    """Return the rows to compute and the place of each work among them.

    Adjacent rows are read where they lie; others are copied together first, which costs more than computing
    some rows for nothing as long as those are the fewer.
    """
    rows = [work.row for work in works]
    spanned = rows[-1] - rows[0] + 1
    if spanned < 2 * len(rows):
        return list(range(rows[0], rows[-1] + 1)), [row - rows[0] for row in rows]
    return rows, list(range(len(rows)))


def _blocks(works: Sequence[Work], stretch: float = 2.0) -> list[list[Work]]:
    """Split works so that no block is padded to more than ``stretch`` times its shortest member, or has more
    tokens than one pass should.
    """
    blocks: list[list[Work]] = []
    for work in sorted(works, key=lambda work: (len(work.feed), work.row)):
        tokens = len(work.feed)
        block = blocks[-1] if blocks else []
        if not block or tokens > stretch * len(block[0].feed) or (len(block) + 1) * tokens > _MAX_PASS_TOKENS:
            blocks.append([])
        blocks[-1].append(work)
    return [sorted(block, key=lambda work: work.row) for block in blocks]


def _require_full_attention(model: Any) -> None:
    config = model.config
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    if kinds != {"full_attention"} or getattr(config, "sliding_window", None) or model._is_stateful:
        raise OptionError(
            f"kept caches need full attention in every layer; {type(model).__name__} with this configuration "
            "has other layers"
        )
