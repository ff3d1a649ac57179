"""The codec: text to ids with a tokenizer of transformers, with and without its special tokens."""

from __future__ import annotations

import functools
import itertools
import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from tokenizers import Tokenizer as Encoder

from palaestra.errors import OptionError


class TextCodec:
    """Encodes a template's text, in which special tokens count, and anybody's text, in which none do.

    ``controls`` are the tokens that anybody's text must never produce: all that were added to the
    vocabulary, whether or not they are called special, except white space. Some swallow the white space
    before or after them.
    """

    def __init__(self, tokenizer: Any) -> None:
        backend = getattr(tokenizer, "backend_tokenizer", None)
        if backend is None:
            raise OptionError(
                f"{type(tokenizer).__name__} is not a fast tokenizer; save it with a tokenizer.json"
            )
        self._tokenizer = tokenizer
        added = {token.content: (number, token) for number, token in tokenizer.added_tokens_decoder.items()}
        shown = {text: pair for text, pair in added.items() if text and not text.isspace()}
        self.controls: dict[str, int] = {text: number for text, (number, _) in shown.items()}
        self._control_ids = frozenset(self.controls.values())
        self.swallows_before = {text for text, (_, token) in shown.items() if token.lstrip}
        self.swallows_after = {text for text, (_, token) in shown.items() if token.rstrip}
        longest_first = sorted(self.controls, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")
        self._plain = _without_added_tokens(backend)
        # The copy numbers what it keeps of the added tokens anew.
        blank = {text: number for text, (number, _) in added.items() if text.isspace()}
        numbers = {self._plain.token_to_id(text): number for text, number in blank.items()}
        self._numbers = {there: number for there, number in numbers.items() if there != number}

    def template(self, text: str) -> list[int]:
        """Return the ids of a template's text: special tokens are recognised, none is added."""
        return self._tokenizer(text, add_special_tokens=False)["input_ids"] if text else []

    def content(self, text: str) -> list[int]:
        """Return the ids of anybody's text, no control among them; a lone surrogate becomes a ``?``."""
        text = text.encode(errors="replace").decode()
        ids = self._encoded([text])
        if self._control_ids.isdisjoint(ids):
            return ids
        # Vocabularies that hold the controls as words can spell them: cut the text inside each of them.
        ids = self._encoded(self._cut_inside(text))
        if self._control_ids.isdisjoint(ids):
            return ids
        return [number for number in self._encoded(text) if number not in self._control_ids]

    def mixed(self, parts: Iterable[tuple[str, bool]]) -> tuple[list[int], str]:
        """Return the ids of ``parts``, template text (True) or anybody's (False), and the plain text at their
        end, which must be encoded together with whatever follows.
        """
        ids: list[int] = []
        plain = ""
        for text, is_template in parts:
            found = self.controls_in(text) if is_template else []
            if not found:
                plain += text
                continue
            (begin, first), (last_begin, last) = found[0], found[-1]
            end = last_begin + len(last)
            ahead = plain + text[:begin]
            ids += self.content(ahead.rstrip() if first in self.swallows_before else ahead)
            ids += self.template(text[begin:end])
            plain = text[end:].lstrip() if last in self.swallows_after else text[end:]
        return ids, plain

    def split_first(self, text: str) -> tuple[str, str]:
        """Return a template's text up to its first control, and the rest."""
        found = self.controls_in(text)
        if not found:
            return text, ""
        begin, first = found[0]
        ahead = text[:begin]
        return ahead.rstrip() if first in self.swallows_before else ahead, text[begin:]

    def controls_in(self, text: str) -> list[tuple[int, str]]:
        """Return where in ``text`` controls are spelled, and which."""
        return [(match.start(), match[0]) for match in self._pattern.finditer(text)]

    def _encoded(self, texts: Iterable[str]) -> list[int]:
        ids = [number for text in texts for number in self._plain.encode(text, add_special_tokens=False).ids]
        return [self._numbers.get(number, number) for number in ids] if self._numbers else ids

    def _cut_inside(self, text: str) -> list[str]:
        cuts = [0, *(begin + 1 for begin, _ in self.controls_in(text)), len(text)]
        return [text[a:b] for a, b in itertools.pairwise(cuts)]

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ``ids`` without special tokens (others that were added, as for tools, stay)."""
        return self._tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)


@functools.lru_cache(maxsize=8)
def codec_of(tokenizer: Any) -> TextCodec:
    """Return the codec of ``tokenizer``, made once: large vocabularies take seconds."""
    return TextCodec(tokenizer)


def _without_added_tokens(backend: Encoder) -> Encoder:
    """Return a copy that recognises no added token but white space, and takes no piece for the beginning of
    a text.
    """
    state = json.loads(backend.to_str())
    blank = [token for token in state["added_tokens"] if token["content"].isspace()]
    state.update(added_tokens=blank, post_processor=None, truncation=None, padding=None)
    splitter = state.get("pre_tokenizer") or {}
    for part in [splitter, *splitter.get("pretokenizers", [])]:
        if part.get("prepend_scheme") == "first":
            part["prepend_scheme"] = "never"
    return Encoder.from_str(json.dumps(state))
