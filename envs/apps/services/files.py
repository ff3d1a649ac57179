"""files: a home directory of folders and files, looked at and changed by paths."""

from __future__ import annotations

from typing import Any, Literal

from palaestra.envs.apps.api import ApiError, App, api
from palaestra.envs.apps.services.files_seed import seed
from palaestra.envs.apps.values import Json
from palaestra.envs.apps.world import Call

QUOTA = 2_000_000_000
_LONGEST_NAME = 120
_MOST_ENTRIES = 5000
_MOST_TEXT = 20_000_000
_DEEPEST = 30
_KINDS = {
    "text": ("txt", "md", "csv", "json", "ics", "log"),
    "image": ("jpg", "jpeg", "png", "gif"),
    "video": ("mp4", "mov"),
    "audio": ("mp3", "wav"),
    "document": ("pdf", "docx", "xlsx", "pptx"),
    "archive": ("zip",),
}
Kind = Literal["folder", "text", "image", "video", "audio", "document", "archive", "other"]
SIZE = "CASE WHEN bytes THEN bytes ELSE length(CAST(content AS BLOB)) END"
"""How large a file is: what is said of a stub, else what its text takes."""
LIVE = """
WITH RECURSIVE live(id, path) AS (
    SELECT id, '/' || name FROM files_entries WHERE person_id = ? AND parent_id IS NULL AND NOT trashed
    UNION ALL
    SELECT e.id, live.path || '/' || e.name FROM files_entries e JOIN live ON e.parent_id = live.id
    WHERE NOT e.trashed
)
"""
"""The entries of a person that are not in the trash, with their paths; the person's id comes in once."""

FILES = App(
    name="files",
    description="Your home directory: folders and files, a trash, tags, archives, and what is shared.",
    schema="""
    CREATE TABLE files_entries (
        id INTEGER PRIMARY KEY, person_id INTEGER NOT NULL, parent_id INTEGER, name TEXT NOT NULL,
        is_folder INTEGER NOT NULL DEFAULT 0, content TEXT NOT NULL DEFAULT '',
        bytes INTEGER NOT NULL DEFAULT 0, starred INTEGER NOT NULL DEFAULT 0,
        trashed INTEGER NOT NULL DEFAULT 0, trashed_at TEXT, created_at TEXT NOT NULL,
        updated_at TEXT NOT NULL
    );
    CREATE TABLE files_tags (
        id INTEGER PRIMARY KEY, entry_id INTEGER NOT NULL, tag TEXT NOT NULL, UNIQUE (entry_id, tag)
    );
    CREATE TABLE files_shares (
        id INTEGER PRIMARY KEY, entry_id INTEGER NOT NULL, person_id INTEGER NOT NULL,
        permission TEXT NOT NULL DEFAULT 'view', created_at TEXT NOT NULL, UNIQUE (entry_id, person_id)
    );
    CREATE INDEX files_entries_parent ON files_entries (parent_id);
    CREATE INDEX files_entries_place ON files_entries (person_id, parent_id, name)
    """,
    seed=seed,
    automatic=("created_at", "updated_at", "trashed_at"),
    after=("expenses",),
)


# ---- looking -----------------------------------------------------------------------------------------


@api(FILES, "GET")
def list_folder(
    call: Call,
    path: str = "/",
    sort: Literal["name", "newest", "largest"] = "name",
    page_index: int = 0,
    page_limit: int = 10,
) -> Json:
    """Show what lies directly in a folder, folders first.

    Args:
        path: the folder; / is the home directory.
        sort: by name, the last changed first, or the largest first (folders count as empty).
        page_index: which page, counted from 0.
        page_limit: entries a page, at most 20.

    Returns:
        A list of {entry_id, name, path, kind, size, starred, tags, created_at, updated_at}; the kind is
        folder, text, image, video, audio, document, archive or other, the size is in bytes, that of a
        folder is all that is in it.
    """
    order = {"name": "name", "newest": "updated_at DESC", "largest": f"{SIZE} DESC"}[sort]
    rows = call.page(
        "SELECT * FROM files_entries WHERE person_id = ? AND parent_id IS ? AND NOT trashed "
        f"ORDER BY is_folder DESC, {order}, id",
        call.person_id,
        folder_at(call, path),
        page_index=page_index,
        page_limit=page_limit,
    )
    return [shown(call, row) for row in rows]


