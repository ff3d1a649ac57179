"""shopping: ordering what is in the cart, orders so far, and sending things back."""

from __future__ import annotations

import datetime
from typing import Any, Literal

from palaestra.envs.apps.api import ApiError, api
from palaestra.envs.apps.services.shopping import RATED, SHOPPING, chosen, short_text
from palaestra.envs.apps.services.shopping_account import address, is_member, usable_card
from palaestra.envs.apps.services.shopping_cart import cart_lines
from palaestra.envs.apps.values import Date, Json, dollars
from palaestra.envs.apps.world import Call

DELIVERIES: dict[str, tuple[int, int]] = {"standard": (499, 5), "express": (999, 2), "next_day": (1999, 1)}
"""What a delivery costs, and how many days it takes."""
FREE_FROM = 5000
RETURN_DAYS = 30
Delivery = Literal["standard", "express", "next_day"]
Status = Literal["placed", "shipped", "delivered", "cancelled"]

# ---- ordering ----------------------------------------------------------------------------------------


@api(SHOPPING, "GET")
def list_delivery_options(call: Call) -> Json:
    """Show how what is in the cart could be delivered.

    Standard delivery is free from $50; members pay for neither standard nor express delivery.

    Returns:
        A list of {delivery, fee, expected_on}.
    """
    subtotal = sum(line["price"] * line["quantity"] for line in cart_lines(call))
    return [
        {
            "delivery": name,
            "fee": dollars(_fee(call, name, subtotal)),
            "expected_on": _expected(call, name),
        }
        for name in DELIVERIES
    ]


@api(SHOPPING, "POST")
def place_order(
    call: Call, address_id: int, card_id: int, delivery: Delivery = "standard", gift_message: str = ""
) -> Json:
    """Order all that is in the cart, which is empty afterwards.

    Args:
        address_id: where to send it.
        card_id: the card to pay with.
        delivery: how to send it; list_delivery_options shows what that costs now.
        gift_message: a few words that are put into the parcel.

    Returns:
        The order: {order_id, status, items, subtotal, delivery, delivery_fee, total, address, card_id,
        gift_message, ordered_at, expected_on, delivered_on}; items are {product_id, name, quantity, price,
        returned}.
    """
    address(call, address_id)
    usable_card(call, card_id)
    lines = cart_lines(call)
    if not lines:
        raise ApiError(409, "the cart is empty; add_to_cart puts products into it")
    if missing := [line["name"] for line in lines if line["stock"] < line["quantity"]]:
        raise ApiError(409, f"not enough in stock: {', '.join(missing)}; change the cart first")
    subtotal = sum(line["price"] * line["quantity"] for line in lines)
    fee = _fee(call, delivery, subtotal)
    order_id = call.insert(
        "shopping_orders",
        person_id=call.person_id,
        address_id=address_id,
        card_id=card_id,
        delivery=delivery,
        delivery_fee=fee,
        total=subtotal + fee,
        gift_message=short_text(gift_message, "gift_message", 300) if gift_message else "",
        expected_on=_expected(call, delivery),
        created_at=call.now,
    )
    for line in lines:
        call.insert(
            "shopping_items",
            order_id=order_id,
            product_id=line["product_id"],
            quantity=line["quantity"],
            price=line["price"],
        )
        call.delete("shopping_cart", line["id"])
    return _shown(call, _order(call, order_id))


@api(SHOPPING, "GET")
def list_orders(
    call: Call,
    status: Status | None = None,
    query: str = "",
    from_date: Date | None = None,
    to_date: Date | None = None,
    page_index: int = 0,
    page_limit: int = 5,
) -> Json:
    """Show your orders, the latest first.

    Args:
        status: those in one state.
        query: a text that must occur in the name of a product in it, in any case.
        from_date: the first day on which they were ordered.
        to_date: the last such day, included.
        page_index: which page, counted from 0.
        page_limit: orders a page, at most 20.

    Returns:
        A list of {order_id, status, items, subtotal, delivery, delivery_fee, total, address, card_id,
        gift_message, ordered_at, expected_on, delivered_on}; items are {product_id, name, quantity, price,
        returned}, where returned is how many were sent back.
    """
    where, values = chosen(
        [
            ("o.person_id = ?", call.person_id),
            ("o.status = ?", status),
            (
                "EXISTS (SELECT 1 FROM shopping_items i JOIN shopping_products p ON p.id = i.product_id "
                "WHERE i.order_id = o.id AND instr(lower(p.name), ?))",
                query.strip().lower() or None,
            ),
            ("substr(o.created_at, 1, 10) >= ?", from_date),
            ("substr(o.created_at, 1, 10) <= ?", to_date),
        ]
    )
    rows = call.page(
        f"SELECT * FROM shopping_orders o WHERE {where} ORDER BY created_at DESC, id DESC",
        *values,
        page_index=page_index,
        page_limit=page_limit,
    )
    return [_shown(call, row) for row in rows]


