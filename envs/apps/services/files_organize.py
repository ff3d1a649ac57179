"""files: finding, tags, stars, the trash, and how much room is left."""

from __future__ import annotations

from typing import Any, Literal

from palaestra.envs.apps.api import ApiError, api
from palaestra.envs.apps.services.files import (
    FILES,
    LIVE,
    QUOTA,
    SIZE,
    Kind,
    clean,
    endings,
    entry_at,
    folder_at,
    free_name,
    kind_of_file,
    path_of,
    shown,
    shown_whole,
    size_of,
    within_limits,
)
from palaestra.envs.apps.values import Date, Json
from palaestra.envs.apps.world import Call

_LONGEST_TAG = 30
_KINDS = ("text", "image", "video", "audio", "document", "archive")


@api(FILES, "GET")
def search_files(
    call: Call,
    query: str = "",
    folder: str = "/",
    kind: Kind | None = None,
    tag: str | None = None,
    starred: bool | None = None,
    min_size: int | None = None,
    max_size: int | None = None,
    updated_from: Date | None = None,
    updated_until: Date | None = None,
    sort: Literal["path", "newest", "oldest", "largest"] = "path",
    page_index: int = 0,
    page_limit: int = 10,
) -> Json:
    """Find files and folders anywhere below a folder; what is in the trash is left out.

    Args:
        query: a text that must occur in the name or in the text of the file, in any case.
        folder: the folder to look in, and in all below it.
        kind: entries of one kind.
        tag: a tag that they must have.
        starred: only those with a star (True), or only others (False).
        min_size: the least size in bytes; folders are then left out.
        max_size: the largest size in bytes; folders are then left out.
        updated_from: the first day on which they may have been changed last.
        updated_until: the last such day, included.
        sort: by path, the last changed first, the first changed first, or the largest file first.
        page_index: which page, counted from 0.
        page_limit: entries a page, at most 20.

    Returns:
        A list of {entry_id, name, path, kind, size, starred, tags, created_at, updated_at}.
    """
    folder_at(call, folder)
    below = clean(folder).rstrip("/") + "/"
    text = query.strip().lower()
    conditions: list[tuple[str, Json]] = [
        ("substr(path, 1, length(?1)) = ?1", below),
        ("(instr(lower(name), ?1) OR (NOT bytes AND instr(lower(content), ?1)))", text or None),
        ("EXISTS (SELECT 1 FROM files_tags WHERE entry_id = e.id AND tag = ?1)", _lower(tag)),
        ("starred = ?1", None if starred is None else int(starred)),
        (f"NOT is_folder AND {SIZE} >= ?1", min_size),
        (f"NOT is_folder AND {SIZE} <= ?1", max_size),
        ("substr(updated_at, 1, 10) >= ?1", updated_from),
        ("substr(updated_at, 1, 10) <= ?1", updated_until),
    ]
    where, values = [_of_kind(kind)], []
    for sql, value in conditions:
        if value is not None:
            values.append(value)
            # The person's id is the first value of the query.
            where.append(f"({sql.replace('?1', f'?{len(values) + 1}')})")
    order = {
        "path": "path",
        "newest": "updated_at DESC",
        "oldest": "updated_at",
        "largest": f"is_folder, {SIZE} DESC",
    }[sort]
    # The marks have numbers, and those of a page come behind them.
    sql = (
        f"{LIVE.replace('?', '?1')} SELECT e.* FROM live JOIN files_entries e USING (id) "
        f"WHERE {' AND '.join(where)} ORDER BY {order}, id"
    )
    rows = call.page(sql, call.person_id, *values, page_index=page_index, page_limit=page_limit)
    return [shown(call, row) for row in rows]


