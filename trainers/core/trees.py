"""Rows that begin alike, read once: all tokens of a micro-batch in one line without padding, and attention
along the branches of the tree that the rows make.

Tries at one task share its first observation, and often the first turns. A token that several rows have in
common stands in the line once, and its hidden state is that of every such row, so nothing changes but
rounding. Everything outside of attention works on one token at a time and never notices.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from transformers import AttentionInterface

ATTENTION = "palaestra_tree"
# A piece attends to all of its own length, half of it in vain, so pieces are short; but each is a call.
_PIECE_TOKENS = 256
# Below this, a branch costs more in small attention calls than the tokens it saves.
_SHORTEST_SHARED_TOKENS = 16


@dataclass(frozen=True, slots=True)
class Tree:
    """How T tokens in a line belong together: pieces, each with the pieces before it on its branch."""

    lengths: list[int]
    """Tokens of every piece, in the order of the line; their sum is T."""
    ancestors: list[list[int]]
    """For every piece, the pieces that its tokens come after, first to last."""
    position_ids: Tensor
    """(1, T) int64: how many tokens stand before each on its branch."""


@dataclass(slots=True)
class _Line:
    """The line while it grows; ``at`` says for every row where its tokens stand in it."""

    ids: list[np.ndarray]
    tree: list[list[int]]
    positions: list[np.ndarray]
    at: list[list[np.ndarray]]
    tokens: int = 0

    def add(self, ids: np.ndarray, depth: int, ancestors: list[int], rows: Sequence[int]) -> list[int]:
        """Append a stretch of tokens that ``rows`` share; return the ancestors of what comes after it."""
        for begin in range(0, len(ids), _PIECE_TOKENS):
            piece = ids[begin : begin + _PIECE_TOKENS]
            self.tree.append(ancestors)
            ancestors = [*ancestors, len(self.ids)]
            self.ids.append(piece)
            self.positions.append(np.arange(depth + begin, depth + begin + len(piece)))
        for row in rows:
            self.at[row].append(np.arange(self.tokens, self.tokens + len(ids)))
        self.tokens += len(ids)
        return ancestors


def grow(rows: Sequence[np.ndarray], device: str = "cpu") -> tuple[Tensor, Tree, list[np.ndarray]]:
    """Return the line of tokens (1, T), its tree, and where in it the tokens of each row stand.

    ``rows`` hold token ids and are in lexicographic order, as ``in_order`` gives it.
    """
    line = _Line([], [], [], [[] for _ in rows])
    _branch(line, rows, range(len(rows)), 0, [])
    tree = Tree(
        lengths=[len(piece) for piece in line.ids],
        ancestors=line.tree,
        position_ids=torch.from_numpy(np.concatenate(line.positions)).unsqueeze(0).to(device),
    )
    ids = torch.from_numpy(np.concatenate(line.ids)).unsqueeze(0).to(device)
    return ids, tree, [np.concatenate(stretches) for stretches in line.at]


def _branch(
    line: _Line, rows: Sequence[np.ndarray], members: Sequence[int], depth: int, ancestors: list[int]
) -> None:
    """Add what ``members`` hold from ``depth`` on: the part in common, then every branch."""
    for cluster in _clusters(rows, members, depth):
        shared = rows[cluster[0]]
        end = common(shared, rows[cluster[-1]])
        after = line.add(shared[depth:end], depth, ancestors, cluster)
        if len(cluster) > 1:
            _branch(line, rows, cluster, end, after)


def _clusters(rows: Sequence[np.ndarray], members: Sequence[int], depth: int) -> Iterator[list[int]]:
    """Cut neighbours apart where they share too little beyond ``depth``; those that end there are done."""
    cluster: list[int] = []
    for row in members:
        if len(rows[row]) == depth:
            continue
        if cluster and common(rows[cluster[0]], rows[row]) - depth < _SHORTEST_SHARED_TOKENS:
            yield cluster
            cluster = []
        cluster.append(row)
    if cluster:
        yield cluster


def common(first: np.ndarray, second: np.ndarray) -> int:
    """Return how many tokens both begin with."""
    length = min(len(first), len(second))
    differing = np.flatnonzero(first[:length] != second[:length])
    return int(differing[0]) if len(differing) else length


def in_order(rows: Sequence[np.ndarray]) -> list[int]:
    """Return the rows' lexicographic order, in which rows that begin alike are neighbours."""
    return sorted(range(len(rows)), key=lambda number: rows[number].tolist())


# ---- attention ----


def _attend(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    tree: Tree,
    scaling: float | None = None,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[Tensor, None]:
    """Attend along the branches: query (1, H, T, D), key and value (1, fewer or H, T, D) to (1, T, H, D)."""
    queries = query.split(tree.lengths, dim=2)
    keys, values = key.split(tree.lengths, dim=2), value.split(tree.lengths, dim=2)
    outputs = []
    for number, before in enumerate(tree.ancestors):
        branch = [*before, number]
        own = tree.lengths[number]
        outputs.append(
            functional.scaled_dot_product_attention(
                queries[number],
                torch.cat([keys[piece] for piece in branch], dim=2) if before else keys[number],
                torch.cat([values[piece] for piece in branch], dim=2) if before else values[number],
                attn_mask=_mask(own, sum(tree.lengths[p] for p in before), query.device) if before else None,
                is_causal=not before,
                dropout_p=dropout,
                scale=scaling,
                enable_gqa=query.shape[1] != key.shape[1],
            )
        )
    return torch.cat(outputs, dim=2).transpose(1, 2), None


def _mask(own: int, before: int, device: torch.device) -> Tensor:
    """Return which keys each of ``own`` queries sees: all ``before``, and its own up to itself."""
    return torch.ones(own, before + own, dtype=torch.bool, device=device).tril(before)


AttentionInterface.register(ATTENTION, _attend)


@contextlib.contextmanager
def attention(model: Any) -> Iterator[None]:
    """Let the model attend along trees for a while."""
    config = model.get_decoder().config
    usual = config._attn_implementation
    config._attn_implementation = ATTENTION
    try:
        yield
    finally:
        config._attn_implementation = usual


def hidden_states(model: Any, input_ids: Tensor, tree: Tree) -> Tensor:
    """Return the last hidden states (1, T, width) of the line ``input_ids`` (1, T)."""
    with attention(model):
        output = model.get_decoder()(
            input_ids=input_ids, position_ids=tree.position_ids, use_cache=False, tree=tree
        )
    return output.last_hidden_state


@torch.no_grad()
def suit(model: Any) -> bool:
    """Say whether ``model`` attends along trees as it would along rows; some attend in ways of their own."""
    config = model.get_decoder().config
    kinds = getattr(config, "layer_types", None) or ()
    if getattr(config, "sliding_window", None) or any(kind != "full_attention" for kind in kinds):
        return False
    rows = [(np.arange(length) * step) % config.vocab_size for length, step in ((20, 1), (24, 1), (22, 3))]
    rows = [np.concatenate([np.arange(20) % config.vocab_size, row]) for row in rows]
    rows = [rows[number] for number in in_order(rows)]
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    try:
        ids, tree, places = grow(rows, str(device))
        found = hidden_states(model, ids, tree)[0]
        for row, place in zip(rows, places, strict=True):
            alone = torch.from_numpy(row).unsqueeze(0).to(device)
            expected = model.get_decoder()(input_ids=alone, use_cache=False).last_hidden_state[0]
            if not torch.allclose(found[torch.from_numpy(place).to(device)], expected, atol=1e-3, rtol=1e-3):
                return False
    except (TypeError, ValueError, RuntimeError):
        return False
    finally:
        model.train(was_training)
    return True
