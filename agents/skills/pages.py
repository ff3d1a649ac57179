"""Text skills as pages: folders with a ``SKILL.md``, the open Agent Skills format (agentskills.io).

``skills/<category>/<name>/SKILL.md`` opens with front matter between ``---`` lines: ``name`` (the folder's),
``description``, and optionally ``license``, ``compatibility``, ``metadata`` and ``allowed-tools``; then the
Markdown that a prompt shows. Fields that only some client knows are kept and written back. Other files of
the folder are not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from palaestra.agents.skills.core import Refusal, Skill, SkillRefusedError
from palaestra.agents.skills.front_matter import FrontMatter, dump, load
from palaestra.agents.skills.journal import write_whole
from palaestra.errors import DataError, OptionError

FILE_NAME = "SKILL.md"
LONGEST_NAME_CHARACTERS = 64
LONGEST_DESCRIPTION_CHARACTERS = 1024
LONGEST_COMPATIBILITY_CHARACTERS = 500
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_CATEGORY_KEY = "category"


def text_skill(name: str, description: str, body: str, category: str = "", **extra: Any) -> Skill:
    """Return a text skill. Raises ``SkillRefusedError`` when it could not be written as a page."""
    skill = Skill(name, "text", body, description=description, category=category, extra=extra)
    check_page(skill)
    return skill


def check_page(skill: Skill) -> None:
    """Raise ``SkillRefusedError`` unless the skill keeps the rules of the format."""
    if not _NAME.fullmatch(skill.name) or len(skill.name) > LONGEST_NAME_CHARACTERS:
        raise SkillRefusedError(
            skill.name,
            Refusal.NAME,
            f"lowercase letters, digits and single hyphens, at most {LONGEST_NAME_CHARACTERS} characters",
        )
    if skill.category and not _NAME.fullmatch(skill.category):
        raise SkillRefusedError(
            skill.name, Refusal.NAME, f"its category {skill.category!r} is no folder name"
        )
    if not skill.description.strip() or not skill.body.strip():
        raise SkillRefusedError(skill.name, Refusal.FORM, "a page needs a description and a text")
    if any("\ud800" <= character <= "\udfff" for character in skill.description + skill.body):
        raise SkillRefusedError(skill.name, Refusal.FORM, "a lone surrogate cannot be written to a file")
    compatibility = str(skill.extra.get("compatibility", ""))
    if (
        len(skill.description) > LONGEST_DESCRIPTION_CHARACTERS
        or len(compatibility) > LONGEST_COMPATIBILITY_CHARACTERS
    ):
        raise SkillRefusedError(
            skill.name,
            Refusal.TOO_LONG,
            f"a description has at most {LONGEST_DESCRIPTION_CHARACTERS} characters, a compatibility "
            f"{LONGEST_COMPATIBILITY_CHARACTERS}",
        )


def read_page(folder: Path, category: str = "") -> Skill:
    """Return the skill of one folder.

    Raises ``DataError`` with the line for a page that cannot be read, and for a name that is not the
    folder's; ``SkillRefusedError`` for one that breaks the rules of the format.
    """
    path = Path(folder) / FILE_NAME
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read the skill {path}: {error}") from error
    try:
        front, body = load(text)
    except DataError as error:
        raise DataError(f"{path}, {error}") from error
    name, description = front.pop("name", None), front.pop("description", None)
    if not isinstance(name, str) or not isinstance(description, str):
        raise DataError(f"{path}: the front matter must give name and description, both texts")
    if name != path.parent.resolve().name:
        raise DataError(f"{path}: its name {name!r} must be the name of its folder")
    metadata = front.get("metadata", {})
    if not isinstance(metadata, dict):
        raise DataError(f"{path}: metadata must be a mapping")
    # Elsewhere the same key may hold any words; only a folder's name is a category of ours.
    if _NAME.fullmatch(metadata.get(_CATEGORY_KEY, "")):
        category = metadata.pop(_CATEGORY_KEY)
    if not metadata:
        front.pop("metadata", None)
    return text_skill(name, description, body, category, **front)


def write_page(skill: Skill, folder: Path) -> Path:
    """Write a text skill as ``folder/<name>/SKILL.md``, replacing that file whole; return its path.

    Raises ``OptionError`` for a code skill, ``SkillRefusedError``, ``StorageError``.
    """
    if skill.kind != "text":
        raise OptionError(f"{skill.name!r} is a code skill; only text skills are pages")
    check_page(skill)
    front: FrontMatter = {"name": skill.name, "description": skill.description, **skill.extra}
    if skill.category:
        front["metadata"] = {**skill.extra.get("metadata", {}), _CATEGORY_KEY: skill.category}
    path = Path(folder) / skill.name / FILE_NAME
    write_whole(path, [(dump(front) + skill.body.rstrip("\n")).encode()])
    return path


def read_pages(folder: Path) -> list[Skill]:
    """Return the skills below a folder, by path; the folder above a skill's own is its category.

    Raises ``DataError`` when there are none, and as ``read_page`` does.
    """
    folder = Path(folder)
    pages = sorted(folder.rglob(FILE_NAME))
    if not pages:
        raise DataError(f"there is no {FILE_NAME} below {folder}")
    return [read_page(page.parent, _category_of(page.parent.parent, folder)) for page in pages]


def write_pages(skills: Iterable[Skill], folder: Path) -> list[Path]:
    """Write text skills as ``folder/<category>/<name>/SKILL.md``; return the paths."""
    return [write_page(skill, Path(folder) / skill.category) for skill in skills]


def _category_of(above: Path, root: Path) -> str:
    return "" if above == root or not _NAME.fullmatch(above.name) else above.name
