"""notes: texts with titles and tags, in folders."""

from __future__ import annotations

import json

from palaestra.envs.apps.api import ApiError, App, api
from palaestra.envs.apps.services.notes_seed import seed
from palaestra.envs.apps.values import Json
from palaestra.envs.apps.world import Call

_LONGEST_TITLE = 200

NOTES = App(
    name="notes",
    description="Notes with titles and tags, in folders.",
    schema="""
    CREATE TABLE notes_folders (
        id INTEGER PRIMARY KEY, person_id INTEGER NOT NULL, name TEXT NOT NULL, UNIQUE (person_id, name)
    );
    CREATE TABLE notes_notes (
        id INTEGER PRIMARY KEY, person_id INTEGER NOT NULL, folder_id INTEGER, title TEXT NOT NULL,
        body TEXT NOT NULL DEFAULT '', tags TEXT NOT NULL DEFAULT '[]', pinned INTEGER NOT NULL DEFAULT 0,
        archived INTEGER NOT NULL DEFAULT 0, created_at TEXT NOT NULL, updated_at TEXT NOT NULL
    );
    CREATE INDEX notes_notes_person ON notes_notes (person_id)
    """,
    seed=seed,
)


# ---- notes -------------------------------------------------------------------------------------------


@api(NOTES, "POST")
def create_note(
    call: Call, title: str, body: str = "", tags: list[str] | None = None, folder_id: int | None = None
) -> Json:
    """Create a note.

    Args:
        title: its title.
        body: its text.
        tags: words to find it by.
        folder_id: the folder to put it in; none by default.

    Returns:
        The new note: {note_id, folder_id, title, body, tags, pinned, archived, created_at, updated_at}.
    """
    if folder_id is not None:
        _folder(call, folder_id)
    note_id = call.insert(
        "notes_notes",
        person_id=call.person_id,
        folder_id=folder_id,
        title=_title(title),
        body=body,
        tags=_tags(tags or []),
        created_at=call.now,
        updated_at=call.now,
    )
    return _shown(_note(call, note_id))


@api(NOTES, "GET")
def show_note(call: Call, note_id: int) -> Json:
    """Show a note with its text.

    Args:
        note_id: the note.

    Returns:
        {note_id, folder_id, title, body, tags, pinned, archived, created_at, updated_at}.
    """
    return _shown(_note(call, note_id))


@api(NOTES, "GET")
def search_notes(
    call: Call,
    query: str = "",
    tag: str | None = None,
    folder_id: int | None = None,
    pinned: bool | None = None,
    archived: bool | None = False,
    page_index: int = 0,
    page_limit: int = 5,
) -> Json:
    """Find notes, the last changed ones first; without conditions, all that are not archived.

    Args:
        query: a text that must occur in the title or the body, in any case.
        tag: a tag that the notes must have.
        folder_id: the folder that they must lie in.
        pinned: only pinned ones (True), or only others (False).
        archived: only archived ones (True), only others (False), or both (None).
        page_index: which page, counted from 0.
        page_limit: notes a page, at most 20.

    Returns:
        A list of {note_id, folder_id, title, tags, pinned, archived, updated_at}, without the texts.
    """
    conditions = ["person_id = ?"]
    values: list[Json] = [call.person_id]
    if query:
        conditions.append("(instr(lower(title), ?) OR instr(lower(body), ?))")
        values += [query.lower(), query.lower()]
    if tag is not None:
        conditions.append("EXISTS (SELECT 1 FROM json_each(tags) WHERE value = ?)")
        values.append(tag.lower())
    for name, wanted in (("folder_id", folder_id), ("pinned", pinned), ("archived", archived)):
        if wanted is not None:
            conditions.append(f"{name} = ?")
            values.append(int(wanted))
    rows = call.page(
        f"SELECT * FROM notes_notes WHERE {' AND '.join(conditions)} ORDER BY updated_at DESC, id DESC",
        *values,
        page_index=page_index,
        page_limit=page_limit,
    )
    names = ("note_id", "folder_id", "title", "tags", "pinned", "archived", "updated_at")
    return [{name: note[name] for name in names} for note in map(_shown, rows)]


@api(NOTES, "PATCH")
def update_note(
    call: Call,
    note_id: int,
    title: str | None = None,
    body: str | None = None,
    tags: list[str] | None = None,
    pinned: bool | None = None,
    archived: bool | None = None,
) -> Json:
    """Change parts of a note; what is left out stays.

    Args:
        note_id: the note.
        title: its new title.
        body: its new text, which replaces the old one.
        tags: its new tags, which replace the old ones.
        pinned: whether it is pinned.
        archived: whether it is archived.

    Returns:
        The note: {note_id, folder_id, title, body, tags, pinned, archived, created_at, updated_at}.
    """
    _note(call, note_id)
    changes = {
        "title": None if title is None else _title(title),
        "body": body,
        "tags": None if tags is None else _tags(tags),
        "pinned": None if pinned is None else int(pinned),
        "archived": None if archived is None else int(archived),
    }
    changes = {name: value for name, value in changes.items() if value is not None}
    if not changes:
        raise ApiError(422, "name something to change: title, body, tags, pinned or archived")
    call.update("notes_notes", note_id, **changes, updated_at=call.now)
    return _shown(_note(call, note_id))


