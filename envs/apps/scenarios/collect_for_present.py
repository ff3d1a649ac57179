"""Ask those who come to a party for their share of a present that was ordered."""

from __future__ import annotations

from palaestra.envs.apps.changes import added
from palaestra.envs.apps.prepared_store import order, product
from palaestra.envs.apps.scenario import Draft, NearMiss, Plan, Scenario
from palaestra.envs.apps.services.calendar_seed import add_event
from palaestra.envs.apps.skills import apis, every_page, login

_TITLES = ("Housewarming", "Wedding party", "Retirement party", "Graduation party", "Farewell", "Name day")
_PRESENTS = ("Waffle iron", "Telescope", "Hammock", "Record player", "Raclette grill", "Globe", "Bread oven")


def prepare(draft: Draft) -> Plan:
    """Let a present have been ordered twice at different prices, and cost something else by now."""
    title, present, day = draft.choose(_TITLES), draft.choose(_PRESENTS), draft.number(3, 20)
    people = draft.sample([*draft.life.relations["friend"], *draft.life.relations["coworker"]], 7)
    answers = draft.sample(["accepted"] * draft.number(3, 5) + ["declined", "pending", "tentative"], 6)
    came = [one for one, answer in zip(people, answers, strict=False) if answer == "accepted"]
    given = dict(zip(people, answers, strict=False))
    add_event(draft, draft.me, title, f"{draft.life.day(day)}T18:00", 180, given)
    given = {people[6]: "accepted", people[0]: "accepted"}
    add_event(draft, draft.me, title, f"{draft.life.day(day - 366)}T18:00", 180, given)
    share = draft.number(8, 25) * 50 + 20
    price = share * (len(came) + 1)
    wanted = product(draft, present, price + 700 * (len(came) + 1))
    product(draft, f"{present}, mini", price // 2)
    extra = product(draft, "Wrapping paper", 490)
    order(draft, [(wanted, 1, price - 120 * (len(came) + 1))], -draft.number(200, 260))
    order(draft, [(wanted, 1, price), (extra, 2, 490)], -2, "placed")
    order(draft, [(extra, 1, 490)], -1, "placed")
    note = f"{present} for the {title.lower()}"
    return Plan(
        parameters={"title": title, "day": draft.life.day(day), "present": present, "note": note},
        must=[added("payments_requests", payer_id=person.id, amount=share, note=note) for person in came],
        near_misses=[
            NearMiss("all who were invited", edit=(", answer='accepted'", "")),
            NearMiss("nothing for oneself", edit=("len(people) + 1", "len(people)")),
            NearMiss("with all that was ordered", edit=("item['price'] /", "orders[0]['total'] /")),
            NearMiss("the first order", edit=("orders[0]", "orders[-1]")),
            NearMiss("the price of today", edit=("item['price'] /", "today['price'] /")),
            NearMiss("one less", edit=("for person in people:", "for person in people[1:]:")),
        ],
    )


def gold(title: str, day: str, present: str, note: str) -> None:
    """Look up what it cost and who comes, then ask for the money."""
    shopping = login("shopping")
    orders = every_page(apis.shopping.list_orders, access_token=shopping, query=present)
    item = next(one for one in orders[0]["items"] if one["name"] == present)
    today = apis.shopping.show_product(access_token=shopping, product_id=item["product_id"])
    print("It cost", item["price"], "and would cost", today["price"], "now")

    calendar = login("calendar")
    events = every_page(
        apis.calendar.search_events, access_token=calendar, query=title, from_day=day, to_day=day
    )
    event_id = next(one["event_id"] for one in events if one["title"] == title)
    people = every_page(
        apis.calendar.list_attendees, access_token=calendar, event_id=event_id, answer="accepted"
    )
    print(people)

    share = round(item["price"] / (len(people) + 1), 2)
    payments = login("payments")
    for person in people:
        apis.payments.request_money(access_token=payments, email=person["email"], amount=share, note=note)

    apis.supervisor.complete_task()


SCENARIO = Scenario(
    name="collect_for_present",
    split="test_challenge",
    phrasings=(
        'I ordered the product "{present}" in the shopping app as a present of all of us; the latest order '
        'counts. Those who accepted my event "{title}" on {day} and I share the price that I paid for it, '
        "without delivery and anything else in the order, in equal parts. Request their part from each of "
        'them in the payments app, with the note "{note}".',
        'The "{present}" that I last ordered in the shopping app is for the "{title}" on {day}. Divide the '
        "price that it had in that order (this product alone, no delivery fee) equally among me and "
        "everybody who accepted my invitation to that event, and ask each of them for their part by a "
        'request in the payments app. Note: "{note}".',
    ),
    prepare=prepare,
    gold=gold,
)
