"""Send orders that would arrive during an absence to another address."""

from __future__ import annotations

from palaestra.envs.apps.changes import changed
from palaestra.envs.apps.prepared_store import labelled, order, product
from palaestra.envs.apps.scenario import Draft, NearMiss, Plan, Scenario
from palaestra.envs.apps.services.calendar_seed import add_event
from palaestra.envs.apps.skills import apis, every_page, login

_TITLES = (
    "Fortnight off",
    "Language course",
    "Visit to the islands",
    "Rehab",
    "Trade fair",
    "Sabbatical",
    "Retreat",
)
_THINGS = ("Curtain rod", "Shoe rack", "Wine glasses", "Garden hose", "Board game", "Bath mat", "Spice rack")


def prepare(draft: Draft) -> Plan:
    """Let orders be on their way that arrive before, during and after; some are shipped already."""
    for row in draft.rows(
        "SELECT id FROM shopping_orders WHERE person_id = ? AND status IN ('placed', 'shipped')", draft.me.id
    ):
        draft.update("shopping_orders", row["id"], status="cancelled")
    title, label = draft.choose(_TITLES), draft.choose(["neighbor", "parents", "office"])
    first, length = draft.number(3, 6), draft.number(2, 6)
    last = first + length
    # Another event of the same name is over.
    for offset in (-draft.number(60, 90), first):
        add_event(draft, draft.me, title, f"{draft.life.day(offset)}T09:00", 24 * 60 * length)
    neighbor = draft.choose(draft.life.relations["neighbor"])
    for new in ("neighbor", "office"):
        draft.insert(
            "shopping_addresses",
            person_id=draft.me.id,
            label=new,
            recipient=neighbor.name if new == "neighbor" else draft.me.name,
            street=neighbor.street,
            city=neighbor.city,
            zip_code=neighbor.zip_code,
        )
    away = labelled(draft, "shopping_addresses", label)
    must = []
    kinds = [(first, "placed"), (last, "placed"), (draft.number(first, last), "placed")]
    kinds += [(first - 1, "placed"), (last + 1, "placed"), (first + 1, "shipped"), (first + 1, "cancelled")]
    things = draft.sample(_THINGS, len(kinds))
    for thing, (arrives, status) in draft.sample(list(zip(things, kinds, strict=True)), len(kinds)):
        price = draft.number(8, 60) * 100 - 1
        number = order(draft, [(product(draft, thing, price), 1, price)], -1, status, arrives=arrives)
        if status == "placed" and first <= arrives <= last:
            must.append(changed("shopping_orders", number, address_id=away))
    return Plan(
        parameters={"title": title, "label": label},
        must=must,
        near_misses=[
            NearMiss("all orders", edit=("if first <= one['expected_on'] <= last", "if True")),
            NearMiss("not on the first day", edit=("first <= one['exp", "first < one['exp")),
            NearMiss("not on the last day", edit=("expected_on'] <= last", "expected_on'] < last")),
            NearMiss("the event that is over", edit=("coming[0]", "events[0]")),
            NearMiss(
                "cancels them",
                edit=(
                    "update_order(access_token=shopping, order_id=one['order_id'], address_id=address_id)",
                    "cancel_order(access_token=shopping, order_id=one['order_id'])",
                ),
            ),
        ],
    )


def gold(title: str, label: str) -> None:
    """Look up when that is, then change what arrives in between."""
    today = apis.supervisor.show_current_time()["now"][:10]
    calendar = login("calendar")
    events = every_page(apis.calendar.search_events, access_token=calendar, query=title)
    coming = [one for one in events if one["title"] == title and one["starts_at"] > today]
    first, last = coming[0]["starts_at"][:10], coming[0]["ends_at"][:10]
    print(first, last)

    shopping = login("shopping")
    addresses = apis.shopping.list_addresses(access_token=shopping)
    address_id = next(one["address_id"] for one in addresses if one["label"] == label)
    orders = every_page(apis.shopping.list_orders, access_token=shopping, status="placed")
    print(orders)

    for one in orders:
        if first <= one["expected_on"] <= last:
            apis.shopping.update_order(access_token=shopping, order_id=one["order_id"], address_id=address_id)

    apis.supervisor.complete_task()


SCENARIO = Scenario(
    name="redirect_orders_while_away",
    split="test_challenge",
    phrasings=(
        'I will not be at home during my coming "{title}", which is in my calendar. Change the address of '
        "those of my orders in the store that are not shipped yet and are expected on one of its days, the "
        'first and the last one included, to "{label}". All other orders stay as they are.',
        'My next "{title}" (see the calendar) keeps me away from home from its first to its last day. '
        "Orders in the shopping app that would arrive on one of these days, both ends included, should go "
        'to my address "{label}", as far as they can still be changed. Touch nothing else.',
    ),
    prepare=prepare,
    gold=gold,
)
