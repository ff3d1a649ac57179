"""todo: tasks and their subtasks."""

from __future__ import annotations

from typing import Any, Literal

from palaestra.envs.apps.api import ApiError, api, not_found
from palaestra.envs.apps.services.todo import (
    MY_LISTS,
    TODO,
    own_label,
    people_of,
    remove_labels_of,
    remove_task,
    visible_list,
)
from palaestra.envs.apps.values import Date, Json
from palaestra.envs.apps.world import Call

_LONGEST_TITLE = 200
_MOST_SUBTASKS = 50
_RANK = "CASE t.priority WHEN 'urgent' THEN 0 WHEN 'high' THEN 1 WHEN 'normal' THEN 2 ELSE 3 END"
_ORDERS = {
    "due_date": "t.due_date IS NULL, t.due_date, t.id",
    "priority": f"{_RANK}, t.due_date IS NULL, t.due_date, t.id",
    "newest": "t.created_at DESC, t.id DESC",
}
_TASK = (
    "SELECT t.id AS task_id, t.list_id, l.name AS list_name, t.title, t.notes, t.due_date, t.priority, "
    "p.first_name || ' ' || p.last_name AS assignee, p.email AS assignee_email, t.done, "
    "t.created_at, t.completed_at FROM todo_tasks t JOIN todo_lists l ON l.id = t.list_id "
    f"LEFT JOIN world_people p ON p.id = t.assignee_id WHERE t.list_id IN ({MY_LISTS})"
)


# ---- tasks -------------------------------------------------------------------------------------------


@api(TODO, "GET")
def search_tasks(
    call: Call,
    query: str = "",
    list_id: int | None = None,
    label: str | None = None,
    priority: Literal["low", "normal", "high", "urgent"] | None = None,
    done: bool | None = False,
    due_from: Date | None = None,
    due_until: Date | None = None,
    assignee_email: str | None = None,
    sort: Literal["due_date", "priority", "newest"] = "due_date",
    page_index: int = 0,
    page_limit: int = 5,
) -> Json:
    """Find tasks in your lists and in those that others share with you; by default all that are open.

    Tasks of archived lists are found only with the list_id of their list.

    Args:
        query: a text that must occur in the title or the notes, in any case.
        list_id: the list that they must be in.
        label: the name of a label of yours that they must have.
        priority: their priority.
        done: only tasks that are done (True), only open ones (False), or both (None).
        due_from: the first day they may be due on; tasks without a due date are then left out.
        due_until: the last day they may be due on; tasks without a due date are then left out.
        assignee_email: whom they must be assigned to.
        sort: by due date (tasks without one last), by priority (urgent ones first), or newest first.
        page_index: which page, counted from 0.
        page_limit: tasks a page, at most 20.

    Returns:
        A list of {task_id, list_id, list_name, title, due_date, priority, labels, assignee,
        assignee_email, done}; show_task shows the rest.
    """
    conditions, values = ["instr(lower(t.title || char(10) || t.notes), ?)"], [query.lower()]
    if list_id is None:
        conditions.append("NOT l.archived")
    else:
        visible_list(call, list_id)
    if label is not None:
        conditions.append(
            "EXISTS (SELECT 1 FROM todo_task_labels x JOIN todo_labels y ON y.id = x.label_id "
            "WHERE x.task_id = t.id AND y.person_id = ? AND y.name = ?)"
        )
        values += [call.person_id, label.strip().lower()]
    wanted = {
        "t.list_id = ?": list_id,
        "t.priority = ?": priority,
        "t.done = ?": done,
        "t.due_date >= ?": due_from,
        "t.due_date <= ?": due_until,
        "p.email = ?": assignee_email,
    }
    for condition, value in wanted.items():
        if value is not None:
            conditions.append(condition)
            values.append(value)
    rows = call.page(
        f"{_TASK} AND {' AND '.join(conditions)} ORDER BY {_ORDERS[sort]}",
        call.person_id,
        call.person_id,
        *values,
        page_index=page_index,
        page_limit=page_limit,
    )
    left_out = ("notes", "created_at", "completed_at")
    return [{n: v for n, v in _labelled(call, row).items() if n not in left_out} for row in rows]


@api(TODO, "GET")
def show_task(call: Call, task_id: int) -> Json:
    """Show a task with its notes and its subtasks.

    Args:
        task_id: the task.

    Returns:
        {task_id, list_id, list_name, title, notes, due_date, priority, labels, assignee, assignee_email,
        done, created_at, completed_at, subtasks}, where subtasks are {subtask_id, title, done}.
    """
    return _whole(call, task_id)


