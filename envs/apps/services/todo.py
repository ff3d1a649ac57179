"""todo: lists of tasks, own ones and shared ones, and the labels of their tasks."""

from __future__ import annotations

from typing import Any

from palaestra.envs.apps.api import ApiError, App, api, not_found
from palaestra.envs.apps.services.todo_seed import seed
from palaestra.envs.apps.values import Json
from palaestra.envs.apps.world import Call

_LONGEST_NAME = 60

TODO = App(
    name="todo",
    description="Lists of tasks with due dates, priorities, labels and subtasks; lists can be shared.",
    schema="""
    CREATE TABLE todo_lists (
        id INTEGER PRIMARY KEY, person_id INTEGER NOT NULL, name TEXT NOT NULL,
        archived INTEGER NOT NULL DEFAULT 0, created_at TEXT NOT NULL, UNIQUE (person_id, name)
    );
    CREATE TABLE todo_members (
        id INTEGER PRIMARY KEY, list_id INTEGER NOT NULL, person_id INTEGER NOT NULL,
        UNIQUE (list_id, person_id)
    );
    CREATE TABLE todo_tasks (
        id INTEGER PRIMARY KEY, list_id INTEGER NOT NULL, title TEXT NOT NULL,
        notes TEXT NOT NULL DEFAULT '', due_date TEXT, priority TEXT NOT NULL DEFAULT 'normal',
        assignee_id INTEGER, done INTEGER NOT NULL DEFAULT 0, created_by INTEGER NOT NULL,
        created_at TEXT NOT NULL, completed_at TEXT
    );
    CREATE TABLE todo_subtasks (
        id INTEGER PRIMARY KEY, task_id INTEGER NOT NULL, title TEXT NOT NULL,
        done INTEGER NOT NULL DEFAULT 0
    );
    CREATE TABLE todo_labels (
        id INTEGER PRIMARY KEY, person_id INTEGER NOT NULL, name TEXT NOT NULL, UNIQUE (person_id, name)
    );
    CREATE TABLE todo_task_labels (
        id INTEGER PRIMARY KEY, task_id INTEGER NOT NULL, label_id INTEGER NOT NULL,
        UNIQUE (task_id, label_id)
    );
    CREATE INDEX todo_tasks_list ON todo_tasks (list_id);
    CREATE INDEX todo_subtasks_task ON todo_subtasks (task_id)
    """,
    seed=seed,
    automatic=("created_at", "completed_at"),
)
MY_LISTS = (
    "SELECT id FROM todo_lists WHERE person_id = ? UNION SELECT list_id FROM todo_members WHERE person_id = ?"
)
"""The lists that a person sees: own ones, and those that others share; the person's id comes in twice."""


# ---- lists -------------------------------------------------------------------------------------------


@api(TODO, "GET")
def list_lists(call: Call, archived: bool | None = False, page_index: int = 0, page_limit: int = 10) -> Json:
    """Show the lists that you own or that others share with you, by name.

    Args:
        archived: only archived ones (True), only others (False), or both (None).
        page_index: which page, counted from 0.
        page_limit: lists a page, at most 20.

    Returns:
        A list of {list_id, name, owner, owner_email, members, archived, open_tasks}, where members are
        the {name, email} of those whom the owner shares it with.
    """
    rows = call.page(
        f"SELECT * FROM todo_lists WHERE id IN ({MY_LISTS}) AND archived = ifnull(?, archived) "
        "ORDER BY name, id",
        call.person_id,
        call.person_id,
        archived,
        page_index=page_index,
        page_limit=page_limit,
    )
    return [_shown(call, row) for row in rows]


@api(TODO, "POST")
def create_list(call: Call, name: str) -> Json:
    """Create a list, which only you see until you share it.

    Args:
        name: its name, which no other list of yours may have.

    Returns:
        {list_id, name, owner, owner_email, members, archived, open_tasks}.
    """
    name = _free_name(call, "todo_lists", "list", name)
    list_id = call.insert("todo_lists", person_id=call.person_id, name=name, created_at=call.now)
    return _shown(call, visible_list(call, list_id))


