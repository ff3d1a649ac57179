"""Ask those who came to an event for their share of what a note says it cost."""

from __future__ import annotations

from palaestra.envs.apps.changes import Expected, added, changed
from palaestra.envs.apps.scenario import Draft, NearMiss, Plan, Scenario
from palaestra.envs.apps.services.calendar_seed import add_event
from palaestra.envs.apps.services.notes_seed import add_note
from palaestra.envs.apps.services.payments_seed import add_payment, remove_requests
from palaestra.envs.apps.skills import apis, every_page, login

_EVENTS = ("Paella evening", "Pub quiz", "Sledging day", "Zoo visit", "Laser tag", "Barn dance")
_THINGS = ("Rice and seafood", "Entrance", "Parking", "Drinks", "Cake", "Rental", "Snacks", "Train")


def prepare(draft: Draft) -> Plan:
    """Write an event with all kinds of answers, the costs, and what two of the guests have paid."""
    title, ago = draft.choose(_EVENTS), draft.number(4, 12)
    day, folks = draft.life.day(-ago), draft.sample(draft.life.relations["friend"], 7)
    coming, others = folks[: draft.number(3, 5)], folks[5:]
    remove_requests(draft)
    answers = dict.fromkeys(coming, "accepted") | dict.fromkeys(others, "declined")
    add_event(draft, draft.me, title, f"{day}T17:00", 240, answers)
    answers = dict.fromkeys([*others, coming[0]], "accepted")
    add_event(draft, draft.me, title, f"{draft.life.day(30)}T17:00", 240, answers)
    count = len(coming) + 1
    costs = {thing: draft.number(500, 4000) for thing in draft.sample(_THINGS, draft.number(2, 4))}
    costs[next(iter(costs))] += -sum(costs.values()) % count
    share = sum(costs.values()) // count
    body = "\n".join(f"{thing}: {cents / 100:.2f}" for thing, cents in costs.items())
    note = add_note(draft, draft.me, f"Costs: {title}", body, f"{day}T23:00:00")
    paid = coming[0]
    add_payment(draft, paid, draft.me, share, title, draft.moment(-3, -1))
    # The same amount for something else, and a payment in the other direction, settle nothing.
    add_payment(draft, coming[1], draft.me, share, "coffee", draft.moment(-3, -1))
    add_payment(draft, draft.me, coming[2], share, title, draft.moment(-3, -1))
    must: list[Expected] = [
        added("payments_requests", payer_id=person.id, amount=share, note=title) for person in coming[1:]
    ]
    must.append(changed("notes_notes", note, body=f"{body}\nEach: {share / 100:.2f}"))
    return Plan(
        parameters={"title": title, "day": day},
        must=must,
        near_misses=[
            NearMiss("without the supervisor's share", edit=("len(emails) + 1", "len(emails)")),
            NearMiss("everybody invited", edit=(", answer='accepted'", "")),
            NearMiss("who has paid, too", edit=("if email_guest not in paid:", "if True:")),
            NearMiss("whatever they paid for", edit=("if payment['note'] == title]", "]")),
            NearMiss("the note stays", edit=("apis.notes.append_to_note(", "dict(")),
            NearMiss("without a note", edit=(", note=title)", ")")),
        ],
    )


def gold(title: str, day: str) -> None:
    """Find out who came, what it cost and who has paid; then ask the others."""
    token = login("calendar")
    events = every_page(
        apis.calendar.search_events, access_token=token, query=title, from_day=day, to_day=day
    )
    event_id = next(one["event_id"] for one in events if one["title"] == title)
    guests = every_page(
        apis.calendar.list_attendees, access_token=token, event_id=event_id, answer="accepted"
    )
    emails = [guest["email"] for guest in guests]
    print(emails)

    notes = login("notes")
    found = every_page(apis.notes.search_notes, access_token=notes, query=title)
    note_id = next(one["note_id"] for one in found if one["title"] == f"Costs: {title}")
    body = apis.notes.show_note(access_token=notes, note_id=note_id)["body"]
    total = sum(float(line.split(": ")[1]) for line in body.split("\n"))
    share = round(total / (len(emails) + 1), 2)
    print(body, total, share)

    payments = login("payments")
    received = every_page(
        apis.payments.list_payments, access_token=payments, direction="received", from_date=day
    )
    paid = [payment["sender"]["email"] for payment in received if payment["note"] == title]
    for email_guest in emails:
        if email_guest not in paid:
            apis.payments.request_money(access_token=payments, email=email_guest, amount=share, note=title)

    apis.notes.append_to_note(access_token=notes, note_id=note_id, text=f"Each: {share:.2f}")
    apis.supervisor.complete_task()


SCENARIO = Scenario(
    name="collect_for_event",
    split="test_normal",
    phrasings=(
        'What I spent on "{title}" on {day} is in my note "Costs: {title}", in dollars. It is to be shared '
        "equally by me and all who have accepted the invitation to that event in my calendar. Request the "
        'share from each of them in the payments app, with the note "{title}", but not from those who have '
        'sent me a payment with exactly that note since {day}. Then add a last line to my note: "Each: '
        '12.50", '
        "with the share.",
        'Collect the money for "{title}" ({day}): add up the note "Costs: {title}", divide it equally '
        "between "
        "the guests who accepted in the calendar and me, and ask each guest for that amount by a payment "
        'request with the note "{title}". Whoever has paid me by a payment with the note "{title}" on {day} '
        'or later is not asked. Finally append the line "Each: 12.50" (with the right amount) to that note.',
    ),
    prepare=prepare,
    gold=gold,
)
