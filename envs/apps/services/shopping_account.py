"""shopping: addresses, payment cards, and the membership with free delivery."""

from __future__ import annotations

import datetime
import re
from typing import Any

from palaestra.envs.apps.api import ApiError, api
from palaestra.envs.apps.services.shopping import SHOPPING, short_text
from palaestra.envs.apps.values import Json, dollars
from palaestra.envs.apps.world import Call

MEMBERSHIP_PRICE = 4900
_YEAR = datetime.timedelta(days=365)

# ---- addresses ---------------------------------------------------------------------------------------


@api(SHOPPING, "GET")
def list_addresses(call: Call) -> Json:
    """Show the addresses that orders can be sent to, the oldest first.

    Returns:
        A list of {address_id, label, recipient, street, city, zip_code}.
    """
    rows = call.rows(
        "SELECT * FROM shopping_addresses WHERE person_id = ? AND NOT removed ORDER BY id", call.person_id
    )
    return [_shown_address(row) for row in rows]


@api(SHOPPING, "POST")
def add_address(call: Call, label: str, recipient: str, street: str, city: str, zip_code: str) -> Json:
    """Add an address.

    Args:
        label: what to call it, such as home; no other address of yours may have it.
        recipient: the full name of whom things are sent to there.
        street: the street, with the number.
        city: the city.
        zip_code: its 5 digits.

    Returns:
        {address_id, label, recipient, street, city, zip_code}.
    """
    address_id = call.insert(
        "shopping_addresses",
        person_id=call.person_id,
        label=_free_label(call, label),
        recipient=short_text(recipient, "recipient"),
        street=short_text(street, "street"),
        city=short_text(city, "city"),
        zip_code=_zip_code(zip_code),
    )
    return _shown_address(address(call, address_id))


@api(SHOPPING, "PATCH")
def update_address(
    call: Call,
    address_id: int,
    label: str | None = None,
    recipient: str | None = None,
    street: str | None = None,
    city: str | None = None,
    zip_code: str | None = None,
) -> Json:
    """Change an address; what is left out stays. Orders that are not shipped yet go to the new one.

    Args:
        address_id: the address.
        label: what to call it.
        recipient: the full name of whom things are sent to there.
        street: the street, with the number.
        city: the city.
        zip_code: its 5 digits.

    Returns:
        {address_id, label, recipient, street, city, zip_code}.
    """
    row = address(call, address_id)
    changes: dict[str, Json] = {}
    if label is not None and label.strip() != row["label"]:
        changes["label"] = _free_label(call, label)
    for name, value in (("recipient", recipient), ("street", street), ("city", city)):
        if value is not None:
            changes[name] = short_text(value, name)
    if zip_code is not None:
        changes["zip_code"] = _zip_code(zip_code)
    if not changes:
        raise ApiError(422, "name something to change: label, recipient, street, city or zip_code")
    call.update("shopping_addresses", address_id, **changes)
    return _shown_address(address(call, address_id))


@api(SHOPPING, "DELETE")
def remove_address(call: Call, address_id: int) -> Json:
    """Take an address out of the account; it stays with the orders that were sent there.

    Args:
        address_id: the address, to which no order is still on its way.

    Returns:
        {message}.
    """
    address(call, address_id)
    waiting = call.value(
        "SELECT id FROM shopping_orders WHERE address_id = ? AND status IN ('placed', 'shipped')", address_id
    )
    if waiting is not None:
        raise ApiError(409, f"the order {waiting} is still to be delivered there")
    call.update("shopping_addresses", address_id, removed=1)
    return {"message": "the address is removed"}


# ---- cards -------------------------------------------------------------------------------------------


@api(SHOPPING, "GET")
def list_cards(call: Call) -> Json:
    """Show the cards that orders can be paid with, the oldest first.

    Returns:
        A list of {card_id, label, last_four, expires, expired}; expires is the last month in which a card is
        good.
    """
    rows = call.rows(
        "SELECT * FROM shopping_cards WHERE person_id = ? AND NOT removed ORDER BY id", call.person_id
    )
    return [_shown_card(call, row) for row in rows]


@api(SHOPPING, "POST")
def add_card(call: Call, label: str, number: str, expires: str) -> Json:
    """Add a card.

    Args:
        label: what to call it.
        number: its 16 digits; spaces are left out.
        expires: the last month in which it is good, as 2033-07.

    Returns:
        {card_id, label, last_four, expires, expired}.
    """
    digits = number.replace(" ", "")
    if not re.fullmatch(r"\d{16}", digits, re.ASCII):
        raise ApiError(422, "number must have 16 digits")
    if not re.fullmatch(r"20\d\d-(0[1-9]|1[0-2])", expires, re.ASCII):
        raise ApiError(422, "expires must be a month such as '2033-07'")
    if expires < call.today[:7]:
        raise ApiError(422, "this card has expired")
    known = "SELECT id FROM shopping_cards WHERE person_id = ? AND number = ? AND NOT removed"
    if call.value(known, call.person_id, digits) is not None:
        raise ApiError(409, "this card is in the account already")
    card_id = call.insert(
        "shopping_cards",
        person_id=call.person_id,
        label=short_text(label, "label"),
        number=digits,
        expires=expires,
        created_at=call.now,
    )
    return _shown_card(call, _card(call, card_id))