@api(TODO, "PATCH")
def update_list(call: Call, list_id: int, name: str | None = None, archived: bool | None = None) -> Json:
    """Change the name of a list of your own, put it into the archive, or take it out.

    Args:
        list_id: the list.
        name: its new name, which no other list of yours may have.
        archived: whether it is archived; an archived list takes no new tasks.

    Returns:
        {list_id, name, owner, owner_email, members, archived, open_tasks}.
    """
    known = _own_list(call, list_id)
    if name is None and archived is None:
        raise ApiError(422, "name something to change: name or archived")
    if name is not None and name.strip() != known["name"]:
        call.update("todo_lists", list_id, name=_free_name(call, "todo_lists", "list", name))
    if archived is not None:
        call.update("todo_lists", list_id, archived=int(archived))
    return _shown(call, visible_list(call, list_id))


@api(TODO, "DELETE")
def delete_list(call: Call, list_id: int) -> Json:
    """Delete a list of your own that has no open tasks, with the tasks in it that are done.

    Args:
        list_id: the list.

    Returns:
        {message}.
    """
    _own_list(call, list_id)
    if call.value("SELECT count(*) FROM todo_tasks WHERE list_id = ? AND NOT done", list_id):
        raise ApiError(409, "there are open tasks in this list; finish, move or delete them first")
    for task in call.rows("SELECT id FROM todo_tasks WHERE list_id = ?", list_id):
        remove_task(call, task["id"])
    for member in call.rows("SELECT id FROM todo_members WHERE list_id = ?", list_id):
        call.delete("todo_members", member["id"])
    call.delete("todo_lists", list_id)
    return {"message": "the list is deleted"}


@api(TODO, "POST")
def share_list(call: Call, list_id: int, email: str) -> Json:
    """Share a list of your own: the other person sees its tasks and may change them.

    Args:
        list_id: the list.
        email: the email address of the person.

    Returns:
        {list_id, name, owner, owner_email, members, archived, open_tasks}.
    """
    known = _own_list(call, list_id)
    person = call.person(email)
    if person["id"] in people_of(call, list_id):
        raise ApiError(409, f"{email} sees this list already")
    call.insert("todo_members", list_id=list_id, person_id=person["id"])
    return _shown(call, known)


@api(TODO, "POST")
def unshare_list(call: Call, list_id: int, email: str) -> Json:
    """Stop sharing a list with a person, whose tasks in it are then assigned to nobody.

    The owner of a list removes anybody else; others remove themselves.

    Args:
        list_id: the list.
        email: the email address of the person who leaves.

    Returns:
        {message}.
    """
    known = visible_list(call, list_id)
    person = call.person(email)
    if call.person_id not in (known["person_id"], person["id"]):
        raise ApiError(403, "only the owner of a list removes others from it")
    member = call.row(
        "SELECT id FROM todo_members WHERE list_id = ? AND person_id = ?", list_id, person["id"]
    )
    if member is None:
        raise ApiError(409, f"this list is not shared with {email}; list_lists shows its members")
    for task in call.rows("SELECT id, assignee_id FROM todo_tasks WHERE list_id = ?", list_id):
        if task["assignee_id"] == person["id"]:
            call.update("todo_tasks", task["id"], assignee_id=None)
        remove_labels_of(call, task["id"], person["id"])
    call.delete("todo_members", member["id"])
    return {"message": f"the list is no longer shared with {email}"}


# ---- labels ------------------------------------------------------------------------------------------


@api(TODO, "GET")
def list_labels(call: Call) -> Json:
    """Show your labels, by name. Nobody else sees them, not even on the tasks of shared lists.

    Returns:
        A list of {label_id, name, tasks}, with the number of tasks that have it.
    """
    return call.rows(
        "SELECT l.id AS label_id, l.name, count(t.id) AS tasks FROM todo_labels l "
        "LEFT JOIN todo_task_labels t ON t.label_id = l.id WHERE l.person_id = ? "
        "GROUP BY l.id ORDER BY l.name, l.id",
        call.person_id,
    )


@api(TODO, "POST")
def create_label(call: Call, name: str) -> Json:
    """Create a label.

    Args:
        name: its name, which no other label of yours may have; it is kept in lower case.

    Returns:
        {label_id, name}.
    """
    name = _free_name(call, "todo_labels", "label", name.lower())
    return {"label_id": call.insert("todo_labels", person_id=call.person_id, name=name), "name": name}