@api(SHOPPING, "GET")
def show_order(call: Call, order_id: int) -> Json:
    """Show an order.

    Args:
        order_id: the order.

    Returns:
        {order_id, status, items, subtotal, delivery, delivery_fee, total, address, card_id, gift_message,
        ordered_at, expected_on, delivered_on}; items are {product_id, name, quantity, price, returned}.
    """
    return _shown(call, _order(call, order_id))


@api(SHOPPING, "POST")
def cancel_order(call: Call, order_id: int) -> Json:
    """Cancel an order that is not shipped yet.

    Args:
        order_id: the order.

    Returns:
        {order_id, status, items, subtotal, delivery, delivery_fee, total, address, card_id, gift_message,
        ordered_at, expected_on, delivered_on}; items are {product_id, name, quantity, price, returned}.
    """
    _placed(call, order_id, "cancelled")
    call.update("shopping_orders", order_id, status="cancelled")
    return _shown(call, _order(call, order_id))


@api(SHOPPING, "PATCH")
def update_order(
    call: Call, order_id: int, address_id: int | None = None, gift_message: str | None = None
) -> Json:
    """Change where an order goes that is not shipped yet, or the words in it.

    Args:
        order_id: the order.
        address_id: the address to send it to.
        gift_message: a few words that are put into the parcel; an empty text takes them out.

    Returns:
        {order_id, status, items, subtotal, delivery, delivery_fee, total, address, card_id, gift_message,
        ordered_at, expected_on, delivered_on}; items are {product_id, name, quantity, price, returned}.
    """
    _placed(call, order_id, "changed")
    changes: dict[str, Json] = {}
    if address_id is not None:
        changes["address_id"] = address(call, address_id)["id"]
    if gift_message is not None:
        changes["gift_message"] = short_text(gift_message, "gift_message", 300) if gift_message else ""
    if not changes:
        raise ApiError(422, "name something to change: address_id or gift_message")
    call.update("shopping_orders", order_id, **changes)
    return _shown(call, _order(call, order_id))


@api(SHOPPING, "POST")
def reorder(call: Call, order_id: int) -> Json:
    """Put all products of an earlier order into the cart again, in the same numbers.

    Args:
        order_id: the order.

    Returns:
        {order_id, added}, with the number of products that were put into the cart.
    """
    order = _order(call, order_id)
    items = call.rows(
        f"SELECT i.*, p.name, p.stock FROM shopping_items i JOIN ({RATED}) p ON p.id = i.product_id "
        "WHERE order_id = ? ORDER BY i.id",
        order["id"],
    )
    inside = {line["product_id"] for line in cart_lines(call)}
    for item in items:
        if item["stock"] < item["quantity"]:
            raise ApiError(409, f"only {item['stock']} of {item['name']} can be ordered now")
        if item["product_id"] in inside:
            raise ApiError(409, f"{item['name']} is in the cart already; take it out first")
        call.insert(
            "shopping_cart",
            person_id=call.person_id,
            product_id=item["product_id"],
            quantity=item["quantity"],
            created_at=call.now,
        )
    return {"order_id": order_id, "added": len(items)}


# ---- returns -----------------------------------------------------------------------------------------


@api(SHOPPING, "POST")
def request_return(call: Call, order_id: int, product_id: int, quantity: int = 1, reason: str = "") -> Json:
    """Ask to send back a product, within 30 days from its delivery; its price is then paid back.

    Args:
        order_id: an order that was delivered.
        product_id: a product in it.
        quantity: how many of it.
        reason: why.

    Returns:
        {return_id, order_id, product_id, name, quantity, reason, refund, status, created_at}.
    """
    order = _order(call, order_id)
    if order["status"] != "delivered":
        raise ApiError(409, f"the order is {order['status']}; only what was delivered can be sent back")
    last = datetime.date.fromisoformat(order["delivered_on"]) + datetime.timedelta(days=RETURN_DAYS)
    if last.isoformat() < call.today:
        raise ApiError(409, f"this could be sent back until {last.isoformat()}")
    item = call.row(
        "SELECT * FROM shopping_items WHERE order_id = ? AND product_id = ?", order_id, product_id
    )
    if item is None:
        raise ApiError(404, f"the product {product_id} is not in this order; show_order shows what is")
    left = item["quantity"] - _returned(call, item["id"])
    if not 1 <= quantity <= left:
        raise ApiError(409 if left == 0 else 422, f"{left} of this product can still be sent back")
    return_id = call.insert(
        "shopping_returns",
        person_id=call.person_id,
        item_id=item["id"],
        quantity=quantity,
        reason=short_text(reason, "reason", 300) if reason else "",
        refund=quantity * item["price"],
        created_at=call.now,
    )
    return _shown_return(call.rows(f"{_RETURNS} WHERE r.id = ?", return_id)[0])


