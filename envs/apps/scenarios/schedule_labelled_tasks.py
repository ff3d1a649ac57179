"""Put the tasks that have a label into the calendar, and take the label off."""

from __future__ import annotations

from palaestra.envs.apps.changes import added, removed
from palaestra.envs.apps.scenario import Draft, NearMiss, Plan, Scenario
from palaestra.envs.apps.services.todo_seed import add_task
from palaestra.envs.apps.skills import apis, every_page, login

_LABELS = ("block time", "appointment", "outside", "with car", "focus", "in town")
_TITLES = (
    "Compare insurances",
    "Bring glass to the container",
    "Visit the tax office",
    "Write to the housing office",
    "Test the projector",
    "Buy paint",
    "Repair the bench",
    "Look at the used bike",
    "Scan the old letters",
)


def prepare(draft: Draft) -> Plan:
    """Label tasks of several lists: open and done ones, in the days asked for and beside them."""
    label, calendar = draft.choose(_LABELS), draft.choose(["Personal", "Work", "Family"])
    first, hour = draft.number(1, 6), draft.number(7, 19)
    last = first + draft.number(4, 9)
    label_id = draft.insert("todo_labels", person_id=draft.me.id, name=label)
    other_id = draft.value("SELECT id FROM todo_labels WHERE person_id = ? AND name = 'quick'", draft.me.id)
    lists = draft.rows(
        "SELECT id, archived FROM todo_lists WHERE person_id = ? AND name IN ('Errands', 'Home', 'Work')",
        draft.me.id,
    )
    calendar_id = draft.value(
        "SELECT id FROM calendar_calendars WHERE person_id = ? AND name = ?", draft.me.id, calendar
    )
    # What is asked for comes first: on the first and the last day, and between.
    kinds = [(first, 0, label_id), (last, 0, label_id), (draft.number(first, last), 0, label_id)]
    kinds += [(draft.number(first, last), 0, label_id)] * draft.number(0, 1)
    kinds += [(first - 1, 0, label_id), (last + 1, 0, label_id), (None, 0, label_id)]
    kinds += [(first + 1, 1, label_id), (first + 1, 0, other_id)]
    must = []
    for title, (due, done, has) in zip(draft.sample(_TITLES, len(kinds)), kinds, strict=True):
        day = None if due is None else draft.life.day(due)
        task = add_task(
            draft,
            draft.choose(lists)["id"],
            draft.me,
            title,
            made=draft.moment(-20, -9),
            due_date=day,
            completed_at=draft.moment(-5, -1) if done else None,
        )
        row = draft.insert("todo_task_labels", task_id=task, label_id=has)
        if day is not None and first <= (due or 0) <= last and not done and has == label_id:
            must += [
                removed("todo_task_labels", row),
                added(
                    "calendar_events",
                    calendar_id=calendar_id,
                    title=title,
                    starts_at=f"{day}T{hour:02}:00:00",
                    ends_at=f"{day}T{hour + 1:02}:00:00",
                ),
            ]
    return Plan(
        parameters={
            "label": label,
            "calendar": calendar,
            "first": draft.life.day(first),
            "last": draft.life.day(last),
            "start": f"{hour:02}:00",
            "end": f"{hour + 1:02}:00",
        },
        must=must,
        near_misses=[
            NearMiss("the label stays", edit=("apis.todo.remove_label(", "dict(")),
            NearMiss("later ones as well", edit=(", due_until=last", "")),
            NearMiss("any label", edit=(", label=label", "")),
            NearMiss("those that are done as well", edit=("label=label", "label=label, done=None")),
            NearMiss("the wrong hour", edit=("T{start}:00", "T{start}:30")),
            NearMiss("one less", edit=("for task in tasks:", "for task in tasks[:-1]:")),
        ],
    )


def gold(label: str, calendar: str, first: str, last: str, start: str, end: str) -> None:
    """Find the tasks, then write the events."""
    todo = login("todo")
    labels = apis.todo.list_labels(access_token=todo)
    label_id = next(one["label_id"] for one in labels if one["name"] == label)
    tasks = every_page(apis.todo.search_tasks, access_token=todo, label=label, due_from=first, due_until=last)
    print(tasks)

    token = login("calendar")
    calendars = apis.calendar.list_calendars(access_token=token)
    calendar_id = next(one["calendar_id"] for one in calendars if one["name"] == calendar)
    for task in tasks:
        apis.calendar.create_event(
            access_token=token,
            title=task["title"],
            starts_at=f"{task['due_date']}T{start}:00",
            ends_at=f"{task['due_date']}T{end}:00",
            calendar_id=calendar_id,
        )
        apis.todo.remove_label(access_token=todo, task_id=task["task_id"], label_id=label_id)

    apis.supervisor.complete_task()


SCENARIO = Scenario(
    name="schedule_labelled_tasks",
    split="train",
    phrasings=(
        'Take my open to-do tasks with the label "{label}" that are due from {first} to {last}, both days '
        'included. Put each into my calendar "{calendar}" on the day it is due, from {start} to {end}, with '
        "the title of the task, and take that label off the task.",
        'For each open task labelled "{label}" in the to-do app with a due date from {first} up to and '
        'including {last}, create an event of the same title in the calendar "{calendar}": on its due date, '
        "{start} to {end}, nobody invited. Then remove the label from the task.",
    ),
    prepare=prepare,
    gold=gold,
)
