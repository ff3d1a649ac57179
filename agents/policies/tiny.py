"""The tiny policy: a small decoder trained from scratch, with key-value caches kept across turns.

A turn costs its new tokens only. Every session has a row in two tensors per layer, [rows, heads, columns,
head_dim]; what a request shares with the ids kept in its slot is not encoded again. Works for any causal
language model of transformers with full attention, given a tokenizer.
"""

from __future__ import annotations

import contextlib
import json
import math
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from tokenizers import Tokenizer as Encoder
from tokenizers import decoders, models, pre_tokenizers, trainers
from torch import Tensor
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM
from transformers.utils import logging as transformers_logging

from palaestra.agents.policies.core import Completion, Request, Tokenizer
from palaestra.agents.policies.slots import Slots
from palaestra.errors import CheckpointError, DivergenceError, OptionError, StorageError

_SCHEMA_VERSION = 1
# Sessions kept before the one unused for longest is dropped (which only costs encoding it again).
_MAX_SESSIONS = 256


class TinyTokenizer:
    """Byte-level BPE. The specials lie above the vocabulary of the encoder, so that no text, whatever it
    spells, can produce one.
    """

    def __init__(self, encoder: Encoder) -> None:
        size = encoder.get_vocab_size()
        self.encoder = encoder
        self.bos_id, self.stop_id, self.pad_id = size, size + 1, size + 2
        self.vocab_size = size + 3

    def encode(self, text: str) -> list[int]:
        """Return the ids of ``text`` alone; a lone surrogate becomes a question mark."""
        return self.encoder.encode(text.encode(errors="replace").decode(), add_special_tokens=False).ids

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ``ids`` with specials left out."""
        return self.encoder.decode([number for number in ids if number < self.bos_id])

    def save(self, directory: Path) -> None:
        """Write ``tokenizer.json``."""
        self.encoder.save(str(directory / "tokenizer.json"))

    @staticmethod
    def load(directory: Path) -> TinyTokenizer:
        """Read ``tokenizer.json``. Raises ``CheckpointError`` when it is missing or broken."""
        path = directory / "tokenizer.json"
        try:
            return TinyTokenizer(Encoder.from_str(path.read_text(encoding="utf-8")))
        except Exception as error:  # tokenizers raises bare Exception
            raise CheckpointError(f"{path} is not a tokenizer: {error}") from error


def train_tokenizer(texts: Iterable[str], vocab_size: int = 1024) -> TinyTokenizer:
    """Return a tokenizer of at most ``vocab_size`` ids (specials included), a function of its arguments.

    Raises ``OptionError`` when ``vocab_size`` has no room for all bytes and the specials.
    """
    if vocab_size < 256 + 3:
        raise OptionError(f"vocab_size must be at least 259 (all bytes and 3 specials), not {vocab_size}")
    encoder = Encoder(models.BPE())
    encoder.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    encoder.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - 3,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    encoder.train_from_iterator(iter(texts), trainer)
    return TinyTokenizer(encoder)


@dataclass(slots=True)
class _Work:
    """One request under way: its row of the cache, the ids to feed next, and what was sampled so far."""

    request: Request
    row: int
    cached: int
    feed: list[int]
    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    finish_reason: Literal["stop", "length"] | None = None


class TinyPolicy:
    """Samples from a causal language model of transformers, with caches kept per session.

    Each token takes exactly one uniform number of its request's generator (none when greedy) and inverts
    the distribution in float64, so that a sample depends neither on the batch nor on other sessions, up to
    the rounding of the model's own arithmetic. Call ``drop_caches`` after every change of the weights.
    """

    def __init__(
        self, model: Any, tokenizer: TinyTokenizer | Tokenizer, *, name: str = "tiny", max_batch: int = 64
    ) -> None:
        if max_batch < 1:
            raise OptionError(f"max_batch must be at least 1, not {max_batch}")
        _require_full_attention(model)
        self.model, self.tokenizer, self.name, self.max_batch = model, tokenizer, name, max_batch
        self.context_tokens: int = model.config.max_position_embeddings
        self._slots = Slots(_MAX_SESSIONS)

    @staticmethod
    def new(
        texts: Iterable[str],
        *,
        width: int = 128,
        layers: int = 2,
        heads: int = 4,
        vocab_size: int = 1024,
        context_tokens: int = 2048,
        tied: bool = False,
        seed: int = 0,
    ) -> TinyPolicy:
        """Return an untrained Llama of the given size, with a tokenizer trained on ``texts``.

        ``tied`` shares the embedding with the output layer. Raises ``OptionError`` for sizes that do not fit.
        """
        if min(width, layers, heads, context_tokens) < 1 or width % (2 * heads):
            raise OptionError(
                f"width {width} must be a multiple of twice the heads ({heads}), and all sizes positive"
            )
        tokenizer = train_tokenizer(texts, vocab_size)
        config = LlamaConfig(
            vocab_size=tokenizer.vocab_size,
            hidden_size=width,
            intermediate_size=3 * width,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            num_key_value_heads=heads,
            max_position_embeddings=context_tokens,
            # The usual 0.02 suits widths in the thousands; at these it leaves attention flat for long.
            initializer_range=0.7 / math.sqrt(width),
            tie_word_embeddings=tied,
            bos_token_id=tokenizer.bos_id,
            eos_token_id=tokenizer.stop_id,
            pad_token_id=tokenizer.pad_id,
        )
        # transformers draws initial weights from the global generator: lend it a seed, then give it back.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = LlamaForCausalLM(config)
        return TinyPolicy(model.eval(), tokenizer)

    async def generate(self, requests: Sequence[Request]) -> list[Completion]:
        """Do what ``generate_sync`` does; the event loop waits meanwhile."""
        return self.generate_sync(requests)

    def generate_sync(self, requests: Sequence[Request]) -> list[Completion]:
        """Return one completion for each request, ``max_batch`` at a time.

        Raises ``OptionError`` when a prompt and its ``max_tokens`` exceed the model's context,
        ``DivergenceError`` when the model's numbers are not finite.
        """
        for request in requests:
            self._check(request)
        if len({request.session for request in requests}) != len(requests):
            raise OptionError("a session can be asked for one completion at a time")
        was_training = self.model.training
        self.model.eval()
        try:
            with torch.inference_mode():
                completions: list[Completion] = []
                for begin in range(0, len(requests), self.max_batch):
                    completions += self._generate(requests[begin : begin + self.max_batch])
                return completions
        except BaseException:
            # Half a turn, or numbers that are not finite, may be in the slots.
            self._slots = Slots(_MAX_SESSIONS)
            raise
        finally:
            self.model.train(was_training)

    def forget(self, session: str) -> None:
        """Free the slot of ``session``."""
        self._slots.forget(session)

    def drop_caches(self) -> None:
        """Forget every session's keys and values, since the weights that made them changed."""
        self._slots.clear()

    def save(self, directory: Path) -> None:
        """Write weights (safetensors), configuration and tokenizer; ``transformers`` can read the folder.

        Written aside and renamed, so that a killed process leaves the old folder or the new one. Raises
        ``StorageError`` when the disk refuses.
        """
        if not isinstance(self.tokenizer, TinyTokenizer):
            raise OptionError("only a policy with a TinyTokenizer can be saved")
        aside = directory.with_name(directory.name + ".partial")
        try:
            shutil.rmtree(aside, ignore_errors=True)
            aside.mkdir(parents=True)
            with _no_progress_bars():
                self.model.save_pretrained(aside)
            self.tokenizer.save(aside)
            record = {"schema": _SCHEMA_VERSION, "name": self.name, "vocab_size": self.tokenizer.vocab_size}
            (aside / "policy.json").write_text(json.dumps(record) + "\n")
            shutil.rmtree(directory, ignore_errors=True)
            aside.replace(directory)
        except (
            Exception
        ) as error:  # safetensors and tokenizers raise bare errors of their own for a full disk
            raise StorageError(f"cannot save the policy to {directory}: {error}") from error

    @staticmethod
    def load(directory: Path, *, max_batch: int = 64) -> TinyPolicy:
        """Read what ``save`` wrote. Raises ``CheckpointError`` when it is missing, cut or of another kind."""
        try:
            record = json.loads((directory / "policy.json").read_text())
            if record["schema"] != _SCHEMA_VERSION:
                raise CheckpointError(
                    f"{directory} has schema {record['schema']!r}; this version reads {_SCHEMA_VERSION}"
                )
            tokenizer = TinyTokenizer.load(directory)
            if tokenizer.vocab_size != record["vocab_size"]:
                raise CheckpointError(f"{directory}: its tokenizer belongs to another policy")
            model = _read_model(directory)
        except CheckpointError:
            raise
        except Exception as error:  # every reader on the way has errors of its own
            raise CheckpointError(f"{directory} is not a saved tiny policy: {error}") from error
        return TinyPolicy(model, tokenizer, name=record["name"], max_batch=max_batch)

    def _check(self, request: Request) -> None:
        total = len(request.ids) + request.sampling.max_tokens
        if not request.ids or total > self.context_tokens:
            raise OptionError(
                f"a prompt of {len(request.ids)} tokens and {request.sampling.max_tokens} to sample; the "
                f"model takes 1 to {self.context_tokens} together. Use a shorter window or a longer context"
            )

    def _generate(self, requests: Sequence[Request]) -> list[Completion]:
        works = self._begin(requests)
        for block in _blocks(works):
            self._sample(block, self._logits(block))
        active = sorted((work for work in works if work.finish_reason is None), key=lambda work: work.row)
        while active:
            self._sample(active, self._logits(active))
            active = [work for work in active if work.finish_reason is None]
        completions = []
        for work, request in zip(works, requests, strict=True):
            # The last id was sampled but never fed, so the cache does not hold it.
            self._slots.keep(request.session, [*request.ids, *work.ids[:-1]])
            assert work.finish_reason is not None
            completions.append(Completion(work.ids, work.logprobs, work.finish_reason))
        return completions

    def _begin(self, requests: Sequence[Request]) -> list[_Work]:
        """Give every request a row; what its row already holds of the prompt need not be fed."""
        rows = self._slots.rows([request.session for request in requests])
        works = []
        for request, row in zip(requests, rows, strict=True):
            # At least the last id is fed: its logits are what the first sample comes from.
            cached = min(self._slots.shared(request.session, request.ids), len(request.ids) - 1)
            works.append(_Work(request, row, cached, list(request.ids[cached:])))
        self._slots.reserve(max(len(request.ids) + request.sampling.max_tokens for request in requests))
        return works

    def _logits(self, works: Sequence[_Work]) -> Tensor:
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
        device = self.model.device
        position_ids = torch.from_numpy(positions).to(device)
        mask = self._slots.open(rows, position_ids, int(positions.max()) + 1, self.model.dtype)
        output = self.model(
            input_ids=torch.from_numpy(ids).to(device),
            attention_mask=mask,
            position_ids=position_ids.clamp_min(0),
            past_key_values=self._slots,
            use_cache=True,
            logits_to_keep=1,
        )
        logits = output.logits[:, -1]
        return logits if len(rows) == len(works) else logits[torch.tensor(places, device=device)]

    def _sample(self, works: Sequence[_Work], logits: Tensor) -> None:
        """Sample one id for every work and note it."""
        temperatures = np.array([work.request.sampling.temperature for work in works])
        scale = torch.from_numpy(np.where(temperatures == 0, 1.0, temperatures)).to(logits.device)
        logprobs = torch.log_softmax(logits.double() / scale[:, None], dim=-1)
        uniform = np.array(
            [
                work.request.generator.random() if t else 0.0
                for work, t in zip(works, temperatures, strict=True)
            ]
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
            if number == self.tokenizer.stop_id:
                work.finish_reason = "stop"
            elif len(work.ids) == work.request.sampling.max_tokens:
                work.finish_reason = "length"


def _span(works: Sequence[_Work]) -> tuple[list[int], list[int]]:
    """Return the rows to compute and the place of each work among them.

    Adjacent rows are read where they lie; others are copied together first, which costs more than computing
    some rows for nothing as long as those are the fewer.
    """
    rows = [work.row for work in works]
    spanned = rows[-1] - rows[0] + 1
    if spanned < 2 * len(rows):
        return list(range(rows[0], rows[-1] + 1)), [row - rows[0] for row in rows]
    return rows, list(range(len(rows)))


def _blocks(works: Sequence[_Work]) -> list[list[_Work]]:
    """Split works so that no block is padded to more than twice its shortest member."""
    blocks: list[list[_Work]] = []
    for work in sorted(works, key=lambda work: (len(work.feed), work.row)):
        if not blocks or len(work.feed) > 2 * len(blocks[-1][0].feed):
            blocks.append([])
        blocks[-1].append(work)
    return [sorted(block, key=lambda work: work.row) for block in blocks]


def _require_full_attention(model: Any) -> None:
    """Refuse models whose state is not one key and value per token: a kept row could not be cut back."""
    config = model.config
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    if kinds != {"full_attention"} or getattr(config, "sliding_window", None) or model._is_stateful:
        raise OptionError(
            f"kept caches need full attention in every layer; {type(model).__name__} with this configuration "
            "has other layers"
        )


def _read_model(directory: Path) -> Any:
    with _no_progress_bars():
        model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32, local_files_only=True)
    return model.eval()


@contextlib.contextmanager
def _no_progress_bars() -> Iterator[None]:
    """Keep transformers from drawing its own bars across ours."""
    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            transformers_logging.enable_progress_bar()
