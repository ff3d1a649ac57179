"""The app shopping: what its APIs change, what they refuse, and what of others is out of reach."""

from __future__ import annotations

from typing import Any

import pytest
from apps_caller import LIFE, Caller

FRIEND = LIFE.relations["friend"][0]


class Shop(Caller):
    app = "shopping"


@pytest.fixture
def shop(world):
    """The supervisor's, with an empty cart and no membership."""
    world.connection.execute("DELETE FROM shopping_memberships")
    shop = Shop(world, LIFE.supervisor.email)
    shop("clear_cart")
    return shop


@pytest.fixture
def cheap(shop):
    """Two products below $25 of which there are enough."""
    rows = shop("search_products", max_price=24, in_stock=True, page_limit=20)
    found = [one for one in rows if shop("show_product", product_id=one["product_id"])["stock"] >= 5]
    return found[0], found[1]


def address_of(shop: Shop, label: str = "home") -> int:
    return next(one["address_id"] for one in shop("list_addresses") if one["label"] == label)


def card_of(shop: Shop, label: str = "blue card") -> int:
    return next(one["card_id"] for one in shop("list_cards") if one["label"] == label)


def order_of(shop: Shop, status: str) -> dict[str, Any]:
    return shop("list_orders", status=status)[0]


def test_products_are_searched_and_sorted(shop):
    everything = shop.every("search_products")
    assert len(everything) == sum(one["products"] for one in shop("list_categories")) > 80
    assert [one["name"] for one in everything] == sorted(one["name"] for one in everything)
    kettles = shop("search_products", query="KETTLE", category="Kitchen", sort="dearest")
    assert [one["name"] for one in kettles] == ["Steel kettle, large", "Steel kettle, small"]
    good = shop.every("search_products", min_rating=4.5, sort="best_rated")
    assert good
    assert all(one["rating"] >= 4.5 for one in good)
    assert [one["rating"] for one in good] == sorted((one["rating"] for one in good), reverse=True)
    gone = shop.every("search_products", in_stock=False)
    assert gone
    assert not any(one["in_stock"] for one in gone)
    between = shop.every("search_products", min_price=20, max_price=29.99, sort="cheapest")
    assert between
    assert all(20 <= one["price"] <= 29.99 for one in between)
    seller = everything[0]["seller"]
    assert {one["seller"] for one in shop.every("search_products", seller=seller)} == {seller}
    shop.refused(404, "show_product", product_id=10**6)


def test_ratings_are_the_mean_of_reviews(shop):
    product = next(one for one in shop.every("search_products") if one["reviews"] >= 2)
    reviews = shop.every("list_reviews", product_id=product["product_id"])
    assert len(reviews) == product["reviews"]
    assert product["rating"] == pytest.approx(sum(one["stars"] for one in reviews) / len(reviews), abs=0.05)
    assert all(one["stars"] == 5 for one in shop.every("list_reviews", product_id=1, stars=5))
    shop.refused(422, "list_reviews")


def test_only_what_was_delivered_is_reviewed_and_once(shop, world):
    mine = shop.every("list_reviews", mine=True)
    reviewed = {one["product_id"] for one in mine}
    items = [item for order in shop.every("list_orders", status="delivered") for item in order["items"]]
    product = next(item["product_id"] for item in items if item["product_id"] not in reviewed)
    review = shop("write_review", product_id=product, stars=4, text="fine")
    assert (review["stars"], review["author"]) == (4, LIFE.supervisor.name)
    shop.refused(409, "write_review", product_id=product, stars=4)
    assert shop("update_review", review_id=review["review_id"], stars=2)["text"] == "fine"
    shop.refused(422, "update_review", review_id=review["review_id"], stars=6)
    shop.refused(422, "update_review", review_id=review["review_id"])
    bought = {item["product_id"] for item in items}
    other = next(n for n in range(1, 90) if n not in bought)
    shop.refused(409, "write_review", product_id=other, stars=4)
    theirs = world.connection.execute("SELECT id FROM shopping_reviews WHERE person_id != 1").fetchone()[0]
    shop.refused(404, "update_review", review_id=theirs, stars=1)
    shop.refused(404, "delete_review", review_id=theirs)
    shop("delete_review", review_id=review["review_id"])
    assert shop.every("list_reviews", mine=True) == mine


