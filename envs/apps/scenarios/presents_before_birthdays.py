"""Write a task for the present of every favorite contact whose birthday comes soon."""

from __future__ import annotations

import datetime

from palaestra.envs.apps.changes import added
from palaestra.envs.apps.scenario import Draft, NearMiss, Plan, Scenario
from palaestra.envs.apps.skills import apis, every_page, login


def prepare(draft: Draft) -> Plan:
    """Give favorites and others birthdays before, on and after the last day; the rest has none soon."""
    days = draft.number(10, 40)
    name = draft.choose(["Errands", "Home", "Work", "Presents"])
    list_id = draft.value("SELECT id FROM todo_lists WHERE person_id = ? AND name = ?", draft.me.id, name)
    contacts = draft.rows(
        "SELECT * FROM phone_contacts WHERE person_id = ? AND birthday IS NOT NULL ORDER BY id", draft.me.id
    )
    chosen = draft.sample(contacts, 9)
    count = draft.number(2, 4)
    offsets = [days, *(draft.number(2, days - 1) for _ in range(count - 1))]
    coming = list(zip(chosen[:count], offsets, strict=True))
    for contact, offset in coming:
        _set(draft, contact["id"], offset, favorite=1)
    _set(draft, chosen[5]["id"], days + 1, favorite=1)
    _set(draft, chosen[6]["id"], draft.number(2, days), favorite=0)
    _set(draft, chosen[7]["id"], draft.number(2, days), favorite=0)
    kept = [contact["id"] for contact in (*chosen[:count], *chosen[5:8])]
    for contact in contacts:
        if contact["id"] not in kept:
            _set(draft, contact["id"], draft.number(60, 300), favorite=contact["favorite"])
    return Plan(
        parameters={"days": days, "list_name": name},
        must=[
            added(
                "todo_tasks",
                list_id=list_id,
                title=f"Present for {contact['name']}",
                due_date=draft.life.day(offset - 1),
                created_by=draft.me.id,
            )
            for contact, offset in coming
        ],
        near_misses=[
            NearMiss("no favorites alone", edit=("in favorites:", "in favorites or True:")),
            NearMiss("a day more", edit=("days=days)", "days=days + 1)")),
            NearMiss("a day less", edit=("days=days)", "days=days - 1)")),
            NearMiss("due on the birthday", edit=("timedelta(days=1)", "timedelta(days=0)")),
            NearMiss("urgent", edit=(", due_date=due", ", due_date=due, priority='urgent'")),
        ],
    )


def _set(draft: Draft, contact_id: int, offset: int, favorite: int) -> None:
    day = draft.life.today + datetime.timedelta(days=offset)
    year = draft.life.today.year - draft.number(21, 60)
    # The year of birth must not make a February 29 of the day, nor the day a day that the year lacks.
    born = f"{year}-{day:%m-%d}" if (day.month, day.day) != (2, 29) else f"{year}-02-28"
    draft.update("phone_contacts", contact_id, birthday=born, favorite=favorite)


def gold(days: int, list_name: str) -> None:
    """Look the birthdays up, then write the tasks."""
    import datetime

    token = login("phone")
    contacts = every_page(apis.phone.search_contacts, access_token=token, favorite=True)
    birthdays = every_page(apis.phone.list_birthdays, access_token=token, days=days)
    print(contacts, birthdays)

    favorites = {contact["contact_id"] for contact in contacts}
    token = login("todo")
    lists = every_page(apis.todo.list_lists, access_token=token)
    list_id = next(one["list_id"] for one in lists if one["name"] == list_name)
    for one in birthdays:
        if one["contact_id"] in favorites:
            day = datetime.date.fromisoformat(one["next_birthday"])
            due = (day - datetime.timedelta(days=1)).isoformat()
            title = f"Present for {one['name']}"
            apis.todo.create_task(access_token=token, list_id=list_id, title=title, due_date=due)

    apis.supervisor.complete_task()


SCENARIO = Scenario(
    name="presents_before_birthdays",
    split="test_normal",
    phrasings=(
        "For each favorite contact in my phone who has a birthday within the next {days} days (day {days} "
        'included), add a task "Present for NAME", with their full name, to my todo list "{list_name}". It '
        "is due on the day before the birthday.",
        "Do not let me forget presents: whoever is a favorite among my contacts and has a birthday in at "
        'most {days} days gets a task in the todo list "{list_name}", titled "Present for " and the name as '
        "it stands in my contacts, due one day before the birthday.",
    ),
    prepare=prepare,
    gold=gold,
)
