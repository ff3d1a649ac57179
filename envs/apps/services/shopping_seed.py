"""What the store sells, and what a life has bought, wished for and thought of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from palaestra.envs.apps.life import Life, Person
from palaestra.envs.apps.world import Database

_PRODUCTS: dict[str, tuple[int, tuple[str, ...], tuple[str, ...]]] = {
    "kitchen": (
        18,
        ("steel kettle", "bread knife", "cast iron pan", "salad bowl", "coffee grinder", "cutting board"),
        ("small", "large"),
    ),
    "electronics": (
        45,
        ("wireless mouse", "headphones", "desk lamp", "power bank", "bluetooth speaker", "webcam"),
        ("basic", "pro"),
    ),
    "books": (
        12,
        ("bread baking book", "bird guide", "travel guide", "crime novel", "chess book", "garden book"),
        ("paperback", "hardcover"),
    ),
    "sports": (
        28,
        ("yoga mat", "water bottle", "jump rope", "running belt", "badminton set", "cycling gloves"),
        ("red", "blue"),
    ),
    "clothing": (
        24,
        ("rain jacket", "wool scarf", "cotton socks", "sun hat", "linen shirt", "winter gloves"),
        ("gray", "green"),
    ),
    "home": (
        20,
        ("wool blanket", "door mat", "table clock", "picture frame", "laundry basket", "candle set"),
        ("white", "oak"),
    ),
    "garden": (
        16,
        ("watering can", "herb pot", "bird feeder", "hand shovel", "string lights", "plant labels"),
        ("green", "copper"),
    ),
    "toys": (14, ("wooden train", "card game", "kite", "puzzle"), ("junior", "family")),
}
"""Of each category: about what things cost, the things, and in which forms there are."""
_SELLERS = ("Oakhouse", "Brightside Goods", "Harbor Supply", "Little Fox", "Norden & Co")
_OPINIONS = {
    1: ("broke after a week", "not what the picture shows"),
    2: ("smaller than I thought", "arrived scratched"),
    3: ("does what it should", "all right for the price"),
    4: ("good, but the box was damaged", "nice, would buy it again"),
    5: ("wonderful", "the best one I have had", "my whole family uses it"),
}


def seed(life: Life, database: Database) -> None:
    """Fill the app."""
    generator = life.generator("shopping")
    products = _products(database, generator)
    _reviews(life, database, generator, products)
    store = _Store(life, database, generator, products)
    me = life.supervisor
    parents = life.relations["mother"][0]
    addresses = [store.address(me, "home", me), store.address(me, "parents", parents)]
    year = life.today.year
    cards = [
        store.card(me, "blue card", f"{year + 2}-03"),
        store.card(me, "old card", f"{year - 1}-11"),
        store.card(me, "credit card", f"{year + 3}-09"),
    ]
    if generator.random() < 0.5:
        database.insert(
            "shopping_memberships",
            person_id=me.id,
            card_id=cards[0],
            paid_until=life.day(int(generator.integers(30, 300))),
            created_at=life.moment(generator, -60, -40),
        )
    for day, status in zip(
        (-210, -170, -140, -101, -77, -52, -33, -19, -12, -8, -3, -1),
        ("delivered",) * 3 + ("cancelled",) + ("delivered",) * 5 + ("shipped", "placed", "placed"),
        strict=True,
    ):
        address = addresses[int(generator.random() < 0.2)]
        store.order(me, address, cards[0 if day > -120 else 2], day, status)
    _returned(life, database)
    _own_reviews(life, database, generator)
    store.wishes(me, 7)
    store.cart(me, 2)
    for person in (*life.relations["partner"], *life.relations["friend"][:3], *life.relations["roommate"]):
        address = store.address(person, "home", person)
        card = store.card(person, "card", f"{year + 1}-06")
        store.order(person, address, card, -25, "delivered")
        store.order(person, address, card, -2, "placed")
        store.wishes(person, 3)


def _products(database: Database, generator: np.random.Generator) -> list[dict[str, Any]]:
    found = []
    for category, (price, things, forms) in _PRODUCTS.items():
        for thing in things:
            usual = price * float(generator.uniform(0.6, 1.6))
            for place, form in enumerate(forms):
                row = {
                    "name": f"{thing[0].upper()}{thing[1:]}, {form}",
                    "category": category,
                    "seller": str(generator.choice(_SELLERS)),
                    "price": round(usual * (1 + 0.4 * place) + int(generator.integers(0, 3))) * 100 - 1,
                    "description": f"A {thing} ({form}) for every day.",
                }
                stock = 0 if generator.random() < 0.08 else int(generator.integers(3, 60))
                row["id"] = database.insert("shopping_products", **row, supply=stock)
                row["stock"] = stock
                found.append(row)
    return found


def _reviews(
    life: Life, database: Database, generator: np.random.Generator, products: list[dict[str, Any]]
) -> None:
    people = [person for person in life.people if person is not life.supervisor]
    rows = []
    for product in products:
        count = int(generator.integers(0, 4))
        likely = int(generator.integers(2, 6))
        for place in generator.permutation(len(people))[:count].tolist():
            stars = min(5, max(1, likely + int(generator.integers(-1, 2))))
            created = life.moment(generator, -300, -3)
            rows.append(
                {
                    "person_id": people[place].id,
                    "product_id": product["id"],
                    "stars": stars,
                    "text": str(generator.choice(_OPINIONS[stars])),
                    "created_at": created,
                    "updated_at": created,
                }
            )
    database.insert_all("shopping_reviews", rows)


class _Store:
    """Writes accounts and orders."""

    def __init__(
        self, life: Life, database: Database, generator: np.random.Generator, products: list[dict[str, Any]]
    ) -> None:
        self.life, self.database, self.generator, self.products = life, database, generator, products

    def address(self, person: Person, label: str, recipient: Person) -> int:
        """Write an address in a person's account, which is where ``recipient`` lives."""
        return self.database.insert(
            "shopping_addresses",
            person_id=person.id,
            label=label,
            recipient=recipient.name,
            street=recipient.street,
            city=recipient.city,
            zip_code=recipient.zip_code,
        )

    def card(self, person: Person, label: str, expires: str) -> int:
        """Write a card."""
        return self.database.insert(
            "shopping_cards",
            person_id=person.id,
            label=label,
            number="".join(str(digit) for digit in self.generator.integers(0, 10, 16).tolist()),
            expires=expires,
            created_at=self.life.moment(self.generator, -700, -300),
        )

    def order(self, person: Person, address: int, card: int, day: int, status: str) -> None:
        """Write an order of one to four products, made on a day from today."""
        chosen = self._some(int(self.generator.integers(1, 5)))
        items = [(product, 1 + int(self.generator.random() < 0.25)) for product in chosen]
        subtotal = sum(product["price"] * quantity for product, quantity in items)
        fee = 0 if subtotal >= 5000 else 499
        order = self.database.insert(
            "shopping_orders",
            person_id=person.id,
            address_id=address,
            card_id=card,
            delivery_fee=fee,
            total=subtotal + fee,
            status=status,
            expected_on=self.life.day(day + 5),
            delivered_on=self.life.day(day + 4) if status == "delivered" else None,
            created_at=self.life.moment(self.generator, day, day),
        )
        for product, quantity in items:
            # What is sold was there before, so that the stock stays what it is.
            supply = "UPDATE shopping_products SET supply = supply + ? WHERE id = ?"
            self.database.connection.execute(supply, (quantity * (status != "cancelled"), product["id"]))
        self.database.insert_all(
            "shopping_items",
            [
                {
                    "order_id": order,
                    "product_id": product["id"],
                    "quantity": quantity,
                    "price": product["price"],
                }
                for product, quantity in items
            ],
        )

    def wishes(self, person: Person, count: int) -> None:
        """Write a list of wishes."""
        for product in self._some(count):
            self.database.insert(
                "shopping_wishes",
                person_id=person.id,
                product_id=product["id"],
                created_at=self.life.moment(self.generator, -90, -1),
            )

    def cart(self, person: Person, count: int) -> None:
        """Write a cart of things that are in stock."""
        for product in [one for one in self._some(10) if one["stock"]][:count]:
            self.database.insert(
                "shopping_cart",
                person_id=person.id,
                product_id=product["id"],
                created_at=self.life.moment(self.generator, -4, -1),
            )

    def _some(self, count: int) -> list[dict[str, Any]]:
        return [self.products[place] for place in self.generator.permutation(len(self.products))[:count]]


