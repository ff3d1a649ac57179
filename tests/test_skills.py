"""Skills out of code that ran, and the library that keeps them: versions, digests, files, the command."""

from __future__ import annotations

import json
import os
from dataclasses import replace

import pytest

from palaestra.agents.skills.core import (
    Example,
    LibraryFrozenError,
    Provenance,
    Refusal,
    Skill,
    SkillRefusedError,
    Statistics,
    skill_from_record,
    skill_to_record,
)
from palaestra.agents.skills.extraction import called_skills, extract
from palaestra.agents.skills.library import SKILLS_FILE, STATISTICS_FILE, Library
from palaestra.agents.skills.pages import text_skill
from palaestra.cli import skills as command
from palaestra.errors import DataError, OptionError, StorageError, UnknownNameError

RUN = '''
import math, json as j
from collections import Counter as C, deque
RATE = 3
rows = j.loads("[1]")
def scaled(x): return x * RATE
def area(r: float, n=RATE) -> float:
    """Area of things.

    More.
    """
    # as the model wrote it
    return math.pi * r * r + scaled(n)
def leans(): return rows
def leans_too(): return leans()
def send(text): return apis.phone.send(apis.auth.token(), text).id
def counted(words):
    def inner(): return C(words)
    return inner()
async def later(): return 1
print(area(2.0, n=1), area(rows[0]), counted(["a"]))
'''


def code(name="double", body=None, **more):
    return Skill(name, "code", body or f"def {name}(x):\n    return 2 * x\n", description="Doubles.", **more)


def page(name="heat-things", **more):
    return text_skill(name, "How to heat. Use for heating.", "Open the microwave first.\n", **more)


def unchecked(**options):
    """A library that believes what it is told: what is tested here is not the validation."""
    return Library(validator=lambda skill, needs: skill, **options)


def opened(folder, **options):
    return Library.open(folder, validator=lambda skill, needs: skill, **options)


# ---- extraction ----------------------------------------------------------------------------------------


def test_a_function_becomes_a_skill_with_all_that_it_stands_on():
    origin = Provenance("palaestra/Code-v0", "train/7", "geometry", 7, "compute the area")
    found = {skill.name: skill for skill in extract(RUN, origin).skills}
    assert set(found) == {"scaled", "area", "send", "counted"}
    area = found["area"]
    assert area.signature == "area(r: float, n=RATE) -> float"
    assert area.description == "Area of things.\n\nMore."
    assert area.body.startswith("import math\nRATE = 3\n\ndef area(")
    assert "# as the model wrote it" in area.body
    assert (area.needs, area.tools, area.provenance) == (("scaled",), (), origin)
    assert area.example == Example("area(2.0, n=1)")
    assert found["send"].tools == ("apis.auth.token", "apis.phone.send")
    assert found["send"].example is None
    assert found["counted"].body.startswith("from collections import Counter as C\n\ndef")


def test_functions_that_lean_on_the_run_are_left_out_with_the_reason():
    left_out = extract(RUN).left_out
    assert set(left_out) == {"leans", "leans_too"}
    assert "'rows'" in left_out["leans"]
    assert "'leans'" in left_out["leans_too"]


def test_helpers_come_before_those_that_call_them():
    names = [
        skill.name for skill in extract("def a(): return b()\ndef b(): return c()\ndef c(): return 1").skills
    ]
    assert names == ["c", "b", "a"]


def test_known_skills_become_needs_and_the_last_definition_counts():
    (skill,) = extract("def f(): return 1\ndef f(): return old(2)\n", known={"old"}).skills
    assert skill.needs == ("old",)
    assert "return 1" not in skill.body


@pytest.mark.parametrize("source", ["def f(:", "return 1", "x = '\0'", "(" * 5000])
def test_source_that_does_not_parse_is_refused(source):
    with pytest.raises(SkillRefusedError) as caught:
        extract(source)
    assert caught.value.reason is Refusal.SYNTAX