@api(NOTES, "POST")
def append_to_note(call: Call, note_id: int, text: str) -> Json:
    """Add a text to the end of a note, on a new line.

    Args:
        note_id: the note.
        text: what to add.

    Returns:
        The note: {note_id, folder_id, title, body, tags, pinned, archived, created_at, updated_at}.
    """
    body = _note(call, note_id)["body"]
    call.update("notes_notes", note_id, body=f"{body}\n{text}" if body else text, updated_at=call.now)
    return _shown(_note(call, note_id))


@api(NOTES, "POST")
def move_note(call: Call, note_id: int, folder_id: int | None) -> Json:
    """Put a note into another folder.

    Args:
        note_id: the note.
        folder_id: the folder; None takes the note out of its folder.

    Returns:
        The note: {note_id, folder_id, title, body, tags, pinned, archived, created_at, updated_at}.
    """
    _note(call, note_id)
    if folder_id is not None:
        _folder(call, folder_id)
    call.update("notes_notes", note_id, folder_id=folder_id, updated_at=call.now)
    return _shown(_note(call, note_id))


@api(NOTES, "DELETE")
def delete_note(call: Call, note_id: int) -> Json:
    """Delete a note for ever.

    Args:
        note_id: the note.

    Returns:
        {message}.
    """
    call.delete("notes_notes", _note(call, note_id)["id"])
    return {"message": "the note is deleted"}


@api(NOTES, "GET")
def list_tags(call: Call) -> Json:
    """Show all tags, by name.

    Returns:
        A list of {tag, notes}, with the number of notes that have it.
    """
    return call.rows(
        "SELECT value AS tag, count(*) AS notes FROM notes_notes, json_each(tags) WHERE person_id = ? "
        "GROUP BY value ORDER BY value",
        call.person_id,
    )


# ---- folders -----------------------------------------------------------------------------------------


@api(NOTES, "GET")
def list_folders(call: Call) -> Json:
    """Show all folders, by name.

    Returns:
        A list of {folder_id, name, notes}, with the number of notes in it.
    """
    return call.rows(
        "SELECT f.id AS folder_id, f.name, count(n.id) AS notes FROM notes_folders f "
        "LEFT JOIN notes_notes n ON n.folder_id = f.id WHERE f.person_id = ? GROUP BY f.id ORDER BY f.name",
        call.person_id,
    )


@api(NOTES, "POST")
def create_folder(call: Call, name: str) -> Json:
    """Create a folder.

    Args:
        name: its name, which no other folder may have.

    Returns:
        {folder_id, name}.
    """
    _free_name(call, name)
    return {
        "folder_id": call.insert("notes_folders", person_id=call.person_id, name=name.strip()),
        "name": name.strip(),
    }


@api(NOTES, "PATCH")
def rename_folder(call: Call, folder_id: int, name: str) -> Json:
    """Give a folder another name.

    Args:
        folder_id: the folder.
        name: its new name.

    Returns:
        {folder_id, name}.
    """
    _folder(call, folder_id)
    _free_name(call, name)
    call.update("notes_folders", folder_id, name=name.strip())
    return {"folder_id": folder_id, "name": name.strip()}


@api(NOTES, "DELETE")
def delete_folder(call: Call, folder_id: int) -> Json:
    """Delete a folder that is empty.

    Args:
        folder_id: the folder.

    Returns:
        {message}.
    """
    _folder(call, folder_id)
    if call.value("SELECT count(*) FROM notes_notes WHERE folder_id = ?", folder_id):
        raise ApiError(409, "there are notes in this folder; move or delete them first")
    call.delete("notes_folders", folder_id)
    return {"message": "the folder is deleted"}


# ---- what they share ---------------------------------------------------------------------------------


def _note(call: Call, note_id: int) -> dict[str, Json]:
    return call.mine("notes_notes", note_id, "note", "search_notes finds notes")


def _folder(call: Call, folder_id: int) -> dict[str, Json]:
    return call.mine("notes_folders", folder_id, "folder", "list_folders shows them")


def _shown(row: dict[str, Json]) -> dict[str, Json]:
    note = {"note_id": row["id"], **{name: row[name] for name in ("folder_id", "title", "body")}}
    return {
        **note,
        "tags": json.loads(row["tags"]),
        "pinned": bool(row["pinned"]),
        "archived": bool(row["archived"]),
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
    }


def _title(title: str) -> str:
    if not title.strip() or len(title) > _LONGEST_TITLE:
        raise ApiError(422, f"title must have 1 to {_LONGEST_TITLE} characters")
    return title.strip()


def _tags(tags: list[str]) -> str:
    return json.dumps(sorted({tag.strip().lower() for tag in tags if tag.strip()}))


def _free_name(call: Call, name: str) -> None:
    if not name.strip():
        raise ApiError(422, "name must not be empty")
    known = "SELECT id FROM notes_folders WHERE person_id = ? AND name = ?"
    if call.value(known, call.person_id, name.strip()) is not None:
        raise ApiError(409, f"there is a folder {name.strip()!r} already")