@api(FILES, "GET")
def show_entry(call: Call, path: str) -> Json:
    """Show what is known of a folder or file, and who sees it; read_file shows a text.

    Args:
        path: the folder or file.

    Returns:
        {entry_id, name, path, kind, size, starred, tags, shared_with, created_at, updated_at}, where
        shared_with is a list of {name, email, permission}.
    """
    return shown_whole(call, entry_at(call, path)["id"])


@api(FILES, "GET")
def read_file(call: Call, path: str) -> Json:
    """Read a text file.

    Args:
        path: the file, of the kind text: .txt, .md, .csv, .json, .ics or .log.

    Returns:
        {path, text, updated_at}.
    """
    row = text_file(entry_at(call, path))
    return {"path": row["path"], "text": row["content"], "updated_at": row["updated_at"]}


# ---- writing -----------------------------------------------------------------------------------------


@api(FILES, "POST")
def create_folder(call: Call, path: str, parents: bool = False) -> Json:
    """Create a folder.

    Args:
        path: the new folder, which must not be there yet.
        parents: whether folders on the way to it are created, too, where they are missing.

    Returns:
        {entry_id, name, path, kind, size, starred, tags, shared_with, created_at, updated_at}.
    """
    folder, name = split(path)
    if parents:
        _make_folders(call, folder)
    parent = folder_at(call, folder)
    return within_limits(call, new_entry(call, parent, name, is_folder=1))


@api(FILES, "POST")
def create_file(call: Call, path: str, text: str = "") -> Json:
    """Create a text file in a folder that is there.

    Args:
        path: the new file, which must not be there yet; its name ends with .txt, .md, .csv, .json, .ics or
            .log.
        text: what is in it.

    Returns:
        {entry_id, name, path, kind, size, starred, tags, shared_with, created_at, updated_at}.
    """
    folder, name = split(path)
    _text_name(name)
    parent = folder_at(call, folder)
    return within_limits(call, new_entry(call, parent, name, content=text))


@api(FILES, "PUT")
def write_file(call: Call, path: str, text: str) -> Json:
    """Replace the text of a file.

    Args:
        path: the text file.
        text: its new text.

    Returns:
        {entry_id, name, path, kind, size, starred, tags, shared_with, created_at, updated_at}.
    """
    row = text_file(entry_at(call, path))
    call.update("files_entries", row["id"], content=text, updated_at=call.now)
    return within_limits(call, row["id"])


@api(FILES, "POST")
def append_to_file(call: Call, path: str, text: str) -> Json:
    """Add a text to the end of a file, on a new line.

    Args:
        path: the text file.
        text: what to add.

    Returns:
        {entry_id, name, path, kind, size, starred, tags, shared_with, created_at, updated_at}.
    """
    row = text_file(entry_at(call, path))
    before = row["content"]
    joint = "" if not before or before.endswith("\n") else "\n"
    call.update("files_entries", row["id"], content=before + joint + text, updated_at=call.now)
    return within_limits(call, row["id"])


@api(FILES, "POST")
def copy_entry(call: Call, path: str, to_folder: str, name: str | None = None) -> Json:
    """Copy a file, or a folder with all that is in it. Tags, stars and sharing are not copied.

    Args:
        path: what to copy.
        to_folder: the folder to put the copy into.
        name: the name of the copy; by default that of the original.

    Returns:
        The copy: {entry_id, name, path, kind, size, starred, tags, shared_with, created_at, updated_at}.
    """
    row = entry_at(call, path)
    parent = folder_at(call, to_folder)
    _not_into_itself(row, to_folder)
    return within_limits(call, copied(call, row, parent, row["name"] if name is None else name))


@api(FILES, "POST")
def move_entry(call: Call, path: str, to_folder: str) -> Json:
    """Move a file, or a folder with all that is in it, into another folder.

    Args:
        path: what to move.
        to_folder: the folder to move it into, in which nothing may have its name.

    Returns:
        {entry_id, name, path, kind, size, starred, tags, shared_with, created_at, updated_at}.
    """
    row = entry_at(call, path)
    parent = folder_at(call, to_folder)
    _not_into_itself(row, to_folder)
    if parent == row["parent_id"]:
        raise ApiError(409, f"{row['path']} lies in this folder already")
    free_name(call, parent, row["name"])
    call.update("files_entries", row["id"], parent_id=parent, updated_at=call.now)
    return within_limits(call, row["id"])


