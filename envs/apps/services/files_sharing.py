"""files: sharing with people, and archives of many files in one."""

from __future__ import annotations

import json
from typing import Any, Literal

from palaestra.envs.apps.api import ApiError, api, not_found
from palaestra.envs.apps.services.files import (
    FILES,
    LIVE,
    SIZE,
    copied,
    entry_at,
    folder_at,
    kind_of_file,
    new_entry,
    shown_whole,
    size_of,
    split,
    text_file,
    within_limits,
)
from palaestra.envs.apps.values import Json
from palaestra.envs.apps.world import Call

# ---- sharing -----------------------------------------------------------------------------------------


@api(FILES, "POST")
def share_entry(call: Call, path: str, email: str, permission: Literal["view", "edit"] = "view") -> Json:
    """Share a file, or a folder with all that is in it; or change what somebody may do with it.

    Args:
        path: the file or folder.
        email: the email address of the person.
        permission: whether they may only look (view) or also change texts (edit).

    Returns:
        {entry_id, name, path, kind, size, starred, tags, shared_with, created_at, updated_at}.
    """
    row = entry_at(call, path)
    person = call.person(email)
    if person["id"] == call.person_id:
        raise ApiError(422, "this is your own file; name somebody else")
    known = call.row(
        "SELECT * FROM files_shares WHERE entry_id = ? AND person_id = ?", row["id"], person["id"]
    )
    if known is None:
        call.insert(
            "files_shares",
            entry_id=row["id"],
            person_id=person["id"],
            permission=permission,
            created_at=call.now,
        )
    elif known["permission"] == permission:
        raise ApiError(409, f"{email} may {permission} it already")
    else:
        call.update("files_shares", known["id"], permission=permission)
    return shown_whole(call, row["id"])


@api(FILES, "DELETE")
def unshare_entry(call: Call, path: str, email: str) -> Json:
    """Stop sharing a file or folder with somebody.

    Args:
        path: the file or folder.
        email: the email address of the person.

    Returns:
        {entry_id, name, path, kind, size, starred, tags, shared_with, created_at, updated_at}.
    """
    row = entry_at(call, path)
    person = call.person(email)
    known = call.value(
        "SELECT id FROM files_shares WHERE entry_id = ? AND person_id = ?", row["id"], person["id"]
    )
    if known is None:
        raise ApiError(409, f"{path} is not shared with {email}; show_entry shows who sees it")
    call.delete("files_shares", known)
    return shown_whole(call, row["id"])


@api(FILES, "GET")
def list_shared_by_me(
    call: Call, email: str | None = None, page_index: int = 0, page_limit: int = 10
) -> Json:
    """Show which files and folders of yours others see, by path.

    Args:
        email: the email address of one person who sees them.
        page_index: which page, counted from 0.
        page_limit: entries a page, at most 20.

    Returns:
        A list of {entry_id, path, name, email, permission}, with the name and email of the other person.
    """
    person = None if email is None else call.person(email)["id"]
    return call.page(
        f"{LIVE} SELECT live.id AS entry_id, path, first_name || ' ' || last_name AS name, email, permission "
        "FROM live JOIN files_shares s ON s.entry_id = live.id JOIN world_people p ON p.id = s.person_id "
        "WHERE p.id = ifnull(?, p.id) ORDER BY path, email, s.id",
        call.person_id,
        person,
        page_index=page_index,
        page_limit=page_limit,
    )


@api(FILES, "GET")
def list_shared_with_me(
    call: Call, folder_id: int | None = None, page_index: int = 0, page_limit: int = 10
) -> Json:
    """Show what others share with you, by name, or what lies in a folder that they share.

    Args:
        folder_id: the entry_id of a shared folder; by default all that was shared is shown.
        page_index: which page, counted from 0.
        page_limit: entries a page, at most 20.

    Returns:
        A list of {entry_id, name, kind, size, owner, owner_email, permission, updated_at}.
    """
    if folder_id is not None and not _shared(call, folder_id)["is_folder"]:
        raise ApiError(422, "this is a file and no folder")
    chosen = (
        "parent_id = ? AND NOT trashed"
        if folder_id is not None
        else "id IN (SELECT entry_id FROM files_shares WHERE person_id = ?)"
    )
    rows = call.rows(
        f"SELECT id FROM files_entries WHERE {chosen} ORDER BY name, id",
        call.person_id if folder_id is None else folder_id,
    )
    visible = [row for row in (_find_shared(call, one["id"]) for one in rows) if row is not None]
    # Nothing but a page is asked of the query: it checks the page that is wanted, too.
    marks = ", ".join("?" * len(visible))
    page = call.page(
        f"SELECT id FROM files_entries WHERE id IN ({marks}) ORDER BY name, id",
        *(row["id"] for row in visible),
        page_index=page_index,
        page_limit=page_limit,
    )
    by_id = {row["id"]: row for row in visible}
    return [_shown_shared(call, by_id[one["id"]]) for one in page]


