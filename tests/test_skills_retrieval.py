"""Retrieval: rankers against plain counting, a selection within its budget, embeddings."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from palaestra.agents.policies.scripted import ByteTokenizer
from palaestra.agents.skills.core import Provenance, Skill, render
from palaestra.agents.skills.library import Library
from palaestra.agents.skills.pages import text_skill
from palaestra.agents.skills.retrieval import (
    EmbeddingRanker,
    NgramRanker,
    Query,
    ScenarioRanker,
    block,
    goal_of,
    retrieve,
    text_of,
)
from palaestra.errors import ContractError, DataError, OptionError

WORDS = [
    "put",
    "take",
    "heat",
    "cool",
    "clean",
    "apple",
    "mug",
    "plate",
    "fridge",
    "sink",
    "two",
    "the",
    "a",
    "in",
    "on",
    "and",
]
TOKENS = ByteTokenizer()


def code(name, goal="", scenario="", body=None, needs=()):
    return Skill(
        name,
        "code",
        body or f"def {name}():\n    return 1\n",
        needs=needs,
        provenance=Provenance(goal=goal, scenario=scenario),
    )


def library_of(*skills):
    library = Library(validator=lambda skill, needs: skill)
    for skill in skills:
        library.add(skill)
    return library


def sentence(draw):
    return " ".join(draw.choice(WORDS, size=draw.integers(1, 9)))


def grams(text, sizes):
    words = re.findall(r"[^\W_]+", text.lower())
    return {tuple(words[i : i + n]) for n in sizes for i in range(len(words) - n + 1)} or {
        (w,) for w in words
    }


@pytest.mark.parametrize(
    ("sizes", "of", "least"), [((1, 2), text_of, 0.0), ((2,), goal_of, 0.5), ((3,), goal_of, 0)]
)
def test_ngrams_give_the_jaccard_overlap_also_after_changes(sizes, of, least):
    draw = np.random.default_rng(0)
    library = library_of(*(code(f"s{i}", sentence(draw)) for i in range(120)))
    ranker = NgramRanker(library, sizes=sizes, of=of, least=least)
    for round_number in range(30):
        query = Query(sentence(draw))
        wanted = grams(query.text, sizes)
        expected = {}
        for skill in library:
            has = grams(of(skill), sizes)
            score = len(wanted & has) / len(wanted | has)
            if score and score >= least:
                expected[skill.name] = score
        ranked = ranker.rank(query, 1000)
        assert dict(ranked) == pytest.approx(expected)
        assert [score for _, score in ranked] == sorted(expected.values(), reverse=True)
        assert ranker.rank(query, 3) == ranked[:3]
        library.add(code(f"new{round_number}", sentence(draw)))
        library.retire(f"s{round_number}", "old")
        library.update(
            code(f"s{round_number + 40}", sentence(draw), body=f"def s():\n    return {round_number}\n")
        )


def test_equal_scores_put_the_newer_first_and_words_meet_through_snake_case():
    library = library_of(code("heat_mug", "x"), code("cool_mug", "x"))
    ranker = NgramRanker(library)
    assert [name for name, _ in ranker.rank(Query("the MUG"), 9)] == ["cool_mug", "heat_mug"]
    assert ranker.rank(Query("heat"), 9)[0][0] == "heat_mug"
    assert ranker.rank(Query(""), 9) == ranker.rank(Query("zebra"), 9) == []


def test_the_same_scenario_gives_its_skills_the_newest_first():
    library = library_of(
        code("a", scenario="heat"), code("b", scenario="cool"), code("c", scenario="heat"), code("d")
    )
    ranker = ScenarioRanker(library)
    assert ranker.rank(Query("any", "heat"), 9) == [("c", 1.0), ("a", 1.0)]
    assert ranker.rank(Query("any", "heat"), 1) == [("c", 1.0)]
    library.retire("c", "old")
    assert ranker.rank(Query("any", "heat"), 9) == [("a", 1.0)]
    assert ranker.rank(Query("any"), 9) == []


def letters(texts):
    return np.array([[text.count(letter) for letter in "abcdef"] for text in texts])


def test_embeddings_give_the_cosine_and_embed_each_skill_once():
    asked = []

    def embed(texts):
        asked.extend(texts)
        return letters(texts)

    library = library_of(code("a", "abc"), code("b", "abf"), code("c", "def"), code("zero", "xyz"))
    ranker = EmbeddingRanker(library, embed, of=goal_of, least=0.1)
    ranked = ranker.rank(Query("abcc"), 9)
    assert [name for name, _ in ranked] == ["a", "b"]
    assert ranked[0][1] == pytest.approx(4 / math.sqrt(3 * 6))
    library.add(code("late", "abcc"))
    assert ranker.rank(Query("abcc"), 1) == [("late", pytest.approx(1.0))]
    assert asked == ["abc", "abf", "def", "xyz", "abcc", "abcc", "abcc"]


@pytest.mark.parametrize("bad", [np.zeros((3, 2)), np.zeros(1), np.full((1, 2), np.nan)])
def test_an_embedding_of_another_shape_is_a_broken_contract(bad):
    with pytest.raises(ContractError):
        EmbeddingRanker(library_of(code("a")), lambda texts: bad).rank(Query("a"), 1)


# ---- selection -----------------------------------------------------------------------------------------


def tokens_of(*skills):
    return sum(len(TOKENS.encode(render(skill))) for skill in skills)


def test_a_selection_keeps_to_k_and_to_the_tokens():
    long = code("heat_long", "heat the mug now", body="def heat_long():\n" + "    x = 1\n" * 99)
    short = [code(f"heat_{i}", "heat the mug") for i in range(6)]
    ranker = NgramRanker(library_of(*short, long))
    query = Query("heat the mug now")
    room = tokens_of(*short[:3])
    found = retrieve(ranker, query, k=5, max_tokens=room, tokenizer=TOKENS)
    assert [one.skill.name for one in found] == ["heat_5", "heat_4", "heat_3"]
    assert sum(one.tokens for one in found) == room
    assert len(retrieve(ranker, query, k=2, max_tokens=10**6, tokenizer=TOKENS)) == 2
    assert retrieve(ranker, query, k=2, max_tokens=3, tokenizer=TOKENS) == []
    assert retrieve(ranker, query, k=1, max_tokens=10**6, tokenizer=TOKENS)[0].skill == long
    for k, most in ((0, 1), (1, 0)):
        with pytest.raises(OptionError):
            retrieve(ranker, query, k=k, max_tokens=most, tokenizer=TOKENS)


def test_helpers_come_along_once_and_count():
    helper = code("helper", "zebra", body="def helper():\n    return 21\n")
    first = code("heat_a", "heat", body="def heat_a():\n    return helper()\n", needs=("helper",))
    second = code("heat_b", "heat", body="def heat_b():\n    return helper() * 2\n", needs=("helper",))
    ranker = NgramRanker(library_of(helper, first, second))
    found = retrieve(
        ranker, Query("heat"), k=2, max_tokens=tokens_of(helper, first, second), tokenizer=TOKENS
    )
    assert [(one.skill.name, [h.name for h in one.helpers]) for one in found] == [
        ("heat_b", ["helper"]),
        ("heat_a", []),
    ]
    names: dict = {}
    exec(block(found), names)  # our own three functions
    assert names["heat_b"]() == 42
    assert not retrieve(ranker, Query("heat"), k=2, max_tokens=tokens_of(first), tokenizer=TOKENS)


def test_kind_and_a_curriculum_narrow_the_choice():
    pages = [text_skill(f"heat-{i}", "heat the mug", "text\n") for i in range(30)]
    ranker = NgramRanker(library_of(code("heat", "heat the mug"), *pages))
    query, everything = Query("heat the mug"), {"max_tokens": 10**6, "tokenizer": TOKENS}
    assert [one.skill.name for one in retrieve(ranker, query, k=1, kind="code", **everything)] == ["heat"]
    found = retrieve(ranker, query, k=9, only={"heat-1", "heat-2"}, **everything)
    assert [one.skill.name for one in found] == ["heat-2", "heat-1"]
    assert retrieve(ranker, query, k=9, only=(), **everything) == []


# ---- a real encoder ------------------------------------------------------------------------------------


def test_the_embedder_pools_real_tokens_only(tmp_path):
    torch = pytest.importorskip("torch", reason="needs the extra `train`")
    transformers = pytest.importorskip("transformers", reason="needs the extra `train`")
    from palaestra.agents.skills.embedding import SentenceEmbedder

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    (tmp_path / "vocab.txt").write_text("\n".join(words))
    transformers.BertTokenizerFast(vocab={word: i for i, word in enumerate(words)}).save_pretrained(tmp_path)
    config = transformers.BertConfig(
        vocab_size=len(words),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
    )
    with torch.random.fork_rng():
        transformers.BertModel(config).save_pretrained(tmp_path)
    embed = SentenceEmbedder(tmp_path, batch=2)
    texts = ["put the apple in the fridge and clean the sink", "heat", "two \ud800 mug", "heat the plate"]
    together = embed(texts)
    assert together.shape == (4, 16)
    assert together.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(together, np.concatenate([embed([text]) for text in texts]), atol=1e-5)
    assert embed([]).shape[0] == 0
    with pytest.raises(DataError, match="cannot read an embedding model"):
        SentenceEmbedder(tmp_path / "nothing")
