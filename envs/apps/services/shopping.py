"""shopping: a store with products and reviews; the cart, orders and the account have files of their own."""

from __future__ import annotations

from typing import Any, Literal

from palaestra.envs.apps.api import ApiError, App, api
from palaestra.envs.apps.services.shopping_seed import seed
from palaestra.envs.apps.values import Json, Money, dollars
from palaestra.envs.apps.world import Call

_LONGEST_REVIEW = 2000

SHOPPING = App(
    name="shopping",
    description="A store: products and reviews, a cart and wishes, orders, deliveries and returns.",
    schema="""
    CREATE TABLE shopping_products (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL, category TEXT NOT NULL, seller TEXT NOT NULL,
        price INTEGER NOT NULL, description TEXT NOT NULL DEFAULT '', supply INTEGER NOT NULL DEFAULT 0
    );
    CREATE TABLE shopping_reviews (
        id INTEGER PRIMARY KEY, person_id INTEGER NOT NULL, product_id INTEGER NOT NULL,
        stars INTEGER NOT NULL, text TEXT NOT NULL DEFAULT '', created_at TEXT NOT NULL,
        updated_at TEXT NOT NULL, UNIQUE (product_id, person_id)
    );
    CREATE TABLE shopping_cart (
        id INTEGER PRIMARY KEY, person_id INTEGER NOT NULL, product_id INTEGER NOT NULL,
        quantity INTEGER NOT NULL DEFAULT 1, created_at TEXT NOT NULL, UNIQUE (person_id, product_id)
    );
    CREATE TABLE shopping_wishes (
        id INTEGER PRIMARY KEY, person_id INTEGER NOT NULL, product_id INTEGER NOT NULL,
        created_at TEXT NOT NULL, UNIQUE (person_id, product_id)
    );
    CREATE TABLE shopping_addresses (
        id INTEGER PRIMARY KEY, person_id INTEGER NOT NULL, label TEXT NOT NULL, recipient TEXT NOT NULL,
        street TEXT NOT NULL, city TEXT NOT NULL, zip_code TEXT NOT NULL,
        removed INTEGER NOT NULL DEFAULT 0
    );
    CREATE TABLE shopping_cards (
        id INTEGER PRIMARY KEY, person_id INTEGER NOT NULL, label TEXT NOT NULL, number TEXT NOT NULL,
        expires TEXT NOT NULL, removed INTEGER NOT NULL DEFAULT 0, created_at TEXT NOT NULL
    );
    CREATE TABLE shopping_memberships (
        id INTEGER PRIMARY KEY, person_id INTEGER NOT NULL UNIQUE, renews INTEGER NOT NULL DEFAULT 1,
        card_id INTEGER NOT NULL, paid_until TEXT NOT NULL, created_at TEXT NOT NULL
    );
    CREATE TABLE shopping_orders (
        id INTEGER PRIMARY KEY, person_id INTEGER NOT NULL, address_id INTEGER NOT NULL,
        card_id INTEGER NOT NULL, delivery TEXT NOT NULL DEFAULT 'standard',
        delivery_fee INTEGER NOT NULL DEFAULT 0, total INTEGER NOT NULL,
        gift_message TEXT NOT NULL DEFAULT '', status TEXT NOT NULL DEFAULT 'placed',
        expected_on TEXT NOT NULL, delivered_on TEXT, created_at TEXT NOT NULL
    );
    CREATE TABLE shopping_items (
        id INTEGER PRIMARY KEY, order_id INTEGER NOT NULL, product_id INTEGER NOT NULL,
        quantity INTEGER NOT NULL DEFAULT 1, price INTEGER NOT NULL, UNIQUE (order_id, product_id)
    );
    CREATE TABLE shopping_returns (
        id INTEGER PRIMARY KEY, person_id INTEGER NOT NULL, item_id INTEGER NOT NULL,
        quantity INTEGER NOT NULL, reason TEXT NOT NULL DEFAULT '', refund INTEGER NOT NULL,
        status TEXT NOT NULL DEFAULT 'requested', created_at TEXT NOT NULL
    );
    CREATE INDEX shopping_orders_person ON shopping_orders (person_id);
    CREATE INDEX shopping_returns_item ON shopping_returns (item_id)
    """,
    seed=seed,
    # Days of delivery and the end of a paid year follow from the clock.
    automatic=("created_at", "updated_at", "expected_on", "paid_until"),
)
RATED = (
    "SELECT p.*, r.rating, ifnull(r.reviews, 0) AS reviews, p.supply - ifnull((SELECT sum(quantity) "
    "FROM shopping_items i JOIN shopping_orders o ON o.id = i.order_id WHERE i.product_id = p.id "
    "AND o.status != 'cancelled'), 0) AS stock FROM shopping_products p LEFT JOIN "
    "(SELECT product_id, round(avg(stars), 1) AS rating, count(*) AS reviews FROM shopping_reviews "
    "GROUP BY product_id) r ON r.product_id = p.id"
)
"""Products with what people think of them, and how many are left of all that there ever were."""


