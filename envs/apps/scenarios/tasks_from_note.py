"""Turn the open lines of a note into tasks, then archive the note."""

from __future__ import annotations

from palaestra.envs.apps.changes import added, changed
from palaestra.envs.apps.scenario import Draft, NearMiss, Plan, Scenario
from palaestra.envs.apps.services.notes_seed import add_note
from palaestra.envs.apps.services.todo_seed import add_task
from palaestra.envs.apps.skills import apis, every_page, login

_NOTES = ("Spring cleaning", "Before the holidays", "New flat", "Attic", "Visit of the parents", "Winter")
_LINES = (
    "wash the curtains",
    "empty the fridge",
    "water the neighbor's plants",
    "replace the light bulbs",
    "sort the winter coats",
    "buy a second key",
    "measure the window",
    "bring the boxes to the cellar",
    "call the plumber",
    "clean the oven",
    "air the mattress",
)


def prepare(draft: Draft) -> Plan:
    """Write the note, another one with a longer title, and a task that is on the list already."""
    title, day = draft.choose(_NOTES), draft.life.day(draft.number(3, 20))
    name = draft.choose(["Errands", "Home"])
    marks = draft.sample([" ", " ", "!", "x", "x", " ", *" !"[: draft.number(0, 2)]], 8)
    lines = draft.sample(_LINES, len(_LINES))
    wanted, others = lines[: len(marks)], lines[len(marks) :]
    body = "\n".join(f"[{m}] {x}" for m, x in zip(marks, wanted, strict=True))
    note = add_note(draft, draft.me, title, body, draft.moment(-30, -12))
    old = "\n".join(f"[ ] {line}" for line in others)
    add_note(draft, draft.me, f"{title} (last year)", old, draft.moment(-30, -12))
    list_id = draft.value("SELECT id FROM todo_lists WHERE person_id = ? AND name = ?", draft.me.id, name)
    known = wanted[marks.index(" ")]
    add_task(draft, list_id, draft.me, known, made=draft.moment(-9, -2))
    priority = {" ": "normal", "!": "urgent"}
    must = [
        added(
            "todo_tasks",
            list_id=list_id,
            title=line,
            due_date=day,
            priority=priority[mark],
            created_by=draft.me.id,
        )
        for mark, line in zip(marks, wanted, strict=True)
        if mark != "x" and line != known
    ]
    return Plan(
        parameters={"title": title, "name": name, "day": day},
        must=[*must, changed("notes_notes", note, archived=1)],
        near_misses=[
            NearMiss("one is there twice", edit=("line[4:] not in known", "True")),
            NearMiss("crossed out ones as well", edit=("line[1] != 'x' and ", "")),
            NearMiss("none is urgent", edit=("if line[1] == '!'", "if False")),
            NearMiss("the note stays", edit=("apis.notes.update_note(", "dict(")),
            NearMiss(
                "the note is deleted",
                edit=(
                    "update_note(access_token=notes, note_id=note_id, archived=True)",
                    "delete_note(access_token=notes, note_id=note_id)",
                ),
            ),
            NearMiss("without a due date", edit=(", due_date=day", "")),
        ],
    )


def gold(title: str, name: str, day: str) -> None:
    """Read the note and the list, then write the tasks."""
    notes = login("notes")
    found = every_page(apis.notes.search_notes, access_token=notes, query=title)
    note_id = next(note["note_id"] for note in found if note["title"] == title)
    body = apis.notes.show_note(access_token=notes, note_id=note_id)["body"]
    print(body)

    token = login("todo")
    lists = every_page(apis.todo.list_lists, access_token=token)
    list_id = next(one["list_id"] for one in lists if one["name"] == name)
    tasks = every_page(apis.todo.search_tasks, access_token=token, list_id=list_id)
    known = [task["title"] for task in tasks]
    print(known)

    for line in body.split("\n"):
        if line[1] != "x" and line[4:] not in known:
            priority = "urgent" if line[1] == "!" else "normal"
            apis.todo.create_task(
                access_token=token, list_id=list_id, title=line[4:], due_date=day, priority=priority
            )

    apis.notes.update_note(access_token=notes, note_id=note_id, archived=True)
    apis.supervisor.complete_task()


SCENARIO = Scenario(
    name="tasks_from_note",
    split="train",
    phrasings=(
        'My note "{title}" is a checklist: [x] is done, [ ] is open, [!] is open and urgent. Make each open '
        'line a task in my to-do list "{name}", with the words of the line as its title, due on {day}, of '
        "normal priority or urgent as marked. Leave out what that list has as an open task of the same title "
        "already. Then archive the note.",
        'Move what is open in the note "{title}" to my to-do list "{name}": one task for each line that '
        "begins with [ ] (priority normal) or [!] (priority urgent), not for those with [x]; its title is "
        "the text "
        "after the box, due {day}. If an open task in the list has that title already, do not add another. "
        "Archive the note afterwards.",
    ),
    prepare=prepare,
    gold=gold,
)