@api(FILES, "GET")
def read_shared_file(call: Call, entry_id: int) -> Json:
    """Read a text file that somebody shares with you.

    Args:
        entry_id: the file, as list_shared_with_me shows it.

    Returns:
        {entry_id, name, text, updated_at}.
    """
    row = text_file(_shared(call, entry_id))
    return {
        "entry_id": entry_id,
        "name": row["name"],
        "text": row["content"],
        "updated_at": row["updated_at"],
    }


@api(FILES, "PUT")
def write_shared_file(call: Call, entry_id: int, text: str) -> Json:
    """Replace the text of a file that somebody shares with you, if you may edit it.

    Args:
        entry_id: the file, as list_shared_with_me shows it.
        text: its new text.

    Returns:
        {entry_id, name, text, updated_at}.
    """
    row = text_file(_shared(call, entry_id))
    if row["permission"] != "edit":
        raise ApiError(403, "you may only look at this file; its owner could let you edit it")
    call.update("files_entries", entry_id, content=text, updated_at=call.now)
    return {"entry_id": entry_id, "name": row["name"], "text": text, "updated_at": call.now}


@api(FILES, "POST")
def save_shared_copy(call: Call, entry_id: int, to_folder: str, name: str | None = None) -> Json:
    """Copy what somebody shares with you into a folder of your own.

    Args:
        entry_id: the file or folder, as list_shared_with_me shows it.
        to_folder: the folder to put the copy into.
        name: the name of the copy; by default that of the original.

    Returns:
        The copy: {entry_id, name, path, kind, size, starred, tags, shared_with, created_at, updated_at}.
    """
    row = _shared(call, entry_id)
    parent = folder_at(call, to_folder)
    return within_limits(call, copied(call, row, parent, row["name"] if name is None else name))


@api(FILES, "DELETE")
def leave_shared(call: Call, entry_id: int) -> Json:
    """Let go of something that somebody shares with you: you see it no longer.

    Args:
        entry_id: the file or folder itself that was shared, not something in it.

    Returns:
        {message}.
    """
    known = call.value(
        "SELECT id FROM files_shares WHERE entry_id = ? AND person_id = ?", entry_id, call.person_id
    )
    if known is None:
        raise not_found("shared entry", entry_id, "list_shared_with_me shows them")
    call.delete("files_shares", known)
    return {"message": "it is no longer shared with you"}


# ---- archives ----------------------------------------------------------------------------------------


@api(FILES, "POST")
def compress(call: Call, paths: list[str], to_path: str) -> Json:
    """Put files and folders into a new archive. They stay where they are.

    Args:
        paths: the files and folders, of different names.
        to_path: the archive, which must not be there yet; its name ends with .zip.

    Returns:
        {entry_id, name, path, kind, size, starred, tags, shared_with, created_at, updated_at}.
    """
    folder, name = split(to_path)
    if not name.lower().endswith(".zip"):
        raise ApiError(422, "the name of an archive ends with .zip")
    if not paths:
        raise ApiError(422, "name at least one file or folder in paths")
    rows = [entry_at(call, path) for path in paths]
    if len({row["name"] for row in rows}) < len(rows):
        raise ApiError(409, "two of these have the same name; rename one, or compress their folder")
    parent = folder_at(call, folder)
    members = [member for row in rows for member in _packed(call, row, "")]
    size = sum(member["size"] for member in members) * 9 // 10 + 22
    archive = new_entry(call, parent, name, content=json.dumps(members), bytes=size)
    return within_limits(call, archive)


