"""Put an invitation by email into the calendar, reply to it, and text the others who got it."""

from __future__ import annotations

from palaestra.envs.apps.changes import added, same_text
from palaestra.envs.apps.life import Person
from palaestra.envs.apps.scenario import Draft, NearMiss, Plan, Scenario
from palaestra.envs.apps.services.email_seed import deliver
from palaestra.envs.apps.skills import apis, every_page, login

_SUBJECTS = ("Garden party", "House-warming", "Barbecue", "Farewell party", "Costume party", "Cheese evening")
_TEXTS = (
    "Shall we go to {subject} together?",
    "Are you coming to {subject}? I am!",
    "What do we bring to {subject}?",
)


def prepare(draft: Draft) -> Plan:
    """Let a friend invite some people, and another one other people to something of the same name."""
    subject = draft.choose(_SUBJECTS)
    host, other, *friends = draft.sample(draft.life.relations["friend"], 7)
    guests = friends[: draft.number(2, 4)]
    day, hour = draft.life.day(draft.number(5, 25)), draft.number(14, 19)
    place = f"{host.street}, {host.city}"
    begin, end = f"{hour:02}:30", f"{hour + draft.number(2, 4):02}:00"
    email = _invite(draft, host, guests, subject, f"When: {day}, {begin} to {end}\nWhere: {place}")
    later = draft.life.day(40)
    _invite(draft, other, friends[3:], subject, f"When: {later}, 12:00 to 14:00\nWhere: my place")
    answer = draft.choose(["I will be there!", "Count me in!", "Thank you, I would love to come"])
    text = draft.choose(_TEXTS).format(subject=subject)
    calendar = draft.value("SELECT min(id) FROM calendar_calendars WHERE person_id = ?", draft.me.id)
    event = added(
        "calendar_events",
        calendar_id=calendar,
        title=subject,
        starts_at=f"{day}T{begin}:00",
        ends_at=f"{day}T{end}:00",
        place=same_text(place),
    )
    reply = added(
        "email_messages",
        recipients=f'["{host.email}"]',
        subject=f"Re: {subject}",
        body=same_text(answer),
        reply_to=email,
    )
    texts = [added("phone_messages", receiver_id=person.id, text=same_text(text)) for person in guests]
    return Plan(
        parameters={"name": host.name, "subject": subject, "answer": answer, "text": text},
        must=[event, reply, *texts],
        near_misses=[
            NearMiss("the other invitation", edit=("email['sender'] == name", "email['sender'] != name")),
            NearMiss("replies to all", edit=(", body=answer", ", body=answer, to_all=True")),
            NearMiss("without the place", edit=(", place=place", "")),
            NearMiss(
                "texts the host as well", edit=("for guest in guests:", "for guest in [*guests, host]:")
            ),
            NearMiss("one guest less", edit=("for guest in guests:", "for guest in guests[1:]:")),
            NearMiss("invites them to the event", edit=(", place=place", ", place=place, attendees=guests")),
        ],
    )


def _invite(draft: Draft, host: Person, guests: list[Person], subject: str, details: str) -> int:
    body = f"Dear all,\n\nyou are invited!\n{details}\n\n{host.first_name}"
    return deliver(draft, host, [draft.me, *guests], subject, body, draft.moment(-9, -1)).message


def gold(name: str, subject: str, answer: str, text: str) -> None:
    """Read the email, then go from app to app."""
    me = apis.supervisor.show_profile()["email"]
    mail_token = login("email")
    emails = every_page(apis.email.search_emails, access_token=mail_token, query=subject)
    email_id = next(
        email["email_id"] for email in emails if email["sender"] == name and email["subject"] == subject
    )
    email = apis.email.show_email(access_token=mail_token, email_id=email_id)
    print(email)

    details = dict(line.split(": ", 1) for line in email["body"].split("\n") if ": " in line)
    day, hours = details["When"].split(", ")
    begin, end = hours.split(" to ")
    place = details["Where"]
    host = email["sender_email"]
    guests = [address for address in email["recipients"] if address != me]
    token = login("calendar")
    apis.calendar.create_event(
        access_token=token,
        title=subject,
        starts_at=f"{day}T{begin}:00",
        ends_at=f"{day}T{end}:00",
        place=place,
    )

    apis.email.reply(access_token=mail_token, email_id=email_id, body=answer)

    token = login("phone")
    for guest in guests:
        contact = apis.phone.search_contacts(access_token=token, query=guest)[0]
        apis.phone.send_message(access_token=token, phone_number=contact["phone_number"], text=text)

    print(host, guests)
    apis.supervisor.complete_task()


SCENARIO = Scenario(
    name="answer_party_email",
    split="train",
    phrasings=(
        '{name} has invited me by an email with the subject "{subject}". Put it into my calendar with that '
        "title and the times and the place that the email tells, without inviting anybody. Reply to {name} "
        'alone: "{answer}" And send everybody else who got that email the text message "{text}"',
        'There is an email "{subject}" from {name} in my inbox. Make an event of it in my calendar, with the '
        "subject as its title, the times and the place as written there, and no attendees; reply to the "
        'sender only, with "{answer}"; and text each of the other recipients "{text}" - their numbers are '
        "in my contacts.",
    ),
    prepare=prepare,
    gold=gold,
)
