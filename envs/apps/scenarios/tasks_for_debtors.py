"""Make a task of every old request for money that nobody has paid."""

from __future__ import annotations

from palaestra.envs.apps.changes import added, same_text
from palaestra.envs.apps.scenario import Draft, NearMiss, Plan, Scenario
from palaestra.envs.apps.services.payments_seed import add_request, remove_requests
from palaestra.envs.apps.skills import apis, every_page, login


def prepare(draft: Draft) -> Plan:
    """Leave requests of the supervisor: old and new, answered and pending, on both sides of the limit."""
    ago, limit = draft.number(8, 20), draft.number(15, 40) * 100
    day, due = draft.life.day(-ago), draft.life.day(draft.number(2, 12))
    name = draft.choose(["Errands", "Home", "Work"])
    list_id = draft.value("SELECT id FROM todo_lists WHERE person_id = ? AND name = ?", draft.me.id, name)
    remove_requests(draft)
    old = (-ago - 25, -ago - 1)
    kinds = [
        (old, limit, "pending"),
        (old, limit + draft.number(1, 3000), "pending"),
        (old, limit - draft.number(1, 900), "pending"),
        ((-ago, -ago), limit + 210, "pending"),
        ((-ago + 1, -1), draft.number(200, 5000), "pending"),
        (old, draft.number(200, 5000), "denied"),
    ]
    if draft.number(0, 1):
        kinds.append((old, draft.number(200, 1400), "pending"))
    debtors = draft.sample(draft.life.relations["friend"], len(kinds))
    must = []
    for person, (days, amount, status) in zip(debtors, draft.sample(kinds, len(kinds)), strict=True):
        add_request(
            draft,
            draft.me,
            person,
            amount,
            draft.choose(["tickets", "pizza", "taxi", "groceries", "present"]),
            draft.moment(*days),
            status,
        )
        if days == old and status == "pending":
            must.append(
                added(
                    "todo_tasks",
                    list_id=list_id,
                    title=same_text(f"Ask {person.name} for ${amount / 100:.2f}"),
                    due_date=due,
                    priority="high" if amount >= limit else "normal",
                    created_by=draft.me.id,
                )
            )
    add_request(draft, debtors[0], draft.me, limit + 500, "lunch", draft.moment(*old))
    return Plan(
        parameters={"day": day, "name": name, "due": due, "limit": limit // 100},
        must=must,
        near_misses=[
            NearMiss(
                "those of the day itself",
                edit=("request['created_at'] < day", "request['created_at'][:10] <= day"),
            ),
            NearMiss("requests to the supervisor", edit=("direction='outgoing', ", "")),
            NearMiss("denied ones as well", edit=(", status='pending'", "")),
            NearMiss("more than the limit", edit=(">= limit", "> limit")),
            NearMiss("never due", edit=(", due_date=due", "")),
            NearMiss(
                "reminds them, too",
                edit=(
                    "    if request['created_at'] < day:",
                    "    apis.payments.remind(access_token=payments, request_id=request['request_id'])\n  "
                    "  if request['created_at'] < day:",
                ),
            ),
        ],
    )


def gold(day: str, name: str, due: str, limit: int) -> None:
    """Read the requests, then write the tasks."""
    payments = login("payments")
    requests = every_page(
        apis.payments.list_requests, access_token=payments, direction="outgoing", status="pending"
    )
    print(requests)

    token = login("todo")
    lists = every_page(apis.todo.list_lists, access_token=token)
    list_id = next(one["list_id"] for one in lists if one["name"] == name)
    for request in requests:
        if request["created_at"] < day:
            title = f"Ask {request['payer']['name']} for ${request['amount']:.2f}"
            priority = "high" if request["amount"] >= limit else "normal"
            apis.todo.create_task(
                access_token=token, list_id=list_id, title=title, due_date=due, priority=priority
            )

    apis.supervisor.complete_task()


SCENARIO = Scenario(
    name="tasks_for_debtors",
    split="dev",
    phrasings=(
        "For each request for money that I made in the payments app before {day} and that is still pending, "
        'put a task into my to-do list "{name}": titled like "Ask Ada Stone for $12.50", due on {due}, with '
        "high priority if it is ${limit} or more and normal priority otherwise. Do not touch the requests.",
        'I want to talk to those who have not paid me. Add a task to the list "{name}" of the to-do app for '
        "each of my own pending payment requests from before {day}. The title has the full name and the "
        'amount with cents, as in "Ask Ada Stone for $12.50"; the due date is {due}; the priority is high '
        "from "
        "${limit} on, that amount included, and normal below. The requests stay as they are.",
    ),
    prepare=prepare,
    gold=gold,
)
