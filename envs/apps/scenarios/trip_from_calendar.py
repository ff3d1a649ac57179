"""After a trip: found an expenses group of those who came, enter what a note says, plan the settling."""

from __future__ import annotations

from palaestra.envs.apps.changes import added
from palaestra.envs.apps.scenario import Draft, NearMiss, Plan, Scenario
from palaestra.envs.apps.services.calendar_seed import add_event
from palaestra.envs.apps.services.expenses_seed import equal_shares
from palaestra.envs.apps.services.notes_seed import add_note
from palaestra.envs.apps.services.todo_seed import add_list
from palaestra.envs.apps.skills import apis, every_page, login

_TITLES = (
    "Canoe tour",
    "Castle tour",
    "Vineyard weekend",
    "Island days",
    "Desert camp",
    "Winter hut",
    "Bike tour",
)
_THINGS = ("Groceries", "Fuel", "Museum", "Boat", "Firewood", "Breakfast", "Parking", "Map", "Pizza")


def prepare(draft: Draft) -> Plan:
    """Let some friends have come and some not; those who came, and the supervisor, paid for things."""
    title, offset = draft.choose(_TITLES), draft.number(3, 12)
    friends = draft.sample(draft.life.relations["friend"], 5)
    answers = draft.sample(["accepted"] * 3 + ["declined", "tentative"], 5)
    for ago, given in ((offset, answers), (offset + 360, ["accepted"] * 5)):
        start = f"{draft.life.day(-ago)}T{draft.number(7, 10):02}:00"
        add_event(draft, draft.me, title, start, 540, dict(zip(friends, given, strict=True)))
    came = [friend for friend, answer in zip(friends, answers, strict=True) if answer == "accepted"]
    group = added("expenses_groups", name=title, kind="trip")
    must = [
        group,
        *(added("expenses_members", group_id=group, person_id=one.id) for one in [draft.me, *came]),
    ]
    lines = []
    for thing in draft.sample(_THINGS, draft.number(3, 4)):
        payer, amount = draft.choose([draft.me, *came] if lines else came), draft.number(400, 9000)
        lines.append(f"- {thing}: ${amount / 100:.2f}, paid by {'me' if payer is draft.me else payer.name}")
        expense = added(
            "expenses_expenses",
            group_id=group,
            payer_id=payer.id,
            description=thing,
            amount=amount,
            spent_on=draft.life.day(-offset),
        )
        must.append(expense)
        must += [
            added("expenses_shares", expense_id=expense, person_id=person.id, amount=share)
            for person, share in equal_shares(amount, [draft.me, *came]).items()
        ]
    add_note(draft, draft.me, f"{title}: costs", "\n".join(lines), draft.moment(-2, -1), tags=["money"])
    listing = add_list(draft, draft.me, "Money and trips", draft.moment(-60, -40))
    due = draft.life.day(draft.number(3, 20))
    must.append(
        added("todo_tasks", list_id=listing, title=f"Settle {title}", due_date=due, created_by=draft.me.id)
    )
    return Plan(
        parameters={"title": title, "day": draft.life.day(-offset), "due": due},
        must=must,
        near_misses=[
            NearMiss("all who were invited", edit=(", answer='accepted'", "")),
            NearMiss("spent today", edit=(", spent_on=day", "")),
            NearMiss("all paid by oneself", edit=("if payer != 'me'", "if False")),
            NearMiss("one expense less", edit=("for line in lines:", "for line in lines[1:]:")),
            NearMiss("no day to settle", edit=(", due_date=due", "")),
            NearMiss(
                "the cost is shared by two",
                edit=(
                    "payer_email=payer_email",
                    "payer_email=payer_email, participant_emails=[emails[one] for one in sorted(emails)][:2]",
                ),
            ),
        ],
    )


def gold(title: str, day: str, due: str) -> None:
    """Find out who came and what was paid, then write it all down."""
    calendar = login("calendar")
    events = every_page(
        apis.calendar.search_events, access_token=calendar, query=title, from_day=day, to_day=day
    )
    event_id = next(one["event_id"] for one in events if one["title"] == title)
    people = every_page(
        apis.calendar.list_attendees, access_token=calendar, event_id=event_id, answer="accepted"
    )
    emails = {person["name"]: person["email"] for person in people}
    print(emails)

    notes = login("notes")
    found = every_page(apis.notes.search_notes, access_token=notes, query=f"{title}: costs")
    note = apis.notes.show_note(access_token=notes, note_id=found[0]["note_id"])
    lines = note["body"].splitlines()
    print(lines)

    expenses = login("expenses")
    group_id = apis.expenses.create_group(
        access_token=expenses, name=title, member_emails=list(emails.values()), kind="trip"
    )["group_id"]
    for line in lines:
        thing, rest = line.removeprefix("- ").split(": $")
        amount, payer = rest.split(", paid by ")
        payer_email = emails[payer] if payer != "me" else None
        apis.expenses.add_expense(
            access_token=expenses,
            group_id=group_id,
            description=thing,
            amount=float(amount),
            payer_email=payer_email,
            spent_on=day,
        )

    todo = login("todo")
    lists = every_page(apis.todo.list_lists, access_token=todo)
    list_id = next(one["list_id"] for one in lists if one["name"] == "Money and trips")
    apis.todo.create_task(access_token=todo, list_id=list_id, title=f"Settle {title}", due_date=due)

    apis.supervisor.complete_task()


SCENARIO = Scenario(
    name="trip_from_calendar",
    split="test_challenge",
    phrasings=(
        'Found an expenses group (kind: trip) named "{title}" for me and all who accepted my event of that '
        "title on "
        '{day}. Enter each line of my note "{title}: costs" as an expense of that day, in the category '
        "general, "
        "paid by the one whom the line names and split equally between all members. Then add the task "
        '"Settle {title}", due {due}, to my to-do list "Money and trips".',
        'We have been on the "{title}", which is in my calendar on {day}. Everybody who accepted was '
        "there. Make an "
        "expenses group of us with the same name and the kind trip, with all costs that are in the note "
        '"{title}: '
        'costs": equal shares for everybody, category general, the day of the trip, and who paid as it '
        "stands there. "
        'Finally put "Settle {title}" into the to-do list "Money and trips" for {due}.',
    ),
    prepare=prepare,
    gold=gold,
)