@api(FILES, "PUT")
def set_star(call: Call, path: str, starred: bool = True) -> Json:
    """Give a file or folder a star, or take it away.

    Args:
        path: the file or folder.
        starred: whether it has a star.

    Returns:
        {entry_id, name, path, kind, size, starred, tags, shared_with, created_at, updated_at}.
    """
    row = entry_at(call, path)
    call.update("files_entries", row["id"], starred=int(starred))
    return shown_whole(call, row["id"])


@api(FILES, "POST")
def add_tag(call: Call, path: str, tag: str) -> Json:
    """Put a tag on a file or folder.

    Args:
        path: the file or folder.
        tag: a word, which is kept in lower case.

    Returns:
        {entry_id, name, path, kind, size, starred, tags, shared_with, created_at, updated_at}.
    """
    row = entry_at(call, path)
    word = _lower(tag) or ""
    if not word or len(word) > _LONGEST_TAG:
        raise ApiError(422, f"a tag has 1 to {_LONGEST_TAG} characters")
    if call.value("SELECT id FROM files_tags WHERE entry_id = ? AND tag = ?", row["id"], word) is not None:
        raise ApiError(409, f"{path} has the tag {word!r} already")
    call.insert("files_tags", entry_id=row["id"], tag=word)
    return shown_whole(call, row["id"])


@api(FILES, "DELETE")
def remove_tag(call: Call, path: str, tag: str) -> Json:
    """Take a tag off a file or folder.

    Args:
        path: the file or folder.
        tag: the tag.

    Returns:
        {entry_id, name, path, kind, size, starred, tags, shared_with, created_at, updated_at}.
    """
    row = entry_at(call, path)
    known = call.value("SELECT id FROM files_tags WHERE entry_id = ? AND tag = ?", row["id"], _lower(tag))
    if known is None:
        raise ApiError(404, f"{path} has no tag {tag!r}; show_entry shows its tags")
    call.delete("files_tags", known)
    return shown_whole(call, row["id"])


@api(FILES, "GET")
def list_tags(call: Call) -> Json:
    """Show all tags, by name.

    Returns:
        A list of {tag, entries}, with the number of files and folders that have it.
    """
    return call.rows(
        f"{LIVE} SELECT tag, count(*) AS entries FROM live JOIN files_tags t ON t.entry_id = live.id "
        "GROUP BY tag ORDER BY tag",
        call.person_id,
    )


@api(FILES, "GET")
def show_usage(call: Call) -> Json:
    """Show how much room the files take, in bytes; what is in the trash takes room as well.

    Returns:
        {used, available, quota, trash, by_kind}, where by_kind is a list of {kind, files, size} of all that
        is not in the trash.
    """
    files = call.rows(
        f"{LIVE} SELECT e.name, is_folder, {SIZE} AS size FROM live JOIN files_entries e USING (id) "
        "WHERE NOT is_folder",
        call.person_id,
    )
    by_kind = []
    for kind in (*_KINDS, "other"):
        sizes = [one["size"] for one in files if kind_of_file(one) == kind]
        by_kind.append({"kind": kind, "files": len(sizes), "size": sum(sizes)})
    used = call.value(f"SELECT ifnull(sum({SIZE}), 0) FROM files_entries WHERE person_id = ?", call.person_id)
    live = sum(one["size"] for one in files)
    return {
        "used": used,
        "available": QUOTA - used,
        "quota": QUOTA,
        "trash": used - live,
        "by_kind": by_kind,
    }


# ---- the trash ---------------------------------------------------------------------------------------


@api(FILES, "POST")
def move_to_trash(call: Call, path: str) -> Json:
    """Put a file, or a folder with all that is in it, into the trash, from which it can be restored.

    Args:
        path: the file or folder.

    Returns:
        {entry_id, name, path, kind, size, trashed_at}, with the path at which it lay.
    """
    row = entry_at(call, path)
    call.update("files_entries", row["id"], trashed=1, trashed_at=call.now)
    return _shown_trashed(call, _trashed(call, row["id"]))


