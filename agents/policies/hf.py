"""The Hugging Face policy: any causal language model of transformers, from a folder.

Keys and values are kept across turns where the model allows it (full attention, found out by trying), and
every prompt is encoded anew where it does not. A tokenizer with a chat template gives its contexts that
format, by piece; one without gives plain transcripts.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from palaestra.agents.chat import ChatFormat, Format, PlainFormat
from palaestra.agents.codec import codec_of
from palaestra.agents.policies.core import Completion, Request, Sampling
from palaestra.agents.policies.engine import Engine, FreshCaches, KeptCaches, advance, check_requests, finish
from palaestra.agents.policies.folders import quiet, replace_folder
from palaestra.errors import CheckpointError, MissingExtraError, OptionError

_CONTEXT_TOKENS = 4096  # of a model that does not say how many it takes


class HFTokenizer:
    """A tokenizer of transformers as contexts and agents need it, with the format of its chat template.

    ``stop_ids`` end a completion: ``stop_id``, which the template writes after an assistant message, the
    tokenizer's end of text, and ``other_stop_ids``. With ``exact``, templates that rewrite earlier turns are
    refused (see ``ChatFormat``). Raises ``OptionError``.
    """

    def __init__(
        self,
        tokenizer: Any,
        *,
        exact: bool = False,
        template_options: Mapping[str, Any] | None = None,
        other_stop_ids: Iterable[int] = (),
    ) -> None:
        self.tokenizer = tokenizer
        self._codec = codec_of(tokenizer)
        end = tokenizer.eos_token_id
        self.format: Format
        if tokenizer.chat_template:
            chat = ChatFormat(tokenizer, exact=exact, template_options=template_options)
            self.format, self.stop_id = chat, chat.stop_id
        elif end is None:
            raise OptionError("a tokenizer without a chat template needs an eos_token to end completions")
        else:
            self.format, self.stop_id = PlainFormat(self), int(end)
        # Models that were trained without a first id saw their documents begin after the end of another.
        first = tokenizer.bos_token_id
        self.bos_id = int(first if first is not None else self.stop_id)
        self.stop_ids = frozenset(
            {self.stop_id, *other_stop_ids} | ({int(end)} if end is not None else set())
        )

    @staticmethod
    def load(directory: Path) -> HFTokenizer:
        """Read the tokenizer of a model folder, and which ids end the model's completions.

        Raises ``CheckpointError`` where it cannot be read, ``OptionError`` where it cannot be used.
        """
        tokenizer = _read_tokenizer(directory)
        stated = directory / "generation_config.json"
        ends = GenerationConfig.from_pretrained(directory) if stated.is_file() else None
        return HFTokenizer(tokenizer, other_stop_ids=_ends(ends))

    def encode(self, text: str) -> list[int]:
        """Return the ids of ``text`` alone: no special token is added or recognised."""
        return self._codec.content(text)

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ``ids`` without special tokens (``<tool_call>`` and its like mostly stay)."""
        return self._codec.decode(ids)


