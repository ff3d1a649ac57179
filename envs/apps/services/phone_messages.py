"""The text messages of the app phone: threads with one other person each."""

from __future__ import annotations

from typing import Any, Literal

from palaestra.envs.apps.api import ApiError, api, not_found
from palaestra.envs.apps.services.phone import PHONE, number, other_person, receiver
from palaestra.envs.apps.values import Date, Json
from palaestra.envs.apps.world import Call

_LONGEST_TEXT = 2000


def message_sql(table: str, more: str = "") -> str:
    """Return the query for the messages that a person (its first value) sees in ``table``."""
    return (
        "SELECT m.id AS message_id, iif(m.person_id = ?1, 'outgoing', 'incoming') AS direction, c.name, "
        f"o.phone_number, m.text, {more}m.sent_at, m.read FROM {table} m "
        "JOIN world_people o ON o.id = iif(m.person_id = ?1, m.receiver_id, m.person_id) "
        "LEFT JOIN phone_contacts c ON c.person_id = ?1 AND c.phone_number = o.phone_number "
        "WHERE ((m.person_id = ?1 AND NOT m.deleted_by_sender) "
        "OR (m.receiver_id = ?1 AND NOT m.deleted_by_receiver))"
    )


_MESSAGE = message_sql("phone_messages")


@api(PHONE, "GET")
def list_threads(
    call: Call, query: str = "", unread: bool | None = None, page_index: int = 0, page_limit: int = 5
) -> Json:
    """Show with whom there are text messages, the latest thread first.

    Args:
        query: a text that must occur in the name or the number of the other person, in any case.
        unread: only threads with unread messages (True), or only others (False).
        page_index: which page, counted from 0.
        page_limit: threads a page, at most 20.

    Returns:
        A list of {name, phone_number, messages, unread, last_text, last_sent_at}, with the numbers of all and
        of unread messages; the name is None for somebody who is no contact.
    """
    conditions = "(? = '' OR instr(lower(ifnull(name, '') || char(10) || phone_number), ?))"
    if unread is not None:
        conditions += " AND unread > 0" if unread else " AND unread = 0"
    wanted = query.strip().lower()
    return call.page(
        "SELECT name, phone_number, messages, unread, text AS last_text, sent_at AS last_sent_at FROM ("
        "SELECT *, row_number() OVER (PARTITION BY phone_number ORDER BY sent_at DESC, message_id DESC) "
        "AS place, count(*) OVER (PARTITION BY phone_number) AS messages, "
        "sum(direction = 'incoming' AND NOT read) OVER (PARTITION BY phone_number) AS unread "
        f"FROM ({_MESSAGE})) WHERE place = 1 AND {conditions} ORDER BY sent_at DESC, message_id DESC",
        call.person_id,
        wanted,
        wanted,
        page_index=page_index,
        page_limit=page_limit,
    )


@api(PHONE, "GET")
def search_messages(
    call: Call,
    query: str = "",
    phone_number: str | None = None,
    direction: Literal["incoming", "outgoing"] | None = None,
    read: bool | None = None,
    from_date: Date | None = None,
    to_date: Date | None = None,
    oldest_first: bool = False,
    page_index: int = 0,
    page_limit: int = 5,
) -> Json:
    """Find text messages, the latest first.

    Args:
        query: a text that must occur in them, in any case.
        phone_number: the number of whom they are with.
        direction: only those that others sent you (incoming), or your own ones (outgoing).
        read: only those that the receiver has read (True), or only others (False).
        from_date: the first day.
        to_date: the last day.
        oldest_first: show the oldest first instead.
        page_index: which page, counted from 0.
        page_limit: messages a page, at most 20.

    Returns:
        A list of {message_id, direction, name, phone_number, text, sent_at, read}; the name is None for
        somebody who is no contact.
    """
    conditions, values = matching(query, phone_number, direction, from_date, to_date)
    if read is not None:
        conditions.append("read = ?")
        values.append(int(read))
    order = "sent_at, message_id" if oldest_first else "sent_at DESC, message_id DESC"
    rows = call.page(
        f"SELECT * FROM ({_MESSAGE}) WHERE {' AND '.join(conditions)} ORDER BY {order}",
        call.person_id,
        *values,
        page_index=page_index,
        page_limit=page_limit,
    )
    return [{**row, "read": bool(row["read"])} for row in rows]


