"""Put the cheapest of the well rated products of a category into the cart."""

from __future__ import annotations

from palaestra.envs.apps.changes import added
from palaestra.envs.apps.prepared_store import empty_cart, product
from palaestra.envs.apps.scenario import Draft, NearMiss, Plan, Scenario
from palaestra.envs.apps.skills import apis, every_page, login

_CATEGORIES = {
    "office": "Stapler",
    "pets": "Dog bed",
    "travel": "Suitcase",
    "crafts": "Sewing kit",
    "instruments": "Ukulele",
    "lighting": "Floor lamp",
}


def prepare(draft: Draft) -> Plan:
    """Open a category in which the cheap products are rated badly, by few, or sold out."""
    empty_cart(draft)
    category = draft.choose(list(_CATEGORIES))
    rating, reviews, count = draft.choose([3.5, 4.0]), draft.number(3, 5), draft.number(2, 4)
    base = draft.number(20, 60) * 100
    # The price above the least one, the stars that each review gives, how many reviews, the stock.
    kinds = [
        (0, 3, reviews + 2, 30),
        (100, 5, reviews - 1, 30),
        (200, 5, reviews + 1, 0),
        (300, 4, reviews, 30),
        (400, 5, reviews + 3, 30),
        (900, 5, reviews + 1, 30),
    ]
    order = draft.sample(range(len(kinds)), len(kinds))
    best = None
    for letter, place in zip("ABCDEF", order, strict=True):
        more, stars, number, stock = kinds[place]
        name = f"{_CATEGORIES[category]}, model {letter}"
        one = product(draft, name, base + more, category=category, stock=stock)
        best = one if place == 3 else best
        for person in draft.sample([*draft.life.known, *draft.life.strangers], number):
            made = draft.moment(-90, -5)
            draft.insert(
                "shopping_reviews",
                person_id=person.id,
                product_id=one,
                stars=stars,
                created_at=made,
                updated_at=made,
            )
    return Plan(
        parameters={"category": category, "rating": rating, "reviews": reviews, "count": count},
        must=[added("shopping_cart", product_id=best, quantity=count)],
        near_misses=[
            NearMiss("whatever is rated", edit=(", min_rating=rating", "")),
            NearMiss("by few people", edit=("if one['reviews'] >= reviews", "if True")),
            NearMiss(
                "more reviews than that", edit=("one['reviews'] >= reviews", "one['reviews'] > reviews")
            ),
            NearMiss("the best rated one", edit=("sort='cheapest'", "sort='best_rated'")),
            NearMiss("one piece", edit=(", quantity=count", "")),
        ],
    )


def gold(category: str, rating: float, reviews: int, count: int) -> None:
    """Search by price, take the first that many have reviewed."""
    token = login("shopping")
    products = every_page(
        apis.shopping.search_products,
        access_token=token,
        category=category,
        min_rating=rating,
        in_stock=True,
        sort="cheapest",
    )
    print(products)

    best = next(one for one in products if one["reviews"] >= reviews)
    apis.shopping.add_to_cart(access_token=token, product_id=best["product_id"], quantity=count)
    apis.supervisor.complete_task()


SCENARIO = Scenario(
    name="add_best_offer",
    split="test_challenge",
    phrasings=(
        'Which product of the category "{category}" in the store is the cheapest that is in stock, has a '
        "rating of at least {rating} and at least {reviews} reviews? Put {count} pieces of it into my "
        "cart.",
        'Put {count} of one product into my shopping cart: the cheapest one of the category "{category}" '
        "that can be ordered now, is rated {rating} or better, and has been reviewed by {reviews} people "
        "or more.",
    ),
    prepare=prepare,
    gold=gold,
)
