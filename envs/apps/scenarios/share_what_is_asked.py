"""Share the files that emails ask for, but none of a private folder, and answer."""

from __future__ import annotations

from palaestra.envs.apps.changes import added, same_text
from palaestra.envs.apps.prepared_files import file
from palaestra.envs.apps.scenario import Draft, NearMiss, Plan, Scenario
from palaestra.envs.apps.services.email_seed import deliver
from palaestra.envs.apps.skills import apis, every_page, login

_PRIVATE = ("/documents/private", "/documents/confidential", "/documents/contracts", "/documents/family")
_NAMES = (
    "speech.md",
    "budget.csv",
    "route.txt",
    "seating plan.pdf",
    "logo.png",
    "sponsors.csv",
    "program.md",
    "lyrics.txt",
    "price list.pdf",
    "rules.md",
)
_YES = ("Here you are", "You can see it now", "It is shared with you")
_NO = ("Sorry, that one stays with me", "I cannot share this one", "That is private, sorry")


def prepare(draft: Draft) -> Plan:
    """Let people ask for files, some of them in the private folder, one of them long ago."""
    private, yes, no = draft.choose(_PRIVATE), draft.choose(_YES), draft.choose(_NO)
    days = draft.number(4, 9)
    people = draft.sample([*draft.life.relations["coworker"], *draft.life.relations["friend"]], 6)
    shared = draft.number(2, 3)
    must = []
    for number, (person, name) in enumerate(zip(people, draft.sample(_NAMES, 6), strict=True)):
        hidden, long_ago = number >= shared, number == 5
        # A folder that only begins like the private one is not private.
        place = private if hidden else (f"{private} 2" if number == 0 else "/documents/club")
        path = f"{place}/{name}"
        entry = file(draft, path, size=draft.number(2000, 900_000), day=-40)
        ago = days + draft.number(3, 9) if long_ago else draft.number(1, days - 1)
        body = f"Hello {draft.me.first_name},\n\nplease share this with me:\n{path}\n\n{person.first_name}"
        asked = deliver(draft, person, [draft.me], "Request for a file", body, draft.moment(-ago, -ago))
        if long_ago:
            continue
        if not hidden:
            must.append(added("files_shares", entry_id=entry, person_id=person.id))
        must.append(
            added(
                "email_messages",
                recipients=f'["{person.email}"]',
                subject="Re: Request for a file",
                body=same_text(no if hidden else yes),
                reply_to=asked.message,
            )
        )
    return Plan(
        parameters={"private": private, "day": draft.life.day(-days), "yes": yes, "no": no},
        must=must,
        near_misses=[
            NearMiss("private ones, too", edit=("if path.startswith(f'{private}/')", "if False")),
            NearMiss("nothing is shared", edit=("if path.startswith(f'{private}/')", "if True")),
            NearMiss("a folder that begins alike", edit=("startswith(f'{private}/')", "startswith(private)")),
            NearMiss("what was asked long ago", edit=(", from_date=day", "")),
            NearMiss("they may edit", edit=("path=path, email=", "path=path, permission='edit', email=")),
            NearMiss("one less", edit=("for email in emails:", "for email in emails[1:]:")),
        ],
    )


def gold(private: str, day: str, yes: str, no: str) -> None:
    """Read each email, then share or refuse."""
    mail = login("email")
    emails = every_page(
        apis.email.search_emails, access_token=mail, query="Request for a file", from_date=day
    )
    print(emails)

    files = login("files")
    for email in emails:
        body = apis.email.show_email(access_token=mail, email_id=email["email_id"])["body"]
        path = next(line for line in body.splitlines() if line.startswith("/"))
        if path.startswith(f"{private}/"):
            apis.email.reply(access_token=mail, email_id=email["email_id"], body=no)
        else:
            apis.files.share_entry(access_token=files, path=path, email=email["sender_email"])
            apis.email.reply(access_token=mail, email_id=email["email_id"], body=yes)

    apis.supervisor.complete_task()


SCENARIO = Scenario(
    name="share_what_is_asked",
    split="test_challenge",
    phrasings=(
        'On {day} and later some people sent me emails with the subject "Request for a file", which are in '
        "my inbox. Share with each sender the file that the email names (to view, not to edit) and reply "
        '"{yes}". But nothing in the folder "{private}" of my files is given away: to those who ask for '
        'something there, reply "{no}" instead.',
        'Answer the emails "Request for a file" that have come to my inbox since {day} (that day '
        'included). If the file that is asked for lies in "{private}", write back "{no}" and do nothing '
        'else. Otherwise let the sender view that file in the files app, and write back "{yes}". Older '
        "requests are settled.",
    ),
    prepare=prepare,
    gold=gold,
)