# ---- products ----------------------------------------------------------------------------------------


@api(SHOPPING, "GET")
def search_products(
    call: Call,
    query: str = "",
    category: str | None = None,
    seller: str | None = None,
    min_price: Money | None = None,
    max_price: Money | None = None,
    min_rating: float | None = None,
    in_stock: bool | None = None,
    sort: Literal["name", "cheapest", "dearest", "best_rated", "most_reviewed"] = "name",
    page_index: int = 0,
    page_limit: int = 5,
) -> Json:
    """Find products.

    Args:
        query: a text that must occur in the name or the description, in any case.
        category: a category, as list_categories shows it.
        seller: who sells them, exactly.
        min_price: the least price.
        max_price: the highest price.
        min_rating: the least rating; products without reviews are then left out.
        in_stock: only what can be ordered now (True), or only what is sold out (False).
        sort: by name, the cheapest, the dearest, the best rated or the most reviewed first.
        page_index: which page, counted from 0.
        page_limit: products a page, at most 20.

    Returns:
        A list of {product_id, name, category, seller, price, rating, reviews, in_stock}; the rating is the
        mean of 1 to 5 stars, to one decimal, or None without reviews; reviews is their number.
    """
    text = query.strip().lower()
    conditions: list[tuple[str, Json]] = [
        ("instr(lower(name || ' ' || description), ?)", text or None),
        ("category = ?", None if category is None else category.strip().lower()),
        ("seller = ?", seller),
        ("price >= ?", min_price),
        ("price <= ?", max_price),
        ("rating >= ?", min_rating),
        ("(stock > 0) = ?", in_stock),
    ]
    order = {
        "name": "name",
        "cheapest": "price",
        "dearest": "price DESC",
        "best_rated": "rating DESC NULLS LAST",
        "most_reviewed": "reviews DESC",
    }[sort]
    where, values = chosen(conditions)
    rows = call.page(
        f"SELECT * FROM ({RATED}) WHERE {where} ORDER BY {order}, id",
        *values,
        page_index=page_index,
        page_limit=page_limit,
    )
    return [_shown(row) for row in rows]


@api(SHOPPING, "GET")
def show_product(call: Call, product_id: int) -> Json:
    """Show a product.

    Args:
        product_id: the product.

    Returns:
        {product_id, name, category, seller, price, rating, reviews, in_stock, stock, description}, where
        stock is how many can be ordered now.
    """
    row = product(call, product_id)
    return {**_shown(row), "stock": row["stock"], "description": row["description"]}


@api(SHOPPING, "GET")
def list_categories(call: Call) -> Json:
    """Show the categories of products, by name.

    Returns:
        A list of {category, products}, with the number of products.
    """
    return call.rows(
        "SELECT category, count(*) AS products FROM shopping_products GROUP BY category ORDER BY category"
    )


# ---- reviews -----------------------------------------------------------------------------------------


@api(SHOPPING, "GET")
def list_reviews(
    call: Call,
    product_id: int | None = None,
    mine: bool = False,
    stars: int | None = None,
    page_index: int = 0,
    page_limit: int = 5,
) -> Json:
    """Show reviews of a product, or those that you wrote; the latest first.

    Args:
        product_id: the product; needed unless mine is True.
        mine: only those that you wrote.
        stars: only those with so many stars.
        page_index: which page, counted from 0.
        page_limit: reviews a page, at most 20.

    Returns:
        A list of {review_id, product_id, product, author, stars, text, created_at, updated_at}.
    """
    if product_id is None and not mine:
        raise ApiError(422, "name a product_id, or set mine to True")
    if product_id is not None:
        product(call, product_id)
    where, values = chosen(
        [
            ("r.product_id = ?", product_id),
            ("r.person_id = ?", call.person_id if mine else None),
            ("stars = ?", stars),
        ]
    )
    return call.page(
        f"{_REVIEWS} WHERE {where} ORDER BY r.created_at DESC, r.id DESC",
        *values,
        page_index=page_index,
        page_limit=page_limit,
    )


