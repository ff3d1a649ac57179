"""The voice messages and the log of calls of the app phone."""

from __future__ import annotations

from typing import Any, Literal

from palaestra.envs.apps.api import ApiError, api, not_found
from palaestra.envs.apps.services.phone import PHONE, number, receiver
from palaestra.envs.apps.services.phone_messages import hide, matching, message_sql
from palaestra.envs.apps.values import Date, Json
from palaestra.envs.apps.world import Call

_LONGEST_TEXT = 2000
_WORDS_A_SECOND = 2
_VOICE = message_sql("phone_voice_messages", "m.seconds, ")
_CALL = (
    "SELECT l.id AS call_id, l.direction, c.name, o.phone_number, l.answered, l.seconds, l.started_at "
    "FROM phone_calls l JOIN world_people o ON o.id = l.other_id "
    "LEFT JOIN phone_contacts c ON c.person_id = ?1 AND c.phone_number = o.phone_number "
    "WHERE l.person_id = ?1"
)


# ---- voice messages ----------------------------------------------------------------------------------


@api(PHONE, "GET")
def search_voice_messages(
    call: Call,
    query: str = "",
    phone_number: str | None = None,
    direction: Literal["incoming", "outgoing"] | None = None,
    heard: bool | None = None,
    from_date: Date | None = None,
    to_date: Date | None = None,
    page_index: int = 0,
    page_limit: int = 5,
) -> Json:
    """Find voice messages, the latest first.

    Args:
        query: a text that must occur in what is said, in any case.
        phone_number: the number of whom they are with.
        direction: only those that others sent you (incoming), or your own ones (outgoing).
        heard: only those that the receiver has listened to (True), or only others (False).
        from_date: the first day.
        to_date: the last day.
        page_index: which page, counted from 0.
        page_limit: voice messages a page, at most 20.

    Returns:
        A list of {voice_message_id, direction, name, phone_number, text, seconds, sent_at, heard}; the text
        is what is said; the name is None for somebody who is no contact.
    """
    conditions, values = matching(query, phone_number, direction, from_date, to_date)
    if heard is not None:
        conditions.append("read = ?")
        values.append(int(heard))
    rows = call.page(
        f"SELECT * FROM ({_VOICE}) WHERE {' AND '.join(conditions)} ORDER BY sent_at DESC, message_id DESC",
        call.person_id,
        *values,
        page_index=page_index,
        page_limit=page_limit,
    )
    return [_shown(row) for row in rows]


@api(PHONE, "GET")
def show_voice_message(call: Call, voice_message_id: int) -> Json:
    """Show a voice message. It stays unheard until mark_voice_message.

    Args:
        voice_message_id: the voice message.

    Returns:
        {voice_message_id, direction, name, phone_number, text, seconds, sent_at, heard}.
    """
    return _shown(_voice_message(call, voice_message_id))


@api(PHONE, "POST")
def send_voice_message(call: Call, phone_number: str, text: str) -> Json:
    """Send a voice message, spoken by the phone.

    Args:
        phone_number: the number of the receiver, as contacts show it.
        text: what to say, at most 2000 characters.

    Returns:
        {voice_message_id, direction, name, phone_number, text, seconds, sent_at, heard}.
    """
    if not text.strip() or len(text) > _LONGEST_TEXT:
        raise ApiError(422, f"text must have 1 to {_LONGEST_TEXT} characters")
    voice_message_id = call.insert(
        "phone_voice_messages",
        person_id=call.person_id,
        receiver_id=receiver(call, phone_number),
        text=text.strip(),
        seconds=1 + len(text.split()) // _WORDS_A_SECOND,
        sent_at=call.now,
    )
    return _shown(_voice_message(call, voice_message_id))


@api(PHONE, "PATCH")
def mark_voice_message(call: Call, voice_message_id: int, heard: bool) -> Json:
    """Mark a voice message that you got as heard or as new.

    Args:
        voice_message_id: the voice message.
        heard: whether you have listened to it.

    Returns:
        {voice_message_id, direction, name, phone_number, text, seconds, sent_at, heard}.
    """
    if _voice_message(call, voice_message_id)["direction"] == "outgoing":
        raise ApiError(409, "you sent this voice message yourself; only its receiver can mark it")
    call.update("phone_voice_messages", voice_message_id, read=int(heard))
    return _shown(_voice_message(call, voice_message_id))


@api(PHONE, "DELETE")
def delete_voice_message(call: Call, voice_message_id: int) -> Json:
    """Delete a voice message on your phone; the other person keeps it.

    Args:
        voice_message_id: the voice message.

    Returns:
        {message}.
    """
    hide(call, "phone_voice_messages", _voice_message(call, voice_message_id))
    return {"message": "the voice message is deleted"}


# ---- calls -------------------------------------------------------------------------------------------


@api(PHONE, "GET")
def list_calls(
    call: Call,
    direction: Literal["incoming", "outgoing"] | None = None,
    answered: bool | None = None,
    phone_number: str | None = None,
    from_date: Date | None = None,
    to_date: Date | None = None,
    page_index: int = 0,
    page_limit: int = 5,
) -> Json:
    """Show the log of calls, the latest first.

    Args:
        direction: only calls of others (incoming), or only your own ones (outgoing).
        answered: only those that were answered (True), or only missed ones (False).
        phone_number: the number of the other person.
        from_date: the first day.
        to_date: the last day.
        page_index: which page, counted from 0.
        page_limit: calls a page, at most 20.

    Returns:
        A list of {call_id, direction, name, phone_number, answered, seconds, started_at}; the name is None
        for somebody who is no contact.
    """
    conditions, values = ["1"], []
    wanted: tuple[tuple[str, Any], ...] = (
        ("direction = ?", direction),
        ("answered = ?", None if answered is None else int(answered)),
        ("phone_number = ?", None if phone_number is None else number(phone_number)),
        ("substr(started_at, 1, 10) >= ?", from_date),
        ("substr(started_at, 1, 10) <= ?", to_date),
    )
    for condition, value in wanted:
        if value is not None:
            conditions.append(condition)
            values.append(value)
    rows = call.page(
        f"SELECT * FROM ({_CALL}) WHERE {' AND '.join(conditions)} ORDER BY started_at DESC, call_id DESC",
        call.person_id,
        *values,
        page_index=page_index,
        page_limit=page_limit,
    )
    return [{**row, "answered": bool(row["answered"])} for row in rows]


@api(PHONE, "DELETE")
def delete_call(call: Call, call_id: int) -> Json:
    """Delete a call from your log.

    Args:
        call_id: the call.

    Returns:
        {message}.
    """
    call.delete("phone_calls", call.mine("phone_calls", call_id, "call", "list_calls shows them")["id"])
    return {"message": "the call is deleted from the log"}


# ---- what they share ---------------------------------------------------------------------------------


def _voice_message(call: Call, voice_message_id: int) -> dict[str, Any]:
    row = call.row(f"{_VOICE} AND m.id = ?", call.person_id, voice_message_id)
    if row is None:
        raise not_found("voice message", voice_message_id, "search_voice_messages finds them")
    return row


def _shown(row: dict[str, Any]) -> dict[str, Json]:
    names = ("direction", "name", "phone_number", "text", "seconds", "sent_at")
    shown = {name: row[name] for name in names}
    return {"voice_message_id": row["message_id"], **shown, "heard": bool(row["read"])}
