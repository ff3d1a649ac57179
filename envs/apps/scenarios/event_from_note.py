"""Make an event and tasks of what a note plans, then archive the note."""

from __future__ import annotations

from palaestra.envs.apps.changes import Expected, added, changed
from palaestra.envs.apps.scenario import Draft, NearMiss, Plan, Scenario
from palaestra.envs.apps.services.notes_seed import add_note
from palaestra.envs.apps.skills import apis, every_page, login

_EVENTS = (
    "Bonfire",
    "Clothes swap",
    "Waffle breakfast",
    "Map reading course",
    "Planting day",
    "Film marathon",
)
_PLACES = ("North Beach", "Community Garden", "at my place", "Old Mill", "Scout hut", "Rose Street 12")
_THINGS = ("blankets", "a lantern", "the big pot", "maple syrup", "name tags", "spades", "a projector", "tea")


def prepare(draft: Draft) -> Plan:
    """Write the note, and another one with an older plan of the same event."""
    title, list_name = draft.choose(_EVENTS), draft.choose(["Errands", "Home"])
    offset, hour, length = draft.number(6, 25), draft.number(8, 18), draft.number(1, 4)
    day, eve = draft.life.day(offset), draft.life.day(offset - 1)
    place = draft.choose(_PLACES)
    guests = draft.sample(draft.life.relations["friend"], draft.number(3, 5))
    things = draft.sample(_THINGS, draft.number(3, 5))
    lines = [
        f"Day: {day}",
        f"Start: {hour:02}:00",
        f"End: {hour + length:02}:00",
        f"Place: {place}",
        f"Guests: {', '.join(guest.email for guest in guests)}",
        f"Bring: {', '.join(things)}",
    ]
    note = add_note(draft, draft.me, f"Plan: {title}", "\n".join(lines), draft.moment(-30, -12))
    old = [f"Day: {draft.life.day(offset - 2)}", *lines[1:4], f"Guests: {guests[0].email}", "Bring: a cake"]
    add_note(draft, draft.me, f"Plan: {title} (draft)", "\n".join(old), draft.moment(-30, -12))
    add_note(draft, draft.me, f"Plan: {title}", "\n".join(old), draft.moment(-30, -12), archived=1)
    event = added(
        "calendar_events",
        calendar_id=draft.value("SELECT min(id) FROM calendar_calendars WHERE person_id = ?", draft.me.id),
        title=title,
        starts_at=f"{day}T{hour:02}:00:00",
        ends_at=f"{day}T{hour + length:02}:00:00",
        place=place,
    )
    list_id = draft.value(
        "SELECT id FROM todo_lists WHERE person_id = ? AND name = ?", draft.me.id, list_name
    )
    must: list[Expected] = [event, changed("notes_notes", note, archived=1)]
    must += [added("calendar_attendees", event_id=event, person_id=guest.id) for guest in guests]
    must += [
        added("todo_tasks", list_id=list_id, title=f"Pack {thing}", due_date=eve, created_by=draft.me.id)
        for thing in things
    ]
    return Plan(
        parameters={"title": title, "list_name": list_name},
        must=must,
        near_misses=[
            NearMiss(
                "the older plan",
                edit=("one['title'] == f'Plan: {title}'", "one['title'] != f'Plan: {title}'"),
            ),
            NearMiss("due on the day itself", edit=("days=1", "days=0")),
            NearMiss("nobody invited", edit=(", attendees=plan['Guests'].split(', ')", "")),
            NearMiss("one task less", edit=(".split(', '):", ".split(', ')[1:]:")),
            NearMiss("without the place", edit=(", place=plan['Place']", "")),
            NearMiss("the note stays", edit=("apis.notes.update_note(", "dict(")),
        ],
    )


def gold(title: str, list_name: str) -> None:
    """Read the plan, write the event, then the tasks."""
    import datetime

    notes = login("notes")
    found = every_page(apis.notes.search_notes, access_token=notes, query=title)
    note_id = next(one["note_id"] for one in found if one["title"] == f"Plan: {title}")
    body = apis.notes.show_note(access_token=notes, note_id=note_id)["body"]
    plan = dict(line.split(": ", 1) for line in body.split("\n"))
    print(plan)

    calendar = login("calendar")
    apis.calendar.create_event(
        access_token=calendar,
        title=title,
        starts_at=f"{plan['Day']}T{plan['Start']}:00",
        ends_at=f"{plan['Day']}T{plan['End']}:00",
        place=plan["Place"],
        attendees=plan["Guests"].split(", "),
    )

    todo = login("todo")
    lists = every_page(apis.todo.list_lists, access_token=todo)
    list_id = next(one["list_id"] for one in lists if one["name"] == list_name)
    eve = datetime.date.fromisoformat(plan["Day"]) - datetime.timedelta(days=1)
    for thing in plan["Bring"].split(", "):
        apis.todo.create_task(
            access_token=todo, list_id=list_id, title=f"Pack {thing}", due_date=eve.isoformat()
        )

    apis.notes.update_note(access_token=notes, note_id=note_id, archived=True)
    apis.supervisor.complete_task()


SCENARIO = Scenario(
    name="event_from_note",
    split="train",
    phrasings=(
        'My note "Plan: {title}" (not the draft, not an archived one) says when and where "{title}" is, who '
        "is invited and what I bring. Create the event in my oldest calendar, with that title, day, start, "
        'end and place, and invite the guests. Add a task "Pack ..." for each thing I bring to my to-do list '
        '"{list_name}" (for "a rope": "Pack a rope"), due one day before the event. Then archive the note.',
        'Carry out what I planned in the note titled exactly "Plan: {title}", which is not archived: put '
        '"{title}" into the calendar (the default, oldest one) at the day, times and place written there '
        'and invite its guests by email; then for each thing after "Bring" create a task in the to-do list '
        '"{list_name}", such as "Pack a rope" for "a rope", with the day before the event as due date and '
        "normal priority. When that is done, archive that note.",
    ),
    prepare=prepare,
    gold=gold,
)
