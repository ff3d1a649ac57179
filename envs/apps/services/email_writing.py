"""Writing in the app email: sending, replying, forwarding, and drafts."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from palaestra.envs.apps.api import ApiError, api
from palaestra.envs.apps.services.email import EMAIL, my_address, visible
from palaestra.envs.apps.values import Json
from palaestra.envs.apps.world import Call

_LONGEST_SUBJECT = 200
_LONGEST_FILE_NAME = 120
_MOST_RECIPIENTS = 50


@api(EMAIL, "POST")
def send_email(
    call: Call,
    to: list[str],
    subject: str,
    body: str,
    cc: list[str] | None = None,
    attachments: list[str] | None = None,
) -> Json:
    """Send an email, which begins a thread.

    Args:
        to: the addresses of the recipients.
        subject: what it is about.
        body: its text.
        cc: the addresses of those who get a copy.
        attachments: names of files that go with it.

    Returns:
        {email_id, thread_id, folder, sender, sender_email, recipients, cc, subject, body, attachments,
        labels, read, starred, sent_at}.
    """
    return _send(call, to, subject, body, cc=cc or [], attachments=attachments or [])


@api(EMAIL, "POST")
def reply(
    call: Call, email_id: int, body: str, to_all: bool = False, attachments: list[str] | None = None
) -> Json:
    """Reply to an email, in its thread; a reply to an email of your own goes to its recipients.

    Args:
        email_id: the email.
        body: the text of the reply.
        to_all: whether the others who got the email get a copy.
        attachments: names of files that go with it.

    Returns:
        {email_id, thread_id, folder, sender, sender_email, recipients, cc, subject, body, attachments,
        labels, read, starred, sent_at}.
    """
    email, me = visible(call, email_id), my_address(call)
    own = email["sender_email"] == me
    to = email["recipients"] if own else [email["sender_email"]]
    others = email["cc"] if own else [*email["recipients"], *email["cc"]]
    return _send(
        call,
        to,
        _prefixed("Re: ", email["subject"]),
        body,
        cc=[address for address in others if address != me] if to_all else [],
        attachments=attachments or [],
        reply_to=email_id,
        thread_id=email["thread_id"],
    )


@api(EMAIL, "POST")
def forward(call: Call, email_id: int, to: list[str], body: str = "") -> Json:
    """Forward an email with its attachments to somebody else; its text follows yours.

    Args:
        email_id: the email.
        to: the addresses of the recipients.
        body: a text to put before it.

    Returns:
        {email_id, thread_id, folder, sender, sender_email, recipients, cc, subject, body, attachments,
        labels, read, starred, sent_at}.
    """
    email = visible(call, email_id)
    quoted = f"---- forwarded from {email['sender']} ----\n{email['body']}"
    return _send(
        call,
        to,
        _prefixed("Fwd: ", email["subject"]),
        f"{body.strip()}\n\n{quoted}" if body.strip() else quoted,
        cc=[],
        attachments=email["attachments"],
        forward_of=email_id,
    )


# ---- drafts ------------------------------------------------------------------------------------------


@api(EMAIL, "GET")
def list_drafts(call: Call, query: str = "", page_index: int = 0, page_limit: int = 5) -> Json:
    """Show drafts, the last changed ones first.

    Args:
        query: a text that must occur in the subject or the body, in any case.
        page_index: which page, counted from 0.
        page_limit: drafts a page, at most 20.

    Returns:
        A list of {draft_id, recipients, cc, subject, body, attachments, updated_at}.
    """
    rows = call.page(
        "SELECT * FROM email_drafts WHERE person_id = ? "
        "AND (? = '' OR instr(lower(subject || char(10) || body), ?)) ORDER BY updated_at DESC, id DESC",
        call.person_id,
        query.lower(),
        query.lower(),
        page_index=page_index,
        page_limit=page_limit,
    )
    return [_shown_draft(row) for row in rows]


@api(EMAIL, "POST")
def create_draft(
    call: Call,
    to: list[str] | None = None,
    subject: str = "",
    body: str = "",
    cc: list[str] | None = None,
    attachments: list[str] | None = None,
) -> Json:
    """Write a draft, to send it later.

    Args:
        to: the addresses of the recipients.
        subject: what it is about.
        body: its text.
        cc: the addresses of those who get a copy.
        attachments: names of files that go with it.

    Returns:
        {draft_id, recipients, cc, subject, body, attachments, updated_at}.
    """
    recipients = _addresses(call, to or [])
    draft_id = call.insert(
        "email_drafts",
        person_id=call.person_id,
        recipients=json.dumps(recipients),
        copies=json.dumps(_addresses(call, cc or [], recipients)),
        subject=_subject(subject),
        body=body,
        attachments=json.dumps(_files(attachments or [])),
        created_at=call.now,
        updated_at=call.now,
    )
    return _shown_draft(_draft(call, draft_id))


@api(EMAIL, "PATCH")
def update_draft(
    call: Call,
    draft_id: int,
    to: list[str] | None = None,
    subject: str | None = None,
    body: str | None = None,
    cc: list[str] | None = None,
    attachments: list[str] | None = None,
) -> Json:
    """Change parts of a draft; what is left out stays.

    Args:
        draft_id: the draft.
        to: the new recipients, which replace the old ones.
        subject: the new subject.
        body: the new text, which replaces the old one.
        cc: who gets a copy now.
        attachments: names of the files that go with it now.

    Returns:
        {draft_id, recipients, cc, subject, body, attachments, updated_at}.
    """
    known = _draft(call, draft_id)
    if to is None and subject is None and body is None and cc is None and attachments is None:
        raise ApiError(422, "name something to change: to, subject, body, cc or attachments")
    recipients = json.loads(known["recipients"]) if to is None else _addresses(call, to)
    copies = json.loads(known["copies"]) if cc is None else cc
    changes: dict[str, Any] = {
        "subject": None if subject is None else _subject(subject),
        "body": body,
        "attachments": None if attachments is None else json.dumps(_files(attachments)),
    }
    call.update(
        "email_drafts",
        draft_id,
        recipients=json.dumps(recipients),
        copies=json.dumps(_addresses(call, copies, recipients)),
        **{name: value for name, value in changes.items() if value is not None},
        updated_at=call.now,
    )
    return _shown_draft(_draft(call, draft_id))


@api(EMAIL, "POST")
def send_draft(call: Call, draft_id: int) -> Json:
    """Send a draft, which is a draft no longer then.

    Args:
        draft_id: the draft, with a recipient, a subject and a text.

    Returns:
        {email_id, thread_id, folder, sender, sender_email, recipients, cc, subject, body, attachments,
        labels, read, starred, sent_at}.
    """
    draft = _shown_draft(_draft(call, draft_id))
    call.delete("email_drafts", draft_id)
    return _send(
        call,
        draft["recipients"],
        draft["subject"],
        draft["body"],
        cc=draft["cc"],
        attachments=draft["attachments"],
    )


@api(EMAIL, "DELETE")
def delete_draft(call: Call, draft_id: int) -> Json:
    """Delete a draft.

    Args:
        draft_id: the draft.

    Returns:
        {message}.
    """
    call.delete("email_drafts", _draft(call, draft_id)["id"])
    return {"message": "the draft is deleted"}


# ---- what they share ---------------------------------------------------------------------------------


def _send(
    call: Call,
    to: list[str],
    subject: str,
    body: str,
    *,
    cc: list[str],
    attachments: list[str],
    reply_to: int | None = None,
    forward_of: int | None = None,
    thread_id: int | None = None,
) -> dict[str, Any]:
    recipients = _addresses(call, to)
    if not recipients:
        raise ApiError(422, "to must name at least one recipient")
    if not _subject(subject):
        raise ApiError(422, "subject must not be empty")
    if not body.strip():
        raise ApiError(422, "body must not be empty")
    email_id = call.insert(
        "email_messages",
        person_id=call.person_id,
        recipients=json.dumps(recipients),
        copies=json.dumps(_addresses(call, cc, recipients)),
        subject=_subject(subject),
        body=body.strip(),
        attachments=json.dumps(_files(attachments)),
        reply_to=reply_to,
        forward_of=forward_of,
        thread_id=thread_id,
        sent_at=call.now,
    )
    if thread_id is None:
        call.update("email_messages", email_id, thread_id=email_id)
    return visible(call, email_id)


def _addresses(call: Call, given: list[str], without: Collection[str] = ()) -> list[str]:
    """Return addresses, sorted, each once. Raises ``ApiError`` for one that nobody has."""
    found = sorted({address.strip().lower() for address in given} - set(without))
    if len(found) > _MOST_RECIPIENTS:
        raise ApiError(422, f"an email goes to at most {_MOST_RECIPIENTS} recipients")
    known = (
        "SELECT 1 FROM world_people WHERE email = ?1 UNION SELECT 1 FROM email_companies WHERE address = ?1"
    )
    for address in found:
        if call.value(known, address) is None:
            raise ApiError(404, f"there is no mailbox with the address {address!r}")
    return found


def _subject(subject: str) -> str:
    if len(subject.strip()) > _LONGEST_SUBJECT:
        raise ApiError(422, f"subject must have at most {_LONGEST_SUBJECT} characters")
    return subject.strip()


def _prefixed(prefix: str, subject: str) -> str:
    if subject.lower().startswith(prefix.lower()):
        return subject
    return f"{prefix}{subject}"[:_LONGEST_SUBJECT]


def _files(names: list[str]) -> list[str]:
    found = [name.strip() for name in names]
    if any(not name or len(name) > _LONGEST_FILE_NAME for name in found):
        raise ApiError(422, f"attachments are names of files, each of 1 to {_LONGEST_FILE_NAME} characters")
    return sorted(set(found))


def _draft(call: Call, draft_id: int) -> dict[str, Any]:
    return call.mine("email_drafts", draft_id, "draft", "list_drafts shows them")


def _shown_draft(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "draft_id": row["id"],
        "recipients": json.loads(row["recipients"]),
        "cc": json.loads(row["copies"]),
        "subject": row["subject"],
        "body": row["body"],
        "attachments": json.loads(row["attachments"]),
        "updated_at": row["updated_at"],
    }