@api(FILES, "GET")
def list_trash(call: Call, query: str = "", page_index: int = 0, page_limit: int = 10) -> Json:
    """Show what was put into the trash, the latest first.

    Args:
        query: a text that must occur in the name, in any case.
        page_index: which page, counted from 0.
        page_limit: entries a page, at most 20.

    Returns:
        A list of {entry_id, name, path, kind, size, trashed_at}, with the path at which it lay.
    """
    rows = call.page(
        "SELECT * FROM files_entries WHERE person_id = ? AND trashed AND instr(lower(name), ?) "
        "ORDER BY trashed_at DESC, id DESC",
        call.person_id,
        query.lower(),
        page_index=page_index,
        page_limit=page_limit,
    )
    return [_shown_trashed(call, row) for row in rows]


@api(FILES, "POST")
def restore(call: Call, entry_id: int) -> Json:
    """Take something out of the trash, back to where it lay.

    Args:
        entry_id: what list_trash shows.

    Returns:
        {entry_id, name, path, kind, size, starred, tags, shared_with, created_at, updated_at}.
    """
    row = _trashed(call, entry_id)
    parent = row["parent_id"]
    if parent is not None:
        live = call.value(f"{LIVE} SELECT id FROM live WHERE id = ?", call.person_id, parent)
        if live is None:
            raise ApiError(409, "the folder in which it lay is in the trash, too; restore that first")
    free_name(call, parent, row["name"])
    call.update("files_entries", entry_id, trashed=0, trashed_at=None)
    return within_limits(call, entry_id)


@api(FILES, "DELETE")
def delete_for_ever(call: Call, entry_id: int) -> Json:
    """Delete something that is in the trash, a folder with all that is in it. It cannot be restored.

    Args:
        entry_id: what list_trash shows.

    Returns:
        {message}.
    """
    _remove(call, _trashed(call, entry_id)["id"])
    return {"message": "it is deleted for ever"}


@api(FILES, "DELETE")
def empty_trash(call: Call) -> Json:
    """Delete all that is in the trash. It cannot be restored.

    Returns:
        {deleted}, the number of entries that list_trash showed.
    """
    rows = call.rows("SELECT id FROM files_entries WHERE person_id = ? AND trashed", call.person_id)
    for row in rows:
        _remove(call, row["id"])
    return {"deleted": len(rows)}


def _trashed(call: Call, entry_id: int) -> dict[str, Any]:
    row = call.mine("files_entries", entry_id, "entry", "list_trash shows what is in the trash")
    if not row["trashed"]:
        raise ApiError(409, f"{row['name']} is not in the trash; list_trash shows what is")
    return row


def _remove(call: Call, entry_id: int) -> None:
    for row in call.rows("SELECT id FROM files_entries WHERE parent_id = ?", entry_id):
        _remove(call, row["id"])
    for table in ("files_tags", "files_shares"):
        for row in call.rows(f"SELECT id FROM {table} WHERE entry_id = ?", entry_id):
            call.delete(table, row["id"])
    call.delete("files_entries", entry_id)


def _shown_trashed(call: Call, row: dict[str, Any]) -> dict[str, Json]:
    return {
        "entry_id": row["id"],
        "name": row["name"],
        "path": path_of(call, row),
        "kind": kind_of_file(row),
        "size": size_of(call, row["id"]),
        "trashed_at": row["trashed_at"],
    }


def _lower(word: str | None) -> str | None:
    return None if word is None else word.strip().lower()


def _of_kind(kind: str | None) -> str:
    """Return a condition: the kinds are words of ours, nothing of the caller's gets into it."""
    if kind is None:
        return "1"
    if kind == "folder":
        return "is_folder"
    chosen = [kind] if kind != "other" else _KINDS
    any_of = " OR ".join(f"name LIKE '%.{ending}'" for one in chosen for ending in endings(one))
    return f"NOT is_folder AND {'NOT' if kind == 'other' else ''} ({any_of})"