@api(FILES, "GET")
def list_archive(call: Call, path: str, page_index: int = 0, page_limit: int = 10) -> Json:
    """Show what is in an archive, by path.

    Args:
        path: the archive.
        page_index: which page, counted from 0.
        page_limit: members a page, at most 20.

    Returns:
        A list of {path, size}; the path of a folder ends with /.
    """
    row = _archive(call, path)
    return call.page(
        "SELECT json_extract(value, '$.path') AS path, json_extract(value, '$.size') AS size "
        "FROM json_each(?) ORDER BY 1",
        row["content"],
        page_index=page_index,
        page_limit=page_limit,
    )


@api(FILES, "POST")
def extract(call: Call, path: str, to_folder: str) -> Json:
    """Take all out of an archive, into a folder in which nothing may have the same names.

    Args:
        path: the archive, which stays.
        to_folder: the folder.

    Returns:
        {folder, entries}, with the number of files and folders that are new.
    """
    members = json.loads(_archive(call, path)["content"])
    parents: dict[str, int | None] = {"": folder_at(call, to_folder)}
    entry = None
    for member in members:
        before, _, name = member["path"].rstrip("/").rpartition("/")
        is_folder = member["path"].endswith("/")
        entry = new_entry(
            call,
            parents[before],
            name,
            is_folder=int(is_folder),
            content=member["text"],
            bytes=member["bytes"],
        )
        if is_folder:
            parents[member["path"].rstrip("/")] = entry
    if entry is not None:
        within_limits(call, entry)
    return {"folder": to_folder, "entries": len(members)}


# ---- what they share ---------------------------------------------------------------------------------


def _find_shared(call: Call, entry_id: int) -> dict[str, Any] | None:
    """Return what somebody else shares with the caller, with the permission; None where nobody does."""
    row = call.row("SELECT * FROM files_entries WHERE id = ?", entry_id)
    if row is None or row["person_id"] == call.person_id:
        return None
    permission, one = None, row
    while one is not None:
        if one["trashed"]:
            return None
        sql = "SELECT permission FROM files_shares WHERE entry_id = ? AND person_id = ?"
        given = call.value(sql, one["id"], call.person_id)
        permission = (
            max(permission, given, key=("view", "edit").index)
            if permission and given
            else (permission or given)
        )
        one = call.row("SELECT * FROM files_entries WHERE id = ?", one["parent_id"])
    return None if permission is None else {**row, "permission": permission}


def _shared(call: Call, entry_id: int) -> dict[str, Any]:
    row = _find_shared(call, entry_id)
    if row is None:
        raise not_found("shared entry", entry_id, "list_shared_with_me shows them")
    return row


def _shown_shared(call: Call, row: dict[str, Any]) -> dict[str, Json]:
    owner = call.rows(
        "SELECT first_name || ' ' || last_name AS name, email FROM world_people WHERE id = ?",
        row["person_id"],
    )[0]
    return {
        "entry_id": row["id"],
        "name": row["name"],
        "kind": kind_of_file(row),
        "size": size_of(call, row["id"]),
        "owner": owner["name"],
        "owner_email": owner["email"],
        "permission": row["permission"],
        "updated_at": row["updated_at"],
    }


def _packed(call: Call, row: dict[str, Any], before: str) -> list[dict[str, Json]]:
    """Return an entry and all that is in it as members of an archive, each folder before its files."""
    path = f"{before}{row['name']}" + ("/" if row["is_folder"] else "")
    size = call.value(f"SELECT {SIZE} FROM files_entries WHERE id = ?", row["id"])
    member = {"path": path, "text": row["content"], "bytes": row["bytes"], "size": size}
    inside = call.rows(
        "SELECT * FROM files_entries WHERE parent_id = ? AND NOT trashed ORDER BY name, id", row["id"]
    )
    return [member, *(one for entry in inside for one in _packed(call, entry, path))]


def _archive(call: Call, path: str) -> dict[str, Any]:
    row = entry_at(call, path)
    if kind_of_file(row) != "archive":
        raise ApiError(422, f"{row['name']} is no archive; the name of an archive ends with .zip")
    return row
