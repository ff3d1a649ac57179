"""Remind those who have owed money for long; take back what is small."""

from __future__ import annotations

from palaestra.envs.apps.changes import changed
from palaestra.envs.apps.scenario import Draft, NearMiss, Plan, Scenario
from palaestra.envs.apps.services.payments_seed import add_request, remove_requests
from palaestra.envs.apps.skills import apis, every_page, login


def prepare(draft: Draft) -> Plan:
    """Leave requests of the supervisor that are old and new, small and large, and one that is to be paid."""
    day = draft.life.day(-draft.number(12, 25))
    small = draft.number(5, 9)
    remove_requests(draft)
    friends = draft.sample(draft.life.relations["friend"], 5)
    kinds = [(True, True), (True, False), (True, False), (False, False), (False, True)]
    must = []
    for friend, (old, tiny) in zip(friends, draft.sample(kinds, len(kinds)), strict=True):
        request = add_request(
            draft,
            draft.me,
            friend,
            draft.number(100, small * 100 - 1) if tiny else draft.number(small * 100, 6000),
            draft.choose(["tickets", "pizza", "taxi", "groceries", "present"]),
            draft.moment(-50, -27) if old else draft.moment(-10, -1),
        )
        if old:
            must.append(
                changed("payments_requests", request, status="cancelled")
                if tiny
                else changed("payments_requests", request, reminders=1)
            )
    add_request(draft, friends[0], draft.me, 1200, "book", draft.moment(-50, -27))
    return Plan(
        parameters={"day": day, "small": small},
        must=must,
        near_misses=[
            NearMiss("new ones as well", edit=("if request['created_at'] < day:", "if True:")),
            NearMiss("cancels all old ones", edit=("request['amount'] < small", "True")),
            NearMiss("reminds of all old ones", edit=("request['amount'] < small", "False")),
            NearMiss(
                "reminds twice",
                edit=(
                    "        apis.payments.remind(access_token=token, request_id=request['request_id'])",
                    "        apis.payments.remind(access_token=token, request_id=request['request_id'])\n"
                    "            apis.payments.remind(access_token=token, request_id=request['request_id'])",
                ),
            ),
        ],
    )


def gold(day: str, small: int) -> None:
    """Cancel or remind."""
    token = login("payments")
    requests = every_page(
        apis.payments.list_requests, access_token=token, direction="outgoing", status="pending"
    )
    print(requests)

    for request in requests:
        if request["created_at"] < day:
            if request["amount"] < small:
                apis.payments.cancel_request(access_token=token, request_id=request["request_id"])
            else:
                apis.payments.remind(access_token=token, request_id=request["request_id"])

    apis.supervisor.complete_task()


SCENARIO = Scenario(
    name="remind_old_debtors",
    split="dev",
    phrasings=(
        "Some of my requests for money from before {day} are still pending. Cancel those of them that are "
        "below ${small}, and send one reminder for each of the others. Leave newer requests alone.",
        "Look at what people have owed me in the payments app since before {day}: if it is less than "
        "${small}, cancel my request, otherwise remind them once. Newer requests can wait.",
    ),
    prepare=prepare,
    gold=gold,
)