@pytest.mark.parametrize(
    ("source", "used"),
    [
        ("f(1)", {"f"}),
        ("for i in g(f(1)): pass", {"f", "g"}),
        ("def f(): return 2\nf()", set()),
        ("f = print\nf(1)", set()),
        ("print('f(1)')\n# f(1)\nf", set()),
        ("f(", set()),
    ],
)
def test_called_skills_are_those_called_and_not_defined_anew(source, used):
    assert called_skills(source, {"f", "g"}) == used


def test_records_come_back_and_hold_no_blanks():
    (skill, *_) = extract("import math\ndef f(x):\n    return math.floor(x)\nf(2.5)").skills
    record = skill_to_record(skill)
    assert skill_from_record(json.loads(json.dumps(record))) == skill
    assert "retired" not in record
    for broken in ({}, [], None, {**record, "kind": "x"}, {**record, "new": 1}, {**record, "example": 3}):
        with pytest.raises(DataError):
            skill_from_record(broken)


# ---- the library ---------------------------------------------------------------------------------------


def test_versions_are_kept_and_nothing_is_deleted():
    library = unchecked()
    library.add(code())
    library.add(page())
    second = library.update(code(body="def double(x):\n    return x + x\n"))
    assert (second.version, library.version, len(library)) == (2, 3, 2)
    assert library.retire("double", "x * 2 is shorter").retired
    assert "double" not in library
    assert [skill.name for skill in library] == ["heat-things"]
    assert [skill.name for skill in library.retired()] == ["double"]
    assert [skill.version for skill in library.history("double")] == [1, 2, 3]
    assert library.get("double", 1).body == code().body
    assert library.update(code()).version == 4
    assert "double" in library


def test_saying_the_same_again_makes_no_version():
    library = unchecked()
    library.add(code(provenance=Provenance(task_id="a")))
    again = library.update(code(provenance=Provenance(task_id="b"), example=Example("double(2)")))
    assert (again.version, library.version, again.provenance.task_id) == (1, 1, "a")


def test_the_digest_names_one_version_whatever_process_made_it():
    first, second = unchecked(), unchecked()
    digests = []
    for library in (first, second):
        library.add(code())
        library.add(page())
        library.used(["double"], success=library is first)
        digests.append(library.digest)
    assert digests[0] == digests[1] != ""
    before = first.digest
    first.update(code(body="def double(x):\n    return x + x\n"))
    assert first.digest != before
    assert (first.at(2).digest, first.at(0).digest) == (before, "")
    assert [skill.body for skill in first.at(2) if skill.kind == "code"] == [code().body]
    assert first.tags(["double"]) == {
        "skills": ["double@2"],
        "skills_version": 3,
        "skills_digest": first.digest,
    }


def test_a_frozen_library_refuses_every_write_and_can_be_read(tmp_path):
    with opened(tmp_path) as library:
        library.add(code())
        earlier = library.at(1)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for frozen in (opened(tmp_path, frozen=True), earlier, library):
        for write in (
            lambda frozen=frozen: frozen.add(page()),
            lambda frozen=frozen: frozen.update(code()),
            lambda frozen=frozen: frozen.retire("double", "why"),
            lambda frozen=frozen: frozen.used(["double"], True),
        ):
            with pytest.raises(LibraryFrozenError, match="frozen at version 1"):
                write()
        assert frozen.get("double") == earlier.get("double")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_skills_need_one_another():
    library = unchecked()
    quadruple = code("quadruple", "def quadruple(x):\n    return double(double(x))\n", needs=("double",))
    with pytest.raises(SkillRefusedError) as caught:
        library.add(quadruple)
    assert caught.value.reason is Refusal.MISSING
    library.add(code())
    library.add(quadruple)
    assert [skill.name for skill in library.with_needs(quadruple)] == ["double", "quadruple"]
    with pytest.raises(OptionError, match="quadruple"):
        library.retire("double", "no")


