"""Archive what was read of a newsletter, throw away the rest, and keep what has a star."""

from __future__ import annotations

from palaestra.envs.apps.changes import changed
from palaestra.envs.apps.scenario import Draft, NearMiss, Plan, Scenario
from palaestra.envs.apps.services.email_seed import NEWSLETTERS, deliver
from palaestra.envs.apps.skills import apis, every_page, login

_SUBJECTS = (
    "Our summer issue",
    "Ten questions from readers",
    "A look behind the scenes",
    "Only this week",
    "What you may have missed",
    "Winners of our contest",
    "Three new faces",
)


def prepare(draft: Draft) -> Plan:
    """Deliver some issues: read, unread, with a star, in the archive; and another's that names it."""
    company, other = draft.sample(NEWSLETTERS, 2)
    offset = -draft.number(2, 6)
    day = draft.life.day(offset)
    me = [draft.me]
    for subject in draft.sample(_SUBJECTS, draft.number(2, 6)):
        body = f"{subject}: read more on our pages."
        moment = draft.moment(-25, offset - 1)
        deliver(draft, company, me, subject, body, moment, read=bool(draft.number(0, 1)))
    moments = [draft.moment(-25, offset - 1) for _ in range(5)]
    deliver(draft, company, me, "Welcome back", "Good to see you.", moments[0], read=True)
    deliver(draft, company, me, "Have you seen this?", "It is quite new.", moments[1], read=False)
    deliver(draft, company, me, "Our best page", "Keep it.", moments[2], starred=True)
    deliver(draft, company, me, "An old issue", "From the archive.", moments[3], folder="archive")
    fresh = f"{day}T07:01:00"
    deliver(draft, company, me, "Good morning", "We have news for you.", fresh, read=True)
    friends = f"Our friends of {company} have a new issue. Have a look!"
    deliver(draft, other, me, "Our friends", friends, moments[4], read=True)
    rows = draft.rows(
        "SELECT s.id, s.read FROM email_states s JOIN email_messages m ON m.id = s.message_id "
        "JOIN email_companies c ON c.id = m.company_id "
        "WHERE s.person_id = ? AND s.folder = 'inbox' AND NOT s.starred AND c.name = ? "
        "AND m.sent_at < ?",
        draft.me.id,
        company,
        day,
    )
    return Plan(
        parameters={"company": company, "day": day},
        must=[
            changed("email_states", row["id"], folder="archive" if row["read"] else "trash") for row in rows
        ],
        near_misses=[
            NearMiss("starred ones as well", edit=("starred=False", "starred=None")),
            NearMiss("those that name it", edit=("email['sender'] == company and ", "")),
            NearMiss("later ones as well", edit=(" and email['sent_at'] < day", "")),
            NearMiss("archives all", edit=(" if email['read'] else 'trash'", "")),
            NearMiss("the other way round", edit=("if email['read']", "if not email['read']")),
            NearMiss(
                "marks them as well",
                edit=(
                    "        apis.email.move_email",
                    "        apis.email.mark_email(access_token=token, email_id=email['email_id'], "
                    "read=True)\n"
                    "        apis.email.move_email",
                ),
            ),
        ],
    )


def gold(company: str, day: str) -> None:
    """Find them, then move them one by one."""
    token = login("email")
    emails = every_page(apis.email.search_emails, access_token=token, starred=False)
    print(emails)

    for email in emails:
        if email["sender"] == company and email["sent_at"] < day:
            folder = "archive" if email["read"] else "trash"
            apis.email.move_email(access_token=token, email_id=email["email_id"], folder=folder)

    apis.supervisor.complete_task()


SCENARIO = Scenario(
    name="tidy_newsletter",
    split="train",
    phrasings=(
        "Tidy up my inbox. Of the emails from {company} that came before {day}, move those that I have read "
        "to the archive, and those that I have not read to the trash. Starred ones stay where they are.",
        "My inbox is full of {company}. Of what they sent before {day}, throw the unread emails into the "
        "trash and archive the ones that are read, but do not touch any that have a star.",
    ),
    prepare=prepare,
    gold=gold,
)