class HFPolicy:
    """Samples from a causal language model of transformers.

    ``cache_gib`` bounds the memory for keys and values; sessions beyond it are encoded again. Log-probs are
    those of the distribution that was sampled from, temperature included. Call ``drop_caches`` after every
    change of the weights. Between forward passes the event loop gets its turn, so that a deadline ends a
    generation.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: HFTokenizer,
        *,
        name: str = "hf",
        max_batch: int = 64,
        cache_gib: float | None = None,
        context_tokens: int | None = None,
    ) -> None:
        if max_batch < 1 or (cache_gib is not None and cache_gib <= 0):
            raise OptionError("max_batch and cache_gib must be positive")
        self.model, self.tokenizer, self.name = model.eval(), tokenizer, name
        limit = getattr(model.config.get_text_config(), "max_position_embeddings", None) or _CONTEXT_TOKENS
        if context_tokens is not None and not 1 <= context_tokens <= limit:
            raise OptionError(f"context_tokens must be 1 to {limit} for this model, not {context_tokens}")
        self.context_tokens: int = context_tokens or limit
        gib = cache_gib if cache_gib is not None else _spare_gib(model.device)
        self._engine: Engine = (
            _kept_caches(model, tokenizer.stop_ids, max_batch, gib)
            or FreshCaches(model, tokenizer.stop_ids, max_batch=max_batch)
        )  # fmt: skip
        self._turn = asyncio.Lock()

    @property
    def keeps_caches(self) -> bool:
        """Whether keys and values are kept across turns."""
        return isinstance(self._engine, KeptCaches)

    @staticmethod
    def load(
        directory: Path,
        *,
        adapter: Path | None = None,
        device: str = "auto",
        dtype: str = "auto",
        exact: bool = False,
        template_options: Mapping[str, Any] | None = None,
        max_batch: int = 64,
        cache_gib: float | None = None,
        context_tokens: int | None = None,
    ) -> HFPolicy:
        """Read a model folder (safetensors, configuration, tokenizer), and merge a LoRA ``adapter`` into it.

        ``directory`` may be an adapter's folder itself, if its base is a folder on this machine. ``dtype``
        "auto" is bfloat16 where the hardware computes in it, else float32.

        Raises ``CheckpointError`` for a folder that holds no such model, ``MissingExtraError`` for an
        adapter without peft, ``OptionError`` for a chat template or a setting that cannot be used.
        """
        base, adapter = _base_and_adapter(directory, adapter)
        chosen = _device(device)
        model = _read_model(base, chosen, _dtype(dtype, chosen))
        if adapter is not None:
            model = _merged(model, adapter)
        tokenizer = HFTokenizer(
            _read_tokenizer(base),
            exact=exact,
            template_options=template_options,
            other_stop_ids=_ends(model.generation_config),
        )
        return HFPolicy(
            model,
            tokenizer,
            name=directory.resolve().name,
            max_batch=max_batch,
            cache_gib=cache_gib,
            context_tokens=context_tokens,
        )

    async def generate(self, requests: Sequence[Request]) -> list[Completion]:
        """Return one completion for each request; a cancelled call ends after the present forward pass.

        Raises ``OptionError`` when a prompt and its ``max_tokens`` exceed the model's context,
        ``DivergenceError`` when the model's numbers are not finite.
        """
        check_requests(requests, self.context_tokens)
        async with self._turn:
            steps = self._engine.steps(requests)
            try:
                while (done := advance(self.model, steps)) is None:
                    await asyncio.sleep(0)
            finally:
                steps.close()
        return done

    def generate_sync(self, requests: Sequence[Request]) -> list[Completion]:
        """Do what ``generate`` does, without an event loop."""
        check_requests(requests, self.context_tokens)
        return finish(self.model, self._engine.steps(requests))

    def forget(self, session: str) -> None:
        """Free what is kept for ``session``."""
        self._engine.forget(session)

    def drop_caches(self) -> None:
        """Forget every session's keys and values, since the weights that made them changed."""
        self._engine.clear()

    def save(self, directory: Path) -> None:
        """Write weights (safetensors), configuration and tokenizer, whole or not at all.

        Raises ``StorageError`` when the disk refuses.
        """

        def write(aside: Path) -> None:
            self.model.save_pretrained(aside)
            self.tokenizer.tokenizer.save_pretrained(aside)

        replace_folder(directory, write)


def _kept_caches(model: Any, stop_ids: Iterable[int], max_batch: int, gib: float) -> KeptCaches | None:
    """Return an engine that keeps caches, or None where the model has other layers or does not stand it.

    What a model makes of a cache and a mask of ours is tried on a few tokens: no list names all models.
    """
    generator = np.random.default_rng(0)
    prompts = [
        generator.integers(3, model.config.get_text_config().vocab_size, size=n).tolist() for n in (4, 7)
    ]
    tolerance = 1e-3 if model.dtype == torch.float32 else 0.3
    try:
        trial = KeptCaches(model, frozenset(), max_batch=2)
        for _ in range(2):
            requests = [
                Request(ids, f"trial {n}", generator, Sampling(0.0, 3)) for n, ids in enumerate(prompts)
            ]
            kept = finish(model, trial.steps(requests))
            prompts = [[*ids, *done.ids] for ids, done in zip(prompts, kept, strict=True)]
            for ids, done in zip(prompts, kept, strict=True):
                if np.abs(_logprobs(model, ids)[-3:] - done.logprobs).max() > tolerance:
                    return None
    except Exception:  # whatever a model raises when it is given what it does not expect
        return None
    return KeptCaches(
        model,
        stop_ids=frozenset(stop_ids),
        max_batch=max_batch,
        cache_tokens=int(gib * 2**30) // trial.token_bytes,
    )


