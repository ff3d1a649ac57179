"""The labels of the app email."""

from __future__ import annotations

from palaestra.envs.apps.api import ApiError, api
from palaestra.envs.apps.services.email import EMAIL, visible
from palaestra.envs.apps.values import Json
from palaestra.envs.apps.world import Call

_LONGEST_NAME = 40


@api(EMAIL, "GET")
def list_labels(call: Call) -> Json:
    """Show your labels, by name.

    Returns:
        A list of {label_id, name, emails}, with the number of emails that have it.
    """
    return call.rows(
        "SELECT l.id AS label_id, l.name, count(x.id) AS emails FROM email_labels l "
        "LEFT JOIN email_message_labels x ON x.label_id = l.id WHERE l.person_id = ? "
        "GROUP BY l.id ORDER BY l.name",
        call.person_id,
    )


@api(EMAIL, "POST")
def create_label(call: Call, name: str) -> Json:
    """Create a label; names are kept in small letters.

    Args:
        name: its name, which no other label of yours has.

    Returns:
        {label_id, name}.
    """
    name = _free_name(call, name)
    return {"label_id": call.insert("email_labels", person_id=call.person_id, name=name), "name": name}


@api(EMAIL, "PATCH")
def rename_label(call: Call, label_id: int, name: str) -> Json:
    """Give a label another name.

    Args:
        label_id: the label.
        name: its new name, which no other label of yours has.

    Returns:
        {label_id, name}.
    """
    _label(call, label_id)
    name = _free_name(call, name)
    call.update("email_labels", label_id, name=name)
    return {"label_id": label_id, "name": name}


@api(EMAIL, "DELETE")
def delete_label(call: Call, label_id: int) -> Json:
    """Delete a label; the emails that had it stay.

    Args:
        label_id: the label.

    Returns:
        {message}.
    """
    _label(call, label_id)
    for row in call.rows("SELECT id FROM email_message_labels WHERE label_id = ?", label_id):
        call.delete("email_message_labels", row["id"])
    call.delete("email_labels", label_id)
    return {"message": "the label is deleted"}


@api(EMAIL, "POST")
def add_label(call: Call, email_id: int, label_id: int) -> Json:
    """Put a label on an email.

    Args:
        email_id: the email.
        label_id: the label.

    Returns:
        {email_id, thread_id, folder, sender, sender_email, recipients, cc, subject, body, attachments,
        labels, read, starred, sent_at}.
    """
    if _label(call, label_id) in visible(call, email_id)["labels"]:
        raise ApiError(409, "this email has that label already")
    call.insert("email_message_labels", message_id=email_id, label_id=label_id)
    return visible(call, email_id)


@api(EMAIL, "DELETE")
def remove_label(call: Call, email_id: int, label_id: int) -> Json:
    """Take a label off an email.

    Args:
        email_id: the email.
        label_id: the label.

    Returns:
        {email_id, thread_id, folder, sender, sender_email, recipients, cc, subject, body, attachments,
        labels, read, starred, sent_at}.
    """
    if _label(call, label_id) not in visible(call, email_id)["labels"]:
        raise ApiError(409, "this email does not have that label; show_email shows its labels")
    sql = "SELECT id FROM email_message_labels WHERE message_id = ? AND label_id = ?"
    call.delete("email_message_labels", call.value(sql, email_id, label_id))
    return visible(call, email_id)


# ---- what they share ---------------------------------------------------------------------------------


def _label(call: Call, label_id: int) -> str:
    return call.mine("email_labels", label_id, "label", "list_labels shows them")["name"]


def _free_name(call: Call, name: str) -> str:
    plain = name.strip().lower()
    if not plain or len(plain) > _LONGEST_NAME:
        raise ApiError(422, f"name must have 1 to {_LONGEST_NAME} characters")
    sql = "SELECT id FROM email_labels WHERE person_id = ? AND name = ?"
    if call.value(sql, call.person_id, plain) is not None:
        raise ApiError(409, f"there is a label {plain!r} already")
    return plain