@api(FILES, "PATCH")
def rename_entry(call: Call, path: str, name: str) -> Json:
    """Give a file or folder another name, in the same folder.

    Args:
        path: the file or folder.
        name: its new name, with the ending; a file of one kind cannot become one of another.

    Returns:
        {entry_id, name, path, kind, size, starred, tags, shared_with, created_at, updated_at}.
    """
    row = entry_at(call, path)
    name = free_name(call, row["parent_id"], name)
    if kind_of_file(row) != kind_of_file({**row, "name": name}):
        raise ApiError(422, f"{row['name']} is of the kind {kind_of_file(row)}; keep its ending")
    call.update("files_entries", row["id"], name=name, updated_at=call.now)
    return shown_whole(call, row["id"])


# ---- what all files of this app share ----------------------------------------------------------------


def clean(path: str) -> str:
    """Return a path without needless slashes. Raises ``ApiError`` 422 for one that is not absolute."""
    parts = [part for part in path.strip().split("/") if part]
    if not path.strip().startswith("/") or {".", ".."} & set(parts):
        raise ApiError(422, "a path begins with / and has no . or .. in it, as /documents/letter.txt")
    if len(parts) > _DEEPEST:
        raise ApiError(422, f"a path has at most {_DEEPEST} names")
    return "/" + "/".join(parts)


def split(path: str) -> tuple[str, str]:
    """Return the folder and the name of a path. Raises ``ApiError`` 422 for the home directory."""
    folder, _, name = clean(path).rpartition("/")
    if not name:
        raise ApiError(422, "this cannot be done with the home directory itself")
    return folder or "/", name


def entry_at(call: Call, path: str) -> dict[str, Any]:
    """Return the caller's entry at a path, with the path. Raises ``ApiError`` 404."""
    split(path)
    sql = f"{LIVE} SELECT e.*, path FROM live JOIN files_entries e USING (id) WHERE path = ?"
    row = call.row(sql, call.person_id, clean(path))
    if row is None:
        raise ApiError(404, f"there is nothing at {path!r}; list_folder and search_files show what is there")
    return row


def folder_at(call: Call, path: str) -> int | None:
    """Return the id of the caller's folder at a path; None is the home directory. Raises ``ApiError``."""
    if clean(path) == "/":
        return None
    row = entry_at(call, path)
    if not row["is_folder"]:
        raise ApiError(422, f"{path!r} is a file and no folder")
    return row["id"]


def path_of(call: Call, row: dict[str, Any]) -> str:
    """Return where an entry lies, or lay before it went to the trash."""
    names = [row["name"]]
    while row["parent_id"] is not None:
        row = call.rows("SELECT * FROM files_entries WHERE id = ?", row["parent_id"])[0]
        names.append(row["name"])
    return "/" + "/".join(reversed(names))


def size_of(call: Call, entry_id: int) -> int:
    """Return the size of a file, or of all files in a folder."""
    return call.value(
        "WITH RECURSIVE inside(id) AS (SELECT ? UNION ALL SELECT e.id FROM files_entries e "
        f"JOIN inside ON e.parent_id = inside.id WHERE NOT e.trashed) SELECT ifnull(sum({SIZE}), 0) "
        "FROM files_entries WHERE id IN inside AND NOT is_folder",
        entry_id,
    )


def kind_of_file(row: dict[str, Any]) -> Kind:
    """Return the kind of an entry: it is said by the ending of its name."""
    if row["is_folder"]:
        return "folder"
    ending = row["name"].rpartition(".")[2].lower()
    found: Any = next((kind for kind, endings in _KINDS.items() if ending in endings), "other")
    return found


def endings(kind: str) -> tuple[str, ...]:
    """Return the endings of the names of a kind of files."""
    return _KINDS.get(kind, ())