@api(SHOPPING, "POST")
def write_review(call: Call, product_id: int, stars: int, text: str = "") -> Json:
    """Review a product that was delivered to you, once.

    Args:
        product_id: the product.
        stars: 1 (bad) to 5 (very good).
        text: what you think of it.

    Returns:
        {review_id, product_id, product, author, stars, text, created_at, updated_at}.
    """
    product(call, product_id)
    delivered = call.value(
        "SELECT 1 FROM shopping_orders o JOIN shopping_items i ON i.order_id = o.id "
        "WHERE o.person_id = ? AND product_id = ? AND status = 'delivered'",
        call.person_id,
        product_id,
    )
    if delivered is None:
        raise ApiError(409, "only products that were delivered to you can be reviewed")
    known = "SELECT id FROM shopping_reviews WHERE product_id = ? AND person_id = ?"
    if (review := call.value(known, product_id, call.person_id)) is not None:
        raise ApiError(409, f"you have reviewed it already; change the review {review} by update_review")
    review_id = call.insert(
        "shopping_reviews",
        person_id=call.person_id,
        product_id=product_id,
        stars=_stars(stars),
        text=_review_text(text),
        created_at=call.now,
        updated_at=call.now,
    )
    return _review(call, review_id)


@api(SHOPPING, "PATCH")
def update_review(call: Call, review_id: int, stars: int | None = None, text: str | None = None) -> Json:
    """Change a review that you wrote; what is left out stays.

    Args:
        review_id: the review.
        stars: 1 (bad) to 5 (very good).
        text: its new text.

    Returns:
        {review_id, product_id, product, author, stars, text, created_at, updated_at}.
    """
    call.mine("shopping_reviews", review_id, "review", "list_reviews shows those that you wrote")
    changes: dict[str, Json] = {
        **({} if stars is None else {"stars": _stars(stars)}),
        **({} if text is None else {"text": _review_text(text)}),
    }
    if not changes:
        raise ApiError(422, "name something to change: stars or text")
    call.update("shopping_reviews", review_id, **changes, updated_at=call.now)
    return _review(call, review_id)


@api(SHOPPING, "DELETE")
def delete_review(call: Call, review_id: int) -> Json:
    """Delete a review that you wrote.

    Args:
        review_id: the review.

    Returns:
        {message}.
    """
    call.mine("shopping_reviews", review_id, "review", "list_reviews shows those that you wrote")
    call.delete("shopping_reviews", review_id)
    return {"message": "the review is deleted"}


# ---- what all files of this app share ----------------------------------------------------------------

_REVIEWS = (
    "SELECT r.id AS review_id, r.product_id, p.name AS product, w.first_name || ' ' || w.last_name "
    "AS author, r.stars, r.text, r.created_at, r.updated_at FROM shopping_reviews r "
    "JOIN shopping_products p ON p.id = r.product_id JOIN world_people w ON w.id = r.person_id"
)


def product(call: Call, product_id: int) -> dict[str, Any]:
    """Return a product with its rating. Raises ``ApiError`` 404."""
    row = call.row(f"SELECT * FROM ({RATED}) WHERE id = ?", product_id)
    if row is None:
        raise ApiError(404, f"there is no product {product_id}; search_products finds products")
    return row


def chosen(conditions: list[tuple[str, Json]]) -> tuple[str, list[Json]]:
    """Return what comes behind WHERE, and its values; a condition whose value is None is left out."""
    used = [(sql, value) for sql, value in conditions if value is not None]
    return " AND ".join(["1", *(sql for sql, _ in used)]), [value for _, value in used]


def short_text(text: str, what: str, longest: int = 80) -> str:
    """Return a text without white space around it. Raises ``ApiError`` 422 for an empty or long one."""
    text = text.strip()
    if not text or len(text) > longest:
        raise ApiError(422, f"{what} must have 1 to {longest} characters")
    return text


def _shown(row: dict[str, Any]) -> dict[str, Json]:
    return {
        "product_id": row["id"],
        "name": row["name"],
        "category": row["category"],
        "seller": row["seller"],
        "price": dollars(row["price"]),
        "rating": row["rating"],
        "reviews": row["reviews"],
        "in_stock": row["stock"] > 0,
    }


def _review(call: Call, review_id: int) -> dict[str, Json]:
    return call.rows(f"{_REVIEWS} WHERE r.id = ?", review_id)[0]


def _stars(stars: int) -> int:
    if not 1 <= stars <= 5:
        raise ApiError(422, "stars go from 1 to 5")
    return stars


def _review_text(text: str) -> str:
    if len(text) > _LONGEST_REVIEW:
        raise ApiError(422, f"a review has at most {_LONGEST_REVIEW} characters")
    return text.strip()
