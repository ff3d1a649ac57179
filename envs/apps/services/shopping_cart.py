"""shopping: the cart, and the list of wishes."""

from __future__ import annotations

from typing import Any

from palaestra.envs.apps.api import ApiError, api, not_found
from palaestra.envs.apps.services.shopping import RATED, SHOPPING, product
from palaestra.envs.apps.values import Json, dollars
from palaestra.envs.apps.world import Call

MOST_OF_ONE = 20

# ---- the cart ----------------------------------------------------------------------------------------


@api(SHOPPING, "GET")
def show_cart(call: Call) -> Json:
    """Show what is in the cart.

    Returns:
        {items, subtotal}, where items is a list of {product_id, name, price, quantity, in_stock}, in the
        order in which they were added, and subtotal is without delivery.
    """
    return _shown_cart(call)


@api(SHOPPING, "POST")
def add_to_cart(call: Call, product_id: int, quantity: int = 1) -> Json:
    """Put a product into the cart; of one that is in it already, that many more.

    Args:
        product_id: the product.
        quantity: how many.

    Returns:
        {items, subtotal}, as show_cart shows them.
    """
    if quantity < 1:
        raise ApiError(422, "quantity must be at least 1")
    line = _line(call, product_id)
    _checked(call, product_id, quantity + (line["quantity"] if line else 0))
    _put(call, product_id, line, quantity + (line["quantity"] if line else 0))
    return _shown_cart(call)


@api(SHOPPING, "PUT")
def set_quantity(call: Call, product_id: int, quantity: int) -> Json:
    """Change how many of a product are in the cart.

    Args:
        product_id: a product that is in the cart.
        quantity: how many, at least 1.

    Returns:
        {items, subtotal}, as show_cart shows them.
    """
    line = _line(call, product_id)
    if line is None:
        raise not_found("product in the cart", product_id, "show_cart shows what is in it")
    _checked(call, product_id, quantity)
    _put(call, product_id, line, quantity)
    return _shown_cart(call)


@api(SHOPPING, "DELETE")
def remove_from_cart(call: Call, product_id: int) -> Json:
    """Take a product out of the cart.

    Args:
        product_id: a product that is in the cart.

    Returns:
        {items, subtotal}, as show_cart shows them.
    """
    line = _line(call, product_id)
    if line is None:
        raise not_found("product in the cart", product_id, "show_cart shows what is in it")
    call.delete("shopping_cart", line["id"])
    return _shown_cart(call)


@api(SHOPPING, "DELETE")
def clear_cart(call: Call) -> Json:
    """Take everything out of the cart.

    Returns:
        {items, subtotal}, which are empty and 0.
    """
    for line in cart_lines(call):
        call.delete("shopping_cart", line["id"])
    return _shown_cart(call)


# ---- wishes ------------------------------------------------------------------------------------------


@api(SHOPPING, "GET")
def list_wishes(call: Call, page_index: int = 0, page_limit: int = 5) -> Json:
    """Show the list of wishes, the latest first.

    Args:
        page_index: which page, counted from 0.
        page_limit: products a page, at most 20.

    Returns:
        A list of {product_id, name, category, price, rating, in_stock, added_at}.
    """
    rows = call.page(
        f"SELECT w.created_at, p.* FROM shopping_wishes w JOIN ({RATED}) p ON p.id = w.product_id "
        "WHERE w.person_id = ? ORDER BY w.created_at DESC, w.id DESC",
        call.person_id,
        page_index=page_index,
        page_limit=page_limit,
    )
    return [
        {
            "product_id": row["id"],
            "name": row["name"],
            "category": row["category"],
            "price": dollars(row["price"]),
            "rating": row["rating"],
            "in_stock": row["stock"] > 0,
            "added_at": row["created_at"],
        }
        for row in rows
    ]


@api(SHOPPING, "POST")
def add_wish(call: Call, product_id: int) -> Json:
    """Put a product on the list of wishes.

    Args:
        product_id: the product.

    Returns:
        {product_id, name}.
    """
    row = product(call, product_id)
    known = "SELECT id FROM shopping_wishes WHERE person_id = ? AND product_id = ?"
    if call.value(known, call.person_id, product_id) is not None:
        raise ApiError(409, f"{row['name']} is on the list already")
    call.insert("shopping_wishes", person_id=call.person_id, product_id=product_id, created_at=call.now)
    return {"product_id": product_id, "name": row["name"]}


@api(SHOPPING, "DELETE")
def remove_wish(call: Call, product_id: int) -> Json:
    """Take a product off the list of wishes.

    Args:
        product_id: a product on the list.

    Returns:
        {message}.
    """
    call.delete("shopping_wishes", _wish(call, product_id))
    return {"message": "it is no longer on the list"}


@api(SHOPPING, "POST")
def move_wish_to_cart(call: Call, product_id: int) -> Json:
    """Take a product off the list of wishes, and put one of it into the cart.

    Args:
        product_id: a product on the list.

    Returns:
        {items, subtotal}, as show_cart shows them.
    """
    wish = _wish(call, product_id)
    line = _line(call, product_id)
    quantity = 1 + (line["quantity"] if line else 0)
    _checked(call, product_id, quantity)
    call.delete("shopping_wishes", wish)
    _put(call, product_id, line, quantity)
    return _shown_cart(call)


# ---- what the other files of this app use ------------------------------------------------------------


def cart_lines(call: Call) -> list[dict[str, Any]]:
    """Return what is in the cart of the caller, with the names, prices and stock of the products."""
    return call.rows(
        f"SELECT c.*, p.name, p.price, p.stock FROM shopping_cart c JOIN ({RATED}) p "
        "ON p.id = c.product_id WHERE c.person_id = ? ORDER BY c.id",
        call.person_id,
    )


def _shown_cart(call: Call) -> dict[str, Json]:
    lines = cart_lines(call)
    items = [
        {
            "product_id": line["product_id"],
            "name": line["name"],
            "price": dollars(line["price"]),
            "quantity": line["quantity"],
            "in_stock": line["stock"] >= line["quantity"],
        }
        for line in lines
    ]
    return {"items": items, "subtotal": dollars(sum(line["price"] * line["quantity"] for line in lines))}


def _line(call: Call, product_id: int) -> dict[str, Any] | None:
    return call.row(
        "SELECT * FROM shopping_cart WHERE person_id = ? AND product_id = ?", call.person_id, product_id
    )


def _wish(call: Call, product_id: int) -> int:
    found = call.value(
        "SELECT id FROM shopping_wishes WHERE person_id = ? AND product_id = ?", call.person_id, product_id
    )
    if found is None:
        raise not_found("wish for the product", product_id, "list_wishes shows them")
    return found


def _checked(call: Call, product_id: int, quantity: int) -> None:
    row = product(call, product_id)
    if not 1 <= quantity <= MOST_OF_ONE:
        raise ApiError(422, f"of one product, 1 to {MOST_OF_ONE} can be in the cart")
    if quantity > row["stock"]:
        raise ApiError(409, f"only {row['stock']} of {row['name']} can be ordered now")


def _put(call: Call, product_id: int, line: dict[str, Any] | None, quantity: int) -> None:
    if line is not None:
        call.update("shopping_cart", line["id"], quantity=quantity)
        return
    call.insert(
        "shopping_cart",
        person_id=call.person_id,
        product_id=product_id,
        quantity=quantity,
        created_at=call.now,
    )
