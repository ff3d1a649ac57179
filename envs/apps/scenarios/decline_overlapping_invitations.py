"""Decline the invitations that overlap with an event of one's own; leave the others open."""

from __future__ import annotations

from palaestra.envs.apps.changes import changed
from palaestra.envs.apps.scenario import Draft, NearMiss, Plan, Scenario
from palaestra.envs.apps.services.calendar_seed import add_event, cancel_events
from palaestra.envs.apps.skills import apis, every_page, login

_TITLES = ("Workshop", "Tasting", "Open house", "Rehearsal", "Match", "Barbecue")


def prepare(draft: Draft) -> Plan:
    """Clear a day, fill it with events of the supervisor, and put invitations over and beside them."""
    day = draft.life.day(draft.number(3, 12))
    me = draft.me.id
    cancel_events(draft, day, day)
    for row in draft.rows("SELECT id FROM calendar_attendees WHERE person_id = ? AND answer = 'pending'", me):
        draft.update("calendar_attendees", row["id"], answer="tentative")
    start = draft.number(9, 11)
    for hour, title in ((start, "Dentist"), (start + 5, "Call with the bank")):
        add_event(draft, draft.me, title, f"{day}T{hour:02}:00", 60)
    # Over the first, over the end of the second, touching the first, between them, before them.
    times = [
        (60 * start - 30, 60),
        (60 * start + 350, 90),
        (60 * start + 60, 60),
        (60 * start + 150, 90),
        (420, 60),
    ]
    hosts = draft.sample(draft.life.relations["friend"], 5)
    must = []
    for place, (title, host) in enumerate(zip(draft.sample(_TITLES, 5), hosts, strict=True)):
        minute, minutes = times[place]
        begin = f"{day}T{minute // 60:02}:{minute % 60:02}"
        event = add_event(draft, host, title, begin, minutes, {draft.me: "pending"})
        attendee = draft.value("SELECT id FROM calendar_attendees WHERE event_id = ?", event)
        if place < 2:
            must.append(changed("calendar_attendees", attendee, answer="declined"))
    return Plan(
        parameters={"day": day},
        must=must,
        near_misses=[
            NearMiss(
                "declines what only touches", edit=("own['ends_at'] > event", "own['ends_at'] >= event")
            ),
            NearMiss("declines all", edit=("if any(", "if True or any(")),
            NearMiss(
                "accepts the others",
                edit=(
                    "answer='declined')",
                    "answer='declined')\n    else:\n        apis.calendar.answer_invitation("
                    "access_token=token, event_id=event['event_id'], answer='accepted')",
                ),
            ),
            NearMiss("tentative", edit=("answer='declined'", "answer='tentative'")),
        ],
    )


def gold(day: str) -> None:
    """Compare invitations with own events."""
    token = login("calendar")
    mine = every_page(
        apis.calendar.search_events, access_token=token, from_day=day, to_day=day, organized_by_me=True
    )
    events = every_page(apis.calendar.list_invitations, access_token=token, answer="pending")
    print(mine, events)

    for event in events:
        if any(own["ends_at"] > event["starts_at"] and own["starts_at"] < event["ends_at"] for own in mine):
            apis.calendar.answer_invitation(access_token=token, event_id=event["event_id"], answer="declined")

    apis.supervisor.complete_task()


SCENARIO = Scenario(
    name="decline_overlapping_invitations",
    split="test_normal",
    phrasings=(
        "I got several invitations for {day}. Decline those pending ones, without a message, that overlap "
        "with "
        "an event that I organize myself on that day (one that only begins when mine ends, or ends when mine "
        "begins, is fine). Do not answer the others yet.",
        "Which pending invitations for {day} clash with events of my own that day? Decline exactly these, "
        "with no message; back-to-back is not a clash. Leave the rest unanswered.",
    ),
    prepare=prepare,
    gold=gold,
)