@api(SHOPPING, "GET")
def list_returns(
    call: Call,
    status: Literal["requested", "refunded", "cancelled"] | None = None,
    page_index: int = 0,
    page_limit: int = 5,
) -> Json:
    """Show what you sent back or asked to, the latest first.

    Args:
        status: those in one state.
        page_index: which page, counted from 0.
        page_limit: returns a page, at most 20.

    Returns:
        A list of {return_id, order_id, product_id, name, quantity, reason, refund, status, created_at}.
    """
    where, values = chosen([("r.person_id = ?", call.person_id), ("r.status = ?", status)])
    rows = call.page(
        f"{_RETURNS} WHERE {where} ORDER BY r.created_at DESC, r.id DESC",
        *values,
        page_index=page_index,
        page_limit=page_limit,
    )
    return [_shown_return(row) for row in rows]


@api(SHOPPING, "POST")
def cancel_return(call: Call, return_id: int) -> Json:
    """Keep something that you asked to send back.

    Args:
        return_id: a return that is requested.

    Returns:
        {return_id, order_id, product_id, name, quantity, reason, refund, status, created_at}.
    """
    row = call.mine("shopping_returns", return_id, "return", "list_returns shows them")
    if row["status"] != "requested":
        raise ApiError(409, f"this return is {row['status']}")
    call.update("shopping_returns", return_id, status="cancelled")
    return _shown_return(call.rows(f"{_RETURNS} WHERE r.id = ?", return_id)[0])


# ---- what they share ---------------------------------------------------------------------------------

_RETURNS = (
    "SELECT r.*, i.order_id, i.product_id, p.name FROM shopping_returns r JOIN shopping_items i "
    "ON i.id = r.item_id JOIN shopping_products p ON p.id = i.product_id"
)


def _order(call: Call, order_id: int) -> dict[str, Any]:
    return call.mine("shopping_orders", order_id, "order", "list_orders shows them")


def _placed(call: Call, order_id: int, what: str) -> None:
    status = _order(call, order_id)["status"]
    if status != "placed":
        raise ApiError(409, f"this order is {status}; it cannot be {what} any more")


def _fee(call: Call, delivery: str, subtotal: int) -> int:
    fee, _ = DELIVERIES[delivery]
    if is_member(call) and delivery in ("standard", "express"):
        return 0
    return 0 if delivery == "standard" and subtotal >= FREE_FROM else fee


def _expected(call: Call, delivery: str) -> str:
    day = datetime.date.fromisoformat(call.today) + datetime.timedelta(days=DELIVERIES[delivery][1])
    return day.isoformat()


def _returned(call: Call, item_id: int) -> int:
    sql = "SELECT ifnull(sum(quantity), 0) FROM shopping_returns WHERE item_id = ? AND status != 'cancelled'"
    return call.value(sql, item_id)


def _shown(call: Call, row: dict[str, Any]) -> dict[str, Json]:
    items = call.rows(
        "SELECT i.*, p.name FROM shopping_items i JOIN shopping_products p ON p.id = i.product_id "
        "WHERE order_id = ? ORDER BY i.id",
        row["id"],
    )
    place = call.rows("SELECT * FROM shopping_addresses WHERE id = ?", row["address_id"])[0]
    return {
        "order_id": row["id"],
        "status": row["status"],
        "items": [
            {
                "product_id": item["product_id"],
                "name": item["name"],
                "quantity": item["quantity"],
                "price": dollars(item["price"]),
                "returned": _returned(call, item["id"]),
            }
            for item in items
        ],
        "subtotal": dollars(row["total"] - row["delivery_fee"]),
        "delivery": row["delivery"],
        "delivery_fee": dollars(row["delivery_fee"]),
        "total": dollars(row["total"]),
        "address": {
            "address_id": place["id"],
            **{name: place[name] for name in ("label", "recipient", "street", "city", "zip_code")},
        },
        "card_id": row["card_id"],
        "gift_message": row["gift_message"],
        "ordered_at": row["created_at"],
        "expected_on": row["expected_on"],
        "delivered_on": row["delivered_on"],
    }


def _shown_return(row: dict[str, Any]) -> dict[str, Json]:
    return {
        "return_id": row["id"],
        "order_id": row["order_id"],
        "product_id": row["product_id"],
        "name": row["name"],
        "quantity": row["quantity"],
        "reason": row["reason"],
        "refund": dollars(row["refund"]),
        "status": row["status"],
        "created_at": row["created_at"],
    }
