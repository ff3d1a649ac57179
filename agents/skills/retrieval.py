"""Which skills come into a prompt: rankers over a library, and a selection within a budget of tokens.

A ranker follows its library: it looks at what changed since it was last asked. Scores depend on skills alone,
never on statistics, so a library's digest settles what is retrieved.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from array import array
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np

from palaestra.agents.policies.core import Tokenizer
from palaestra.agents.skills.core import Kind, Skill, render
from palaestra.agents.skills.library import Library
from palaestra.errors import ContractError, OptionError

_WORDS = re.compile(r"[^\W_]+")
_CANDIDATES_PER_SKILL = 8
Ranked = list[tuple[str, float]]
Embed = Callable[[Sequence[str]], np.ndarray]
"""Texts to vectors, one row each."""


@dataclass(frozen=True, slots=True)
class Query:
    """What is to be done: the goal's text, and the scenario where the environment tells it."""

    text: str = ""
    scenario: str = ""


@dataclass(frozen=True, slots=True)
class Retrieved:
    """A skill that was chosen: its score, the skills it calls that were not chosen before it (helpers first),
    and how many tokens all of them take.
    """

    skill: Skill
    score: float
    helpers: tuple[Skill, ...]
    tokens: int


def text_of(skill: Skill) -> str:
    """Return what a skill says about itself: name, category, description, and the goal it came from."""
    return f"{skill.name} {skill.category} {skill.description} {skill.provenance.goal}"


def goal_of(skill: Skill) -> str:
    """Return the goal of the task that a skill came from: with it, tasks are compared with tasks."""
    return skill.provenance.goal


class Ranker(ABC):
    """Orders the skills of one library by how well they fit a query."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self._seen = 0

    def rank(self, query: Query, limit: int) -> Ranked:
        """Return the names and scores of at most ``limit`` skills in use, the best first."""
        for change in self.library.changes(since=self._seen):
            self._drop(change.skill.name)
            if not change.skill.retired:
                self._put(change.skill)
        self._seen = self.library.version
        return self._rank(query, limit)

    @abstractmethod
    def _put(self, skill: Skill) -> None: ...

    @abstractmethod
    def _drop(self, name: str) -> None: ...

    @abstractmethod
    def _rank(self, query: Query, limit: int) -> Ranked: ...


class ScenarioRanker(Ranker):
    """Skills that came from the same scenario (sibling tasks), the newest first, each with score 1.

    It reads a label that only environments with families of tasks have; likeness of goals is the fair
    default elsewhere.
    """

    def __init__(self, library: Library) -> None:
        super().__init__(library)
        self._names: dict[str, dict[str, None]] = {}
        self._scenarios: dict[str, str] = {}

    def _put(self, skill: Skill) -> None:
        scenario = skill.provenance.scenario
        if scenario:
            self._names.setdefault(scenario, {})[skill.name] = None
            self._scenarios[skill.name] = scenario

    def _drop(self, name: str) -> None:
        if (scenario := self._scenarios.pop(name, None)) is not None:
            del self._names[scenario][name]

    def _rank(self, query: Query, limit: int) -> Ranked:
        return [(name, 1.0) for name in reversed(self._names.get(query.scenario, {}))][:limit]


class _Rows:
    """The skills of an index by row. A row is never used twice: an update takes a new one."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.by_name: dict[str, int] = {}

    def put(self, name: str) -> int:
        self.by_name[name] = len(self.names)
        self.names.append(name)
        return len(self.names) - 1

    def drop(self, name: str) -> None:
        if (row := self.by_name.pop(name, None)) is not None:
            self.names[row] = ""

    def best(self, rows: np.ndarray, scores: np.ndarray, limit: int) -> Ranked:
        """Return the best rows that are still in use, the newer first where scores are equal."""
        order = np.lexsort((-rows, -scores))
        ranked = ((self.names[int(rows[i])], float(scores[i])) for i in order)
        found: Ranked = []
        for name, score in ranked:
            if len(found) >= limit:
                break
            if name:
                found.append((name, score))
        return found


