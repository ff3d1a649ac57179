"""What a life's shared expenses are: the apartment, trips and evenings, lunches, presents; writing them."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

import numpy as np

from palaestra.envs.apps.life import Life, Outing, Person
from palaestra.envs.apps.world import Database

_BILLS = {
    "trip": (
        ("cabin rental", "lodging", 180, 420),
        ("gas", "transport", 30, 80),
        ("groceries", "groceries", 40, 120),
        ("dinner on the way", "food", 50, 110),
        ("museum tickets", "tickets", 30, 90),
    ),
    "dinner": (("dinner", "food", 80, 190), ("taxi home", "transport", 15, 40), ("flowers", "gifts", 15, 35)),
    "concert": (
        ("tickets", "tickets", 120, 260),
        ("drinks", "food", 20, 60),
        ("parking", "transport", 10, 25),
    ),
    "game": (
        ("room booking", "tickets", 40, 120),
        ("pizza", "food", 30, 80),
        ("snacks", "groceries", 10, 30),
    ),
}
_REMARKS = ("thanks for paying!", "was that with tip?", "I have the receipt", "looks right to me")


_DEBTS = ("Tickets", "Food", "Petrol", "Rental", "Drinks")


def equal_shares(cents: int, people: Sequence[Person]) -> dict[Person, int]:
    """Return everybody's share as the app does it: the first by email address pay what is left over."""
    part, left = divmod(cents, len(people))
    order = sorted(people, key=lambda person: person.email)
    return {person: part + (place < left) for place, person in enumerate(order)}


def add_group(
    database: Database, owner: Person, name: str, people: Sequence[Person], made: str, kind: str = "other"
) -> int:
    """Add a group of people, the owner among them; return its id."""
    group = database.insert("expenses_groups", person_id=owner.id, name=name, kind=kind, created_at=made)
    rows = [{"group_id": group, "person_id": person.id} for person in people]
    database.insert_all("expenses_members", rows)
    return group


def add_expense(
    database: Database,
    group: int,
    payer: Person,
    what: str,
    cents: int,
    people: Sequence[Person],
    moment: str,
    **columns: Any,
) -> int:
    """Add an expense of a moment that people share equally; return its id."""
    expense = database.insert(
        "expenses_expenses",
        group_id=group,
        person_id=payer.id,
        payer_id=payer.id,
        description=what,
        amount=cents,
        spent_on=moment[:10],
        created_at=moment,
        updated_at=moment,
        **columns,
    )
    shares = [
        {"expense_id": expense, "person_id": person.id, "amount": share}
        for person, share in equal_shares(cents, people).items()
    ]
    database.insert_all("expenses_shares", shares)
    return expense


def add_debt(
    database: Database, group: int, debtor: Person, creditor: Person, cents: int, moment: str
) -> None:
    """Let a member owe another one an amount, by an expense of twice as much that the two share."""
    what = _DEBTS[cents % len(_DEBTS)]
    add_expense(database, group, creditor, what, 2 * cents, (debtor, creditor), moment)


def add_settlement(
    database: Database,
    group: int,
    payer: Person,
    receiver: Person,
    cents: int,
    moment: str,
    note: str = "",
) -> None:
    """Add what a member has paid back to another one."""
    database.insert(
        "expenses_settlements",
        group_id=group,
        person_id=payer.id,
        receiver_id=receiver.id,
        amount=cents,
        note=note,
        settled_on=moment[:10],
        created_at=moment,
    )


def seed(life: Life, database: Database) -> None:
    """Fill the app."""
    book = _Book(life, database)
    me = life.supervisor
    home = [me, *life.relations["roommate"]]
    _apartment(book, book.group("Apartment", "home", me, home, -400), home)
    for outing in life.outings:
        if outing.day < life.today:
            _outing(book, outing)
    lunch = [me, *life.relations["coworker"][:4]]
    _meals(book, book.group("Lunch club", "other", lunch[1], lunch, -200), lunch)
    family = [me, *life.relations["sister"], *life.relations["brother"]]
    _presents(book, book.group("Family presents", "other", me, family, -330), family)
    old = [me, *life.strangers[:2]]
    group = book.group("Old apartment", "home", old[1], old, -900)
    book.expense(group, old[1], "last electricity bill", "utilities", 9600, -420, old)
    database.update("expenses_groups", group, archived=1)
    # A group of others, which the supervisor must never see.
    others = list(life.relations["friend"][:3])
    group = book.group("Surprise party", "other", others[0], others, -15)
    book.expense(group, others[1], "balloons and cake", "food", 5400, -9, others)


