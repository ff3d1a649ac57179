"""Send back what got few stars and was delivered not long ago."""

from __future__ import annotations

from palaestra.envs.apps.changes import added
from palaestra.envs.apps.prepared_store import order, product
from palaestra.envs.apps.scenario import Draft, NearMiss, Plan, Scenario
from palaestra.envs.apps.skills import apis, every_page, login

_THINGS = (
    "Umbrella stand",
    "Egg timer",
    "Ski socks",
    "Travel pillow",
    "Bike bell",
    "Wall clock",
    "Tent pegs",
    "Key board",
)
_REASONS = ("not what I expected", "does not work well", "I do not like it", "poor quality")


def prepare(draft: Draft) -> Plan:
    """Let things have been reviewed: good and bad ones, delivered long ago, just in time, just now."""
    for row in draft.rows("SELECT id FROM shopping_reviews WHERE person_id = ?", draft.me.id):
        draft.delete("shopping_reviews", row["id"])
    stars, days, reason = draft.number(1, 3), draft.number(10, 25), draft.choose(_REASONS)
    # How many stars, on which day from today it was delivered, how many there are and went back already.
    kinds = [
        (stars, -draft.number(2, days - 2), 1, 0),
        (draft.number(1, stars), -draft.number(2, days - 2), 3, 1),
        (1, -days, 2, 0),
        (1, -days - 1, 1, 0),
        (stars + 1, -draft.number(2, days), 1, 0),
        (5, -draft.number(2, days), 1, 0),
        (1, -draft.number(2, days), 1, 1),
    ]
    must = []
    things = draft.sample(_THINGS, len(kinds))
    for thing, (given, delivered, quantity, back) in draft.sample(
        list(zip(things, kinds, strict=True)), len(kinds)
    ):
        price = draft.number(5, 40) * 100 - 5
        wanted = product(draft, thing, price + 200)
        number = order(draft, [(wanted, quantity, price)], delivered - 3, arrives=delivered)
        item = draft.value("SELECT id FROM shopping_items WHERE order_id = ?", number)
        made = draft.moment(-1, -1)
        draft.insert(
            "shopping_reviews",
            person_id=draft.me.id,
            product_id=wanted,
            stars=given,
            created_at=made,
            updated_at=made,
        )
        if back:
            draft.insert(
                "shopping_returns",
                person_id=draft.me.id,
                item_id=item,
                quantity=back,
                refund=back * price,
                created_at=made,
            )
        if given <= stars and delivered >= -days and quantity > back:
            left = quantity - back
            must.append(
                added("shopping_returns", item_id=item, quantity=left, reason=reason, refund=left * price)
            )
    return Plan(
        parameters={"stars": stars, "days": days, "reason": reason},
        words={"stars": "one star" if stars == 1 else f"{stars} stars or fewer"},
        must=must,
        near_misses=[
            NearMiss("one star more", edit=("review['stars'] <= stars", "review['stars'] <= stars + 1")),
            NearMiss("one day more", edit=("age.days <= days", "age.days <= days + 1")),
            NearMiss("one day less", edit=("age.days <= days", "age.days < days")),
            NearMiss("one piece of each", edit=("quantity=left", "quantity=1")),
            NearMiss("no reason", edit=(", reason=reason", "")),
        ],
    )


def gold(stars: int, days: int, reason: str) -> None:
    """Find the orders in which it came, and send back what is left."""
    import datetime

    token = login("shopping")
    reviews = every_page(apis.shopping.list_reviews, access_token=token, mine=True)
    bad = [review["product_id"] for review in reviews if review["stars"] <= stars]
    today = datetime.date.fromisoformat(apis.supervisor.show_current_time()["now"][:10])
    orders = every_page(apis.shopping.list_orders, access_token=token, status="delivered")
    print(bad, len(orders))

    for one in orders:
        age = today - datetime.date.fromisoformat(one["delivered_on"])
        for item in one["items"]:
            left = item["quantity"] - item["returned"]
            if item["product_id"] in bad and age.days <= days and left > 0:
                apis.shopping.request_return(
                    access_token=token,
                    order_id=one["order_id"],
                    product_id=item["product_id"],
                    quantity=left,
                    reason=reason,
                )

    apis.supervisor.complete_task()


SCENARIO = Scenario(
    name="return_what_i_disliked",
    split="test_challenge",
    phrasings=(
        "Send back everything from the shopping app to which I gave {stars} in my reviews and that was "
        "delivered at most {days} days ago: all pieces that I have not sent back yet, with the reason "
        '"{reason}".',
        "I am unhappy with the things that I reviewed with {stars} in the store. For those of them that "
        "came no more than {days} days ago, request a return of all pieces that are still here. Reason: "
        '"{reason}".',
    ),
    prepare=prepare,
    gold=gold,
)
