"""Pay the requests for money below a limit, refuse the others."""

from __future__ import annotations

from palaestra.envs.apps.changes import added, changed
from palaestra.envs.apps.scenario import Draft, NearMiss, Plan, Scenario
from palaestra.envs.apps.services.payments_seed import add_request, remove_requests
from palaestra.envs.apps.skills import apis, every_page, login


def prepare(draft: Draft) -> Plan:
    """Let friends ask for amounts on both sides of the limit, and one for exactly that much."""
    limit = draft.number(20, 45) * 100
    remove_requests(draft)
    amounts = [
        limit,
        limit - draft.number(100, 900),
        limit + draft.number(1, 99),
        limit + 100 * draft.number(5, 30),
    ]
    amounts += [draft.number(5, 15) * 100 for _ in range(draft.number(0, 2))]
    friends = draft.sample(draft.life.relations["friend"], len(amounts))
    must = []
    for friend, amount in zip(friends, draft.sample(amounts, len(amounts)), strict=True):
        note = draft.choose(["tickets", "pizza", "taxi", "groceries", "present"])
        request = add_request(draft, friend, draft.me, amount, note, draft.moment(-9, -1))
        paid = amount <= limit
        must.append(changed("payments_requests", request, status="approved" if paid else "denied"))
        if paid:
            must.append(
                added(
                    "payments_payments", receiver_id=friend.id, amount=amount, note=note, request_id=request
                )
            )
    add_request(
        draft, draft.me, draft.life.relations["partner"][0], limit - 500, "lunch", draft.moment(-9, -1)
    )
    return Plan(
        parameters={"limit": limit // 100},
        must=must,
        near_misses=[
            NearMiss("pays everything", edit=("request['amount'] <= limit", "True")),
            NearMiss("refuses everything", edit=("request['amount'] <= limit", "False")),
            NearMiss("refuses what is exactly the limit", edit=("<= limit", "< limit")),
            NearMiss(
                "leaves the others open", edit=("apis.payments.deny_request", "apis.payments.show_payment")
            ),
            NearMiss(
                "pays beside the request",
                edit=(
                    "apis.payments.approve_request(access_token=token, request_id=request['request_id'])",
                    "apis.payments.send_payment(access_token=token, email=request['requester']['email'], "
                    "amount=request['amount'], note=request['note'])",
                ),
            ),
        ],
    )


def gold(limit: int) -> None:
    """Answer them one by one."""
    token = login("payments")
    requests = every_page(
        apis.payments.list_requests, access_token=token, direction="incoming", status="pending"
    )
    print(requests)

    for request in requests:
        if request["amount"] <= limit:
            apis.payments.approve_request(access_token=token, request_id=request["request_id"])
        else:
            apis.payments.deny_request(access_token=token, request_id=request["request_id"])

    apis.supervisor.complete_task()


SCENARIO = Scenario(
    name="answer_payment_requests",
    split="train",
    phrasings=(
        "Go through the pending requests for money that I got: approve those for up to ${limit} and deny "
        "those for more. Pay from my balance.",
        "People ask me for money again. Whatever is at most ${limit}, approve and pay it from my balance; "
        "deny all that is above.",
        "Answer all my open incoming payment requests, from my balance: ${limit} or less is fine, more than "
        "that is to be denied.",
    ),
    prepare=prepare,
    gold=gold,
)