@api(SHOPPING, "DELETE")
def remove_card(call: Call, card_id: int) -> Json:
    """Take a card out of the account; orders that were paid with it stay.

    Args:
        card_id: the card, with which no membership is renewed.

    Returns:
        {message}.
    """
    _card(call, card_id)
    if call.value("SELECT id FROM shopping_memberships WHERE card_id = ? AND renews", card_id) is not None:
        raise ApiError(409, "the membership is renewed with this card; cancel_membership first")
    call.update("shopping_cards", card_id, removed=1)
    return {"message": "the card is removed"}


# ---- membership --------------------------------------------------------------------------------------


@api(SHOPPING, "GET")
def show_membership(call: Call) -> Json:
    """Show whether you are a member: members pay nothing for standard and express delivery.

    Returns:
        {member, renews, card_id, paid_until, price}; price is that of a year.
    """
    return _shown_membership(call)


@api(SHOPPING, "POST")
def start_membership(call: Call, card_id: int) -> Json:
    """Become a member for a year, or let a membership that was cancelled be renewed again.

    Args:
        card_id: the card to pay with.

    Returns:
        {member, renews, card_id, paid_until, price}.
    """
    card = usable_card(call, card_id)
    row = _membership(call)
    until = datetime.date.fromisoformat(call.today) + _YEAR
    if row is None:
        call.insert(
            "shopping_memberships",
            person_id=call.person_id,
            card_id=card["id"],
            paid_until=until.isoformat(),
            created_at=call.now,
        )
    elif row["renews"]:
        raise ApiError(409, f"you are a member, and are so until {row['paid_until']} at least")
    else:
        # What is paid already still counts.
        paid = max(row["paid_until"], call.today) if is_member(call) else until.isoformat()
        call.update("shopping_memberships", row["id"], renews=1, card_id=card["id"], paid_until=paid)
    return _shown_membership(call)


@api(SHOPPING, "POST")
def cancel_membership(call: Call) -> Json:
    """Cancel the membership: it is not renewed, and ends when the paid year is over.

    Returns:
        {member, renews, card_id, paid_until, price}.
    """
    row = _membership(call)
    if row is None or not row["renews"]:
        raise ApiError(409, "there is no membership that is renewed")
    call.update("shopping_memberships", row["id"], renews=0)
    return _shown_membership(call)


# ---- what the other files of this app use ------------------------------------------------------------


def address(call: Call, address_id: int) -> dict[str, Any]:
    """Return an address of the caller. Raises ``ApiError`` 404."""
    row = call.mine("shopping_addresses", address_id, "address", "list_addresses shows them")
    if row["removed"]:
        raise ApiError(404, f"the address {address_id} was removed; list_addresses shows the others")
    return row


def usable_card(call: Call, card_id: int) -> dict[str, Any]:
    """Return a card of the caller that is good. Raises ``ApiError`` 404 and 409."""
    row = _card(call, card_id)
    if row["expires"] < call.today[:7]:
        raise ApiError(409, f"the card {card_id} expired in {row['expires']}; choose or add another one")
    return row


def is_member(call: Call) -> bool:
    """Return whether the caller pays nothing for delivery."""
    row = _membership(call)
    return row is not None and (bool(row["renews"]) or row["paid_until"] >= call.today)


def _card(call: Call, card_id: int) -> dict[str, Any]:
    row = call.mine("shopping_cards", card_id, "card", "list_cards shows them")
    if row["removed"]:
        raise ApiError(404, f"the card {card_id} was removed; list_cards shows the others")
    return row


def _membership(call: Call) -> dict[str, Any] | None:
    return call.row("SELECT * FROM shopping_memberships WHERE person_id = ?", call.person_id)


def _shown_membership(call: Call) -> dict[str, Json]:
    row = _membership(call)
    shown = {"renews": False, "card_id": None, "paid_until": None}
    if row is not None:
        shown = {"renews": bool(row["renews"]), "card_id": row["card_id"], "paid_until": row["paid_until"]}
    return {"member": is_member(call), **shown, "price": dollars(MEMBERSHIP_PRICE)}


def _shown_address(row: dict[str, Any]) -> dict[str, Json]:
    names = ("label", "recipient", "street", "city", "zip_code")
    return {"address_id": row["id"], **{name: row[name] for name in names}}


def _shown_card(call: Call, row: dict[str, Any]) -> dict[str, Json]:
    return {
        "card_id": row["id"],
        "label": row["label"],
        "last_four": row["number"][-4:],
        "expires": row["expires"],
        "expired": row["expires"] < call.today[:7],
    }


def _free_label(call: Call, label: str) -> str:
    label = short_text(label, "label")
    known = "SELECT id FROM shopping_addresses WHERE person_id = ? AND label = ? AND NOT removed"
    if call.value(known, call.person_id, label) is not None:
        raise ApiError(409, f"there is an address {label!r} already; update_address changes it")
    return label


def _zip_code(text: str) -> str:
    if not re.fullmatch(r"\d{5}", text.strip(), re.ASCII):
        raise ApiError(422, "zip_code must have 5 digits")
    return text.strip()
