"""Write a note of what was sent, received and shared in some weeks."""

from __future__ import annotations

from palaestra.envs.apps.changes import added, same_text
from palaestra.envs.apps.scenario import Draft, NearMiss, Plan, Scenario
from palaestra.envs.apps.services.expenses_seed import add_expense
from palaestra.envs.apps.services.payments_seed import add_payment
from palaestra.envs.apps.skills import apis, every_page, login

_THINGS = ("Light bulbs", "Cleaning things", "Coffee beans", "Window repair")


def prepare(draft: Draft) -> Plan:
    """Add payments and an expense on the first and the last day, and just before and after."""
    me = draft.me.id
    end = draft.number(3, 15)
    begin = end + draft.number(14, 40)
    first, last = draft.life.day(-begin), draft.life.day(-end)
    title = draft.choose(["My money", "Looking back", "Sums", "Accounts"]) + f" since {first}"
    home = [draft.me, *draft.life.relations["roommate"]]
    group = draft.value("SELECT id FROM expenses_groups WHERE person_id = ? AND name = 'Apartment'", me)
    for offset in (begin + 1, begin, end, end - 1):
        friend = draft.choose(draft.life.relations["friend"])
        for sender, receiver in ((draft.me, friend), (friend, draft.me)):
            note, cents = draft.choose(["tickets", "pizza", "taxi"]), draft.number(210, 4800)
            add_payment(draft, sender, receiver, cents, note, draft.moment(-offset, -offset))
        what, cents = draft.choose(_THINGS), draft.number(200, 1900) * len(home)
        add_expense(
            draft, group, draft.choose(home), what, cents, home, f"{draft.life.day(-offset)}T22:00:00"
        )
    sums = {
        "Sent": "SELECT total(amount) FROM payments_payments WHERE person_id = ?1 "
        "AND substr(created_at, 1, 10) BETWEEN ?2 AND ?3",
        "Received": "SELECT total(amount) FROM payments_payments WHERE receiver_id = ?1 "
        "AND substr(created_at, 1, 10) BETWEEN ?2 AND ?3",
        "My shares": "SELECT total(s.amount) FROM expenses_shares s JOIN expenses_expenses e "
        "ON e.id = s.expense_id WHERE s.person_id = ?1 AND e.spent_on BETWEEN ?2 AND ?3",
    }
    lines = [f"{name}: {draft.value(sql, me, first, last) / 100:.2f}" for name, sql in sums.items()]
    return Plan(
        parameters={"first": first, "last": last, "title": title},
        must=[added("notes_notes", title=title, body=same_text("\n".join(lines)), tags='["money"]')],
        near_misses=[
            NearMiss("up to today", edit=(", to_date=last", "")),
            NearMiss("from the beginning", edit=(", from_date=first", "")),
            NearMiss("whole expenses", edit=("expense['your_share']", "expense['amount']")),
            NearMiss("payments mixed up", edit=("direction='received'", "direction='sent'")),
            NearMiss("the first page alone", edit=("page_limit=20", "page_limit=2")),
            NearMiss("without the tag", edit=(", tags=['money']", "")),
        ],
    )


def gold(first: str, last: str, title: str) -> None:
    """Add up, then write."""
    payments = login("payments")
    sent = every_page(
        apis.payments.list_payments, access_token=payments, direction="sent", from_date=first, to_date=last
    )
    received = every_page(
        apis.payments.list_payments,
        access_token=payments,
        direction="received",
        from_date=first,
        to_date=last,
    )
    total_sent = sum(payment["amount"] for payment in sent)
    total_received = sum(payment["amount"] for payment in received)
    print(total_sent, total_received)

    token = login("expenses")
    expenses = every_page(apis.expenses.list_expenses, access_token=token, from_date=first, to_date=last)
    shares = sum(expense["your_share"] for expense in expenses)
    print(shares)

    notes = login("notes")
    body = f"Sent: {total_sent:.2f}\nReceived: {total_received:.2f}\nMy shares: {shares:.2f}"
    apis.notes.create_note(access_token=notes, title=title, body=body, tags=["money"])
    apis.supervisor.complete_task()


SCENARIO = Scenario(
    name="note_of_money_spent",
    split="test_normal",
    phrasings=(
        'Write a new note "{title}", tagged "money", in no folder, about {first} to {last} (both included), '
        'with three lines in dollars: "Sent: 12.50" for what I sent in the payments app, "Received: 12.50" '
        'for what I received there, "My shares: 12.50" for my shares of the expenses of all my groups in the '
        "expenses app.",
        "Add up my money from {first} up to and including {last}: payments that I sent, payments that I "
        "received, and my own shares of all expenses of that time in the expenses app, whoever paid. Put it "
        'into a new note titled "{title}" with the tag "money" (no folder), three lines like "Sent: 12.50", '
        '"Received: 12.50" and "My shares: 12.50".',
    ),
    prepare=prepare,
    gold=gold,
)
