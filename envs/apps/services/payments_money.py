"""payments: sending money and asking for it."""

from __future__ import annotations

from typing import Literal

from palaestra.envs.apps.api import ApiError, api, not_found
from palaestra.envs.apps.services.payments import (
    PAYMENTS,
    between,
    enough,
    other_person,
    person_shown,
    positive,
    short_text,
    usable_card,
    where,
)
from palaestra.envs.apps.values import Date, Json, Money, dollars
from palaestra.envs.apps.world import Call

# ---- payments ----------------------------------------------------------------------------------------


@api(PAYMENTS, "POST")
def send_payment(
    call: Call, email: str, amount: Money, note: str = "", private: bool = False, card_id: int | None = None
) -> Json:
    """Pay somebody. A payment cannot be taken back.

    Args:
        email: whom to pay.
        amount: how much, at most $5,000.
        note: what it is for.
        private: whether others cannot see it.
        card_id: the card to pay with; by default it comes from the balance.

    Returns:
        The payment: {payment_id, sender, receiver, amount, note, private, card_id, request_id, likes,
        comments, created_at}; sender and receiver have a name and an email, likes and comments are counted.
    """
    return _pay(call, other_person(call, email)["id"], amount, note, private, card_id, None)


@api(PAYMENTS, "GET")
def show_payment(call: Call, payment_id: int) -> Json:
    """Show a payment of yours, or a public one of others.

    Args:
        payment_id: the payment.

    Returns:
        {payment_id, sender, receiver, amount, note, private, card_id, request_id, likes, comments,
        created_at}; sender and receiver have a name and an email, likes and comments are counted.
    """
    return payment_shown(call, visible_payment(call, payment_id))


@api(PAYMENTS, "GET")
def list_payments(
    call: Call,
    direction: Literal["sent", "received"] | None = None,
    email: str | None = None,
    query: str = "",
    min_amount: Money | None = None,
    max_amount: Money | None = None,
    from_date: Date | None = None,
    to_date: Date | None = None,
    page_index: int = 0,
    page_limit: int = 5,
) -> Json:
    """Show the payments that you sent or received, the latest first.

    Args:
        direction: sent or received alone.
        email: those with one person.
        query: a text that must occur in the note, in any case.
        min_amount: the least amount.
        max_amount: the largest amount.
        from_date: the first day.
        to_date: the last day, included.
        page_index: which page, counted from 0.
        page_limit: payments a page, at most 20.

    Returns:
        A list of {payment_id, sender, receiver, amount, note, private, card_id, request_id, likes, comments,
        created_at}; sender and receiver have a name and an email, likes and comments are counted.
    """
    person = None if email is None else other_person(call, email)["id"]
    conditions: list[tuple[str, Json]] = [
        ("? IN (t.person_id, t.receiver_id)", call.person_id),
        ("? IN (t.person_id, t.receiver_id)", person),
        ("t.person_id = ?", call.person_id if direction == "sent" else None),
        ("t.receiver_id = ?", call.person_id if direction == "received" else None),
        *_searched(query, min_amount, max_amount),
        *between("t.created_at", from_date, to_date),
    ]
    return payments_page(call, conditions, page_index, page_limit)


@api(PAYMENTS, "PATCH")
def update_payment(call: Call, payment_id: int, note: str | None = None, private: bool | None = None) -> Json:
    """Change the note of a payment that you sent, or who can see it.

    Args:
        payment_id: the payment.
        note: its new note.
        private: whether others cannot see it.

    Returns:
        The payment: {payment_id, sender, receiver, amount, note, private, card_id, request_id, likes,
        comments, created_at}; sender and receiver have a name and an email, likes and comments are counted.
    """
    if visible_payment(call, payment_id)["person_id"] != call.person_id:
        raise ApiError(403, "only the sender can change a payment")
    changes = {
        **({} if note is None else {"note": short_text(note, "note")}),
        **({} if private is None else {"private": int(private)}),
    }
    if not changes:
        raise ApiError(422, "name something to change: note or private")
    call.update("payments_payments", payment_id, **changes)
    return payment_shown(call, visible_payment(call, payment_id))


# ---- requests ----------------------------------------------------------------------------------------


@api(PAYMENTS, "POST")
def request_money(call: Call, email: str, amount: Money, note: str = "", private: bool = False) -> Json:
    """Ask somebody for money.

    Args:
        email: who is to pay.
        amount: how much, at most $5,000.
        note: what it is for.
        private: whether the payment will be private.

    Returns:
        The request: {request_id, requester, payer, amount, note, private, status, reminders, created_at,
        answered_at}; requester and payer have a name and an email.
    """
    request_id = call.insert(
        "payments_requests",
        person_id=call.person_id,
        payer_id=other_person(call, email)["id"],
        amount=positive(amount),
        note=short_text(note, "note"),
        private=int(private),
        created_at=call.now,
    )
    return _shown_request(call, _request(call, request_id))