@api(PHONE, "GET")
def show_message(call: Call, message_id: int) -> Json:
    """Show a text message. It stays unread until mark_message.

    Args:
        message_id: the message.

    Returns:
        {message_id, direction, name, phone_number, text, sent_at, read}.
    """
    return _message(call, message_id)


@api(PHONE, "POST")
def send_message(call: Call, phone_number: str, text: str) -> Json:
    """Send a text message.

    Args:
        phone_number: the number of the receiver, as contacts show it.
        text: what to write, at most 2000 characters.

    Returns:
        {message_id, direction, name, phone_number, text, sent_at, read}.
    """
    if not text.strip() or len(text) > _LONGEST_TEXT:
        raise ApiError(422, f"text must have 1 to {_LONGEST_TEXT} characters")
    message_id = call.insert(
        "phone_messages",
        person_id=call.person_id,
        receiver_id=receiver(call, phone_number),
        text=text.strip(),
        sent_at=call.now,
    )
    return _message(call, message_id)


@api(PHONE, "PATCH")
def mark_message(call: Call, message_id: int, read: bool) -> Json:
    """Mark a text message that you got as read or as unread.

    Args:
        message_id: the message.
        read: whether it is read.

    Returns:
        {message_id, direction, name, phone_number, text, sent_at, read}.
    """
    if _message(call, message_id)["direction"] == "outgoing":
        raise ApiError(409, "you sent this message yourself; only its receiver can mark it")
    call.update("phone_messages", message_id, read=int(read))
    return _message(call, message_id)


@api(PHONE, "POST")
def mark_thread_read(call: Call, phone_number: str) -> Json:
    """Mark all text messages that somebody sent you as read.

    Args:
        phone_number: the number of the sender.

    Returns:
        {phone_number, marked}, with how many messages were unread before.
    """
    sender = other_person(call, phone_number)
    unread = call.rows(
        "SELECT id FROM phone_messages WHERE person_id = ? AND receiver_id = ? AND NOT read "
        "AND NOT deleted_by_receiver",
        sender,
        call.person_id,
    )
    for row in unread:
        call.update("phone_messages", row["id"], read=1)
    return {"phone_number": number(phone_number), "marked": len(unread)}


@api(PHONE, "DELETE")
def delete_message(call: Call, message_id: int) -> Json:
    """Delete a text message on your phone; the other person keeps it.

    Args:
        message_id: the message.

    Returns:
        {message}.
    """
    hide(call, "phone_messages", _message(call, message_id))
    return {"message": "the message is deleted"}


@api(PHONE, "DELETE")
def delete_thread(call: Call, phone_number: str) -> Json:
    """Delete all text messages with somebody on your phone; the other person keeps them.

    Args:
        phone_number: the number of the other person.

    Returns:
        {phone_number, deleted}, with the number of messages.
    """
    other_person(call, phone_number)
    rows = call.rows(
        f"SELECT * FROM ({_MESSAGE}) WHERE phone_number = ?", call.person_id, number(phone_number)
    )
    if not rows:
        raise ApiError(404, f"there are no messages with {phone_number!r}; list_threads shows all threads")
    for row in rows:
        hide(call, "phone_messages", row)
    return {"phone_number": number(phone_number), "deleted": len(rows)}


# ---- what they share ---------------------------------------------------------------------------------


def matching(
    query: str, phone_number: str | None, direction: str | None, from_date: str | None, to_date: str | None
) -> tuple[list[str], list[Any]]:
    """Return the conditions of a search in messages, and their values."""
    conditions, values = ["1"], []
    if query:
        conditions.append("instr(lower(text), ?)")
        values.append(query.lower())
    wanted = (
        ("phone_number = ?", None if phone_number is None else number(phone_number)),
        ("direction = ?", direction),
        ("substr(sent_at, 1, 10) >= ?", from_date),
        ("substr(sent_at, 1, 10) <= ?", to_date),
    )
    for condition, value in wanted:
        if value is not None:
            conditions.append(condition)
            values.append(value)
    return conditions, values


def hide(call: Call, table: str, message: dict[str, Any]) -> None:
    """Take a message off the caller's phone alone."""
    side = "deleted_by_sender" if message["direction"] == "outgoing" else "deleted_by_receiver"
    call.update(table, message["message_id"], **{side: 1})


def _message(call: Call, message_id: int) -> dict[str, Json]:
    row = call.row(f"{_MESSAGE} AND m.id = ?", call.person_id, message_id)
    if row is None:
        raise not_found("message", message_id, "search_messages finds them")
    return {**row, "read": bool(row["read"])}
