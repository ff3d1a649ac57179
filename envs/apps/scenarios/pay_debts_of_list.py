"""Pay the people that a to-do list names, and tick the tasks off."""

from __future__ import annotations

from palaestra.envs.apps.changes import added, changed
from palaestra.envs.apps.scenario import Draft, NearMiss, Plan, Scenario
from palaestra.envs.apps.services.payments_seed import add_transfer
from palaestra.envs.apps.services.todo_seed import add_list, add_task
from palaestra.envs.apps.skills import apis, every_page, login

_NAMES = ("Debts", "I owe", "To pay back", "Money matters", "Loose ends", "Pay soon")
_FOR = ("cinema", "bread", "gasoline", "lottery", "stamps", "haircut", "flowers", "parking", "lamp")


def prepare(draft: Draft) -> Plan:
    """Write tasks that are due before, on and after the day; two people have the same first name."""
    name, offset = draft.choose(_NAMES), draft.number(2, 6)
    listing = add_list(draft, draft.me, name, draft.moment(-60, -40))
    people = draft.sample([*draft.life.relations["friend"], *draft.life.relations["coworker"]], 6)
    kinds = [-2, 0, 0, 1, 3, None]
    must = []
    for person, thing, kind in zip(people, draft.sample(_FOR, 6), draft.sample(kinds, 6), strict=True):
        amount = draft.number(3, 40) * 100 + draft.choose([0, 50])
        done = kind == -2 and draft.number(0, 1) == 1
        task = add_task(
            draft,
            listing,
            draft.me,
            f"{person.name}: ${amount / 100:.2f} for {thing}",
            made=draft.moment(-39, -30),
            due_date=None if kind is None else draft.life.day(offset + kind),
            completed_at=draft.moment(-3, -2) if done else None,
        )
        if kind is not None and kind <= 0 and not done:
            must += [
                added("payments_payments", receiver_id=person.id, amount=amount, note=thing),
                changed("todo_tasks", task, done=1),
            ]
    add_transfer(draft, draft.me, 30_000, draft.moment(-2, -1))
    return Plan(
        parameters={"name": name, "day": draft.life.day(offset)},
        must=must,
        near_misses=[
            NearMiss("later ones too", edit=(", due_until=day", "")),
            NearMiss(
                "not those of the day itself",
                edit=("for task in tasks:", "for task in [one for one in tasks if one['due_date'] < day]:"),
            ),
            NearMiss("without the note", edit=(", note=note", "")),
            NearMiss("ticks nothing off", edit=("apis.todo.mark_done(", "apis.todo.show_task(")),
            NearMiss("a cent more", edit=("amount=float(amount)", "amount=float(amount) + 0.01")),
        ],
    )


def gold(name: str, day: str) -> None:
    """Read the tasks, find the people, pay."""
    todo = login("todo")
    payments = login("payments")
    lists = every_page(apis.todo.list_lists, access_token=todo)
    list_id = next(one["list_id"] for one in lists if one["name"] == name)
    tasks = every_page(apis.todo.search_tasks, access_token=todo, list_id=list_id, done=False, due_until=day)
    print(tasks)

    for task in tasks:
        person, rest = task["title"].split(": $")
        amount, note = rest.split(" for ")
        people = apis.payments.search_people(access_token=payments, query=person, page_limit=20)
        email = next(one["email"] for one in people if one["name"] == person)
        apis.payments.send_payment(access_token=payments, email=email, amount=float(amount), note=note)
        apis.todo.mark_done(access_token=todo, task_id=task["task_id"])

    apis.supervisor.complete_task()


SCENARIO = Scenario(
    name="pay_debts_of_list",
    split="train",
    phrasings=(
        'My to-do list "{name}" says whom I owe how much for what. Send these payments for all open tasks '
        "that are "
        "due by {day} (that day included), what it was for being the note, and mark the tasks as done.",
        'Pay what is due until and on {day} in my to-do list "{name}". Every task reads "person: amount '
        'for thing": '
        "the thing is the note of the payment. Tick off each task that you have paid.",
    ),
    prepare=prepare,
    gold=gold,
)
