"""Top up the balance by what is missing, then pay all that people ask for."""

from __future__ import annotations

from palaestra.envs.apps.changes import Expected, added, changed
from palaestra.envs.apps.scenario import Draft, NearMiss, Plan, Scenario
from palaestra.envs.apps.services.payments_seed import add_request, add_transfer, remove_requests
from palaestra.envs.apps.skills import apis, every_page, login

_BALANCE = (
    "SELECT (SELECT total(CASE direction WHEN 'top_up' THEN amount ELSE -amount END) "
    "FROM payments_transfers WHERE person_id = ?1) "
    "+ (SELECT total(amount) FROM payments_payments WHERE receiver_id = ?1) "
    "- (SELECT total(amount) FROM payments_payments WHERE person_id = ?1 AND card_id IS NULL)"
)


def prepare(draft: Draft) -> Plan:
    """Let people ask for more than the balance holds, some of them for it in other ways."""
    me = draft.me.id
    remove_requests(draft)
    # The third card has expired, the fourth does not move enough.
    card = draft.choose(draft.rows("SELECT * FROM payments_cards WHERE person_id = ? ORDER BY id", me)[:2])
    people = draft.sample([*draft.life.relations["friend"], *draft.life.relations["coworker"]], 6)
    must: list[Expected] = []
    total = 0
    for person in people[: draft.number(3, 5)]:
        amount = draft.number(1200, 9500)
        total += amount
        note = draft.choose(["tickets", "pizza", "taxi", "groceries", "present"])
        request = add_request(draft, person, draft.me, amount, note, draft.moment(-9, -3))
        must += [
            changed("payments_requests", request, status="approved"),
            added("payments_payments", receiver_id=person.id, amount=amount, note=note, request_id=request),
        ]
    add_request(draft, people[5], draft.me, 2000, "lunch", draft.moment(-9, -3), "denied")
    add_request(draft, people[4], draft.me, 2000, "lunch", draft.moment(-9, -3), "cancelled")
    add_request(draft, draft.me, people[5], 2000, "lunch", draft.moment(-9, -3))
    balance = draft.number(300, total - 800)
    difference = balance - round(draft.value(_BALANCE, me))
    add_transfer(draft, draft.me, difference or 1, draft.moment(-2, -1))
    missing = total - round(draft.value(_BALANCE, me))
    must.append(added("payments_transfers", card_id=card["id"], direction="top_up", amount=missing))
    return Plan(
        parameters={"card": card["label"]},
        must=must,
        near_misses=[
            NearMiss("tops up all of it", edit=("total - balance", "total")),
            NearMiss(
                "pays by card",
                edit=(
                    "request_id=request['request_id'])",
                    "request_id=request['request_id'], card_id=card_id)",
                ),
            ),
            NearMiss(
                "another card", edit=("one['label'] == card", "one['label'] != card and not one['expired']")
            ),
            NearMiss("tops up alone", edit=("for request in requests:", "for request in []:")),
            NearMiss("round amounts", edit=("round(total - balance, 2)", "round(total - balance + 0.5)")),
        ],
    )


def gold(card: str) -> None:
    """Add up, top up, pay."""
    token = login("payments")
    requests = every_page(
        apis.payments.list_requests, access_token=token, direction="incoming", status="pending"
    )
    total = sum(request["amount"] for request in requests)
    balance = apis.payments.show_balance(access_token=token)["balance"]
    print(requests, total, balance)

    cards = apis.payments.list_cards(access_token=token)
    card_id = next(one["card_id"] for one in cards if one["label"] == card)
    apis.payments.top_up(access_token=token, amount=round(total - balance, 2), card_id=card_id)
    for request in requests:
        apis.payments.approve_request(access_token=token, request_id=request["request_id"])

    apis.supervisor.complete_task()


SCENARIO = Scenario(
    name="top_up_for_requests",
    split="train",
    phrasings=(
        "I want to pay all pending requests for money to me from my balance in the payments app, but it does "
        'not hold enough. Top it up once from my card "{card}" by exactly what is missing, then approve the '
        "requests. In the end the balance should be $0.",
        "Approve every pending payment request that people have sent me, all from the balance. Before, move "
        'money from the card "{card}" to the balance, in one go and just so much that the balance is exactly '
        "0 when everything is paid.",
    ),
    prepare=prepare,
    gold=gold,
)
