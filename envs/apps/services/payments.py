"""payments: money between people: a balance, cards, payments, requests, and a feed of friends."""

from __future__ import annotations

import re
from typing import Literal

from palaestra.envs.apps.api import ApiError, App, api, not_found
from palaestra.envs.apps.services import payments_seed
from palaestra.envs.apps.values import Date, Json, Money, dollars
from palaestra.envs.apps.world import Call

_LONGEST_NOTE = 280
_LARGEST_PAYMENT = 500_000

PAYMENTS = App(
    name="payments",
    description="Send and request money: a balance, bank cards, friends, and a feed with likes and comments.",
    schema="""
    CREATE TABLE payments_cards (
        id INTEGER PRIMARY KEY, person_id INTEGER NOT NULL, label TEXT NOT NULL, kind TEXT NOT NULL,
        number TEXT NOT NULL, expires TEXT NOT NULL, transfer_limit INTEGER NOT NULL DEFAULT 100000,
        is_default INTEGER NOT NULL DEFAULT 0, removed INTEGER NOT NULL DEFAULT 0, created_at TEXT NOT NULL
    );
    CREATE TABLE payments_transfers (
        id INTEGER PRIMARY KEY, person_id INTEGER NOT NULL, card_id INTEGER NOT NULL, direction TEXT NOT NULL,
        amount INTEGER NOT NULL, created_at TEXT NOT NULL
    );
    CREATE TABLE payments_requests (
        id INTEGER PRIMARY KEY, person_id INTEGER NOT NULL, payer_id INTEGER NOT NULL,
        amount INTEGER NOT NULL, note TEXT NOT NULL DEFAULT '', private INTEGER NOT NULL DEFAULT 0,
        status TEXT NOT NULL DEFAULT 'pending', reminders INTEGER NOT NULL DEFAULT 0,
        created_at TEXT NOT NULL, answered_at TEXT
    );
    CREATE TABLE payments_payments (
        id INTEGER PRIMARY KEY, person_id INTEGER NOT NULL, receiver_id INTEGER NOT NULL,
        amount INTEGER NOT NULL, note TEXT NOT NULL DEFAULT '', private INTEGER NOT NULL DEFAULT 0,
        card_id INTEGER, request_id INTEGER, created_at TEXT NOT NULL
    );
    CREATE TABLE payments_likes (
        id INTEGER PRIMARY KEY, person_id INTEGER NOT NULL, payment_id INTEGER NOT NULL,
        created_at TEXT NOT NULL, UNIQUE (payment_id, person_id)
    );
    CREATE TABLE payments_comments (
        id INTEGER PRIMARY KEY, person_id INTEGER NOT NULL, payment_id INTEGER NOT NULL, text TEXT NOT NULL,
        created_at TEXT NOT NULL
    );
    CREATE TABLE payments_friends (
        id INTEGER PRIMARY KEY, person_id INTEGER NOT NULL, friend_id INTEGER NOT NULL,
        created_at TEXT NOT NULL, UNIQUE (person_id, friend_id)
    );
    CREATE INDEX payments_payments_sender ON payments_payments (person_id);
    CREATE INDEX payments_payments_receiver ON payments_payments (receiver_id);
    CREATE INDEX payments_comments_payment ON payments_comments (payment_id)
    """,
    seed=payments_seed.seed,
    automatic=("created_at", "updated_at", "answered_at"),
    after=("expenses",),
)


# ---- balance and cards -------------------------------------------------------------------------------


@api(PAYMENTS, "GET")
def show_balance(call: Call) -> Json:
    """Show how much money is in the account.

    Returns:
        {balance}.
    """
    return {"balance": dollars(_balance(call))}


@api(PAYMENTS, "GET")
def list_cards(call: Call) -> Json:
    """Show the bank cards of the account, the oldest first.

    Returns:
        A list of {card_id, label, kind, last_four, expires, expired, transfer_limit, is_default}; expires is
        the last month in which a card is good.
    """
    rows = call.rows(
        "SELECT * FROM payments_cards WHERE person_id = ? AND removed = 0 ORDER BY created_at, id",
        call.person_id,
    )
    return [_shown_card(call, row) for row in rows]


