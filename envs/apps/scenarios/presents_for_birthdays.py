"""Make tasks of the presents for the birthdays that come, after the ideas in a note."""

from __future__ import annotations

from palaestra.envs.apps.changes import added, same_text
from palaestra.envs.apps.scenario import Draft, NearMiss, Plan, Scenario
from palaestra.envs.apps.services.calendar_seed import add_event
from palaestra.envs.apps.services.notes_seed import add_note
from palaestra.envs.apps.skills import apis, every_page, login

_IDEAS = (
    "a teapot",
    "concert tickets",
    "a scarf",
    "a chess set",
    "bath salts",
    "a plant",
    "a cookbook",
    "socks",
)


def prepare(draft: Draft) -> Plan:
    """Write birthdays on both sides of the days asked for, and ideas for most of the people."""
    first, before = draft.number(8, 14), draft.number(2, 6)
    last = first + draft.number(10, 20)
    note = draft.choose(["Gift ideas", "Presents to buy", "What they would like"])
    for row in draft.rows("SELECT id FROM calendar_events WHERE title LIKE 'Birthday of %'"):
        draft.update("calendar_events", row["id"], cancelled=1)
    people = draft.sample([*draft.life.relations["friend"], *draft.life.relations["coworker"]], 8)
    middle = draft.number(first, last)
    offsets = [first, last, middle, first - 1, last + 1, middle, middle, draft.number(first, last)]
    bought, no_idea = people[5], people[6]
    coming = [*people[:3], *([people[7]] if draft.number(0, 1) else [])]
    list_id = draft.value("SELECT id FROM todo_lists WHERE person_id = ? AND name = 'Presents'", draft.me.id)
    lines, must = [], []
    for person, offset, idea in zip(people, offsets, draft.sample(_IDEAS, 8), strict=True):
        if person is not people[7] or person in coming:
            add_event(
                draft,
                draft.me,
                f"Birthday of {person.name}",
                f"{draft.life.day(offset)}T09:00",
                60,
                calendar="Family",
            )
        if person is not no_idea:
            lines.append(f"{person.name}: {idea}{' (bought)' if person is bought else ''}")
        if person in coming:
            must.append(
                added(
                    "todo_tasks",
                    list_id=list_id,
                    title=same_text(f"Buy {idea} for {person.name}"),
                    due_date=draft.life.day(offset - before),
                    created_by=draft.me.id,
                )
            )
    add_note(draft, draft.me, note, "\n".join(draft.sample(lines, len(lines))), draft.moment(-30, -12))
    return Plan(
        parameters={
            "first": draft.life.day(first),
            "last": draft.life.day(last),
            "note": note,
            "before": before,
        },
        must=must,
        near_misses=[
            NearMiss("later birthdays as well", edit=(", to_day=last", "")),
            NearMiss("what is bought, too", edit=("idea and '(bought)' not in idea", "idea")),
            NearMiss("due on the birthday", edit=("days=before", "days=0")),
            NearMiss("one less", edit=("for event in events:", "for event in events[1:]:")),
            NearMiss(
                "urgent", edit=("due_date=due.isoformat()", "due_date=due.isoformat(), priority='urgent'")
            ),
            NearMiss("whoever is in the note", edit=("ideas.get(name)", "ideas.get(name, 'something')")),
        ],
    )


def gold(first: str, last: str, note: str, before: int) -> None:
    """Read the birthdays and the ideas, then write the tasks."""
    import datetime

    calendar = login("calendar")
    events = every_page(
        apis.calendar.search_events, access_token=calendar, query="Birthday of", from_day=first, to_day=last
    )
    print(events)

    notes = login("notes")
    found = every_page(apis.notes.search_notes, access_token=notes, query=note)
    note_id = next(one["note_id"] for one in found if one["title"] == note)
    body = apis.notes.show_note(access_token=notes, note_id=note_id)["body"]
    ideas = dict(line.split(": ", 1) for line in body.split("\n"))
    print(ideas)

    todo = login("todo")
    lists = every_page(apis.todo.list_lists, access_token=todo)
    list_id = next(one["list_id"] for one in lists if one["name"] == "Presents")
    for event in events:
        name = event["title"].removeprefix("Birthday of ")
        idea = ideas.get(name)
        if idea and "(bought)" not in idea:
            due = datetime.date.fromisoformat(event["starts_at"][:10]) - datetime.timedelta(days=before)
            apis.todo.create_task(
                access_token=todo, list_id=list_id, title=f"Buy {idea} for {name}", due_date=due.isoformat()
            )

    apis.supervisor.complete_task()


SCENARIO = Scenario(
    name="presents_for_birthdays",
    split="test_normal",
    phrasings=(
        'For each event "Birthday of ..." in my calendar from {first} to {last} (both included): if my note '
        '"{note}" has an idea for that person that is not marked as bought, add a task to my to-do list '
        '"Presents", like "Buy a book for Ada Stone", due {before} days before the birthday, priority '
        "normal.",
        "Which birthdays does my calendar have from {first} up to and including {last}? Look up the ideas "
        "for "
        'these people in the note "{note}"; skip whoever has none, and what is "(bought)". Each of the '
        "others "
        'becomes a task of normal priority in the list "Presents" of the to-do app, titled like "Buy a book '
        'for Ada Stone", with a due date {before} days before the birthday.',
    ),
    prepare=prepare,
    gold=gold,
)
