"""Accept what one person invites to, decline the other invitations with a word."""

from __future__ import annotations

from palaestra.envs.apps.changes import changed, same_text
from palaestra.envs.apps.scenario import Draft, NearMiss, Plan, Scenario
from palaestra.envs.apps.services.calendar_seed import add_event
from palaestra.envs.apps.skills import apis, every_page, login

_EVENTS = ("Garden party", "Movie night", "Brunch", "Book club", "Picnic", "Quiz evening", "Farewell drinks")


def prepare(draft: Draft) -> Plan:
    """Let a friend and others invite to events that are still to come."""
    for row in draft.rows(
        "SELECT id FROM calendar_attendees WHERE person_id = ? AND answer = 'pending'", draft.me.id
    ):
        draft.update("calendar_attendees", row["id"], answer="tentative")
    hosts = draft.sample(draft.life.relations["friend"], 4)
    friend = hosts[0]
    message = draft.choose(["Sorry, I am busy", "I cannot make it this time", "Not this time, thank you"])
    must = []
    titles = draft.sample(_EVENTS, len(_EVENTS))[: draft.number(5, 7)]
    for place, title in enumerate(titles):
        host = friend if place < 2 else hosts[1 + place % 3]
        day = draft.life.day(draft.number(2, 20))
        event = add_event(draft, host, title, f"{day}T18:00", 120, {draft.me: "pending"})
        attendee = draft.value("SELECT id FROM calendar_attendees WHERE event_id = ?", event)
        if host is friend:
            must.append(changed("calendar_attendees", attendee, answer="accepted"))
        else:
            must.append(
                changed("calendar_attendees", attendee, answer="declined", message=same_text(message))
            )
    return Plan(
        parameters={"email": friend.email, "message": message},
        words={"name": friend.name},
        must=must,
        near_misses=[
            NearMiss("accepts all", edit=("event['organizer'] == email", "True")),
            NearMiss("declines all", edit=("event['organizer'] == email", "False")),
            NearMiss("without the message", edit=(", message=message", "")),
            NearMiss("one less", edit=("for event in events:", "for event in events[1:]:")),
        ],
    )


def gold(email: str, message: str) -> None:
    """Answer them one by one."""
    token = login("calendar")
    events = every_page(apis.calendar.list_invitations, access_token=token, answer="pending")
    print(events)

    for event in events:
        if event["organizer"] == email:
            apis.calendar.answer_invitation(access_token=token, event_id=event["event_id"], answer="accepted")
        else:
            apis.calendar.answer_invitation(
                access_token=token, event_id=event["event_id"], answer="declined", message=message
            )

    apis.supervisor.complete_task()


SCENARIO = Scenario(
    name="answer_invitations",
    split="train",
    phrasings=(
        "Answer my pending invitations to events that are still to come: accept those from {name} ({email}) "
        'without a message, and decline all others with the message "{message}".',
        "I only have time for {name} ({email}). Accept each of their pending invitations to coming events, "
        "with "
        'no message, and decline the rest, writing "{message}" to the organizer each time.',
    ),
    prepare=prepare,
    gold=gold,
)