def test_the_cart(shop, cheap):
    one, other = cheap
    shop("add_to_cart", product_id=one["product_id"])
    shop("add_to_cart", product_id=one["product_id"], quantity=2)
    cart = shop("add_to_cart", product_id=other["product_id"])
    assert [line["quantity"] for line in cart["items"]] == [3, 1]
    assert cart["subtotal"] == pytest.approx(3 * one["price"] + other["price"])
    shop("set_quantity", product_id=one["product_id"], quantity=1)
    assert shop("show_cart")["subtotal"] == pytest.approx(one["price"] + other["price"])
    shop.refused(422, "set_quantity", product_id=one["product_id"], quantity=0)
    shop.refused(422, "add_to_cart", product_id=one["product_id"], quantity=20)
    shop("remove_from_cart", product_id=one["product_id"])
    shop.refused(404, "remove_from_cart", product_id=one["product_id"])
    shop.refused(404, "set_quantity", product_id=one["product_id"], quantity=1)
    gone = shop("search_products", in_stock=False)[0]["product_id"]
    shop.refused(409, "add_to_cart", product_id=gone)
    assert shop("clear_cart") == {"items": [], "subtotal": 0}


def test_wishes(shop, world):
    wishes = shop.every("list_wishes")
    assert len(wishes) == 7
    assert [one["added_at"] for one in wishes] == sorted((one["added_at"] for one in wishes), reverse=True)
    assert shop("list_wishes", page_index=1, page_limit=4) == wishes[4:]
    wish = next(one for one in wishes if one["in_stock"])["product_id"]
    shop.refused(409, "add_wish", product_id=wish)
    cart = shop("move_wish_to_cart", product_id=wish)
    assert [line["product_id"] for line in cart["items"]] == [wish]
    shop.refused(404, "move_wish_to_cart", product_id=wish)
    shop("add_wish", product_id=wish)
    shop("remove_wish", product_id=wish)
    shop.refused(404, "remove_wish", product_id=wish)
    assert len(Shop(world, FRIEND.email).every("list_wishes")) == 3


def test_addresses(shop, world):
    assert [one["label"] for one in shop("list_addresses")] == ["home", "parents"]
    new = {"label": "work", "recipient": "Ada Stone", "street": "1 Oak Street", "city": "Oakdale"}
    shop.refused(422, "add_address", **new, zip_code="123")
    shop.refused(409, "add_address", **{**new, "label": "home"}, zip_code="12345")
    added = shop("add_address", **new, zip_code="12345")["address_id"]
    assert shop("update_address", address_id=added, city="Ashford")["city"] == "Ashford"
    shop.refused(409, "update_address", address_id=added, label="home")
    shop.refused(422, "update_address", address_id=added)
    shop("remove_address", address_id=added)
    shop.refused(404, "update_address", address_id=added, city="Ashford")
    shop.refused(409, "remove_address", address_id=order_of(shop, "placed")["address"]["address_id"])
    theirs = Shop(world, FRIEND.email)("list_addresses")[0]["address_id"]
    shop.refused(404, "update_address", address_id=theirs, city="Ashford")


def test_cards_and_the_membership(shop):
    assert [one["expired"] for one in shop("list_cards")] == [False, True, False]
    shop.refused(422, "add_card", label="x", number="12", expires="2040-01")
    shop.refused(422, "add_card", label="x", number="1" * 16, expires="2020-01")
    shop.refused(422, "add_card", label="x", number="1" * 16, expires="2040-13")
    added = shop("add_card", label="x", number="1111 " * 4, expires="2040-01")
    assert added["last_four"] == "1111"
    shop.refused(409, "add_card", label="y", number="1" * 16, expires="2040-01")
    shop.refused(409, "start_membership", card_id=card_of(shop, "old card"))
    shop.refused(409, "cancel_membership")
    assert shop("start_membership", card_id=added["card_id"])["member"]
    shop.refused(409, "start_membership", card_id=added["card_id"])
    shop.refused(409, "remove_card", card_id=added["card_id"])
    cancelled = shop("cancel_membership")
    assert (cancelled["member"], cancelled["renews"]) == (True, False)
    shop("remove_card", card_id=added["card_id"])
    shop.refused(404, "start_membership", card_id=added["card_id"])
    assert shop("start_membership", card_id=card_of(shop))["paid_until"] == cancelled["paid_until"]