def test_an_update_that_breaks_another_skill_is_refused():
    def validator(skill, needs):
        if any("broken" in needed.body for needed in needs):
            raise SkillRefusedError(skill.name, Refusal.WRONG_RESULT)
        return skill

    library = Library(validator=validator)
    library.add(code())
    library.add(code("quadruple", needs=("double",)))
    with pytest.raises(SkillRefusedError, match="'quadruple' does not give") as caught:
        library.update(code(body="def double(x):\n    return 'broken'\n"))
    assert (caught.value.name, caught.value.reason) == ("double", Refusal.BREAKS_OTHERS)
    assert library.version == 2


@pytest.mark.parametrize(
    ("act", "error"),
    [
        (lambda library: library.add(code()), OptionError),
        (lambda library: library.update(code("triple")), UnknownNameError),
        (lambda library: library.get("duoble"), UnknownNameError),
        (lambda library: library.get("double", 2), UnknownNameError),
        (lambda library: library.at(2), UnknownNameError),
        (lambda library: library.retire("double", ""), OptionError),
        (lambda library: library.used(["double", "x"], True), UnknownNameError),
        (lambda library: library.add(replace(page(), description="")), SkillRefusedError),
        (lambda library: library.add(replace(page("p"), extra={"x": object()})), OptionError),
    ],
)
def test_what_cannot_be_done_is_a_typed_error_and_changes_nothing(act, error):
    library = unchecked()
    library.add(code())
    with pytest.raises(error):
        act(library)
    assert (library.version, library.statistics("double")) == (1, Statistics())


def test_uses_are_counted_by_version():
    library = unchecked()
    library.add(code())
    library.used(["double"], True)
    library.used(["double"], False)
    library.update(code(body="def double(x):\n    return x + x\n"))
    library.used(["double"], True)
    assert library.statistics("double", 1) == Statistics(2, 1, 1, 1)
    assert library.statistics("double", 1).success_rate == 0.5
    assert library.statistics("double") == Statistics(1, 1, 0, 2)
    library.retire("double", "enough")
    assert library.statistics("double").uses == 1


# ---- on disk -------------------------------------------------------------------------------------------


def fill(folder):
    library = opened(folder)
    library.add(code(provenance=Provenance(goal="zw\u00f6lf \ud800")))
    library.add(page())
    library.update(code(body="def double(x):\n    return x + x\n"))
    library.used(["double"], True)
    return library


def state(library):
    return library.version, library.digest, list(library), library.statistics("double")


def test_a_library_comes_back_from_disk_and_goes_on(tmp_path):
    with fill(tmp_path) as library:
        expected = state(library)
    with opened(tmp_path) as again:
        assert state(again) == expected
        again.retire("heat-things", "cold now")
    assert opened(tmp_path, frozen=True).version == 4


def test_a_file_cut_anywhere_keeps_every_whole_skill_and_can_be_written_again(tmp_path):
    with fill(tmp_path):
        whole = (tmp_path / SKILLS_FILE).read_bytes()
    ends = [i + 1 for i, byte in enumerate(whole) if byte == ord("\n")]
    for cut in range(0, len(whole), 7):
        (tmp_path / SKILLS_FILE).write_bytes(whole[:cut])
        (tmp_path / STATISTICS_FILE).unlink(missing_ok=True)
        kept = sum(end <= cut for end in ends)
        assert opened(tmp_path, frozen=True).version == kept
        with opened(tmp_path) as library:
            library.add(page("another"))
        assert opened(tmp_path, frozen=True).version == kept + 1