@api(TODO, "POST")
def create_task(
    call: Call,
    list_id: int,
    title: str,
    notes: str = "",
    due_date: Date | None = None,
    priority: Literal["low", "normal", "high", "urgent"] = "normal",
) -> Json:
    """Create a task, assigned to nobody; assign_task and add_label say more about it.

    Args:
        list_id: the list to put it in.
        title: what is to be done.
        notes: more about it.
        due_date: the day it is due on; none by default.
        priority: how much it matters.

    Returns:
        The new task, as show_task shows it.
    """
    _open_list(call, list_id)
    task_id = call.insert(
        "todo_tasks",
        list_id=list_id,
        title=_title(title),
        notes=notes,
        due_date=due_date,
        priority=priority,
        created_by=call.person_id,
        created_at=call.now,
    )
    return _whole(call, task_id)


@api(TODO, "PATCH")
def update_task(
    call: Call,
    task_id: int,
    title: str | None = None,
    notes: str | None = None,
    priority: Literal["low", "normal", "high", "urgent"] | None = None,
) -> Json:
    """Change parts of a task; what is left out stays.

    Args:
        task_id: the task.
        title: its new title.
        notes: its new notes, which replace the old ones.
        priority: its new priority.

    Returns:
        The task, as show_task shows it.
    """
    _task(call, task_id)
    changes = {"title": None if title is None else _title(title), "notes": notes, "priority": priority}
    changes = {name: value for name, value in changes.items() if value is not None}
    if not changes:
        raise ApiError(422, "name something to change: title, notes or priority")
    call.update("todo_tasks", task_id, **changes)
    return _whole(call, task_id)


@api(TODO, "PUT")
def set_due_date(call: Call, task_id: int, due_date: Date | None) -> Json:
    """Set the day that a task is due on.

    Args:
        task_id: the task.
        due_date: the day; None takes the due date away.

    Returns:
        The task, as show_task shows it.
    """
    _task(call, task_id)
    call.update("todo_tasks", task_id, due_date=due_date)
    return _whole(call, task_id)


@api(TODO, "PUT")
def assign_task(call: Call, task_id: int, email: str | None) -> Json:
    """Assign a task to somebody who sees its list.

    Args:
        task_id: the task.
        email: the email address of the person, which may be your own; None assigns it to nobody.

    Returns:
        The task, as show_task shows it.
    """
    task = _task(call, task_id)
    assignee = None if email is None else call.person(email)["id"]
    if assignee is not None and assignee not in people_of(call, task["list_id"]):
        raise ApiError(409, f"{email} does not see this list; its owner can share_list it first")
    call.update("todo_tasks", task_id, assignee_id=assignee)
    return _whole(call, task_id)


@api(TODO, "POST")
def mark_done(call: Call, task_id: int) -> Json:
    """Mark a task as done. All of its subtasks must be done before.

    Args:
        task_id: the task.

    Returns:
        The task, as show_task shows it.
    """
    if _task(call, task_id)["done"]:
        raise ApiError(409, "this task is done already")
    if call.value("SELECT count(*) FROM todo_subtasks WHERE task_id = ? AND NOT done", task_id):
        raise ApiError(409, "this task has open subtasks; update_subtask marks them as done")
    call.update("todo_tasks", task_id, done=1, completed_at=call.now)
    return _whole(call, task_id)


@api(TODO, "POST")
def mark_open(call: Call, task_id: int) -> Json:
    """Open a task again that was done; its subtasks stay as they are.

    Args:
        task_id: the task.

    Returns:
        The task, as show_task shows it.
    """
    if not _task(call, task_id)["done"]:
        raise ApiError(409, "this task is open already")
    call.update("todo_tasks", task_id, done=0, completed_at=None)
    return _whole(call, task_id)


@api(TODO, "POST")
def move_task(call: Call, task_id: int, list_id: int) -> Json:
    """Move a task into another list. Whom it is assigned to must see that list too.

    Args:
        task_id: the task.
        list_id: the list.

    Returns:
        The task, as show_task shows it.
    """
    task = _task(call, task_id)
    _open_list(call, list_id)
    there = people_of(call, list_id)
    if task["assignee_id"] is not None and task["assignee_id"] not in there:
        raise ApiError(409, "whom this task is assigned to does not see that list; assign_task it first")
    for person_id in sorted(people_of(call, task["list_id"]) - there):
        remove_labels_of(call, task_id, person_id)
    call.update("todo_tasks", task_id, list_id=list_id)
    return _whole(call, task_id)


@api(TODO, "DELETE")
def delete_task(call: Call, task_id: int) -> Json:
    """Delete a task for ever, with its subtasks.

    Args:
        task_id: the task.

    Returns:
        {message}.
    """
    remove_task(call, _task(call, task_id)["id"])
    return {"message": "the task is deleted"}


@api(TODO, "POST")
def add_label(call: Call, task_id: int, label_id: int) -> Json:
    """Put a label of yours on a task.

    Args:
        task_id: the task.
        label_id: the label.

    Returns:
        The task, as show_task shows it.
    """
    _task(call, task_id)
    own_label(call, label_id)
    if _label_row(call, task_id, label_id) is not None:
        raise ApiError(409, "this task has that label already")
    call.insert("todo_task_labels", task_id=task_id, label_id=label_id)
    return _whole(call, task_id)