def test_what_delivery_costs(shop, cheap):
    shop("add_to_cart", product_id=cheap[0]["product_id"])

    def fees() -> list[float]:
        return [one["fee"] for one in shop("list_delivery_options")]

    assert fees() == [4.99, 9.99, 19.99]
    dear = shop("search_products", min_price=50, in_stock=True)[0]["product_id"]
    shop("add_to_cart", product_id=dear)
    assert fees() == [0, 9.99, 19.99]
    shop("start_membership", card_id=card_of(shop))
    assert fees() == [0, 0, 19.99]


def test_an_order_empties_the_cart_and_takes_from_the_stock(shop, cheap):
    one, _ = cheap
    home, card = address_of(shop), card_of(shop)
    shop.refused(409, "place_order", address_id=home, card_id=card)
    shop("add_to_cart", product_id=one["product_id"], quantity=2)
    stock = shop("show_product", product_id=one["product_id"])["stock"]
    shop.refused(409, "place_order", address_id=home, card_id=card_of(shop, "old card"))
    shop.refused(404, "place_order", address_id=10**6, card_id=card)
    order = shop("place_order", address_id=home, card_id=card, delivery="express", gift_message="Enjoy!")
    assert order["total"] == pytest.approx(2 * one["price"] + 9.99)
    assert (order["status"], order["gift_message"]) == ("placed", "Enjoy!")
    assert shop("show_cart")["items"] == []
    assert shop("show_product", product_id=one["product_id"])["stock"] == stock - 2
    moved = shop("update_order", order_id=order["order_id"], address_id=address_of(shop, "parents"))
    assert moved["address"]["label"] == "parents"
    shop.refused(422, "update_order", order_id=order["order_id"])
    assert shop("cancel_order", order_id=order["order_id"])["status"] == "cancelled"
    assert shop("show_product", product_id=one["product_id"])["stock"] == stock
    shop.refused(409, "cancel_order", order_id=order["order_id"])
    assert shop("reorder", order_id=order["order_id"])["added"] == 1
    assert shop("show_cart")["items"][0]["quantity"] == 2
    shop.refused(409, "reorder", order_id=order["order_id"])


def test_orders_are_found_and_those_of_others_are_not(shop, world):
    orders = shop.every("list_orders")
    assert len(orders) == 12
    assert shop("list_orders", page_index=2, page_limit=5) == orders[10:]
    assert [one["status"] for one in orders[:3]] == ["placed", "placed", "shipped"]
    name = orders[4]["items"][0]["name"]
    assert orders[4] in shop.every("list_orders", query=name.upper())
    late = shop.every("list_orders", from_date=LIFE.day(-20), to_date=LIFE.day(-3))
    assert [LIFE.day(-3), LIFE.day(-8)] == [one["ordered_at"][:10] for one in late][:2]
    shop.refused(409, "update_order", order_id=order_of(shop, "shipped")["order_id"], gift_message="x")
    shop.refused(409, "cancel_order", order_id=order_of(shop, "delivered")["order_id"])
    theirs = order_of(Shop(world, FRIEND.email), "placed")["order_id"]
    for name in ("show_order", "cancel_order", "reorder"):
        shop.refused(404, name, order_id=theirs)
    shop.refused(404, "request_return", order_id=theirs, product_id=1)


def test_returns(shop):
    order = shop.every("list_orders", status="delivered")[1]
    item, number = order["items"][0], order["order_id"]
    product = {"order_id": number, "product_id": item["product_id"]}
    shop.refused(422, "request_return", **product, quantity=item["quantity"] + 1)
    back = shop("request_return", **product, quantity=item["quantity"], reason="too big")
    assert back["refund"] == pytest.approx(item["price"] * item["quantity"])
    assert shop("show_order", order_id=number)["items"][0]["returned"] == item["quantity"]
    shop.refused(409, "request_return", **product)
    assert shop("cancel_return", return_id=back["return_id"])["status"] == "cancelled"
    shop.refused(409, "cancel_return", return_id=back["return_id"])
    shop("request_return", **product)
    inside = {one["product_id"] for one in order["items"]}
    missing = next(n for n in range(1, 90) if n not in inside)
    shop.refused(404, "request_return", order_id=number, product_id=missing)
    old = shop.every("list_orders", status="delivered")[-1]
    shop.refused(409, "request_return", order_id=old["order_id"], product_id=old["items"][0]["product_id"])
    sent = order_of(shop, "shipped")
    shop.refused(409, "request_return", order_id=sent["order_id"], product_id=sent["items"][0]["product_id"])
    assert [one["status"] for one in shop("list_returns", status="refunded")] == ["refunded"]
