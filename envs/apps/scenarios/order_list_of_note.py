"""Order what a note lists; wish for what is sold out."""

from __future__ import annotations

from palaestra.envs.apps.changes import added, changed, removed
from palaestra.envs.apps.prepared_store import empty_cart, labelled, product
from palaestra.envs.apps.scenario import Draft, NearMiss, Plan, Scenario
from palaestra.envs.apps.services.notes_seed import add_note
from palaestra.envs.apps.skills import apis, every_page, login

_TITLES = ("For the balcony", "Party things", "New kitchen", "Camping gear", "For the workshop", "Guest room")
_THINGS = (
    "Tea pot",
    "Folding chair",
    "Paper lantern",
    "Tool box",
    "Picnic basket",
    "Rain barrel",
    "Bath towel",
)


def prepare(draft: Draft) -> Plan:
    """Write a note of products, each of which has a twin; some are sold out. Something is in the cart."""
    empty_cart(draft)
    title, label = draft.choose(_TITLES), draft.choose(["home", "parents"])
    card = draft.choose(["blue card", "credit card"])
    things = draft.sample(_THINGS, draft.number(5, 6))
    lines, items, wishes = [], [], []
    for place, thing in enumerate(things):
        price, quantity, sold_out = draft.number(6, 40) * 50 - 1, draft.number(1, 4), place < 2
        name = f"{thing}, green"
        wanted = product(draft, name, price, stock=0 if sold_out else 20)
        product(draft, f"{name}, used", price // 2)
        lines.append(f"- {quantity} x {name}")
        if sold_out:
            wishes.append(added("shopping_wishes", product_id=wanted))
        else:
            items.append({"product_id": wanted, "quantity": quantity, "price": price})
    other = product(draft, "Desk pad, felt", 1899)
    old = draft.insert(
        "shopping_cart", person_id=draft.me.id, product_id=other, created_at=draft.moment(-2, -1)
    )
    note = add_note(
        draft,
        draft.me,
        title,
        "\n".join(draft.sample(lines, len(lines))),
        draft.moment(-3, -1),
        tags=["home"],
    )
    subtotal = sum(item["price"] * item["quantity"] for item in items)
    order = added(
        "shopping_orders",
        address_id=labelled(draft, "shopping_addresses", label),
        card_id=labelled(draft, "shopping_cards", card),
        delivery="express",
        delivery_fee=999,
        total=subtotal + 999,
    )
    return Plan(
        parameters={"title": title, "label": label, "card": card},
        must=[
            removed("shopping_cart", old),
            order,
            *(added("shopping_items", order_id=order, **item) for item in items),
            *wishes,
            changed("notes_notes", note, archived=1),
        ],
        near_misses=[
            NearMiss(
                "the cart as it was, too", edit=("apis.shopping.clear_cart(access_token=shopping)", "pass")
            ),
            NearMiss("one of each", edit=("quantity=int(quantity)", "quantity=1")),
            NearMiss("the cheaper twin", edit=("one['name'] == name", "one['name'] == name + ', used'")),
            NearMiss("standard delivery", edit=(", delivery='express'", "")),
            NearMiss(
                "nothing is wished for",
                edit=("apis.shopping.add_wish(access_token=shopping, product_id=product_id)", "pass"),
            ),
            NearMiss("to another address", parameters={"label": "parents" if label == "home" else "home"}),
        ],
    )


def gold(title: str, label: str, card: str) -> None:
    """Fill the cart from the note, then order."""
    notes = login("notes")
    found = every_page(apis.notes.search_notes, access_token=notes, query=title)
    note_id = next(note["note_id"] for note in found if note["title"] == title)
    body = apis.notes.show_note(access_token=notes, note_id=note_id)["body"]
    print(body)

    shopping = login("shopping")
    apis.shopping.clear_cart(access_token=shopping)
    for line in body.splitlines():
        quantity, name = line.removeprefix("- ").split(" x ")
        products = apis.shopping.search_products(access_token=shopping, query=name, page_limit=20)
        wanted = next(one for one in products if one["name"] == name)
        product_id = wanted["product_id"]
        if wanted["in_stock"]:
            apis.shopping.add_to_cart(access_token=shopping, product_id=product_id, quantity=int(quantity))
        else:
            apis.shopping.add_wish(access_token=shopping, product_id=product_id)

    addresses = apis.shopping.list_addresses(access_token=shopping)
    cards = apis.shopping.list_cards(access_token=shopping)
    address_id = next(one["address_id"] for one in addresses if one["label"] == label)
    card_id = next(one["card_id"] for one in cards if one["label"] == card)
    apis.shopping.place_order(
        access_token=shopping, address_id=address_id, card_id=card_id, delivery="express"
    )
    apis.notes.update_note(access_token=notes, note_id=note_id, archived=True)

    apis.supervisor.complete_task()


SCENARIO = Scenario(
    name="order_list_of_note",
    split="test_challenge",
    phrasings=(
        'Order what my note "{title}" lists, in one order: exactly these products, in these numbers. What '
        "is in my shopping cart now is not wanted any more, take it out first. Products that are sold out "
        'go on my list of wishes instead. Send the order to the address "{label}" with express delivery, '
        'pay with my "{card}", and archive the note.',
        'My note "{title}" is a shopping list. Empty my cart in the shopping app, put all that is listed '
        "into it (the right number of each), and place one order: express delivery to my address "
        '"{label}", paid with the "{card}". If something is out of stock, leave it out and add it to the '
        "wishes. When that is done the note can go to the archive.",
    ),
    prepare=prepare,
    gold=gold,
)