@api(PAYMENTS, "GET")
def list_requests(
    call: Call,
    direction: Literal["incoming", "outgoing"] | None = None,
    status: Literal["pending", "approved", "denied", "cancelled"] | None = None,
    email: str | None = None,
    query: str = "",
    min_amount: Money | None = None,
    max_amount: Money | None = None,
    from_date: Date | None = None,
    to_date: Date | None = None,
    page_index: int = 0,
    page_limit: int = 5,
) -> Json:
    """Show requests for money, the latest first.

    Args:
        direction: incoming (you are to pay) or outgoing (you ask) alone.
        status: those in one state.
        email: those with one person.
        query: a text that must occur in the note, in any case.
        min_amount: the least amount.
        max_amount: the largest amount.
        from_date: the first day on which they were made.
        to_date: the last such day, included.
        page_index: which page, counted from 0.
        page_limit: requests a page, at most 20.

    Returns:
        A list of {request_id, requester, payer, amount, note, private, status, reminders, created_at,
        answered_at}; requester and payer have a name and an email.
    """
    person = None if email is None else other_person(call, email)["id"]
    condition, values = where(
        ("? IN (t.person_id, t.payer_id)", call.person_id),
        ("? IN (t.person_id, t.payer_id)", person),
        ("t.payer_id = ?", call.person_id if direction == "incoming" else None),
        ("t.person_id = ?", call.person_id if direction == "outgoing" else None),
        ("t.status = ?", status),
        *_searched(query, min_amount, max_amount),
        *between("t.created_at", from_date, to_date),
    )
    rows = call.page(
        f"SELECT t.* FROM payments_requests t WHERE {condition} ORDER BY t.created_at DESC, t.id DESC",
        *values,
        page_index=page_index,
        page_limit=page_limit,
    )
    return [_shown_request(call, row) for row in rows]


@api(PAYMENTS, "PATCH")
def update_request(call: Call, request_id: int, amount: Money | None = None, note: str | None = None) -> Json:
    """Change a pending request that you made.

    Args:
        request_id: the request.
        amount: how much you ask for now.
        note: what it is for.

    Returns:
        The request: {request_id, requester, payer, amount, note, private, status, reminders, created_at,
        answered_at}; requester and payer have a name and an email.
    """
    _pending(call, request_id, "person_id", "only who made a request can change it")
    changes = {
        **({} if amount is None else {"amount": positive(amount)}),
        **({} if note is None else {"note": short_text(note, "note")}),
    }
    if not changes:
        raise ApiError(422, "name something to change: amount or note")
    call.update("payments_requests", request_id, **changes)
    return _shown_request(call, _request(call, request_id))


@api(PAYMENTS, "POST")
def approve_request(call: Call, request_id: int, card_id: int | None = None) -> Json:
    """Pay what somebody asks you for.

    Args:
        request_id: a pending request to you.
        card_id: the card to pay with; by default it comes from the balance.

    Returns:
        The payment: {payment_id, sender, receiver, amount, note, private, card_id, request_id, likes,
        comments, created_at}; sender and receiver have a name and an email, likes and comments are counted.
    """
    row = _pending(call, request_id, "payer_id", "only who is asked to pay can approve a request")
    call.update("payments_requests", request_id, status="approved", answered_at=call.now)
    private = bool(row["private"])
    return _pay(call, row["person_id"], row["amount"], row["note"], private, card_id, request_id)


@api(PAYMENTS, "POST")
def deny_request(call: Call, request_id: int) -> Json:
    """Refuse to pay what somebody asks you for.

    Args:
        request_id: a pending request to you.

    Returns:
        The request: {request_id, requester, payer, amount, note, private, status, reminders, created_at,
        answered_at}; requester and payer have a name and an email.
    """
    _pending(call, request_id, "payer_id", "only who is asked to pay can deny a request")
    call.update("payments_requests", request_id, status="denied", answered_at=call.now)
    return _shown_request(call, _request(call, request_id))


@api(PAYMENTS, "POST")
def cancel_request(call: Call, request_id: int) -> Json:
    """Take back a request that you made.

    Args:
        request_id: a pending request of yours.

    Returns:
        The request: {request_id, requester, payer, amount, note, private, status, reminders, created_at,
        answered_at}; requester and payer have a name and an email.
    """
    _pending(call, request_id, "person_id", "only who made a request can cancel it")
    call.update("payments_requests", request_id, status="cancelled", answered_at=call.now)
    return _shown_request(call, _request(call, request_id))