@api(PAYMENTS, "POST")
def add_card(call: Call, label: str, number: str, expires: str, kind: Literal["debit", "credit"]) -> Json:
    """Add a bank card; up to $1,000 can be moved with it at a time.

    Args:
        label: what to call it.
        number: its 16 digits; spaces are left out.
        expires: the last month in which it is good, as 2033-07.
        kind: debit or credit.

    Returns:
        The card: {card_id, label, kind, last_four, expires, expired, transfer_limit, is_default}.
    """
    digits = number.replace(" ", "")
    if not re.fullmatch(r"[0-9]{16}", digits):
        raise ApiError(422, "number must have 16 digits")
    known = "SELECT id FROM payments_cards WHERE person_id = ? AND number = ? AND removed = 0"
    if call.value(known, call.person_id, digits) is not None:
        raise ApiError(409, "this card is in the account already; list_cards shows it")
    card_id = call.insert(
        "payments_cards",
        person_id=call.person_id,
        label=short_text(label, "label", least=1),
        kind=kind,
        number=digits,
        expires=_month(call, expires),
        created_at=call.now,
    )
    return _shown_card(call, _card(call, card_id))


@api(PAYMENTS, "PATCH")
def update_card(
    call: Call, card_id: int, label: str | None = None, expires: str | None = None, is_default: bool = False
) -> Json:
    """Change a card; what is left out stays.

    Args:
        card_id: the card.
        label: what to call it.
        expires: the last month in which it is good, as 2033-07.
        is_default: True makes it the default card, in the place of the present one.

    Returns:
        The card: {card_id, label, kind, last_four, expires, expired, transfer_limit, is_default}.
    """
    _card(call, card_id)
    changes: dict[str, Json] = {}
    if label is not None:
        changes["label"] = short_text(label, "label", least=1)
    if expires is not None:
        changes["expires"] = _month(call, expires)
    if is_default:
        changes["is_default"] = 1
    if not changes:
        raise ApiError(422, "name something to change: label, expires, or is_default=True")
    if is_default:
        for other in call.rows(
            "SELECT id FROM payments_cards WHERE person_id = ? AND is_default = 1", call.person_id
        ):
            call.update("payments_cards", other["id"], is_default=0)
    call.update("payments_cards", card_id, **changes)
    return _shown_card(call, _card(call, card_id))


@api(PAYMENTS, "DELETE")
def remove_card(call: Call, card_id: int) -> Json:
    """Take a card out of the account; what was paid with it stays in the history.

    Args:
        card_id: the card, not the default one.

    Returns:
        {message}.
    """
    if _card(call, card_id)["is_default"]:
        raise ApiError(409, "this is the default card; make another one the default with update_card first")
    call.update("payments_cards", card_id, removed=1)
    return {"message": "the card is removed"}


@api(PAYMENTS, "POST")
def top_up(call: Call, amount: Money, card_id: int) -> Json:
    """Move money from a card to the balance.

    Args:
        amount: how much.
        card_id: the card to take it from.

    Returns:
        {transfer_id, direction, amount, card_id, created_at}.
    """
    card = usable_card(call, card_id, positive(amount))
    return _transfer(call, "top_up", card["id"], amount)


@api(PAYMENTS, "POST")
def withdraw(call: Call, amount: Money, card_id: int) -> Json:
    """Move money from the balance to a debit card.

    Args:
        amount: how much, at most the balance.
        card_id: the debit card to move it to.

    Returns:
        {transfer_id, direction, amount, card_id, created_at}.
    """
    card = usable_card(call, card_id, positive(amount))
    if card["kind"] != "debit":
        raise ApiError(422, "money can be withdrawn to debit cards only")
    enough(call, amount)
    return _transfer(call, "withdraw", card["id"], amount)


