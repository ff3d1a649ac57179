"""payments: the feed of friends' public payments, likes and comments."""

from __future__ import annotations

from palaestra.envs.apps.api import ApiError, api
from palaestra.envs.apps.services.payments import PAYMENTS, between, person_shown, short_text
from palaestra.envs.apps.services.payments_money import payments_page, visible_payment
from palaestra.envs.apps.values import Date, Json
from palaestra.envs.apps.world import Call


@api(PAYMENTS, "GET")
def show_feed(
    call: Call,
    from_date: Date | None = None,
    to_date: Date | None = None,
    page_index: int = 0,
    page_limit: int = 5,
) -> Json:
    """Show the public payments that your friends sent or received, the latest first.

    Args:
        from_date: the first day.
        to_date: the last day, included.
        page_index: which page, counted from 0.
        page_limit: payments a page, at most 20.

    Returns:
        A list of {payment_id, sender, receiver, amount, note, private, card_id, request_id, likes, comments,
        created_at}; sender and receiver have a name and an email, likes and comments are counted.
    """
    friends = "SELECT friend_id FROM payments_friends WHERE person_id = ?"
    return payments_page(
        call,
        [
            ("t.private = ?", 0),
            (f"EXISTS ({friends} AND friend_id IN (t.person_id, t.receiver_id))", call.person_id),
            *between("t.created_at", from_date, to_date),
        ],
        page_index,
        page_limit,
    )


@api(PAYMENTS, "POST")
def like_payment(call: Call, payment_id: int) -> Json:
    """Like a payment that you can see.

    Args:
        payment_id: the payment.

    Returns:
        {payment_id, likes}, with the number of likes.
    """
    visible_payment(call, payment_id)
    if _like(call, payment_id) is not None:
        raise ApiError(409, "you like this payment already")
    call.insert("payments_likes", person_id=call.person_id, payment_id=payment_id, created_at=call.now)
    return _liked(call, payment_id)


@api(PAYMENTS, "DELETE")
def unlike_payment(call: Call, payment_id: int) -> Json:
    """Take back a like.

    Args:
        payment_id: the payment.

    Returns:
        {payment_id, likes}, with the number of likes.
    """
    visible_payment(call, payment_id)
    like = _like(call, payment_id)
    if like is None:
        raise ApiError(409, "you do not like this payment; like_payment does that")
    call.delete("payments_likes", like)
    return _liked(call, payment_id)


@api(PAYMENTS, "GET")
def list_likes(call: Call, payment_id: int, page_index: int = 0, page_limit: int = 5) -> Json:
    """Show who likes a payment, the first one first.

    Args:
        payment_id: the payment.
        page_index: which page, counted from 0.
        page_limit: people a page, at most 20.

    Returns:
        A list of {name, email}.
    """
    visible_payment(call, payment_id)
    rows = call.page(
        "SELECT * FROM payments_likes WHERE payment_id = ? ORDER BY created_at, id",
        payment_id,
        page_index=page_index,
        page_limit=page_limit,
    )
    return [person_shown(call, row["person_id"]) for row in rows]


@api(PAYMENTS, "GET")
def list_comments(call: Call, payment_id: int, page_index: int = 0, page_limit: int = 5) -> Json:
    """Show the comments on a payment, the oldest first.

    Args:
        payment_id: the payment.
        page_index: which page, counted from 0.
        page_limit: comments a page, at most 20.

    Returns:
        A list of {comment_id, payment_id, author, text, created_at}; the author has a name and an email.
    """
    visible_payment(call, payment_id)
    rows = call.page(
        "SELECT * FROM payments_comments WHERE payment_id = ? ORDER BY created_at, id",
        payment_id,
        page_index=page_index,
        page_limit=page_limit,
    )
    return [_shown(call, row) for row in rows]


@api(PAYMENTS, "POST")
def add_comment(call: Call, payment_id: int, text: str) -> Json:
    """Write a comment on a payment that you can see.

    Args:
        payment_id: the payment.
        text: the comment.

    Returns:
        {comment_id, payment_id, author, text, created_at}; the author has a name and an email.
    """
    visible_payment(call, payment_id)
    comment_id = call.insert(
        "payments_comments",
        person_id=call.person_id,
        payment_id=payment_id,
        text=short_text(text, "text", least=1),
        created_at=call.now,
    )
    return _shown(call, _comment(call, comment_id))


@api(PAYMENTS, "PATCH")
def update_comment(call: Call, comment_id: int, text: str) -> Json:
    """Change a comment that you wrote.

    Args:
        comment_id: the comment.
        text: its new text.

    Returns:
        {comment_id, payment_id, author, text, created_at}; the author has a name and an email.
    """
    _own_comment(call, comment_id)
    call.update("payments_comments", comment_id, text=short_text(text, "text", least=1))
    return _shown(call, _comment(call, comment_id))


@api(PAYMENTS, "DELETE")
def delete_comment(call: Call, comment_id: int) -> Json:
    """Delete a comment that you wrote.

    Args:
        comment_id: the comment.

    Returns:
        {message}.
    """
    _own_comment(call, comment_id)
    call.delete("payments_comments", comment_id)
    return {"message": "the comment is deleted"}


def _like(call: Call, payment_id: int) -> int | None:
    return call.value(
        "SELECT id FROM payments_likes WHERE payment_id = ? AND person_id = ?", payment_id, call.person_id
    )


def _liked(call: Call, payment_id: int) -> Json:
    likes = call.value("SELECT count(*) FROM payments_likes WHERE payment_id = ?", payment_id)
    return {"payment_id": payment_id, "likes": likes}


def _comment(call: Call, comment_id: int) -> dict[str, Json]:
    row = call.row("SELECT * FROM payments_comments WHERE id = ?", comment_id)
    if row is None:
        raise ApiError(404, f"there is no comment {comment_id}; list_comments shows those of a payment")
    visible_payment(call, row["payment_id"])
    return row


def _own_comment(call: Call, comment_id: int) -> None:
    if _comment(call, comment_id)["person_id"] != call.person_id:
        raise ApiError(403, "only who wrote a comment can change or delete it")


def _shown(call: Call, row: dict[str, Json]) -> Json:
    return {
        "comment_id": row["id"],
        "payment_id": row["payment_id"],
        "author": person_shown(call, row["person_id"]),
        "text": row["text"],
        "created_at": row["created_at"],
    }