def text_file(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row that is a text. Raises ``ApiError`` 422 for any other."""
    if kind_of_file(row) != "text":
        raise ApiError(
            422, f"{row['name']} is of the kind {kind_of_file(row)}; only texts are read and written"
        )
    return row


def free_name(call: Call, parent: int | None, name: str) -> str:
    """Return a name that a new entry of a folder can have. Raises ``ApiError`` 422 and 409."""
    name = name.strip()
    if not name or len(name) > _LONGEST_NAME or "/" in name or name in (".", ".."):
        raise ApiError(422, f"a name has 1 to {_LONGEST_NAME} characters and no / in it")
    known = call.value(
        "SELECT id FROM files_entries WHERE person_id = ? AND parent_id IS ? AND name = ? AND NOT trashed",
        call.person_id,
        parent,
        name,
    )
    if known is not None:
        raise ApiError(409, f"there is {name!r} in this folder already")
    return name


def within_limits(call: Call, entry_id: int) -> dict[str, Json]:
    """Return an entry that was written, with those who see it.

    Raises ``ApiError`` 409 where the home directory has become too large, which undoes the call.
    """
    used, entries, text = call.rows(
        f"SELECT ifnull(sum({SIZE}), 0) AS used, count(*) AS entries, "
        "ifnull(sum(length(content)), 0) AS text FROM files_entries WHERE person_id = ?",
        call.person_id,
    )[0].values()
    if used > QUOTA:
        raise ApiError(409, f"this takes {used - QUOTA} bytes more than there are; show_usage says more")
    # What a program could fill the memory with: many entries, or texts of archives of archives.
    if entries > _MOST_ENTRIES or text > _MOST_TEXT:
        raise ApiError(409, f"there can be {_MOST_ENTRIES} entries, with {_MOST_TEXT} characters of text")
    depth = call.value(
        f"{LIVE} SELECT max(length(path) - length(replace(path, '/', ''))) FROM live", call.person_id
    )
    if depth is not None and depth > _DEEPEST:
        raise ApiError(409, f"folders lie in one another at most {_DEEPEST} deep")
    return shown_whole(call, entry_id)


def new_entry(call: Call, parent: int | None, name: str, **columns: Any) -> int:
    """Add an entry to a folder of the caller; return its id."""
    return call.insert(
        "files_entries",
        person_id=call.person_id,
        parent_id=parent,
        name=free_name(call, parent, name),
        created_at=call.now,
        updated_at=call.now,
        **columns,
    )


def copied(call: Call, row: dict[str, Any], parent: int | None, name: str) -> int:
    """Copy an entry, of whoever it is, into a folder of the caller; return the id of the copy."""
    kept = {column: row[column] for column in ("is_folder", "content", "bytes")}
    if kind_of_file(row) != kind_of_file({**row, "name": name}):
        raise ApiError(422, f"{row['name']} is of the kind {kind_of_file(row)}; keep its ending")
    # Read before anything is written: a copy may lie in the folder that it is a copy of.
    inside = call.rows(
        "SELECT * FROM files_entries WHERE parent_id = ? AND NOT trashed ORDER BY id", row["id"]
    )
    copy = new_entry(call, parent, name, **kept)
    for one in inside:
        copied(call, one, copy, one["name"])
    return copy


def shown(call: Call, row: dict[str, Any]) -> dict[str, Json]:
    """Return an entry as lists show it."""
    tags = call.rows("SELECT tag FROM files_tags WHERE entry_id = ? ORDER BY tag", row["id"])
    return {
        "entry_id": row["id"],
        "name": row["name"],
        "path": path_of(call, row),
        "kind": kind_of_file(row),
        "size": size_of(call, row["id"]),
        "starred": bool(row["starred"]),
        "tags": [one["tag"] for one in tags],
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
    }


def shown_whole(call: Call, entry_id: int) -> dict[str, Json]:
    """Return an entry with those who see it."""
    row = call.rows("SELECT * FROM files_entries WHERE id = ?", entry_id)[0]
    people = call.rows(
        "SELECT first_name || ' ' || last_name AS name, email, permission FROM files_shares s "
        "JOIN world_people p ON p.id = s.person_id WHERE entry_id = ? ORDER BY name, email",
        entry_id,
    )
    return {**shown(call, row), "shared_with": people}


def _make_folders(call: Call, path: str) -> None:
    if path == "/":
        return
    folder, name = split(path)
    _make_folders(call, folder)
    parent = folder_at(call, folder)
    known = "SELECT id FROM files_entries WHERE person_id = ? AND parent_id IS ? AND name = ? AND NOT trashed"
    if call.value(known, call.person_id, parent, name) is None:
        new_entry(call, parent, name, is_folder=1)


def _text_name(name: str) -> None:
    if kind_of_file({"name": name, "is_folder": 0}) != "text":
        raise ApiError(422, f"the name of a text ends with one of: .{', .'.join(endings('text'))}")


def _not_into_itself(row: dict[str, Any], to_folder: str) -> None:
    if row["is_folder"] and f"{clean(to_folder)}/".startswith(f"{row['path']}/"):
        raise ApiError(409, f"{row['path']} cannot be put into itself")