@api(PAYMENTS, "GET")
def list_transfers(
    call: Call,
    direction: Literal["top_up", "withdraw"] | None = None,
    card_id: int | None = None,
    from_date: Date | None = None,
    to_date: Date | None = None,
    page_index: int = 0,
    page_limit: int = 5,
) -> Json:
    """Show top ups and withdrawals, the latest first.

    Args:
        direction: top_up or withdraw alone.
        card_id: those of one card.
        from_date: the first day.
        to_date: the last day, included.
        page_index: which page, counted from 0.
        page_limit: transfers a page, at most 20.

    Returns:
        A list of {transfer_id, direction, amount, card_id, created_at}.
    """
    condition, values = where(
        ("person_id = ?", call.person_id),
        ("direction = ?", direction),
        ("card_id = ?", card_id),
        *between("created_at", from_date, to_date),
    )
    rows = call.page(
        f"SELECT * FROM payments_transfers WHERE {condition} ORDER BY created_at DESC, id DESC",
        *values,
        page_index=page_index,
        page_limit=page_limit,
    )
    return [_shown_transfer(row) for row in rows]


# ---- people ------------------------------------------------------------------------------------------


@api(PAYMENTS, "GET")
def search_people(
    call: Call, query: str, friends_only: bool = False, page_index: int = 0, page_limit: int = 5
) -> Json:
    """Find people who use this app, by name.

    Args:
        query: part of a name or an email address; an empty text finds everybody.
        friends_only: your friends alone.
        page_index: which page, counted from 0.
        page_limit: people a page, at most 20.

    Returns:
        A list of {name, email, phone_number, is_friend}.
    """
    friend = "EXISTS (SELECT 1 FROM payments_friends WHERE person_id = ? AND friend_id = p.id)"
    rows = call.page(
        f"SELECT p.first_name || ' ' || p.last_name AS name, email, phone_number, {friend} AS is_friend "
        "FROM world_people p JOIN world_accounts a ON a.person_id = p.id AND a.app = 'payments' "
        "WHERE p.id <> ? AND (? = 0 OR is_friend) "
        "AND instr(lower(p.first_name || ' ' || p.last_name || ' ' || email), ?) ORDER BY name, p.id",
        call.person_id,
        call.person_id,
        int(friends_only),
        query.strip().lower(),
        page_index=page_index,
        page_limit=page_limit,
    )
    return [{**row, "is_friend": bool(row["is_friend"])} for row in rows]


@api(PAYMENTS, "POST")
def add_friend(call: Call, email: str) -> Json:
    """Add somebody to your friends, whose public payments are in your feed.

    Args:
        email: their email address.

    Returns:
        {name, email}.
    """
    friend = other_person(call, email)
    known = "SELECT id FROM payments_friends WHERE person_id = ? AND friend_id = ?"
    if call.value(known, call.person_id, friend["id"]) is not None:
        raise ApiError(409, f"{friend['email']} is your friend already")
    call.insert("payments_friends", person_id=call.person_id, friend_id=friend["id"], created_at=call.now)
    return _shown_person(friend)


@api(PAYMENTS, "DELETE")
def remove_friend(call: Call, email: str) -> Json:
    """Take somebody from your friends.

    Args:
        email: their email address.

    Returns:
        {message}.
    """
    friend = other_person(call, email)
    known = "SELECT id FROM payments_friends WHERE person_id = ? AND friend_id = ?"
    row_id = call.value(known, call.person_id, friend["id"])
    if row_id is None:
        raise ApiError(409, f"{friend['email']} is not among your friends")
    call.delete("payments_friends", row_id)
    return {"message": f"{friend['email']} is no longer your friend"}


# ---- what the APIs share -----------------------------------------------------------------------------


def where(*conditions: tuple[str, Json]) -> tuple[str, list[Json]]:
    """Join conditions of one value each; one without a value does not hold anything back."""
    named = [(text, value) for text, value in conditions if value is not None]
    return " AND ".join(text for text, _ in named), [value for _, value in named]


def between(column: str, first: str | None, last: str | None) -> list[tuple[str, Json]]:
    """Return the conditions that a moment lies between two days, both included."""
    return [(f"substr({column}, 1, 10) >= ?", first), (f"substr({column}, 1, 10) <= ?", last)]


