"""The tiny policy: a small decoder trained from scratch, with key-value caches kept across turns.

Its model is an ordinary one of transformers, its tokenizer a byte-level BPE trained on the environment's
text.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer as Encoder
from tokenizers import decoders, models, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from palaestra.agents.policies.core import Completion, Request, Tokenizer
from palaestra.agents.policies.engine import KeptCaches, check_requests, finish
from palaestra.agents.policies.folders import quiet, replace_folder
from palaestra.errors import CheckpointError, OptionError

_SCHEMA_VERSION = 1


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


class TinyPolicy:
    """Samples from a causal language model of transformers, with caches kept per session.

    What is sampled depends neither on the batch nor on other sessions (see the engine). Call ``drop_caches``
    after every change of the weights.
    """

    def __init__(
        self, model: Any, tokenizer: TinyTokenizer | Tokenizer, *, name: str = "tiny", max_batch: int = 64
    ) -> None:
        if max_batch < 1:
            raise OptionError(f"max_batch must be at least 1, not {max_batch}")
        self.model, self.tokenizer, self.name, self.max_batch = model, tokenizer, name, max_batch
        self.context_tokens: int = model.config.max_position_embeddings
        self._engine = KeptCaches(model, {tokenizer.stop_id}, max_batch=max_batch)

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
        check_requests(requests, self.context_tokens)
        return finish(self.model, self._engine.steps(requests))

    def forget(self, session: str) -> None:
        """Free the slot of ``session``."""
        self._engine.forget(session)

    def drop_caches(self) -> None:
        """Forget every session's keys and values, since the weights that made them changed."""
        self._engine.clear()

    def save(self, directory: Path) -> None:
        """Write weights (safetensors), configuration and tokenizer; ``transformers`` can read the folder.

        Written aside and renamed, so that a killed process leaves the old folder or the new one. Raises
        ``StorageError`` when the disk refuses.
        """
        tokenizer = self.tokenizer
        if not isinstance(tokenizer, TinyTokenizer):
            raise OptionError("only a policy with a TinyTokenizer can be saved")

        def write(aside: Path) -> None:
            self.model.save_pretrained(aside)
            tokenizer.save(aside)
            record = {"schema": _SCHEMA_VERSION, "name": self.name, "vocab_size": tokenizer.vocab_size}
            (aside / "policy.json").write_text(json.dumps(record) + "\n")

        replace_folder(directory, write)

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


def _read_model(directory: Path) -> Any:
    with quiet():
        model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32, local_files_only=True)
    return model.eval()