@api(TODO, "PATCH")
def rename_label(call: Call, label_id: int, name: str) -> Json:
    """Give a label another name; its tasks keep it.

    Args:
        label_id: the label.
        name: its new name, which no other label of yours may have; it is kept in lower case.

    Returns:
        {label_id, name}.
    """
    own_label(call, label_id)
    name = _free_name(call, "todo_labels", "label", name.lower())
    call.update("todo_labels", label_id, name=name)
    return {"label_id": label_id, "name": name}


@api(TODO, "DELETE")
def delete_label(call: Call, label_id: int) -> Json:
    """Delete a label, which is taken off its tasks; the tasks stay.

    Args:
        label_id: the label.

    Returns:
        {message}.
    """
    own_label(call, label_id)
    for row in call.rows("SELECT id FROM todo_task_labels WHERE label_id = ?", label_id):
        call.delete("todo_task_labels", row["id"])
    call.delete("todo_labels", label_id)
    return {"message": "the label is deleted"}


# ---- what the APIs of tasks share with these ---------------------------------------------------------


def visible_list(call: Call, list_id: int) -> dict[str, Any]:
    """Return a list that the caller owns or that is shared with the caller. Raises ``ApiError`` 404."""
    row = call.row(
        f"SELECT * FROM todo_lists WHERE id = ? AND id IN ({MY_LISTS})",
        list_id,
        call.person_id,
        call.person_id,
    )
    if row is None:
        raise not_found("list", list_id, "list_lists shows them")
    return row


def people_of(call: Call, list_id: int) -> set[int]:
    """Return the ids of all who see a list: its owner and those whom it is shared with."""
    rows = call.rows(
        "SELECT person_id FROM todo_lists WHERE id = ? UNION "
        "SELECT person_id FROM todo_members WHERE list_id = ?",
        list_id,
        list_id,
    )
    return {row["person_id"] for row in rows}


def own_label(call: Call, label_id: int) -> dict[str, Any]:
    """Return a label of the caller. Raises ``ApiError`` 404."""
    return call.mine("todo_labels", label_id, "label", "list_labels shows them")


def remove_task(call: Call, task_id: int) -> None:
    """Delete a task with its subtasks and everybody's labels on it."""
    for table in ("todo_subtasks", "todo_task_labels"):
        for row in call.rows(f"SELECT id FROM {table} WHERE task_id = ?", task_id):
            call.delete(table, row["id"])
    call.delete("todo_tasks", task_id)


def remove_labels_of(call: Call, task_id: int, person_id: int) -> None:
    """Take a person's labels off a task that the person no longer sees."""
    rows = call.rows(
        "SELECT t.id FROM todo_task_labels t JOIN todo_labels l ON l.id = t.label_id "
        "WHERE t.task_id = ? AND l.person_id = ?",
        task_id,
        person_id,
    )
    for row in rows:
        call.delete("todo_task_labels", row["id"])


def _own_list(call: Call, list_id: int) -> dict[str, Any]:
    row = visible_list(call, list_id)
    if row["person_id"] != call.person_id:
        raise ApiError(403, "this list belongs to somebody else, who alone can do that")
    return row


def _free_name(call: Call, table: str, what: str, name: str) -> str:
    name = name.strip()
    if not name or len(name) > _LONGEST_NAME:
        raise ApiError(422, f"name must have 1 to {_LONGEST_NAME} characters")
    known = call.value(f"SELECT id FROM {table} WHERE person_id = ? AND name = ?", call.person_id, name)
    if known is not None:
        raise ApiError(409, f"there is a {what} {name!r} already")
    return name


def _shown(call: Call, row: dict[str, Any]) -> dict[str, Json]:
    name = "first_name || ' ' || last_name AS name, email"
    owner = call.rows(f"SELECT {name} FROM world_people WHERE id = ?", row["person_id"])[0]
    members = call.rows(
        f"SELECT {name} FROM todo_members m JOIN world_people p ON p.id = m.person_id "
        "WHERE m.list_id = ? ORDER BY 1, 2",
        row["id"],
    )
    return {
        "list_id": row["id"],
        "name": row["name"],
        "owner": owner["name"],
        "owner_email": owner["email"],
        "members": members,
        "archived": bool(row["archived"]),
        "open_tasks": call.value("SELECT count(*) FROM todo_tasks WHERE list_id = ? AND NOT done", row["id"]),
    }