def _balance(call: Call) -> int:
    """Add up all that came and went: no column could say anything else."""
    moved = "SELECT total(CASE direction WHEN 'top_up' THEN amount ELSE -amount END) FROM payments_transfers"
    received = "SELECT total(amount) FROM payments_payments WHERE receiver_id = ?"
    sent = "SELECT total(amount) FROM payments_payments WHERE person_id = ? AND card_id IS NULL"
    me = call.person_id
    transfers = call.value(f"{moved} WHERE person_id = ?", me)
    return round(transfers + call.value(received, me) - call.value(sent, me))


def enough(call: Call, amount: int) -> None:
    """Raise ``ApiError`` 409 where the balance is less than an amount."""
    if amount > (balance := _balance(call)):
        raise ApiError(409, f"there are only ${dollars(balance):,.2f} in the balance; top_up adds money")


def _transfer(call: Call, direction: str, card_id: int, amount: int) -> Json:
    row = {"person_id": call.person_id, "card_id": card_id, "direction": direction, "amount": amount}
    transfer_id = call.insert("payments_transfers", **row, created_at=call.now)
    return _shown_transfer({"id": transfer_id, **row, "created_at": call.now})


def _card(call: Call, card_id: int) -> dict[str, Json]:
    card = call.mine("payments_cards", card_id, "card", "list_cards shows them")
    if card["removed"]:
        raise not_found("card", card_id, "list_cards shows them")
    return card


def usable_card(call: Call, card_id: int, amount: int) -> dict[str, Json]:
    """Return a card that can move an amount. Raises ``ApiError``."""
    card = _card(call, card_id)
    if card["expires"] < call.now[:7]:
        raise ApiError(409, f"this card expired after {card['expires']}; use another one")
    if amount > card["transfer_limit"]:
        limit = dollars(card["transfer_limit"])
        raise ApiError(409, f"this card moves at most ${limit:,.2f} at a time")
    return card


def other_person(call: Call, email: str) -> dict[str, Json]:
    """Return the person with an email address. Raises ``ApiError`` for nobody, or the caller."""
    person = call.person(email)
    if person["id"] == call.person_id:
        raise ApiError(422, "email must be somebody else's, not your own")
    return person


def positive(amount: int) -> int:
    """Return an amount that can be paid. Raises ``ApiError`` 422."""
    if not 0 < amount <= _LARGEST_PAYMENT:
        raise ApiError(422, "amount must be more than $0 and at most $5,000")
    return amount


def short_text(text: str, name: str, least: int = 0) -> str:
    """Return a text, trimmed. Raises ``ApiError`` 422 for one that is too long or too short."""
    if not least <= len(text.strip()) <= _LONGEST_NOTE:
        raise ApiError(422, f"{name} must have {least} to {_LONGEST_NOTE} characters")
    return text.strip()


def _month(call: Call, month: str) -> str:
    if not re.fullmatch(r"[0-9]{4}-(0[1-9]|1[0-2])", month) or month < call.now[:7]:
        raise ApiError(422, "expires must be a month such as '2033-07', not one that is over")
    return month


def person_shown(call: Call, person_id: int) -> Json:
    """Return a person as callers see them."""
    row = call.row("SELECT * FROM world_people WHERE id = ?", person_id)
    assert row is not None
    return _shown_person(row)


def _shown_person(row: dict[str, Json]) -> Json:
    return {"name": f"{row['first_name']} {row['last_name']}", "email": row["email"]}


def _shown_card(call: Call, row: dict[str, Json]) -> Json:
    return {
        "card_id": row["id"],
        "label": row["label"],
        "kind": row["kind"],
        "last_four": row["number"][-4:],
        "expires": row["expires"],
        "expired": row["expires"] < call.now[:7],
        "transfer_limit": dollars(row["transfer_limit"]),
        "is_default": bool(row["is_default"]),
    }


def _shown_transfer(row: dict[str, Json]) -> Json:
    return {
        "transfer_id": row["id"],
        "direction": row["direction"],
        "amount": dollars(row["amount"]),
        "card_id": row["card_id"],
        "created_at": row["created_at"],
    }