@api(TODO, "DELETE")
def remove_label(call: Call, task_id: int, label_id: int) -> Json:
    """Take a label of yours off a task; the label stays for others.

    Args:
        task_id: the task.
        label_id: the label.

    Returns:
        The task, as show_task shows it.
    """
    _task(call, task_id)
    own_label(call, label_id)
    row_id = _label_row(call, task_id, label_id)
    if row_id is None:
        raise ApiError(409, "this task does not have that label; show_task shows its labels")
    call.delete("todo_task_labels", row_id)
    return _whole(call, task_id)


# ---- subtasks ----------------------------------------------------------------------------------------


@api(TODO, "POST")
def add_subtask(call: Call, task_id: int, title: str) -> Json:
    """Add a subtask at the end of those of an open task.

    Args:
        task_id: the task.
        title: what is to be done.

    Returns:
        The task, as show_task shows it.
    """
    if _task(call, task_id)["done"]:
        raise ApiError(409, "this task is done; mark_open opens it again")
    if call.value("SELECT count(*) FROM todo_subtasks WHERE task_id = ?", task_id) >= _MOST_SUBTASKS:
        raise ApiError(409, f"a task has at most {_MOST_SUBTASKS} subtasks")
    call.insert("todo_subtasks", task_id=task_id, title=_title(title))
    return _whole(call, task_id)


@api(TODO, "PATCH")
def update_subtask(call: Call, subtask_id: int, title: str | None = None, done: bool | None = None) -> Json:
    """Change the title of a subtask, or mark it as done or open.

    Args:
        subtask_id: the subtask.
        title: its new title.
        done: whether it is done; a subtask of a task that is done cannot be opened.

    Returns:
        Its task, as show_task shows it.
    """
    task = _task(call, _subtask(call, subtask_id)["task_id"])
    if title is None and done is None:
        raise ApiError(422, "name something to change: title or done")
    if done is False and task["done"]:
        raise ApiError(409, "its task is done; mark_open opens it again")
    if title is not None:
        call.update("todo_subtasks", subtask_id, title=_title(title))
    if done is not None:
        call.update("todo_subtasks", subtask_id, done=int(done))
    return _whole(call, task["id"])


@api(TODO, "DELETE")
def delete_subtask(call: Call, subtask_id: int) -> Json:
    """Delete a subtask.

    Args:
        subtask_id: the subtask.

    Returns:
        Its task, as show_task shows it.
    """
    task_id = _subtask(call, subtask_id)["task_id"]
    call.delete("todo_subtasks", subtask_id)
    return _whole(call, task_id)


# ---- what they share ---------------------------------------------------------------------------------


def _task(call: Call, task_id: int) -> dict[str, Any]:
    sql = f"SELECT * FROM todo_tasks WHERE id = ? AND list_id IN ({MY_LISTS})"
    row = call.row(sql, task_id, call.person_id, call.person_id)
    if row is None:
        raise not_found("task", task_id, "search_tasks finds them")
    return row


def _subtask(call: Call, subtask_id: int) -> dict[str, Any]:
    sql = (
        "SELECT s.* FROM todo_subtasks s JOIN todo_tasks t ON t.id = s.task_id "
        f"WHERE s.id = ? AND t.list_id IN ({MY_LISTS})"
    )
    row = call.row(sql, subtask_id, call.person_id, call.person_id)
    if row is None:
        raise not_found("subtask", subtask_id, "show_task shows those of a task")
    return row


def _open_list(call: Call, list_id: int) -> None:
    if visible_list(call, list_id)["archived"]:
        raise ApiError(409, "this list is archived; its owner can take it out with update_list")


def _label_row(call: Call, task_id: int, label_id: int) -> int | None:
    sql = "SELECT id FROM todo_task_labels WHERE task_id = ? AND label_id = ?"
    return call.value(sql, task_id, label_id)


def _title(title: str) -> str:
    if not title.strip() or len(title) > _LONGEST_TITLE:
        raise ApiError(422, f"title must have 1 to {_LONGEST_TITLE} characters")
    return title.strip()


def _labelled(call: Call, row: dict[str, Any]) -> dict[str, Json]:
    labels = call.rows(
        "SELECT l.name FROM todo_task_labels x JOIN todo_labels l ON l.id = x.label_id "
        "WHERE x.task_id = ? AND l.person_id = ? ORDER BY l.name",
        row["task_id"],
        call.person_id,
    )
    return {**row, "done": bool(row["done"]), "labels": [label["name"] for label in labels]}


def _whole(call: Call, task_id: int) -> dict[str, Json]:
    row = call.row(f"{_TASK} AND t.id = ?", call.person_id, call.person_id, task_id)
    if row is None:
        raise not_found("task", task_id, "search_tasks finds them")
    subtasks = call.rows(
        "SELECT id AS subtask_id, title, done FROM todo_subtasks WHERE task_id = ? ORDER BY id", task_id
    )
    shown = [{**subtask, "done": bool(subtask["done"])} for subtask in subtasks]
    return {**_labelled(call, row), "subtasks": shown}
