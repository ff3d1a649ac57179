"""Write a file that lists the orders of a month and their sum."""

from __future__ import annotations

import datetime

from palaestra.envs.apps.changes import added, same_text
from palaestra.envs.apps.prepared_files import folder
from palaestra.envs.apps.prepared_store import order, product
from palaestra.envs.apps.scenario import Draft, NearMiss, Plan, Scenario
from palaestra.envs.apps.skills import apis, every_page, login

_THINGS = ("Cake tin", "Paint brush", "Door bell", "Foot ball", "Tea strainer", "Water colors", "Cord")


def prepare(draft: Draft) -> Plan:
    """Add orders to those of the month: on its last day, in the next month, and one that was cancelled."""
    month_ago = draft.life.today.replace(day=1) - datetime.timedelta(days=draft.choose([1, 40]))
    month, place = month_ago.strftime("%Y-%m"), draft.choose(["/documents", "/bills", "/documents/letters"])
    following = (month_ago.replace(day=1) + datetime.timedelta(days=32)).replace(day=1)
    start = month_ago.replace(day=1)
    days = [
        following - datetime.timedelta(days=1),
        *(start + datetime.timedelta(days=n) for n in (3, 11, 17)),
    ]
    outside = [following, start - datetime.timedelta(days=1)]
    placed = []
    for thing, day in zip(draft.sample(_THINGS, 7), [*days, *outside, days[2]], strict=True):
        price = draft.number(5, 60) * 100 - draft.number(1, 60)
        offset = (day - draft.life.today).days
        # An order of today would lie in the future in the morning.
        if offset < 0:
            placed.append(order(draft, [(product(draft, thing, price), draft.number(1, 2), price)], offset))
    draft.update("shopping_orders", placed[-1], status="cancelled", delivered_on=None)
    rows = draft.rows(
        "SELECT substr(created_at, 1, 10) AS day, total FROM shopping_orders WHERE person_id = ? "
        "AND substr(created_at, 1, 7) = ? AND status != 'cancelled' ORDER BY created_at, id",
        draft.me.id,
        month,
    )
    lines = [f"{row['day']},{row['total'] / 100:.2f}" for row in rows]
    lines.append(f"total,{sum(row['total'] for row in rows) / 100:.2f}")
    path = f"{place}/orders {month}.csv"
    return Plan(
        parameters={"month": month, "path": path},
        must=[
            added(
                "files_entries",
                parent_id=folder(draft, place),
                name=f"orders {month}.csv",
                content=same_text("\n".join(lines)),
            )
        ],
        near_misses=[
            NearMiss("cancelled ones, too", edit=("one['status'] != 'cancelled'", "True")),
            NearMiss("the latest first", edit=("reversed(orders)", "orders")),
            NearMiss("without delivery", edit=("one['total'] for", "one['subtotal'] for")),
            NearMiss("no total", edit=("lines.append(f'total,{total:.2f}')", "pass")),
            NearMiss("without the last order", edit=("for one in chosen]", "for one in chosen[:-1]]")),
        ],
    )


def gold(month: str, path: str) -> None:
    """Collect the orders, then write them down."""
    shopping = login("shopping")
    orders = every_page(apis.shopping.list_orders, access_token=shopping, from_date=f"{month}-01")
    chosen = [
        one
        for one in reversed(orders)
        if one["ordered_at"].startswith(month) and one["status"] != "cancelled"
    ]
    print(chosen)

    lines = [f"{one['ordered_at'][:10]},{one['total']:.2f}" for one in chosen]
    total = sum(one["total"] for one in chosen)
    lines.append(f"total,{total:.2f}")
    files = login("files")
    apis.files.create_file(access_token=files, path=path, text="\n".join(lines))

    apis.supervisor.complete_task()


SCENARIO = Scenario(
    name="orders_of_month_as_file",
    split="test_challenge",
    phrasings=(
        'Create the file "{path}" about what I ordered in the store in {month} (all orders made in that '
        "month that were not cancelled): a line for each order, the oldest first, with the day, a comma "
        'and the total in dollars with two decimals, such as "2031-04-07,25.90"; and as the last line '
        '"total," and the sum of all of them, in the same form. No other lines.',
        'How much did I spend in the store in {month}? Write it to a new file, "{path}": for every order '
        'of that month, oldest first and without cancelled ones, a line like "2031-04-07,25.90" (day of '
        'the order, its total with two decimals), then one last line like "total,310.25" with the sum.',
    ),
    prepare=prepare,
    gold=gold,
)
