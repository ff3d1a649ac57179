"""Rows of the app shopping that scenarios prepare: products, orders of the supervisor, the cart."""

from __future__ import annotations

from collections.abc import Sequence

from palaestra.envs.apps.scenario import Draft


def product(draft: Draft, name: str, price: int, *, category: str = "home", stock: int = 25) -> int:
    """Add a product of which so many can be ordered; return its id. The price is in cents."""
    return draft.insert(
        "shopping_products", name=name, category=category, seller="Oakhouse", price=price, supply=stock
    )


def order(
    draft: Draft,
    items: Sequence[tuple[int, int, int]],
    day: int,
    status: str = "delivered",
    *,
    arrives: int | None = None,
) -> int:
    """Add an order, made on a day from today, of items: a product's id, how many, and the price of one.

    ``arrives`` is the day from today on which it was or will be delivered, four days later by default.
    """
    subtotal = sum(quantity * price for _, quantity, price in items)
    fee = 0 if subtotal >= 5000 else 499
    arrives = day + 4 if arrives is None else arrives
    order_id = draft.insert(
        "shopping_orders",
        person_id=draft.me.id,
        address_id=labelled(draft, "shopping_addresses", "home"),
        card_id=labelled(draft, "shopping_cards", "blue card"),
        delivery_fee=fee,
        total=subtotal + fee,
        status=status,
        expected_on=draft.life.day(arrives),
        delivered_on=draft.life.day(arrives) if status == "delivered" else None,
        created_at=draft.moment(day, day),
    )
    for product_id, quantity, price in items:
        draft.insert(
            "shopping_items", order_id=order_id, product_id=product_id, quantity=quantity, price=price
        )
        # What is sold was there before, so that the stock stays what it is.
        supply = draft.value("SELECT supply FROM shopping_products WHERE id = ?", product_id)
        draft.update("shopping_products", product_id, supply=supply + quantity * (status != "cancelled"))
    return order_id


def labelled(draft: Draft, table: str, label: str) -> int:
    """Return the id of the supervisor's address or card with a label."""
    return draft.value(f"SELECT id FROM {table} WHERE person_id = ? AND label = ?", draft.me.id, label)


def empty_cart(draft: Draft) -> None:
    """Take everything out of the supervisor's cart, and end a membership."""
    for table in ("shopping_cart", "shopping_memberships"):
        for row in draft.rows(f"SELECT id FROM {table} WHERE person_id = ?", draft.me.id):
            draft.delete(table, row["id"])
