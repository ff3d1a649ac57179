"""email: reading, finding and filing emails. Writing them and labels have files of their own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Literal

from palaestra.envs.apps.api import ApiError, App, api, not_found
from palaestra.envs.apps.services.email_seed import seed
from palaestra.envs.apps.values import Date, Json
from palaestra.envs.apps.world import Call

_Folder = Literal["inbox", "sent", "archive", "spam", "trash"]
_GONE = "deleted"
_FOLDERS = ("inbox", "sent", "archive", "spam", "trash")

EMAIL = App(
    name="email",
    description="Emails in folders and threads, with labels, stars, attachments and drafts.",
    # A message is one row, for all who have it. How it lies in somebody's mailbox is a state; without one
    # it lies unread in the inbox, or for its sender in the sent ones.
    schema="""
    CREATE TABLE email_companies (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, address TEXT NOT NULL UNIQUE
    );
    CREATE TABLE email_messages (
        id INTEGER PRIMARY KEY, person_id INTEGER NOT NULL, company_id INTEGER, recipients TEXT NOT NULL,
        copies TEXT NOT NULL DEFAULT '[]', subject TEXT NOT NULL, body TEXT NOT NULL,
        attachments TEXT NOT NULL DEFAULT '[]', reply_to INTEGER, forward_of INTEGER, thread_id INTEGER,
        sent_at TEXT NOT NULL
    );
    CREATE TABLE email_states (
        id INTEGER PRIMARY KEY, message_id INTEGER NOT NULL, person_id INTEGER NOT NULL,
        folder TEXT NOT NULL, read INTEGER NOT NULL DEFAULT 0, starred INTEGER NOT NULL DEFAULT 0,
        UNIQUE (message_id, person_id)
    );
    CREATE TABLE email_labels (
        id INTEGER PRIMARY KEY, person_id INTEGER NOT NULL, name TEXT NOT NULL, UNIQUE (person_id, name)
    );
    CREATE TABLE email_message_labels (
        id INTEGER PRIMARY KEY, message_id INTEGER NOT NULL, label_id INTEGER NOT NULL,
        UNIQUE (message_id, label_id)
    );
    CREATE TABLE email_drafts (
        id INTEGER PRIMARY KEY, person_id INTEGER NOT NULL, recipients TEXT NOT NULL DEFAULT '[]',
        copies TEXT NOT NULL DEFAULT '[]', subject TEXT NOT NULL DEFAULT '', body TEXT NOT NULL DEFAULT '',
        attachments TEXT NOT NULL DEFAULT '[]', created_at TEXT NOT NULL, updated_at TEXT NOT NULL
    )
    """,
    seed=seed,
    automatic=("created_at", "updated_at", "sent_at", "thread_id"),
)
_TO_ME = (
    "(EXISTS (SELECT 1 FROM json_each(m.recipients) WHERE value = ?2) "
    "OR EXISTS (SELECT 1 FROM json_each(m.copies) WHERE value = ?2))"
)
_EMAIL = (
    "SELECT m.id AS email_id, m.thread_id, "
    f"ifnull(s.folder, iif(m.person_id = ?1 AND NOT {_TO_ME}, 'sent', 'inbox')) AS folder, "
    "ifnull(c.name, p.first_name || ' ' || p.last_name) AS sender, "
    "ifnull(c.address, p.email) AS sender_email, m.recipients, m.copies AS cc, m.subject, m.body, "
    "m.attachments, ifnull(s.read, m.person_id = ?1) AS read, ifnull(s.starred, 0) AS starred, m.sent_at, "
    "(SELECT json_group_array(name) FROM (SELECT l.name FROM email_message_labels x "
    "JOIN email_labels l ON l.id = x.label_id WHERE x.message_id = m.id AND l.person_id = ?1 "
    "ORDER BY l.name)) AS labels "
    "FROM email_messages m LEFT JOIN email_states s ON s.message_id = m.id AND s.person_id = ?1 "
    "LEFT JOIN email_companies c ON c.id = m.company_id LEFT JOIN world_people p ON p.id = m.person_id "
    f"WHERE (m.person_id = ?1 OR {_TO_ME}) AND ifnull(s.folder, '') != '{_GONE}'"
)


@api(EMAIL, "GET")
def search_emails(
    call: Call,
    query: str = "",
    folder: _Folder | None = "inbox",
    sender_email: str | None = None,
    recipient_email: str | None = None,
    label: str | None = None,
    read: bool | None = None,
    starred: bool | None = None,
    has_attachments: bool | None = None,
    from_date: Date | None = None,
    to_date: Date | None = None,
    oldest_first: bool = False,
    page_index: int = 0,
    page_limit: int = 5,
) -> Json:
    """Find emails, the latest first; without conditions, all in the inbox.

    Args:
        query: a text that must occur in the subject, the body or the sender's name, in any case.
        folder: where they lie: inbox, sent, archive, spam or trash; None looks into all but spam and trash.
        sender_email: the address of the sender.
        recipient_email: the address of somebody to whom they went, also as a copy.
        label: the name of a label that they must have.
        read: only read ones (True), or only others (False).
        starred: only starred ones (True), or only others (False).
        has_attachments: only those with attachments (True), or only others (False).
        from_date: the first day.
        to_date: the last day.
        oldest_first: show the oldest first instead.
        page_index: which page, counted from 0.
        page_limit: emails a page, at most 20.

    Returns:
        A list of {email_id, thread_id, folder, sender, sender_email, recipients, subject, attachments,
        labels, read, starred, sent_at}, without the bodies and copies.
    """
    anybody = "(EXISTS (SELECT 1 FROM json_each({}) WHERE value = ?))"
    both = f"({anybody.format('recipients')} OR {anybody.format('cc')})"
    text = "instr(lower(subject || char(10) || body || char(10) || sender), ?)"
    address = None if recipient_email is None else recipient_email.strip().lower()
    sender = None if sender_email is None else sender_email.strip().lower()
    wanted: list[tuple[str, Sequence[Json]]] = [
        (text, [query.lower()]),
        ("folder = ?", [folder]),
        ("sender_email = ?", [sender]),
        (both, [address, address]),
        (anybody.format("labels"), [None if label is None else label.strip().lower()]),
        ("read = ?", [read]),
        ("starred = ?", [starred]),
        ("(attachments != '[]') = ?", [has_attachments]),
        ("substr(sent_at, 1, 10) >= ?", [from_date]),
        ("substr(sent_at, 1, 10) <= ?", [to_date]),
    ]
    given = [(condition, values) for condition, values in wanted if values[0] is not None]
    if folder is None:
        given.append(("folder NOT IN ('spam', 'trash')", []))
    order = "sent_at, email_id" if oldest_first else "sent_at DESC, email_id DESC"
    rows = call.page(
        f"SELECT * FROM ({_EMAIL}) WHERE {' AND '.join(one for one, _ in given)} ORDER BY {order}",
        call.person_id,
        my_address(call),
        *(value for _, values in given for value in values),
        page_index=page_index,
        page_limit=page_limit,
    )
    hidden = ("body", "cc")
    return [{name: value for name, value in shown(row).items() if name not in hidden} for row in rows]


@api(EMAIL, "GET")
def show_email(call: Call, email_id: int) -> Json:
    """Show an email with its text. It stays unread until mark_email.

    Args:
        email_id: the email.

    Returns:
        {email_id, thread_id, folder, sender, sender_email, recipients, cc, subject, body, attachments,
        labels, read, starred, sent_at}.
    """
    return visible(call, email_id)


@api(EMAIL, "GET")
def list_threads(
    call: Call,
    query: str = "",
    unread: bool | None = None,
    page_index: int = 0,
    page_limit: int = 5,
) -> Json:
    """Show threads (an email and its replies), the latest first; spam and trash are left out.

    Args:
        query: a text that must occur in the subject of the latest email, in any case.
        unread: only threads with unread emails (True), or only others (False).
        page_index: which page, counted from 0.
        page_limit: threads a page, at most 20.

    Returns:
        A list of {thread_id, subject, emails, unread, last_sender, last_sent_at}, with the numbers of all
        and of unread emails.
    """
    conditions = "instr(lower(subject), ?)" if query else "? = ''"
    if unread is not None:
        conditions += " AND unread > 0" if unread else " AND unread = 0"
    return call.page(
        "SELECT thread_id, subject, emails, unread, sender AS last_sender, sent_at AS last_sent_at FROM ("
        "SELECT *, row_number() OVER (PARTITION BY thread_id ORDER BY sent_at DESC, email_id DESC) AS place, "
        "count(*) OVER (PARTITION BY thread_id) AS emails, "
        "sum(NOT read) OVER (PARTITION BY thread_id) AS unread "
        f"FROM ({_EMAIL}) WHERE folder NOT IN ('spam', 'trash')) WHERE place = 1 AND {conditions} "
        "ORDER BY sent_at DESC, email_id DESC",
        call.person_id,
        my_address(call),
        query.lower(),
        page_index=page_index,
        page_limit=page_limit,
    )


@api(EMAIL, "GET")
def show_thread(call: Call, thread_id: int, page_index: int = 0, page_limit: int = 5) -> Json:
    """Show the emails of a thread, the oldest first, wherever they lie.

    Args:
        thread_id: the thread, as emails and list_threads name it.
        page_index: which page, counted from 0.
        page_limit: emails a page, at most 20.

    Returns:
        A list of {email_id, thread_id, folder, sender, sender_email, recipients, cc, subject, body,
        attachments, labels, read, starred, sent_at}.
    """
    mine = (call.person_id, my_address(call), thread_id)
    if call.value(f"{_EMAIL} AND m.thread_id = ?", *mine) is None:
        raise not_found("thread", thread_id, "list_threads shows them")
    rows = call.page(
        f"{_EMAIL} AND m.thread_id = ? ORDER BY m.sent_at, m.id",
        *mine,
        page_index=page_index,
        page_limit=page_limit,
    )
    return [shown(row) for row in rows]


@api(EMAIL, "GET")
def list_folders(call: Call) -> Json:
    """Show the folders, and how many emails lie there.

    Returns:
        A list of {folder, emails, unread}.
    """
    rows = call.rows(
        f"SELECT folder, count(*) AS emails, sum(NOT read) AS unread FROM ({_EMAIL}) GROUP BY folder",
        call.person_id,
        my_address(call),
    )
    known = {row["folder"]: row for row in rows}
    return [known.get(folder, {"folder": folder, "emails": 0, "unread": 0}) for folder in _FOLDERS]


@api(EMAIL, "PATCH")
def mark_email(call: Call, email_id: int, read: bool) -> Json:
    """Mark an email as read or as unread.

    Args:
        email_id: the email.
        read: whether it is read.

    Returns:
        {email_id, thread_id, folder, sender, sender_email, recipients, cc, subject, body, attachments,
        labels, read, starred, sent_at}.
    """
    _set_state(call, visible(call, email_id), read=int(read))
    return visible(call, email_id)


@api(EMAIL, "PATCH")
def star_email(call: Call, email_id: int, starred: bool = True) -> Json:
    """Give an email a star, or take it away.

    Args:
        email_id: the email.
        starred: whether it has a star.

    Returns:
        {email_id, thread_id, folder, sender, sender_email, recipients, cc, subject, body, attachments,
        labels, read, starred, sent_at}.
    """
    _set_state(call, visible(call, email_id), starred=int(starred))
    return visible(call, email_id)


@api(EMAIL, "POST")
def move_email(call: Call, email_id: int, folder: _Folder) -> Json:
    """Move an email into another folder: to archive it, to throw it away, or to bring it back.

    Args:
        email_id: the email.
        folder: where to; the inbox takes only emails that you got, sent only those that you wrote.

    Returns:
        {email_id, thread_id, folder, sender, sender_email, recipients, cc, subject, body, attachments,
        labels, read, starred, sent_at}.
    """
    email = visible(call, email_id)
    if email["folder"] == folder:
        raise ApiError(409, f"this email lies in {folder} already")
    me = my_address(call)
    if folder == "sent" and email["sender_email"] != me:
        raise ApiError(409, "you did not write this email; move it to the inbox or the archive")
    if folder == "inbox" and me not in (*email["recipients"], *email["cc"]):
        raise ApiError(409, "you did not get this email but wrote it; move it to sent or the archive")
    _set_state(call, email, folder=folder)
    return visible(call, email_id)


@api(EMAIL, "DELETE")
def delete_email(call: Call, email_id: int) -> Json:
    """Delete an email in the trash for ever; others who have it keep it.

    Args:
        email_id: the email.

    Returns:
        {message}.
    """
    email = visible(call, email_id)
    if email["folder"] != "trash":
        raise ApiError(409, "only emails in the trash are deleted; move_email puts it there")
    _set_state(call, email, folder=_GONE)
    return {"message": "the email is deleted"}


@api(EMAIL, "DELETE")
def empty_trash(call: Call) -> Json:
    """Delete all emails in the trash for ever.

    Returns:
        {deleted}, the number of emails.
    """
    sql = f"SELECT * FROM ({_EMAIL}) WHERE folder = 'trash'"
    rows = call.rows(sql, call.person_id, my_address(call))
    for row in rows:
        _set_state(call, shown(row), folder=_GONE)
    return {"deleted": len(rows)}


# ---- what they share ---------------------------------------------------------------------------------


def my_address(call: Call) -> str:
    """Return the address of the caller."""
    return call.value("SELECT email FROM world_people WHERE id = ?", call.person_id)


def visible(call: Call, email_id: int) -> dict[str, Any]:
    """Return an email that the caller has, as it is shown. Raises ``ApiError`` 404 for any other."""
    row = call.row(f"{_EMAIL} AND m.id = ?", call.person_id, my_address(call), email_id)
    if row is None:
        raise not_found("email", email_id, "search_emails finds them")
    return shown(row)


def shown(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row of an email as callers see it."""
    lists = {name: json.loads(row[name]) for name in ("recipients", "cc", "attachments", "labels")}
    return {**row, **lists, "read": bool(row["read"]), "starred": bool(row["starred"])}


def _set_state(call: Call, email: dict[str, Any], **changes: Any) -> None:
    sql = "SELECT id FROM email_states WHERE message_id = ? AND person_id = ?"
    state = call.value(sql, email["email_id"], call.person_id)
    if state is not None:
        call.update("email_states", state, **changes)
        return
    present = {
        "folder": email["folder"],
        "read": int(email["read"]),
        "starred": int(email["starred"]),
        **changes,
    }
    call.insert("email_states", message_id=email["email_id"], person_id=call.person_id, **present)
