"""SKILL.md pages: front matter read as YAML reads it, written so that it comes back, and typed errors."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from palaestra.agents.skills.core import Refusal, Skill, SkillRefusedError
from palaestra.agents.skills.front_matter import dump, load
from palaestra.agents.skills.pages import read_page, read_pages, text_skill, write_page, write_pages
from palaestra.errors import DataError, OptionError

PAGE = """---
# what people write
name: heat-things   # a comment
description: >-
  How to heat things
  in a kitchen.

  Use for heating.
license: 'Ada''s own'
allowed-tools: [Read, "Bash(git:*)"]
compatibility: a text that goes
  on here
x-tags:
- one
- "two\\u00e9 \\"quoted\\""
metadata:
  author: someone
  version: "1.0"
  empty:
---

# Heating

1. Open the microwave.
"""
FRONT = {
    "name": "heat-things",
    "description": "How to heat things in a kitchen.\nUse for heating.",
    "license": "Ada's own",
    "allowed-tools": ["Read", "Bash(git:*)"],
    "compatibility": "a text that goes on here",
    "x-tags": ["one", 'two\u00e9 "quoted"'],
    "metadata": {"author": "someone", "version": "1.0", "empty": ""},
}


def put(folder, text, name="heat-things"):
    (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / name / "SKILL.md").write_bytes(text.encode())
    return folder / name


def test_a_page_is_read_as_it_was_meant():
    assert load(PAGE) == (FRONT, "# Heating\n\n1. Open the microwave.\n")
    assert load(PAGE.replace("\n", "\r\n"))[0] == FRONT
    assert load("\ufeff" + PAGE)[0] == FRONT


def test_the_example_reads_the_same_as_yaml():
    yaml = pytest.importorskip("yaml", reason="compares with PyYAML")
    assert yaml.load(PAGE.split("\n---")[0].removeprefix("---"), Loader=yaml.BaseLoader) == FRONT


def random_text(draw):
    pieces = [
        "a",
        "word",
        " ",
        "  ",
        ": ",
        "#",
        " #",
        "\n",
        "\n\n",
        "'",
        '"',
        "\\",
        "- ",
        "---",
        "\t",
        "\u00e9",
    ]
    pieces += [
        "1.0",
        "yes",
        "null",
        "[x]",
        "{",
        "}",
        ",",
        "&",
        "*",
        "!",
        "|",
        ">",
        "%",
        "@",
        "`",
        "\x07",
        "\u2028",
    ]
    return "".join(draw.choice(pieces) for _ in range(draw.randrange(6)))


def test_whatever_is_written_comes_back_here_and_in_yaml():
    yaml = pytest.importorskip("yaml", reason="compares with PyYAML")
    draw = random.Random(0)
    for _ in range(300):
        front = {
            "name": random_text(draw),
            "list": [random_text(draw) for _ in range(draw.randrange(1, 4))],
            "metadata": {"a": random_text(draw), "b-c": random_text(draw)},
            "last": random_text(draw),
        }
        text = dump(front)
        assert load(text + "body") == (front, "body\n"), text
        assert yaml.safe_load(text.removeprefix("---").rsplit("---", 1)[0]) == front, text


VALUES = [
    "a",
    "a b  c",
    "'a: b'",
    '"a\\n\\t\\x41b"',
    "'it''s' # x",
    "a#b",
    "a # b",
    "a\n  b\n\n  c",
    "'a\n  b'",
    '"a\n  b"',
    "|\n  a\n   b\n\n  c",
    "|-\n  a\n  b\n",
    "|+\n  a\n\n",
    ">\n  a\n  b\n\n  c\n",
    ">\n  a\n    deep\n    er\n  b\n",
    ">-\n  a\n\n\n  b\n",
    "\n  - a\n  - 'b: c'\n",
    "\n- a\n- b",
    "[a, 'b, c', \"d\"]",
    "[]",
    "[a,\n  b]",
    "\n  k: v\n  l: 'w'\n",
    "\n  a text below",
    "http://x.y/z",
    "-dash",
    "2024-01-01",
    "",
]


@pytest.mark.parametrize("value", VALUES)
def test_what_is_read_is_read_as_yaml_reads_it(value):
    yaml = pytest.importorskip("yaml", reason="compares with PyYAML")
    front = f"first: {value}\nsecond: x"
    expected = yaml.load(front, Loader=yaml.BaseLoader)
    assert load(f"---\n{front}\n---\nbody")[0] == expected


@pytest.mark.parametrize(
    ("page", "complaint"),
    [
        ("name: x", "line 1: .*begins with front matter"),
        ("", "line 1"),
        ("---\nname: x\n", "no closing"),
        ("---\nname x\n---\n", "line 2: expected"),
        ("---\na: 1\na: 2\n---\n", "line 3: .*twice"),
        ("---\na: b: c\n---\n", "line 2: .*quotes"),
        ("---\na: 'b\n---\n", "line 2: .*does not end"),
        ('---\na: "b" c\n---\n', "line 2"),
        ('---\na: "\\q"\n---\n', "line 2: unknown escape"),
        ("---\na: &b c\n---\n", "line 2"),
        ("---\na: !!python/object:os.system x\n---\n", "line 2"),
        ("---\na: {b: c}\n---\n", "line 2"),
        ("---\na: [b, [c]]\n---\n", "line 2: .*lists of texts"),
        ("---\na: [b\n---\n", "line 2"),
        ("---\na:\n  - b: c\n---\n", "line 3: .*lists of texts"),
        ("---\na:\n  b:\n    c: d\n---\n", "line 4: .*one level"),
        ("---\na: b\n\tc: d\n---\n", "line 3"),
        ("---\nx: 1\n  y: 2\n---\n", "line 2"),
    ],
)
def test_what_is_not_read_is_an_error_with_its_line(page, complaint):
    with pytest.raises(DataError, match=complaint):
        load(page)


def test_pages_come_back_by_category(tmp_path):
    skills = [
        text_skill("cool-things", "How to cool.", "Use the fridge.\n", "kitchen", license="MIT"),
        text_skill("heat-things", "How to: heat.", "# Heat\n\ntext\n", "kitchen", metadata={"by": "me"}),
        text_skill("general", "Always: look first.", "Look.\n"),
    ]
    paths = write_pages(skills, tmp_path)
    assert paths[0] == tmp_path / "kitchen" / "cool-things" / "SKILL.md"
    assert sorted(read_pages(tmp_path), key=lambda skill: skill.name) == sorted(skills, key=lambda s: s.name)
    elsewhere = text_skill("general", "d", "b", metadata={"category": "Two Words"})
    assert read_page(write_page(elsewhere, tmp_path / "more").parent).extra == elsewhere.extra


def test_foreign_pages_take_their_category_from_their_folder(tmp_path):
    put(tmp_path / "kitchen", PAGE)
    (skill,) = read_pages(tmp_path)
    assert (skill.name, skill.category, skill.kind) == ("heat-things", "kitchen", "text")
    assert skill.extra["x-tags"] == FRONT["x-tags"]


def test_a_page_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(DataError, match=r"no SKILL\.md"):
        read_pages(tmp_path)
    with pytest.raises(DataError, match="name of its folder"):
        read_page(put(tmp_path, PAGE, "cool-things"))
    for text in ("---\nname: a\n---\nx", "---\nname: [a]\ndescription: b\n---\nx", "---\nmetadata: x\n---\n"):
        with pytest.raises(DataError, match=r"SKILL\.md"):
            read_page(put(tmp_path, text, "a"))
    (tmp_path / "a" / "SKILL.md").write_bytes(b"\xff")
    with pytest.raises(DataError, match="cannot read"):
        read_page(tmp_path / "a")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"name": "Heat"}, Refusal.NAME),
        ({"name": "-heat"}, Refusal.NAME),
        ({"name": "heat--things"}, Refusal.NAME),
        ({"name": "../up"}, Refusal.NAME),
        ({"name": "a" * 65}, Refusal.NAME),
        ({"category": "../up"}, Refusal.NAME),
        ({"description": " "}, Refusal.FORM),
        ({"body": "\n"}, Refusal.FORM),
        ({"body": "\ud800"}, Refusal.FORM),
        ({"description": "d" * 1025}, Refusal.TOO_LONG),
        ({"extra": {"compatibility": "c" * 501}}, Refusal.TOO_LONG),
    ],
)
def test_the_rules_of_the_format_are_kept(tmp_path, change, reason):
    skill = replace(text_skill("heat", "d", "b"), **change)
    with pytest.raises(SkillRefusedError) as caught:
        write_page(skill, tmp_path)
    assert caught.value.reason is reason
    assert not list(tmp_path.iterdir())


def test_only_text_skills_are_pages(tmp_path):
    with pytest.raises(OptionError, match="code skill"):
        write_page(Skill("f", "code", "def f(): pass\n"), tmp_path)