@torch.inference_mode()
def _logprobs(model: Any, ids: Sequence[int]) -> np.ndarray:
    """Return the log-prob of each id but the first, from one forward pass without a cache."""
    row = torch.tensor([list(ids)], device=model.device)
    logprobs = model(input_ids=row, use_cache=False).logits[0, :-1].double().log_softmax(-1)
    return logprobs.gather(1, row[0, 1:, None])[:, 0].cpu().numpy()


def _base_and_adapter(directory: Path, adapter: Path | None) -> tuple[Path, Path | None]:
    if (directory / "config.json").is_file():
        if adapter is not None and not (adapter / "adapter_config.json").is_file():
            raise CheckpointError(f"{adapter} is not a LoRA adapter: it has no adapter_config.json")
        return directory, adapter
    try:
        base = Path(json.loads((directory / "adapter_config.json").read_text())["base_model_name_or_path"])
    except Exception as error:  # missing, cut, or of another shape
        raise CheckpointError(
            f"{directory} is not a model folder (config.json, *.safetensors, tokenizer.json)"
        ) from error
    if not (base / "config.json").is_file():
        raise CheckpointError(
            f"{directory} is an adapter of {base}, which is no folder here; pass HFPolicy.load(FOLDER, "
            f"adapter={str(directory)!r}) with the folder of its base"
        )
    return base, directory


def _read_model(directory: Path, device: torch.device, dtype: torch.dtype) -> Any:
    try:
        with quiet():
            # Only safetensors: the older format runs code when it is read.
            model: Any = AutoModelForCausalLM.from_pretrained(
                directory, dtype=dtype, local_files_only=True, use_safetensors=True
            )
            return model.to(device)
    except Exception as error:  # every reader on the way has errors of its own
        raise CheckpointError(f"{directory} holds no model that can be read: {error}") from error


def _read_tokenizer(directory: Path) -> Any:
    try:
        return AutoTokenizer.from_pretrained(directory, local_files_only=True)
    except Exception as error:
        raise CheckpointError(f"{directory} holds no tokenizer that can be read: {error}") from error


def _merged(model: Any, adapter: Path) -> Any:
    try:
        from peft import PeftModel  # pyright: ignore[reportMissingImports]
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"the adapter {adapter}", "lora") from error
    try:
        # Merged, since generating through an adapter costs a tenth more.
        return PeftModel.from_pretrained(model, str(adapter)).merge_and_unload()
    except Exception as error:
        raise CheckpointError(f"{adapter} is no adapter of this model: {error}") from error


def _ends(generation_config: Any) -> list[int]:
    ends = getattr(generation_config, "eos_token_id", None)
    return [] if ends is None else [ends] if isinstance(ends, int) else list(ends)


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.device(name)
    except RuntimeError as error:
        raise OptionError(f"unknown device {name!r}: name one of torch, such as cpu or cuda:0") from error


def _dtype(name: str, device: torch.device) -> torch.dtype:
    if name == "auto":
        half = torch.cuda.is_bf16_supported() if device.type == "cuda" else _cpu_computes_bfloat16()
        return torch.bfloat16 if half else torch.float32
    dtype = getattr(torch, name, None)
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise OptionError(f"unknown dtype {name!r}: auto, float32, bfloat16 or float16")
    return dtype


def _cpu_computes_bfloat16() -> bool:
    """Elsewhere bfloat16 is emulated, and several times slower than float32."""
    try:
        flags = Path("/proc/cpuinfo").read_text().split()
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def _spare_gib(device: torch.device) -> float:
    """Return a share of memory for caches: most of what a GPU has left, a quarter of the machine's own."""
    if device.type == "cuda":
        return 0.6 * torch.cuda.mem_get_info(device)[0] / 2**30
    try:
        return 0.25 * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    except (AttributeError, ValueError, OSError):  # no such question on this system
        return 2.0