def test_a_broken_line_is_named_and_the_others_can_be_salvaged(tmp_path):
    fill(tmp_path / "a").close()
    lines = (tmp_path / "a" / SKILLS_FILE).read_bytes().split(b"\n")
    for broken in (b"\xff\xfe", b"{}", b"[" * 9999, lines[1].replace(b"microwave", b"oven"), lines[0]):
        (tmp_path / "a" / SKILLS_FILE).write_bytes(b"\n".join([lines[0], broken, *lines[2:]]))
        with pytest.raises(DataError, match=r"line 2: .*salvage=True"):
            opened(tmp_path / "a")
        saved = opened(tmp_path / "a", salvage=True)
        assert saved.get("double", 1).body == code().body
        assert saved.get("double").body == "def double(x):\n    return x + x\n"
    saved.save(tmp_path / "b")
    assert state(opened(tmp_path / "b")) == state(saved)


def test_a_copy_is_whole_and_never_over_another_library(tmp_path):
    library = fill(tmp_path / "a")
    library.save(tmp_path / "b")
    assert state(opened(tmp_path / "b", frozen=True)) == state(library)
    with pytest.raises(OptionError, match="already"):
        library.save(tmp_path / "b")
    with pytest.raises(DataError, match="no library"):
        opened(tmp_path / "c", frozen=True)


def test_a_disk_that_refuses_leaves_the_library_as_it_was(tmp_path, monkeypatch):
    library = fill(tmp_path)
    expected = state(library)

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space"):
        library.add(page("another"))
    with pytest.raises(StorageError, match="No space"):
        library.save(tmp_path / "b")
    assert not list((tmp_path / "b").iterdir())
    monkeypatch.undo()
    assert state(library) == expected == state(opened(tmp_path, frozen=True))
    library.add(page("another"))
    assert opened(tmp_path, frozen=True).version == expected[0] + 1


def test_a_second_writer_is_noticed(tmp_path):
    first, second = fill(tmp_path), opened(tmp_path)
    first.add(page("another"))
    with pytest.raises(StorageError, match="someone else"):
        second.add(page("yet-another"))
    assert opened(tmp_path, frozen=True).version == 4


def test_counts_of_uses_do_not_grow_without_end(tmp_path):
    with fill(tmp_path) as library:
        for _ in range(1100):
            library.used(["double"], True)
    opened(tmp_path).close()
    assert len((tmp_path / STATISTICS_FILE).read_bytes().splitlines()) == 1
    assert opened(tmp_path, frozen=True).statistics("double").uses == 1101


# ---- the command ---------------------------------------------------------------------------------------


def said(capsys, *arguments):
    assert command.run(command.parse([str(argument) for argument in arguments])) == 0
    return capsys.readouterr().out


def test_the_command_lists_shows_and_compares(tmp_path, capsys):
    fill(tmp_path / "a").close()
    listed = said(capsys, "list", tmp_path / "a")
    assert "version 3" in listed
    assert "2 skills" in listed
    assert "100%" in listed
    assert "heat-things" not in said(capsys, "list", tmp_path / "a", "--kind", "code")
    assert "1 skills" in said(capsys, "list", tmp_path / "a", "--at", "1")
    shown = said(capsys, "show", tmp_path / "a", "double", "--version", "1")
    assert "return 2 * x" in shown
    assert "return x + x" not in shown
    compared = said(capsys, "diff", tmp_path / "a", "--since", "2")
    assert "changed double" in compared
    assert "-    return 2 * x\n+    return x + x" in compared
    assert "heat-things" not in compared
    with opened(tmp_path / "b") as other:
        other.add(page("new-page"))
    compared = said(capsys, "diff", tmp_path / "a", "--other", tmp_path / "b")
    assert "removed double" in compared
    assert "added new-page" in compared


def test_the_command_fails_with_typed_errors(tmp_path):
    with pytest.raises(DataError):
        command.run(command.parse(["list", str(tmp_path)]))
    with pytest.raises(UnknownNameError, match="Did you mean 'list'"):
        command.parse(["lst"])
    with pytest.raises(SystemExit) as caught:
        command.parse(["--help"])
    assert caught.value.code == 0
