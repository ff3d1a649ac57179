"""What a life's payments are: debts settled, small ones, what friends pay each other; writing them."""

from __future__ import annotations

from typing import Any

import numpy as np

from palaestra.envs.apps.life import Life, Person
from palaestra.envs.apps.world import Database

_NOTES = (
    "coffee",
    "lunch",
    "taxi",
    "groceries",
    "movie tickets",
    "birthday cake",
    "pizza",
    "bus ride",
    "book",
)
_REMARKS = ("thank you!", "that was fun", "any time", "see you next week", "best evening in a while")
_BANKS = ("Northbank", "Harbor Savings", "Union Mutual", "Blue River Bank")


def add_payment(
    database: Database, sender: Person, receiver: Person, cents: int, note: str, moment: str
) -> int:
    """Add a public payment; return its id."""
    return database.insert(
        "payments_payments",
        person_id=sender.id,
        receiver_id=receiver.id,
        amount=cents,
        note=note,
        created_at=moment,
    )


def add_request(
    database: Database,
    asking: Person,
    payer: Person,
    cents: int,
    note: str,
    moment: str,
    status: str = "pending",
) -> int:
    """Add a request for money; return its id. One that is not pending was answered at once."""
    return database.insert(
        "payments_requests",
        person_id=asking.id,
        payer_id=payer.id,
        amount=cents,
        note=note,
        status=status,
        created_at=moment,
        answered_at=None if status == "pending" else moment,
    )


def remove_requests(database: Database) -> None:
    """Remove all requests that are pending, so that those that follow are the only ones."""
    database.connection.execute("DELETE FROM payments_requests WHERE status = 'pending'")


def add_transfer(database: Database, person: Person, cents: int, moment: str) -> None:
    """Move an amount from a person's oldest card to the balance, or back if it is negative."""
    database.insert(
        "payments_transfers",
        person_id=person.id,
        card_id=database.value("SELECT min(id) FROM payments_cards WHERE person_id = ?", person.id),
        direction="top_up" if cents > 0 else "withdraw",
        amount=abs(cents),
        created_at=moment,
    )


def seed(life: Life, database: Database) -> None:
    """Fill the app."""
    generator = life.generator("payments")
    me = life.supervisor
    circle = [*life.relations["partner"], *life.relations["friend"], *life.relations["roommate"]]
    _cards(life, database, generator)
    _friends(life, database, generator, circle)
    rows = [*_settled(database, me), *_small(life, generator, me, circle)]
    rows.sort(key=lambda row: row["created_at"])
    database.insert_all("payments_payments", rows)
    _requests(life, database, generator, circle)
    _opinions(life, database, generator, circle)
    _top_ups(life, database, generator)


def _cards(life: Life, database: Database, generator: np.random.Generator) -> None:
    banks = generator.permutation(_BANKS).tolist()
    year = life.today.year
    for place, (kind, label, expires, limit) in enumerate(
        (
            ("debit", f"{banks[0]} debit", f"{year + 2}-0{int(generator.integers(1, 10))}", 200_000),
            ("credit", f"{banks[1]} credit", f"{year + 3}-1{int(generator.integers(0, 3))}", 100_000),
            ("debit", f"{banks[2]} debit", f"{year - 1}-0{int(generator.integers(1, 10))}", 100_000),
            ("debit", f"{banks[3]} debit", f"{year + 1}-0{int(generator.integers(1, 10))}", 20_000),
        )
    ):
        database.insert(
            "payments_cards",
            person_id=life.supervisor.id,
            label=label,
            kind=kind,
            number="".join(str(digit) for digit in generator.integers(0, 10, 16).tolist()),
            expires=expires,
            transfer_limit=limit,
            is_default=int(place == 0),
            created_at=f"{life.day(-900 + 100 * place)}T12:00:00",
        )


