"""Put a new label on the emails with attachments from people of one relation."""

from __future__ import annotations

from palaestra.envs.apps.changes import Expected, added
from palaestra.envs.apps.scenario import Draft, NearMiss, Plan, Scenario
from palaestra.envs.apps.services.email_seed import deliver
from palaestra.envs.apps.skills import apis, every_page, login

_WORDS = {"coworker": "coworkers", "friend": "friends", "cousin": "cousins", "neighbor": "neighbors"}
_LABELS = ("files", "to print", "attachments", "keep", "sort out", "downloads")
_MAILS = (
    ("The form", "Please fill it in.", "form.pdf"),
    ("A map", "So that you find us.", "map.png"),
    ("The list", "As promised.", "list.xlsx"),
    ("Scan", "Is this the right page?", "scan.pdf"),
    ("Your picture", "I drew you.", "drawing.jpg"),
)


def prepare(draft: Draft) -> Plan:
    """Deliver emails with and without files, from people of the relation and of others."""
    relation, label = draft.choose(list(_WORDS)), draft.choose(_LABELS)
    people = draft.life.relations[relation]
    others = draft.life.relations["manager"] + draft.life.relations["father"]
    for subject, body, file in draft.sample(_MAILS, draft.number(3, 5)):
        sender = draft.choose(people)
        deliver(draft, sender, [draft.me], subject, body, draft.moment(-30, -1), attachments=[file])
    moments = [draft.moment(-30, -1) for _ in range(4)]
    deliver(draft, people[0], [draft.me], "Nothing attached", "I forgot the file.", moments[0])
    deliver(draft, others[0], [draft.me], "For you", "Mine, too.", moments[1], attachments=["mine.pdf"])
    deliver(draft, others[1], [draft.me], "For you", "Mine, too.", moments[2], attachments=["ours.pdf"])
    old = ["old.pdf"]
    deliver(draft, people[0], [draft.me], "Old", "For later.", moments[3], attachments=old, folder="archive")
    ids = [person.id for person in people]
    rows = draft.rows(
        "SELECT m.id, m.person_id FROM email_messages m JOIN email_states s ON s.message_id = m.id "
        "WHERE s.person_id = ? AND s.folder = 'inbox' AND m.attachments != '[]' AND m.company_id IS NULL",
        draft.me.id,
    )
    new = added("email_labels", name=label)
    must: list[Expected] = [new]
    must += [
        added("email_message_labels", message_id=row["id"], label_id=new)
        for row in rows
        if row["person_id"] in ids
    ]
    return Plan(
        parameters={"relation": relation, "label": label},
        words={"relation": _WORDS[relation]},
        must=must,
        near_misses=[
            NearMiss("from anybody", edit=("if email['sender_email'] in addresses:", "if True:")),
            NearMiss("without files as well", edit=(", has_attachments=True", "")),
            NearMiss("in the archive as well", edit=(", has_attachments", ", folder=None, has_attachments")),
            NearMiss("the other relations", edit=(" in addresses:", " not in addresses:")),
            NearMiss(
                "stars them",
                edit=(
                    "label_id=label_id)",
                    "label_id=label_id)\n        apis.email.star_email("
                    "access_token=token, email_id=email['email_id'])",
                ),
            ),
        ],
    )


def gold(relation: str, label: str) -> None:
    """Look the addresses up, then label."""
    token = login("phone")
    contacts = every_page(apis.phone.search_contacts, access_token=token, relation=relation)
    addresses = {contact["email"] for contact in contacts}
    print(addresses)

    token = login("email")
    emails = every_page(apis.email.search_emails, access_token=token, has_attachments=True)
    label_id = apis.email.create_label(access_token=token, name=label)["label_id"]
    for email in emails:
        if email["sender_email"] in addresses:
            apis.email.add_label(access_token=token, email_id=email["email_id"], label_id=label_id)

    apis.supervisor.complete_task()


SCENARIO = Scenario(
    name="label_files_of_relation",
    split="dev",
    phrasings=(
        'Create an email label "{label}" and put it on every email with attachments in my inbox that one of '
        "my {relation} has sent. Who they are stands in the contacts of my phone.",
        "I want to find what my {relation} (see the relations of my contacts) have sent me: label each email "
        'from them that lies in my inbox and has an attachment "{label}". That label is not there yet.',
    ),
    prepare=prepare,
    gold=gold,
)