@api(PAYMENTS, "POST")
def remind(call: Call, request_id: int) -> Json:
    """Remind somebody of a request that you made.

    Args:
        request_id: a pending request of yours.

    Returns:
        The request: {request_id, requester, payer, amount, note, private, status, reminders, created_at,
        answered_at}; requester and payer have a name and an email.
    """
    row = _pending(call, request_id, "person_id", "only who made a request can remind of it")
    call.update("payments_requests", request_id, reminders=row["reminders"] + 1)
    return _shown_request(call, _request(call, request_id))


# ---- what the APIs share -----------------------------------------------------------------------------


def _searched(query: str, least: int | None, most: int | None) -> list[tuple[str, Json]]:
    text = query.strip().lower() or None
    return [("instr(lower(t.note), ?)", text), ("t.amount >= ?", least), ("t.amount <= ?", most)]


def payments_page(
    call: Call, conditions: list[tuple[str, Json]], page_index: int, page_limit: int
) -> list[Json]:
    """Return a page of payments; the conditions are about the table ``t``."""
    condition, values = where(*conditions)
    rows = call.page(
        f"SELECT t.* FROM payments_payments t WHERE {condition} ORDER BY t.created_at DESC, t.id DESC",
        *values,
        page_index=page_index,
        page_limit=page_limit,
    )
    return [payment_shown(call, row) for row in rows]


def _pay(
    call: Call, receiver: int, amount: int, note: str, private: bool, card_id: int | None, request: int | None
) -> Json:
    positive(amount)
    if card_id is None:
        enough(call, amount)
    else:
        usable_card(call, card_id, amount)
    payment_id = call.insert(
        "payments_payments",
        person_id=call.person_id,
        receiver_id=receiver,
        amount=amount,
        note=short_text(note, "note"),
        private=int(private),
        card_id=card_id,
        request_id=request,
        created_at=call.now,
    )
    return payment_shown(call, visible_payment(call, payment_id))


def visible_payment(call: Call, payment_id: int) -> dict[str, Json]:
    """Return a payment. Raises ``ApiError`` 404 for one that the caller cannot see."""
    row = call.row("SELECT * FROM payments_payments WHERE id = ?", payment_id)
    if row is None or (row["private"] and call.person_id not in (row["person_id"], row["receiver_id"])):
        raise ApiError(404, f"there is no payment {payment_id} that you can see; list_payments finds yours")
    return row


def _request(call: Call, request_id: int) -> dict[str, Json]:
    row = call.row("SELECT * FROM payments_requests WHERE id = ?", request_id)
    if row is None or call.person_id not in (row["person_id"], row["payer_id"]):
        raise not_found("request", request_id, "list_requests shows them")
    return row


def _pending(call: Call, request_id: int, column: str, refusal: str) -> dict[str, Json]:
    row = _request(call, request_id)
    if row[column] != call.person_id:
        raise ApiError(403, refusal)
    if row["status"] != "pending":
        raise ApiError(409, f"this request is {row['status']}; only a pending one can be changed")
    return row


def payment_shown(call: Call, row: dict[str, Json]) -> Json:
    """Return a payment as callers see it."""
    mine = row["person_id"] == call.person_id
    part = call.person_id in (row["person_id"], row["receiver_id"])
    likes = "SELECT count(*) FROM payments_likes WHERE payment_id = ?"
    comments = "SELECT count(*) FROM payments_comments WHERE payment_id = ?"
    return {
        "payment_id": row["id"],
        "sender": person_shown(call, row["person_id"]),
        "receiver": person_shown(call, row["receiver_id"]),
        "amount": dollars(row["amount"]),
        "note": row["note"],
        "private": bool(row["private"]),
        "card_id": row["card_id"] if mine else None,
        "request_id": row["request_id"] if part else None,
        "likes": call.value(likes, row["id"]),
        "comments": call.value(comments, row["id"]),
        "created_at": row["created_at"],
    }


def _shown_request(call: Call, row: dict[str, Json]) -> Json:
    return {
        "request_id": row["id"],
        "requester": person_shown(call, row["person_id"]),
        "payer": person_shown(call, row["payer_id"]),
        "amount": dollars(row["amount"]),
        "note": row["note"],
        "private": bool(row["private"]),
        "status": row["status"],
        "reminders": row["reminders"],
        "created_at": row["created_at"],
        "answered_at": row["answered_at"],
    }