def _returned(life: Life, database: Database) -> None:
    """Let one thing be sent back long ago, and one be asked for now."""
    delivered = database.rows(
        "SELECT i.* FROM shopping_items i JOIN shopping_orders o ON o.id = i.order_id "
        "WHERE o.person_id = ? AND o.status = 'delivered' ORDER BY i.id",
        life.supervisor.id,
    )
    for item, reason, status, day in (
        (delivered[0], "wrong size", "refunded", -190),
        (delivered[-1], "came too late", "requested", -1),
    ):
        database.insert(
            "shopping_returns",
            person_id=life.supervisor.id,
            item_id=item["id"],
            quantity=1,
            reason=reason,
            refund=item["price"],
            status=status,
            created_at=f"{life.day(day)}T06:40:00",
        )


def _own_reviews(life: Life, database: Database, generator: np.random.Generator) -> None:
    """Let the supervisor have reviewed some of what was delivered."""
    rows = database.rows(
        "SELECT DISTINCT product_id FROM shopping_items i JOIN shopping_orders o ON o.id = i.order_id "
        "WHERE o.person_id = ? AND o.status = 'delivered' ORDER BY i.id",
        life.supervisor.id,
    )
    for row in rows[:6:2]:
        stars = int(generator.integers(2, 6))
        created = life.moment(generator, -120, -60)
        database.insert(
            "shopping_reviews",
            person_id=life.supervisor.id,
            product_id=row["product_id"],
            stars=stars,
            text=str(generator.choice(_OPINIONS[stars])),
            created_at=created,
            updated_at=created,
        )
