"""Slots: the keys and values of many sessions in one tensor per layer, kept across turns.

A session's tokens lie in its row without gaps, at the column of their position, so a query at position p
may look at columns 0 to p and nothing else needs to be said about what a row holds. Columns beyond are
rubbish from padding or from a longer past, and are overwritten before they are ever looked at.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import Cache

_FIRST_TOKENS = 256


class Slots(Cache):
    """A transformers ``Cache`` whose rows belong to sessions.

    Per layer two tensors [rows, heads, columns, head_dim]. The last column takes what padding writes.
    """

    def __init__(self, max_sessions: int) -> None:
        super().__init__(layers=[])
        self.max_sessions = max_sessions
        self._kept: OrderedDict[str, list[int]] = OrderedDict()
        self._row_of: dict[str, int] = {}
        self._keys: list[Tensor] = []
        self._values: list[Tensor] = []
        self._rows_made = 0
        self._columns = _FIRST_TOKENS
        self._write = torch.empty(0, dtype=torch.long), torch.empty(0, dtype=torch.long)
        self._read: slice | Tensor = slice(0, 0)
        self._span = 0

    # ---- sessions --------------------------------------------------------------------------------------

    def rows(self, sessions: Sequence[str]) -> list[int]:
        """Return a row for each session, new ones in the lowest free rows; drops the longest unused when
        there are too many.
        """
        for session in sessions:
            if session in self._kept:
                self._kept.move_to_end(session)
        for session in sessions:
            if session not in self._kept:
                self._kept[session] = []
        while len(self._kept) > max(self.max_sessions, len(sessions)):
            self.forget(next(iter(self._kept)))
        free = iter(sorted(set(range(len(self._kept))) - set(self._row_of.values())))
        for session in sessions:
            if session not in self._row_of:
                self._row_of[session] = next(free)
        self._close_gaps(list(free))
        return [self._row_of[session] for session in sessions]

    def shared(self, session: str, ids: Sequence[int]) -> int:
        """Return how many leading ids the session's row already holds."""
        kept = self._kept[session]
        ids = ids if isinstance(ids, list) else list(ids)
        if ids[: len(kept)] == kept:
            return len(kept)
        return next(n for n, (a, b) in enumerate(zip([*kept, -1], [*ids, -2], strict=False)) if a != b)

    def keep(self, session: str, ids: list[int]) -> None:
        """Note what the session's row holds now."""
        self._kept[session] = ids

    def forget(self, session: str) -> None:
        """Free the row of ``session``; its neighbours close the gap when rows are next given out."""
        self._kept.pop(session, None)
        self._row_of.pop(session, None)

    def clear(self) -> None:
        """Free every row."""
        self._kept.clear()
        self._row_of.clear()

    def _close_gaps(self, gaps: list[int]) -> None:
        """Move sessions down into free rows, since a batch of adjacent rows needs no copy to be read."""
        last = sorted(((row, session) for session, row in self._row_of.items()), reverse=True)
        for gap, (row, session) in zip(gaps, last, strict=False):
            if row <= gap:
                break
            length = len(self._kept[session])
            for tensor in (*self._keys, *self._values):
                tensor[gap, :, :length] = tensor[row, :, :length]
            self._row_of[session] = gap

    # ---- what the model sees ---------------------------------------------------------------------------

    @property
    def made(self) -> tuple[int, int]:
        """Rows and columns that there is memory for."""
        return self._rows_made, self._columns

    @property
    def token_bytes(self) -> int:
        """Memory of one token, over all layers; 0 before the first forward pass."""
        tensors = (*self._keys, *self._values)
        return sum(tensor.shape[1] * tensor.shape[3] * tensor.element_size() for tensor in tensors)

    def columns_for(self, tokens: int) -> int:
        """Return how many columns rows of ``tokens`` tokens have: these and the one for padding, doubled up
        so that growing tokens seldom need a copy.
        """
        columns = self._columns
        while columns < tokens + 1:
            columns *= 2
        return columns

    def reserve(self, tokens: int) -> None:
        """Make room for the rows in use and for ``tokens`` columns."""
        rows, columns = self._rows_made, self.columns_for(tokens)
        needed = max(self._row_of.values(), default=-1) + 1
        if rows < needed:
            rows = max(needed, min(2 * rows, self.max_sessions))
        if (rows, columns) == (self._rows_made, self._columns):
            return
        for tensors in (self._keys, self._values):
            for number, old in enumerate(tensors):
                new = old.new_zeros(rows, old.shape[1], columns, old.shape[3])
                new[: old.shape[0], :, : old.shape[2]] = old
                tensors[number] = new
        self._rows_made, self._columns = rows, columns

    def open(self, rows: Sequence[int], positions: Tensor, span: int, dtype: torch.dtype) -> Tensor:
        """Prepare a forward pass of ``rows`` (ascending) at ``positions`` [B, T], -1 where padding stands.

        Returns the additive attention mask, [B, 1, T, span].
        """
        device = positions.device
        row_ids = torch.tensor(rows, device=device)
        self._write = row_ids[:, None], torch.where(positions < 0, self._columns - 1, positions)
        adjacent = rows[-1] - rows[0] + 1 == len(rows)
        self._read = slice(rows[0], rows[-1] + 1) if adjacent else row_ids
        self._span = span
        hidden = torch.arange(span, device=device) > positions.clamp_min(0)[:, :, None]
        mask = torch.zeros(hidden.shape, dtype=dtype, device=device)
        return mask.masked_fill_(hidden, torch.finfo(dtype).min)[:, None]

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Store new keys and values, [B, heads, T, head_dim]; return all those of the open rows."""
        if layer_idx == len(self._keys):
            for tensors, new in ((self._keys, key_states), (self._values, value_states)):
                shape = (self._rows_made, new.shape[1], self._columns, new.shape[3])
                tensors.append(new.new_zeros(shape))
        return (
            self._exchange(self._keys[layer_idx], key_states),
            self._exchange(self._values[layer_idx], value_states),
        )

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Return how many columns the open rows show."""
        return self._span

    def _exchange(self, stored: Tensor, new: Tensor) -> Tensor:
        rows, columns = self._write
        stored[rows, :, columns] = new.transpose(1, 2)
        if isinstance(self._read, slice):
            return stored[self._read, :, : self._span]
        return stored[:, :, : self._span].index_select(0, self._read)
