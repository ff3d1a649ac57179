"""Pay the requests that ask for exactly what is owed in a group, refuse the others about it."""

from __future__ import annotations

from palaestra.envs.apps.changes import Expected, added, changed
from palaestra.envs.apps.life import Person
from palaestra.envs.apps.scenario import Draft, NearMiss, Plan, Scenario
from palaestra.envs.apps.services.expenses_seed import add_debt, add_group
from palaestra.envs.apps.services.payments_seed import add_request, add_transfer, remove_requests
from palaestra.envs.apps.skills import apis, every_page, login

_NAMES = ("Raft trip", "Opera night", "Pottery course", "Housewarming", "Mushroom hunt", "Tennis camp")


def prepare(draft: Draft) -> Plan:
    """Let the supervisor owe members of a group money; some ask for that much, some for more or less."""
    name = draft.choose(_NAMES)
    people = draft.sample(draft.life.relations["friend"], 6)
    remove_requests(draft)
    group = add_group(draft, people[0], name, (draft.me, *people), draft.moment(-60, -50))
    debts = {person: draft.number(400, 3500) for person in people[:4]}
    for person, cents in debts.items():
        add_debt(draft, group, draft.me, person, cents, draft.moment(-40, -20))
    add_debt(draft, group, people[4], draft.me, 2600, draft.moment(-40, -20))
    # Right, right, a little too much, too little; from one who owes, and from one who is even.
    asked = [(people[0], 0), (people[1], 0), (people[2], draft.number(1, 90)), (people[3], -100)]
    if draft.number(0, 1):
        asked[1] = (people[1], draft.number(100, 400))
    must: list[Expected] = []
    for person, more in draft.sample(asked, len(asked)):
        must += _request(draft, person, debts[person] + more, name, right=not more)
    must += _request(draft, people[4], 2600, name, right=False)
    must += _request(draft, people[5], draft.number(300, 2000), name, right=False)
    _request(draft, people[2], debts[people[2]], "lunch", right=False)
    add_transfer(draft, draft.me, 20_000, draft.moment(-3, -2))
    return Plan(
        parameters={"name": name},
        must=must,
        near_misses=[
            NearMiss("pays all", edit=("if request['amount'] == owed.get(email_asking):", "if True:")),
            NearMiss(
                "less than owed is fine", edit=("== owed.get(email_asking)", "<= owed.get(email_asking, 0)")
            ),
            NearMiss("requests for other things", edit=("if request['note'] == name]", "]")),
            NearMiss("leaves the wrong ones", edit=("apis.payments.deny_request(", "dict(")),
            NearMiss(
                "whoever owes or is owed",
                edit=("owed[one['email']] = -one['balance']", "owed[one['email']] = abs(one['balance'])"),
            ),
        ],
    )


def _request(draft: Draft, person: Person, amount: int, note: str, *, right: bool) -> list[Expected]:
    """Write a request to the supervisor; return what has to become of it."""
    request = add_request(draft, person, draft.me, amount, note, draft.moment(-9, -1))
    if not right:
        return [changed("payments_requests", request, status="denied")]
    return [
        changed("payments_requests", request, status="approved"),
        added("payments_payments", receiver_id=person.id, amount=amount, note=note, request_id=request),
    ]


def gold(name: str) -> None:
    """Look up what is owed, then answer the requests."""
    token = login("expenses")
    groups = every_page(apis.expenses.list_groups, access_token=token, query=name)
    group_id = next(one["group_id"] for one in groups if one["name"] == name)
    balances = every_page(apis.expenses.list_balances, access_token=token, group_id=group_id)
    owed = {}
    for one in balances:
        owed[one["email"]] = -one["balance"]
    print(owed)

    token = login("payments")
    requests = every_page(
        apis.payments.list_requests, access_token=token, direction="incoming", status="pending"
    )
    about = [request for request in requests if request["note"] == name]
    print(about)

    for request in about:
        email_asking = request["requester"]["email"]
        if request["amount"] == owed.get(email_asking):
            apis.payments.approve_request(access_token=token, request_id=request["request_id"])
        else:
            apis.payments.deny_request(access_token=token, request_id=request["request_id"])

    apis.supervisor.complete_task()


SCENARIO = Scenario(
    name="answer_requests_by_debts",
    split="train",
    phrasings=(
        'People ask me for money by the payments app, with the note "{name}". Compare each of these pending '
        'requests with what I owe that person in the expenses group "{name}": if it is exactly that amount, '
        "pay it from my balance, otherwise deny it. Requests with other notes stay pending.",
        'Check the pending requests to me whose note is "{name}" against the group "{name}" in the expenses '
        "app. Approve one (from the balance) only if it asks for exactly what I owe the person in that "
        "group, "
        "to the cent; deny it if it is more or less, or if I owe them nothing there. Leave all others alone.",
    ),
    prepare=prepare,
    gold=gold,
)
