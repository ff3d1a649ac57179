"""Pay what the supervisor owes in a group, record it there, and add it up in a note."""

from __future__ import annotations

from palaestra.envs.apps.changes import Expected, added, changed
from palaestra.envs.apps.scenario import Draft, NearMiss, Plan, Scenario
from palaestra.envs.apps.services.expenses_seed import add_debt, add_group
from palaestra.envs.apps.services.notes_seed import add_note
from palaestra.envs.apps.services.payments_seed import add_transfer
from palaestra.envs.apps.skills import apis, every_page, login

_NAMES = ("Canoe trip", "Farm holiday", "Cinema club", "Potluck", "Castle tour", "Street fair stall")
_NOTES = ("Money diary", "Household book", "What I paid", "Budget")


def prepare(draft: Draft) -> Plan:
    """Let the supervisor owe some members of the group, and one of them something in another group."""
    name, note = draft.choose(_NAMES), draft.choose(_NOTES)
    people = draft.sample(draft.life.relations["friend"], 5)
    group, other = (
        add_group(draft, people[0], one, (draft.me, *people), draft.moment(-60, -50))
        for one in (name, f"{name} II")
    )
    debts = {person: draft.number(310, 4200) for person in people[: draft.number(2, 3)]}
    for person, cents in debts.items():
        add_debt(draft, group, draft.me, person, cents, draft.moment(-40, -20))
    add_debt(draft, group, people[4], draft.me, draft.number(310, 4200), draft.moment(-40, -20))
    add_debt(draft, other, draft.me, people[0], draft.number(310, 4200), draft.moment(-40, -20))
    add_debt(draft, other, draft.me, people[3], draft.number(310, 4200), draft.moment(-40, -20))
    add_transfer(draft, draft.me, 30_000, draft.moment(-3, -2))
    body = f"{draft.life.day(-20)}: 12.00 for the bus"
    note_id = add_note(draft, draft.me, note, body, draft.moment(-90, -60))
    must: list[Expected] = []
    for person, cents in debts.items():
        must += [
            added("payments_payments", receiver_id=person.id, amount=cents, note=name),
            added(
                "expenses_settlements",
                group_id=group,
                receiver_id=person.id,
                amount=cents,
                settled_on=draft.life.day(0),
            ),
        ]
    line = f"{draft.life.day(0)}: {sum(debts.values()) / 100:.2f} for {name}"
    must.append(changed("notes_notes", note_id, body=f"{body}\n{line}"))
    return Plan(
        parameters={"name": name, "note": note},
        must=must,
        near_misses=[
            NearMiss("over all groups", edit=(", group_id=group_id)):", ")):")),
            NearMiss("nothing recorded", edit=("apis.expenses.record_settlement(", "dict(")),
            NearMiss("without a note on the payment", edit=(", note=name)", ")")),
            NearMiss("one less", edit=("for one in debts:", "for one in debts[1:]:")),
            NearMiss(
                "the old text is lost",
                edit=(
                    "append_to_note(access_token=notes, note_id=note_id, text=",
                    "update_note(access_token=notes, note_id=note_id, body=",
                ),
            ),
            NearMiss(
                "asks for the money", edit=("apis.payments.send_payment", "apis.payments.request_money")
            ),
        ],
    )


def gold(name: str, note: str) -> None:
    """Look the debts up, pay them one by one, then write the line."""
    me = apis.supervisor.show_profile()["email"]
    token = login("expenses")
    groups = every_page(apis.expenses.list_groups, access_token=token, query=name)
    group_id = next(one["group_id"] for one in groups if one["name"] == name)
    balances = every_page(apis.expenses.list_balances, access_token=token, group_id=group_id)
    debts = [one for one in balances if one["balance"] < 0]
    print(debts)

    payments = login("payments")
    for one in debts:
        amount = -one["balance"]
        apis.payments.send_payment(access_token=payments, email=one["email"], amount=amount, note=name)
        apis.expenses.record_settlement(
            access_token=token, group_id=group_id, payer_email=me, receiver_email=one["email"], amount=amount
        )

    notes = login("notes")
    found = every_page(apis.notes.search_notes, access_token=notes, query=note)
    note_id = next(one["note_id"] for one in found if one["title"] == note)
    today = apis.supervisor.show_current_time()["now"][:10]
    total = -sum(one["balance"] for one in debts)
    apis.notes.append_to_note(access_token=notes, note_id=note_id, text=f"{today}: {total:.2f} for {name}")

    apis.supervisor.complete_task()


SCENARIO = Scenario(
    name="settle_and_write_down",
    split="test_normal",
    phrasings=(
        'Pay everybody to whom I owe money in the expenses group "{name}" exactly that much, from my balance '
        'in the payments app, each payment with the note "{name}". Record each payment as a settlement of '
        "that group, of today and without a note. What others owe me stays open. In the end add one line to "
        'my note "{note}": today\'s day and what I paid in all, such as "2031-02-28: 17.40 for {name}".',
        'Settle my debts in the group "{name}" of the expenses app, those of that group alone: send each '
        "person "
        'what I owe them there with the payments app (from the balance, note "{name}"), and record a '
        "settlement "
        "with today's date and no note for each. Then append a line to the note \"{note}\" with today's date "
        'and the total of it, in this form: "2031-02-28: 17.40 for {name}".',
    ),
    prepare=prepare,
    gold=gold,
)
