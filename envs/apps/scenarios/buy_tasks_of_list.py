"""Buy the cheapest of each thing that a to-do list names, and tick off what was ordered."""

from __future__ import annotations

from palaestra.envs.apps.changes import added, changed
from palaestra.envs.apps.prepared_store import empty_cart, labelled, product
from palaestra.envs.apps.scenario import Draft, NearMiss, Plan, Scenario
from palaestra.envs.apps.services.todo_seed import add_list, add_task
from palaestra.envs.apps.skills import apis, every_page, login

_NAMES = ("Moving in", "Summer camp", "Studio", "Allotment", "Club house", "Spare room", "Youth center")
_THINGS = (
    "clothes iron",
    "wok",
    "doorstop",
    "step ladder",
    "mosquito net",
    "hot plate",
    "wall hook",
    "thermos",
)


def prepare(draft: Draft) -> Plan:
    """List things of which the cheapest is sold out, or of which there are none at all; some are bought."""
    empty_cart(draft)
    name, card = draft.choose(_NAMES), draft.choose(["blue card", "credit card"])
    label = draft.choose(["home", "parents"])
    listing = add_list(draft, draft.me, name, draft.moment(-80, -60))
    things = draft.sample(_THINGS, draft.number(5, 7))
    items, done = [], []
    for place, thing in enumerate(things):
        price = draft.number(8, 50) * 100 - 1
        product(draft, f"Nice {thing}", price + draft.number(2, 9) * 100)
        # Of the first thing nothing is left; of the second the cheapest is not.
        cheapest = product(draft, f"Simple {thing}", price, stock=0 if place < 2 else 12)
        if place == 0:
            draft.connection.execute(
                "UPDATE shopping_products SET supply = 0 WHERE name LIKE ?", [f"%{thing}"]
            )
        bought = place == 2
        task = add_task(
            draft,
            listing,
            draft.me,
            f"Buy: {thing}",
            made=draft.moment(-40, -20),
            completed_at=draft.moment(-10, -2) if bought else None,
        )
        if place == 1:
            cheapest = draft.value("SELECT id FROM shopping_products WHERE name = ?", f"Nice {thing}")
            price = draft.value("SELECT price FROM shopping_products WHERE id = ?", cheapest)
        if place != 0 and not bought:
            items.append({"product_id": cheapest, "price": price})
            done.append(changed("todo_tasks", task, done=1))
    for title in (f"Measure the {things[3]}", "Carry the boxes"):
        add_task(draft, listing, draft.me, title, made=draft.moment(-15, -2))
    subtotal = sum(item["price"] for item in items)
    fee = 0 if subtotal >= 5000 else 499
    order = added(
        "shopping_orders",
        address_id=labelled(draft, "shopping_addresses", label),
        card_id=labelled(draft, "shopping_cards", card),
        delivery_fee=fee,
        total=subtotal + fee,
    )
    return Plan(
        parameters={"name": name, "label": label, "card": card},
        must=[order, *(added("shopping_items", order_id=order, **item) for item in items), *done],
        near_misses=[
            NearMiss("the dearest of each", edit=("sort='cheapest'", "sort='dearest'")),
            NearMiss("what is done, too", edit=("list_id=list_id)", "list_id=list_id, done=None)")),
            NearMiss(
                "all tasks are done",
                edit=("for task_id in bought:", "for task_id in [task['task_id'] for task in tasks]:"),
            ),
            NearMiss("nothing is done", edit=("for task_id in bought:", "for task_id in []:")),
            NearMiss("next day", edit=("card_id=card_id)", "card_id=card_id, delivery='next_day')")),
            NearMiss("one less", edit=("for task in tasks:", "for task in tasks[:-1]:")),
        ],
    )


def gold(name: str, label: str, card: str) -> None:
    """Fill the cart from the tasks, order, and tick off."""
    todo = login("todo")
    lists = every_page(apis.todo.list_lists, access_token=todo)
    list_id = next(one["list_id"] for one in lists if one["name"] == name)
    tasks = every_page(apis.todo.search_tasks, access_token=todo, list_id=list_id)
    tasks = [task for task in tasks if task["title"].startswith("Buy: ")]
    print(tasks)

    shopping = login("shopping")
    bought = []
    for task in tasks:
        thing = task["title"].removeprefix("Buy: ")
        products = apis.shopping.search_products(
            access_token=shopping, query=thing, in_stock=True, sort="cheapest"
        )
        if products:
            apis.shopping.add_to_cart(access_token=shopping, product_id=products[0]["product_id"])
            bought.append(task["task_id"])

    addresses = apis.shopping.list_addresses(access_token=shopping)
    cards = apis.shopping.list_cards(access_token=shopping)
    address_id = next(one["address_id"] for one in addresses if one["label"] == label)
    card_id = next(one["card_id"] for one in cards if one["label"] == card)
    apis.shopping.place_order(access_token=shopping, address_id=address_id, card_id=card_id)
    for task_id in bought:
        apis.todo.mark_done(access_token=todo, task_id=task_id)

    apis.supervisor.complete_task()


SCENARIO = Scenario(
    name="buy_tasks_of_list",
    split="test_challenge",
    phrasings=(
        'Do the open tasks "Buy: ..." of my to-do list "{name}": for each, order one piece of the cheapest '
        "product in the store that is in stock and has the thing's name in its own. Order it all at once, "
        'with standard delivery to the address "{label}", and pay with my "{card}". Mark the tasks of what '
        "you ordered as done. Where nothing is in stock, leave the task open.",
        'My to-do list "{name}" has open tasks like "Buy: teapot". Put one of each such thing into the '
        "cart of the store, always the cheapest one that can be ordered and whose name contains the thing, "
        'and place one order (address "{label}", card "{card}", standard delivery). Then tick off what is '
        "ordered; a task for which there is nothing to buy stays open.",
    ),
    prepare=prepare,
    gold=gold,
)
