"""Found a group of those who came to an event, and enter the receipts of a note as its expenses."""

from __future__ import annotations

from palaestra.envs.apps.changes import Expected, added
from palaestra.envs.apps.life import Person
from palaestra.envs.apps.scenario import Draft, NearMiss, Plan, Scenario
from palaestra.envs.apps.services.calendar_seed import add_event
from palaestra.envs.apps.services.expenses_seed import equal_shares
from palaestra.envs.apps.services.notes_seed import add_note
from palaestra.envs.apps.skills import apis, every_page, login

_EVENTS = (
    "Lake picnic",
    "Fondue evening",
    "Pizza baking",
    "Midsummer fire",
    "Chess marathon",
    "Rooftop lunch",
)
_THINGS = (
    "Charcoal",
    "Bread and cheese",
    "Drinks",
    "Fruit",
    "Paper plates",
    "Cake",
    "Ice",
    "Salad",
    "Candles",
)


def prepare(draft: Draft) -> Plan:
    """Write two events of one title, the answers of the guests, and the receipts."""
    title, note = draft.choose(_EVENTS), draft.choose(["Receipts", "Shopping bills", "What I spent"])
    ago = draft.number(2, 9)
    day = draft.life.day(-ago)
    guests = draft.sample(draft.life.relations["friend"], 7)
    coming = guests[: draft.number(2, 4)]
    answers = dict.fromkeys(coming, "accepted")
    answers |= dict(zip(guests[4:6], draft.sample(["declined", "tentative"], 2), strict=True))
    add_event(draft, draft.me, title, f"{day}T17:00", 240, answers)
    again = {guests[5]: "accepted", guests[6]: "accepted", coming[0]: "accepted"}
    add_event(draft, draft.me, title, f"{draft.life.day(-ago - 21)}T17:00", 240, again)
    costs = {thing: draft.number(310, 4800) for thing in draft.sample(_THINGS, draft.number(3, 4))}
    body = "\n".join(f"{thing}: {cents / 100:.2f}" for thing, cents in costs.items())
    add_note(draft, draft.me, f"{note} {title}", body, draft.moment(-9, -2))
    add_note(
        draft, draft.me, f"{note} {title} (first try)", "Drinks: 18.20\nCandles: 4.10", draft.moment(-9, -2)
    )
    group = added("expenses_groups", name=title)
    people = [draft.me, *coming]
    must: list[Expected] = [group]
    must += [added("expenses_members", group_id=group, person_id=person.id) for person in people]
    for thing, cents in costs.items():
        must += _expense(group, draft.me.id, thing, cents, day, people)
    return Plan(
        parameters={"title": title, "day": day, "note": f"{note} {title}"},
        must=must,
        near_misses=[
            NearMiss("everybody invited", edit=(", answer='accepted'", "")),
            NearMiss("the earlier event", edit=("from_day=day, to_day=day, ", "to_day=day, ")),
            NearMiss("spent today", edit=(", spent_on=day", "")),
            NearMiss(
                "one receipt less",
                edit=("for line in body.split('\\n'):", "for line in body.split('\\n')[1:]:"),
            ),
            NearMiss(
                "one receipt twice",
                edit=("in body.split('\\n'):", "in (body + '\\n' + body.split('\\n')[0]).split('\\n'):"),
            ),
            NearMiss("for a trip", edit=("member_emails=emails", "member_emails=emails, kind='trip'")),
        ],
    )


def _expense(
    group: Expected, payer: int, thing: str, cents: int, day: str, people: list[Person]
) -> list[Expected]:
    expense = added(
        "expenses_expenses", group_id=group, payer_id=payer, description=thing, amount=cents, spent_on=day
    )
    return [
        expense,
        *(
            added("expenses_shares", expense_id=expense, person_id=person.id, amount=share)
            for person, share in equal_shares(cents, people).items()
        ),
    ]


def gold(title: str, day: str, note: str) -> None:
    """Find out who came and what it cost, then write it down."""
    token = login("calendar")
    events = every_page(
        apis.calendar.search_events,
        access_token=token,
        query=title,
        from_day=day,
        to_day=day,
        organized_by_me=True,
    )
    event_id = next(one["event_id"] for one in events if one["title"] == title)
    guests = every_page(
        apis.calendar.list_attendees, access_token=token, event_id=event_id, answer="accepted"
    )
    emails = [guest["email"] for guest in guests]
    print(emails)

    token = login("notes")
    notes = every_page(apis.notes.search_notes, access_token=token, query=note)
    note_id = next(one["note_id"] for one in notes if one["title"] == note)
    body = apis.notes.show_note(access_token=token, note_id=note_id)["body"]
    print(body)

    token = login("expenses")
    group = apis.expenses.create_group(access_token=token, name=title, member_emails=emails)
    for line in body.split("\n"):
        thing, cost = line.split(": ")
        apis.expenses.add_expense(
            access_token=token,
            group_id=group["group_id"],
            description=thing,
            amount=float(cost),
            spent_on=day,
        )

    apis.supervisor.complete_task()


SCENARIO = Scenario(
    name="bill_of_event",
    split="test_normal",
    phrasings=(
        'The calendar says who came to my "{title}" of {day}: the people who accepted. Create a group '
        '"{title}" '
        'of the kind "other" in the expenses app with exactly them and me. My note "{note}" has one line for '
        "each receipt, what and how many dollars; add each as an expense of that group (category general) "
        "that I paid on {day} and that all members share equally.",
        'Please do the accounts of "{title}", which I hosted on {day}. Make an expenses group (kind: other) '
        "called exactly like the event, with me and those who accepted the invitation in my calendar. Then "
        'enter the lines of the note "{note}" there, the text before the colon as description and the '
        "dollars "
        "after it as amount: paid by me, spent on {day}, category general, split equally between everybody "
        "in the group.",
    ),
    prepare=prepare,
    gold=gold,
)