def _friends(life: Life, database: Database, generator: np.random.Generator, circle: list[Person]) -> None:
    chosen = [*circle, *life.relations["sister"], *life.relations["brother"], *life.relations["coworker"][:3]]
    rows = [
        {"person_id": one.id, "friend_id": other.id, "created_at": life.moment(generator, -800, -200)}
        for friend in chosen
        for one, other in ((life.supervisor, friend), (friend, life.supervisor))
    ]
    database.insert_all("payments_friends", rows)


def _settled(database: Database, me: Person) -> list[dict[str, Any]]:
    """Return a payment for each settlement of the expenses app that is the supervisor's."""
    settlements = database.rows(
        "SELECT * FROM expenses_settlements WHERE ? IN (person_id, receiver_id) ORDER BY id", me.id
    )
    return [
        {
            "person_id": one["person_id"],
            "receiver_id": one["receiver_id"],
            "amount": one["amount"],
            "note": one["note"],
            "private": int(one["note"].startswith("rent")),
            "created_at": one["created_at"],
        }
        for one in settlements
    ]


def _small(
    life: Life, generator: np.random.Generator, me: Person, circle: list[Person]
) -> list[dict[str, Any]]:
    """Return small payments between friends, the supervisor among them."""
    people = [me, me, me, *circle, *life.relations["coworker"], *life.relations["sister"]]
    rows = []
    while len(rows) < 70:
        sender, receiver = (people[int(place)] for place in generator.integers(0, len(people), 2))
        if sender is not receiver:
            rows.append(
                {
                    "person_id": sender.id,
                    "receiver_id": receiver.id,
                    "amount": int(generator.integers(60, 900)) * 5,
                    "note": str(generator.choice(_NOTES)),
                    "private": int(generator.random() < 0.2),
                    "created_at": life.moment(generator, -240, -1),
                }
            )
    return rows


def _requests(life: Life, database: Database, generator: np.random.Generator, circle: list[Person]) -> None:
    """Make requests from and to the supervisor; the older ones were answered."""
    others = [*circle, *life.relations["coworker"][:2]]
    for place, status in enumerate(("denied", "cancelled", "denied", *("pending",) * 8)):
        other = others[int(generator.integers(len(others)))]
        asking, payer = (life.supervisor, other) if place % 2 == 0 else (other, life.supervisor)
        created = life.moment(generator, *((-45, -2) if status == "pending" else (-160, -80)))
        cents, note = int(generator.integers(100, 1400)) * 5, str(generator.choice(_NOTES))
        add_request(database, asking, payer, cents, note, created, status)


def _opinions(life: Life, database: Database, generator: np.random.Generator, circle: list[Person]) -> None:
    """Let people like and comment on public payments."""
    public = database.rows("SELECT * FROM payments_payments WHERE private = 0 ORDER BY id")
    for payment in public[::3]:
        order = generator.permutation(len(circle)).tolist()
        fans = [circle[place] for place in order[: int(generator.integers(1, 4))]]
        for fan in fans:
            database.insert(
                "payments_likes", person_id=fan.id, payment_id=payment["id"], created_at=payment["created_at"]
            )
        database.insert(
            "payments_comments",
            person_id=fans[0].id,
            payment_id=payment["id"],
            text=str(generator.choice(_REMARKS)),
            created_at=payment["created_at"],
        )


def _top_ups(life: Life, database: Database, generator: np.random.Generator) -> None:
    """Move money in and out so that the balance is a few hundred dollars."""
    me = life.supervisor
    received = database.value("SELECT sum(amount) FROM payments_payments WHERE receiver_id = ?", me.id) or 0
    sent = database.value("SELECT sum(amount) FROM payments_payments WHERE person_id = ?", me.id) or 0
    moves = [(int(generator.integers(4, 21)) * 1000, -230 + 30 * n) for n in range(6)]
    moves += [(-int(generator.integers(2, 9)) * 1000, -200 + 60 * n) for n in range(3)]
    wanted = int(generator.integers(30_000, 90_000))
    first = wanted - (received - sent + sum(cents for cents, _ in moves))
    for cents, offset in sorted([*moves, (first or -100, -260)], key=lambda move: move[1]):
        add_transfer(database, me, cents, life.moment(generator, offset, offset))