class _Book:
    """Writes groups, expenses and settlements on days counted from today."""

    def __init__(self, life: Life, database: Database) -> None:
        self.life, self.database = life, database
        self.generator: np.random.Generator = life.generator("expenses")

    def group(self, name: str, kind: str, owner: Person, people: Sequence[Person], offset: int) -> int:
        return add_group(self.database, owner, name, people, f"{self.life.day(offset)}T10:00:00", kind=kind)

    def expense(
        self,
        group: int,
        payer: Person,
        what: str,
        category: str,
        cents: int,
        offset: int,
        people: Sequence[Person],
    ) -> int:
        moment = self.life.moment(self.generator, offset, offset)
        return add_expense(self.database, group, payer, what, cents, people, moment, category=category)

    def settle(self, group: int, payer: Person, receiver: Person, cents: int, offset: int, note: str) -> None:
        moment = self.life.moment(self.generator, offset, offset)
        add_settlement(self.database, group, payer, receiver, cents, moment, note)

    def remark(self, expense: int, people: Sequence[Person], offset: int) -> None:
        person = people[int(self.generator.integers(len(people)))]
        self.database.insert(
            "expenses_comments",
            expense_id=expense,
            person_id=person.id,
            text=str(self.generator.choice(_REMARKS)),
            created_at=self.life.moment(self.generator, offset, offset),
        )

    def cents(self, low: int, high: int, people: int) -> int:
        """Return an amount between two in dollars, which as many people can share without a rest."""
        return int(self.generator.integers(low * 20, high * 20)) * 5 // people * people


def _apartment(book: _Book, group: int, people: Sequence[Person]) -> None:
    """Six months: rent and the bills, by turns; the months that lie longer back are settled."""
    rent = book.cents(1500, 2400, len(people)) // 100 * 100 // len(people) * len(people)
    today = book.life.today
    for month in range(6, 0, -1):
        first = today.replace(day=1)
        for _ in range(month - 1):
            first = (first - datetime.timedelta(days=1)).replace(day=1)
        for place, (what, category, low, high) in enumerate(
            (
                ("rent", "rent", 0, 0),
                ("electricity", "utilities", 60, 120),
                ("internet", "utilities", 40, 60),
                ("groceries", "groceries", 60, 150),
                ("cleaning supplies", "groceries", 12, 30),
            )
        ):
            offset = (first - today).days + 4 * place
            if offset >= 0:
                continue
            payer = people[(month + place) % len(people)]
            cents = rent if what == "rent" else book.cents(low, high, len(people))
            title = f"{what} {first.strftime('%B')}"
            expense = book.expense(group, payer, title, category, cents, offset, people)
            if place % 3 == 1:
                book.remark(expense, people, offset)
            if month > 2:
                for other in people:
                    if other is not payer:
                        share = cents // len(people)
                        book.settle(group, other, payer, share, min(offset + 6, -1), title)


def _outing(book: _Book, outing: Outing) -> None:
    """Enter what an outing cost; about half of what is owed from it was paid back."""
    people = [book.life.supervisor, *outing.people]
    offset = (outing.day - book.life.today).days
    title = outing.name[4:].capitalize() if outing.name.startswith("the ") else outing.name.capitalize()
    kind = "trip" if outing.kind == "trip" else "other"
    group = book.group(title, kind, outing.people[0], people, offset - 3)
    generator = book.generator
    for place, (what, category, low, high) in enumerate(_BILLS[outing.kind]):
        payer = people[int(generator.integers(len(people)))]
        cents = book.cents(low, high, len(people))
        # Not everybody had a part in everything.
        sharing = (
            people if place == 0 or len(people) < 4 else [one for one in people if one is not people[-1]]
        )
        cents = cents // len(sharing) * len(sharing)
        expense = book.expense(group, payer, what, category, cents, min(offset + place // 2, -1), sharing)
        if generator.random() < 0.4:
            book.remark(expense, people, min(offset + 3, -1))
        for other in sharing:
            if other is not payer and generator.random() < (0.9 if offset < -60 else 0.4):
                share = cents // len(sharing)
                book.settle(group, other, payer, share, min(offset + 4, -1), f"{title}: {what}")


def _meals(book: _Book, group: int, people: Sequence[Person]) -> None:
    for week in range(10, 0, -1):
        payer = people[int(book.generator.integers(len(people)))]
        place = str(book.generator.choice(("noodles", "pizza", "salads", "burritos", "sandwiches")))
        book.expense(group, payer, place, "food", book.cents(40, 90, len(people)), -7 * week, people)


def _presents(book: _Book, group: int, people: Sequence[Person]) -> None:
    for offset, what in ((-280, "present for Mom"), (-190, "present for Dad"), (-40, "anniversary flowers")):
        payer = people[int(book.generator.integers(len(people)))]
        book.expense(group, payer, what, "gifts", book.cents(40, 160, len(people)), offset, people)
