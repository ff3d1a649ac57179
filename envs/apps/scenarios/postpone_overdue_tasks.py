"""Give the overdue tasks of a list a new due date, and a high priority."""

from __future__ import annotations

from palaestra.envs.apps.changes import changed
from palaestra.envs.apps.scenario import Draft, NearMiss, Plan, Scenario
from palaestra.envs.apps.services.todo_seed import add_list, add_task
from palaestra.envs.apps.skills import apis, every_page, login

_LISTS = ("Garden", "Choir", "Language course", "Workshop", "Allotment", "Reading circle")
_TITLES = (
    "Write the invitation",
    "Order seeds",
    "Call the landlord",
    "Copy the handout",
    "Oil the hinges",
    "Sweep the shed",
    "Collect the fees",
    "Learn the second verse",
    "Borrow a ladder",
    "Sort the tools",
)


def prepare(draft: Draft) -> Plan:
    """Write a list with tasks on both sides of a day, and the list of a friend that has the same name."""
    name, offset = draft.choose(_LISTS), -draft.number(0, 6)
    day, later = draft.life.day(offset), draft.life.day(draft.number(5, 20))
    friend = draft.choose(draft.life.relations["friend"])
    mine = add_list(draft, draft.me, name, f"{draft.life.day(-90)}T10:00:00")
    theirs = add_list(draft, friend, name, f"{draft.life.day(-95)}T10:00:00", [draft.me])
    kinds = [
        (mine, offset - 1, "normal", 0),
        (mine, offset - draft.number(2, 9), draft.choose(["low", "normal"]), 0),
        (mine, offset - draft.number(3, 8), "urgent", 0),
        (mine, offset, "normal", 0),
        (mine, offset + draft.number(1, 6), "low", 0),
        (mine, None, "normal", 0),
        (mine, offset - draft.number(2, 9), "normal", 1),
        (theirs, offset - draft.number(2, 9), "normal", 0),
    ]
    if draft.number(0, 1):
        kinds.append((mine, offset - draft.number(1, 12), "low", 0))
    must = []
    titles = draft.sample(_TITLES, len(kinds))
    for title, (list_id, due, priority, done) in zip(titles, draft.sample(kinds, len(kinds)), strict=True):
        task = add_task(
            draft,
            list_id,
            draft.me if list_id == mine else friend,
            title,
            made=draft.moment(-60, -30),
            due_date=None if due is None else draft.life.day(due),
            priority=priority,
            completed_at=draft.moment(-3, -1) if done else None,
        )
        if list_id == mine and due is not None and due < offset and not done:
            new = {"due_date": later} if priority == "urgent" else {"due_date": later, "priority": "high"}
            must.append(changed("todo_tasks", task, **new))
    return Plan(
        parameters={"name": name, "day": day, "later": later},
        must=must,
        near_misses=[
            NearMiss(
                "those due on the day as well", edit=("task['due_date'] < day", "task['due_date'] <= day")
            ),
            NearMiss("the list of the friend", edit=("one['owner_email'] == me", "one['owner_email'] != me")),
            NearMiss("tasks that are done", edit=("list_id=list_id", "list_id=list_id, done=None")),
            NearMiss("urgent ones become high", edit=("task['priority'] != 'urgent'", "True")),
            NearMiss("one less", edit=("for task in overdue:", "for task in overdue[1:]:")),
        ],
    )


def gold(name: str, day: str, later: str) -> None:
    """Find the list, then change its tasks."""
    me = apis.supervisor.show_profile()["email"]
    token = login("todo")
    lists = every_page(apis.todo.list_lists, access_token=token)
    list_id = next(one["list_id"] for one in lists if one["name"] == name and one["owner_email"] == me)
    tasks = every_page(apis.todo.search_tasks, access_token=token, list_id=list_id)
    print(tasks)

    overdue = [task for task in tasks if task["due_date"] and task["due_date"] < day]
    for task in overdue:
        apis.todo.set_due_date(access_token=token, task_id=task["task_id"], due_date=later)
        if task["priority"] != "urgent":
            apis.todo.update_task(access_token=token, task_id=task["task_id"], priority="high")

    apis.supervisor.complete_task()


SCENARIO = Scenario(
    name="postpone_overdue_tasks",
    split="train",
    phrasings=(
        'In my own to-do list "{name}", all open tasks that were due before {day} get the new due date '
        "{later} and a high priority; those that are urgent stay urgent. Leave everything else.",
        'I fell behind with my list "{name}" in the to-do app (mine, not the one of the same name that is '
        "shared with me). Move each open task with a due date before {day} to {later}, and set its priority "
        "to high unless it is urgent.",
    ),
    prepare=prepare,
    gold=gold,
)
