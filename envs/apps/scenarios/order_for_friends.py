"""Order what friends ask for by text message, and ask them for the money."""

from __future__ import annotations

from palaestra.envs.apps.changes import added, same_text
from palaestra.envs.apps.life import Person
from palaestra.envs.apps.prepared_store import empty_cart, labelled, product
from palaestra.envs.apps.scenario import Draft, NearMiss, Plan, Scenario
from palaestra.envs.apps.services.phone_seed import add_message
from palaestra.envs.apps.skills import apis, every_page, login

_PLACES = (
    "the fair",
    "the camp",
    "the bazaar",
    "the workshop",
    "the rehearsal",
    "the tournament",
    "the cabin",
)
_THINGS = ("Camp stool", "Head torch", "Rain poncho", "Tin mug", "Felt slippers", "Hand warmer", "Straw hat")
_SORRY = ("Sorry, it is sold out", "They have none left, sorry", "Out of stock at the moment")


def prepare(draft: Draft) -> Plan:
    """Let friends ask for things, of which one is sold out, one asked for another place and one long ago."""
    empty_cart(draft)
    place, day, sorry = draft.choose(_PLACES), draft.number(3, 8), draft.choose(_SORRY)
    card = draft.choose(["blue card", "credit card"])
    friends = draft.sample(draft.life.relations["friend"], 7)
    things = draft.sample(_THINGS, 7)
    wishes = draft.number(3, 4)
    order_rows, must = [], []
    for number, (friend, thing) in enumerate(zip(friends, things, strict=True)):
        price, quantity, sold_out = draft.number(8, 60) * 50 - 1, draft.number(1, 3), number == 4
        wanted = product(draft, thing, price, stock=0 if sold_out else 30)
        product(draft, f"{thing} for children", price - 300)
        where = f"{place} next year" if number == 5 else place
        long_ago = number == 6
        if number < wishes or number >= 4:
            _wish(draft, friend, where, quantity, thing, -draft.number(1, 2) - day * long_ago)
        if number < wishes:
            order_rows.append({"product_id": wanted, "quantity": quantity, "price": price})
            must.append(added("payments_requests", payer_id=friend.id, amount=quantity * price, note=thing))
        if sold_out:
            must.append(added("phone_messages", receiver_id=friend.id, text=same_text(sorry)))
    subtotal = sum(row["price"] * row["quantity"] for row in order_rows)
    fee = 0 if subtotal >= 5000 else 499
    order = added(
        "shopping_orders",
        address_id=labelled(draft, "shopping_addresses", "home"),
        card_id=labelled(draft, "shopping_cards", card),
        delivery_fee=fee,
        total=subtotal + fee,
    )
    return Plan(
        parameters={"place": place, "day": draft.life.day(-day), "card": card, "sorry": sorry},
        must=[order, *(added("shopping_items", order_id=order, **row) for row in order_rows), *must],
        near_misses=[
            NearMiss("what was asked long ago", edit=(", from_date=day", "")),
            NearMiss("for any year", edit=("if rest == place", "if True")),
            NearMiss("the price of one", edit=("wanted['price'] * quantity", "wanted['price']")),
            NearMiss("express", edit=("card_id=card_id)", "card_id=card_id, delivery='express')")),
            NearMiss("nobody is told", edit=("for wish in missing:", "for wish in []:")),
            NearMiss("one request less", edit=("for wish in ordered:", "for wish in ordered[1:]:")),
        ],
    )


def _wish(draft: Draft, friend: Person, place: str, quantity: int, thing: str, day: int) -> None:
    add_message(
        draft,
        friend,
        draft.me,
        f"Please order {quantity} x {thing} for me, for {place}",
        draft.moment(day, day),
        read=draft.number(0, 1),
    )


def gold(place: str, day: str, card: str, sorry: str) -> None:
    """Read the wishes, order, then ask for money or say that there is none."""
    phone = login("phone")
    messages = every_page(
        apis.phone.search_messages,
        access_token=phone,
        query="Please order",
        direction="incoming",
        from_date=day,
    )
    wishes = []
    for message in messages:
        quantity, text = message["text"].removeprefix("Please order ").split(" x ")
        thing, rest = text.split(" for me, for ")
        if rest == place:
            wishes.append({"quantity": int(quantity), "thing": thing, "number": message["phone_number"]})
    print(wishes)

    shopping = login("shopping")
    ordered = []
    missing = []
    for wish in wishes:
        quantity = wish["quantity"]
        products = apis.shopping.search_products(access_token=shopping, query=wish["thing"], page_limit=20)
        wanted = next(one for one in products if one["name"] == wish["thing"])
        if wanted["in_stock"]:
            apis.shopping.add_to_cart(
                access_token=shopping, product_id=wanted["product_id"], quantity=quantity
            )
            ordered.append({**wish, "amount": round(wanted["price"] * quantity, 2)})
        else:
            missing.append(wish)
    print(ordered, missing)

    addresses = apis.shopping.list_addresses(access_token=shopping)
    cards = apis.shopping.list_cards(access_token=shopping)
    address_id = next(one["address_id"] for one in addresses if one["label"] == "home")
    card_id = next(one["card_id"] for one in cards if one["label"] == card)
    apis.shopping.place_order(access_token=shopping, address_id=address_id, card_id=card_id)

    payments = login("payments")
    for wish in ordered:
        contacts = apis.phone.search_contacts(access_token=phone, query=wish["number"])
        apis.payments.request_money(
            access_token=payments,
            email=contacts[0]["email"],
            amount=wish["amount"],
            note=wish["thing"],
        )
    for wish in missing:
        apis.phone.send_message(access_token=phone, phone_number=wish["number"], text=sorry)

    apis.supervisor.complete_task()


SCENARIO = Scenario(
    name="order_for_friends",
    split="test_challenge",
    phrasings=(
        'On {day} or later, friends sent me text messages like "Please order 2 x Tea cup for me, for '
        '{place}". Order what these messages ask for, as far as it is for {place}: exactly those products, '
        'in one order with standard delivery to my home address, paid with my "{card}". Then, in the '
        "payments app, request from each of them the price of their things without delivery; the note is "
        'the name of the product. If a product is sold out, leave it out and write "{sorry}" to the one '
        "who wanted it, as a text message.",
        "I promised to order things for {place}. Since {day} (that day included) some people have texted "
        'me their wishes, all in the form "Please order 2 x Tea cup for me, for {place}"; wishes for '
        'anything else do not count. Place one order in the store (address "home", card "{card}", standard '
        "delivery) with all of these products that are in stock, and request the price of what they get "
        "from everyone by the payments app, with the product's name as the note and no share of the "
        'delivery. Text "{sorry}" to those whose product is sold out.',
    ),
    prepare=prepare,
    gold=gold,
)