class NgramRanker(Ranker):
    """Likeness of words: the Jaccard overlap of n-grams, found by an inverted index.

    ``sizes`` are the lengths of the n-grams in words, ``of`` the text of a skill that is compared with the
    query, ``least`` the lowest score that counts. The published retrieval by query n-grams (SAGE, arXiv
    2512.17102) is ``sizes=(2,), of=goal_of, least=0.5``.
    """

    def __init__(
        self,
        library: Library,
        *,
        sizes: tuple[int, ...] = (1, 2),
        of: Callable[[Skill], str] = text_of,
        least: float = 0.0,
    ) -> None:
        super().__init__(library)
        if not sizes or min(sizes) < 1:
            raise OptionError(f"sizes of n-grams are positive numbers of words, not {sizes!r}")
        self.sizes, self.of, self.least = sizes, of, least
        self._rows = _Rows()
        self._sizes = array("l")
        self._postings: dict[str, array[int]] = {}

    def _grams(self, text: str) -> set[str]:
        words = _WORDS.findall(text.casefold())
        grams = {" ".join(words[i : i + size]) for size in self.sizes for i in range(len(words) - size + 1)}
        return grams or set(words)  # a text of one word has no pair, and still means something

    def _put(self, skill: Skill) -> None:
        grams = self._grams(self.of(skill))
        row = self._rows.put(skill.name)
        self._sizes.append(len(grams))
        for gram in grams:
            self._postings.setdefault(gram, array("l")).append(row)

    def _drop(self, name: str) -> None:
        self._rows.drop(name)

    def _rank(self, query: Query, limit: int) -> Ranked:
        grams = self._grams(query.text)
        postings = [
            np.frombuffer(self._postings[gram], dtype="l") for gram in grams if gram in self._postings
        ]
        if not postings:
            return []
        shared = np.bincount(np.concatenate(postings))
        rows = np.flatnonzero(shared)
        # Copied, since an array that lends its memory to numpy could not grow any more.
        sizes = np.array(self._sizes)[rows]
        scores = shared[rows] / (sizes + len(grams) - shared[rows])
        kept = scores >= self.least
        return self._rows.best(rows[kept], scores[kept], limit)


class EmbeddingRanker(Ranker):
    """Likeness of meaning: the cosine between embeddings, by ``embed`` (``embedding.SentenceEmbedder``, or
    any function of texts to an array with one row each).

    ``least`` is the lowest score that counts; SAGE compares goals (``of=goal_of``) with 0.65. Raises
    ``ContractError`` when ``embed`` gives something else than finite rows of one width.
    """

    def __init__(
        self,
        library: Library,
        embed: Embed,
        *,
        of: Callable[[Skill], str] = text_of,
        least: float = 0.0,
    ) -> None:
        super().__init__(library)
        self.embed, self.of, self.least = embed, of, least
        self._rows = _Rows()
        self._waiting: list[str] = []
        self._vectors = np.zeros((0, 0), dtype=np.float32)

    def _put(self, skill: Skill) -> None:
        self._rows.put(skill.name)
        self._waiting.append(self.of(skill))

    def _drop(self, name: str) -> None:
        self._rows.drop(name)

    def _rank(self, query: Query, limit: int) -> Ranked:
        if self._waiting:
            new = self._embedded(self._waiting)
            self._vectors = np.concatenate([self._vectors, new]) if len(self._vectors) else new
            self._waiting = []
        if not len(self._vectors) or not query.text:
            return []
        scores = self._vectors @ self._embedded([query.text])[0]
        rows = np.flatnonzero(scores >= self.least)
        return self._rows.best(rows, scores[rows], limit)

    def _embedded(self, texts: Sequence[str]) -> np.ndarray:
        vectors = np.asarray(self.embed(texts), dtype=np.float32)
        if vectors.ndim != 2 or len(vectors) != len(texts) or not np.isfinite(vectors).all():
            raise ContractError(
                f"embed must give one finite row for each of {len(texts)} texts, not shape {vectors.shape}"
            )
        return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def retrieve(
    ranker: Ranker,
    query: Query,
    *,
    k: int,
    max_tokens: int,
    tokenizer: Tokenizer,
    kind: Kind | None = None,
    only: Collection[str] | None = None,
) -> list[Retrieved]:
    """Return at most ``k`` skills, the best first, that take at most ``max_tokens`` together.

    A skill that does not fit is passed over and the next one tried, among the best eight times ``k``; with
    ``kind`` and ``only`` (a set of names, such as the skills that a curriculum still allows) among all.
    Helpers that a skill calls come with it and count. Raises ``OptionError``.
    """
    if k < 1 or max_tokens < 1:
        raise OptionError(f"k and max_tokens must be positive, not {k} and {max_tokens}")
    library, chosen = ranker.library, dict[str, Skill]()
    found: list[Retrieved] = []
    left = max_tokens
    everything = kind is not None or only is not None
    limit = library.version if everything else _CANDIDATES_PER_SKILL * k
    for name, score in ranker.rank(query, limit):
        skill = library.get(name)
        if name in chosen or (kind and skill.kind != kind) or (only is not None and name not in only):
            continue
        *helpers, _ = (one for one in library.with_needs(skill) if one.name not in chosen)
        tokens = sum(len(tokenizer.encode(render(one))) for one in (*helpers, skill))
        if tokens > left:
            continue
        left -= tokens
        chosen.update({one.name: one for one in (*helpers, skill)})
        found.append(Retrieved(skill, score, tuple(helpers), tokens))
        if len(found) == k:
            break
    return found


def block(found: Sequence[Retrieved]) -> str:
    """Return the text that a prompt shows. Code skills alone make a program that defines all of them."""
    return "\n".join(render(skill) for one in found for skill in (*one.helpers, one.skill))
