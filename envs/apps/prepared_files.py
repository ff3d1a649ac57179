"""Rows of the app files that scenarios prepare: folders and files of the supervisor, by their paths."""

from __future__ import annotations

from palaestra.envs.apps.scenario import Draft


def folder(draft: Draft, path: str) -> int:
    """Return the id of the supervisor's folder at a path; it is made where it is missing."""
    parent: int | None = None
    for name in path.strip("/").split("/"):
        known = draft.value(
            "SELECT id FROM files_entries WHERE person_id = ? AND parent_id IS ? AND name = ? "
            "AND is_folder AND NOT trashed",
            draft.me.id,
            parent,
            name,
        )
        parent = known or _entry(draft, parent, name, -90, is_folder=1)
    assert parent is not None
    return parent


def file(draft: Draft, path: str, text: str = "", *, size: int = 0, day: int = -10) -> int:
    """Write a file of the supervisor, changed last on a day from today; return its id."""
    place, _, name = path.rpartition("/")
    return _entry(draft, folder(draft, place), name, day, content=text, bytes=size)


def clear(draft: Draft, path: str) -> None:
    """Remove all that is, or was before it went to the trash, in a folder."""
    for row in draft.rows("SELECT id FROM files_entries WHERE parent_id = ?", folder(draft, path)):
        _remove(draft, row["id"])


def _remove(draft: Draft, entry_id: int) -> None:
    for row in draft.rows("SELECT id FROM files_entries WHERE parent_id = ?", entry_id):
        _remove(draft, row["id"])
    for table in ("files_tags", "files_shares"):
        for row in draft.rows(f"SELECT id FROM {table} WHERE entry_id = ?", entry_id):
            draft.delete(table, row["id"])
    draft.delete("files_entries", entry_id)


def _entry(draft: Draft, parent: int | None, name: str, day: int, **columns: object) -> int:
    moment = draft.moment(day, day)
    return draft.insert(
        "files_entries",
        person_id=draft.me.id,
        parent_id=parent,
        name=name,
        created_at=moment,
        updated_at=moment,
        **columns,
    )
