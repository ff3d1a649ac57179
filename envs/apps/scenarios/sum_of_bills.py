"""Add up what a company has billed by email in some weeks."""

from __future__ import annotations

import datetime
import re

from palaestra.envs.apps.scenario import Draft, NearMiss, Plan, Scenario
from palaestra.envs.apps.services.email_seed import BILLS, deliver
from palaestra.envs.apps.skills import apis, every_page, login


def prepare(draft: Draft) -> Plan:
    """Deliver bills on the first and the last day and just outside, one in the archive, and a reminder."""
    company, other = draft.sample(BILLS, 2)
    begin, end = -draft.number(50, 80), -draft.number(5, 20)
    first, last = draft.life.day(begin), draft.life.day(end)
    for offset in (begin - 1, begin, end, end + 1):
        _bill(draft, company, offset)
    for _ in range(draft.number(0, 2)):
        _bill(draft, company, draft.number(begin + 1, end - 1))
    _bill(draft, company, begin + 9, folder="archive")
    _bill(draft, company, begin + 12, title="Reminder: your bill")
    _bill(draft, other, begin + 5)
    rows = draft.rows(
        "SELECT m.body FROM email_messages m JOIN email_companies c ON c.id = m.company_id WHERE c.name = ? "
        "AND m.subject LIKE 'Your bill of %' AND substr(m.sent_at, 1, 10) BETWEEN ? AND ?",
        company,
        first,
        last,
    )
    cents = [
        round(float(found[1]) * 100) for row in rows if (found := re.search(r"\$(\d+\.\d\d)", row["body"]))
    ]
    return Plan(
        parameters={"company": company, "first": first, "last": last},
        answer=sum(cents) / 100,
        near_misses=[
            NearMiss("the inbox alone", edit=(", folder=None", "")),
            NearMiss("with reminders", edit=("email['subject'].startswith('Your bill of')", "True")),
            NearMiss("of all companies", edit=("email['sender'] == company", "True")),
            NearMiss("without the last day", parameters={"last": draft.life.day(end - 1)}),
            NearMiss("from any day on", edit=("from_date=first, ", "")),
            NearMiss("how many", edit=("total += amount", "total += 1")),
        ],
    )


def _bill(draft: Draft, company: str, offset: int, title: str = "Your bill", folder: str = "") -> None:
    day = draft.life.day(offset)
    payable = (datetime.date.fromisoformat(day) + datetime.timedelta(days=21)).isoformat()
    deliver(
        draft,
        company,
        [draft.me],
        f"{title} of {day}",
        f"Amount due: ${draft.number(1800, 14000) / 100:.2f}\nPayable until: {payable}",
        draft.moment(offset, offset),
        attachments=[f"bill-{day}.pdf"],
        folder=folder,
    )


def gold(company: str, first: str, last: str) -> None:
    """Open the bills one by one."""
    token = login("email")
    emails = every_page(
        apis.email.search_emails,
        access_token=token,
        folder=None,
        from_date=first,
        to_date=last,
    )
    print(emails)

    total = 0.0
    for email in emails:
        if email["sender"] == company and email["subject"].startswith("Your bill of"):
            body = apis.email.show_email(access_token=token, email_id=email["email_id"])["body"]
            amount = float(body.split("$")[1].split("\n")[0])
            total += amount

    apis.supervisor.complete_task(answer=round(total, 2))


SCENARIO = Scenario(
    name="sum_of_bills",
    split="test_normal",
    phrasings=(
        "How many dollars has {company} billed me in all by emails that came from {first} to {last}, both "
        'days included? Count the emails "Your bill of ..." in the inbox and the archive, and no reminders. '
        "Answer with the number alone.",
        'Add up the amounts due in the emails "Your bill of ..." from {company}, wherever they lie (the '
        "trash does not count), that I got on {first} or later and not after {last}. Reminders repeat "
        "bills, so leave them out. Just tell me the sum in dollars, as a number.",
    ),
    prepare=prepare,
    gold=gold,
)
