"""expenses: the expenses of a group, how they are split, comments, and what happened lately."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from palaestra.envs.apps.api import ApiError, api
from palaestra.envs.apps.services.expenses import (
    EXPENSES,
    IN_MY_GROUPS,
    group_member,
    member_ids,
    open_group,
    own_group,
    person_shown,
    positive,
    short_text,
    where,
)
from palaestra.envs.apps.values import Date, Json, Money, dollars
from palaestra.envs.apps.world import Call

Category = Literal[
    "general", "rent", "utilities", "groceries", "food", "transport", "tickets", "lodging", "gifts"
]


# ---- adding and splitting ----------------------------------------------------------------------------


@api(EXPENSES, "POST")
def add_expense(
    call: Call,
    group_id: int,
    description: str,
    amount: Money,
    category: Category = "general",
    payer_email: str | None = None,
    participant_emails: list[str] | None = None,
    spent_on: Date | None = None,
) -> Json:
    """Add an expense that is split equally; cents left over go to the first participants by email address.

    Args:
        group_id: the group.
        description: what it was.
        amount: what it cost in all.
        category: what kind of expense it is.
        payer_email: the member who paid; you by default.
        participant_emails: the members who share it; all of the group by default.
        spent_on: the day; today by default.

    Returns:
        The expense: {expense_id, group_id, description, amount, category, payer, added_by, split, shares,
        spent_on}; each share has a name, an email and an amount.
    """
    open_group(call, group_id)
    people = _participants(call, group_id, participant_emails)
    shares = _equally(positive(amount), people)
    return _add(call, group_id, description, shares, category, payer_email, spent_on, "equal")


@api(EXPENSES, "POST")
def add_expense_by_shares(
    call: Call,
    group_id: int,
    description: str,
    amount: Money,
    participant_emails: list[str],
    shares: list[int],
    category: Category = "general",
    payer_email: str | None = None,
    spent_on: Date | None = None,
) -> Json:
    """Add an expense of which people carry different numbers of shares; the first carries cents left over.

    Args:
        group_id: the group.
        description: what it was.
        amount: what it cost in all.
        participant_emails: the members who share it.
        shares: for each of them, in the same order, a number of shares such as 2 for two people.
        category: what kind of expense it is.
        payer_email: the member who paid; you by default.
        spent_on: the day; today by default.

    Returns:
        The expense: {expense_id, group_id, description, amount, category, payer, added_by, split, shares,
        spent_on}; each share has a name, an email and an amount.
    """
    open_group(call, group_id)
    people = _participants(call, group_id, participant_emails, keep_order=True)
    if len(shares) != len(people) or not all(1 <= share <= 100 for share in shares):
        raise ApiError(422, "shares must hold a number from 1 to 100 for each participant")
    parts = {one: positive(amount) * share // sum(shares) for one, share in zip(people, shares, strict=True)}
    parts[people[0]] += amount - sum(parts.values())
    return _add(call, group_id, description, parts, category, payer_email, spent_on, "shares")


@api(EXPENSES, "POST")
def add_expense_by_amounts(
    call: Call,
    group_id: int,
    description: str,
    participant_emails: list[str],
    amounts: list[Money],
    category: Category = "general",
    payer_email: str | None = None,
    spent_on: Date | None = None,
) -> Json:
    """Add an expense of which each participant carries an amount of their own.

    Args:
        group_id: the group.
        description: what it was.
        participant_emails: the members who share it.
        amounts: for each of them, in the same order, what they carry; together it is the expense.
        category: what kind of expense it is.
        payer_email: the member who paid; you by default.
        spent_on: the day; today by default.

    Returns:
        The expense: {expense_id, group_id, description, amount, category, payer, added_by, split, shares,
        spent_on}; each share has a name, an email and an amount.
    """
    open_group(call, group_id)
    parts = _parts(call, group_id, participant_emails, amounts)
    return _add(call, group_id, description, parts, category, payer_email, spent_on, "amounts")


@api(EXPENSES, "POST")
def resplit_equally(call: Call, expense_id: int, participant_emails: list[str]) -> Json:
    """Split an expense anew, equally among some members; its amount stays.

    Args:
        expense_id: an expense that you added or paid.
        participant_emails: the members who share it.

    Returns:
        The expense: {expense_id, group_id, description, amount, category, payer, added_by, split, shares,
        spent_on}; each share has a name, an email and an amount.
    """
    row = _changeable(call, expense_id)
    people = _participants(call, row["group_id"], participant_emails)
    return _resplit(call, row, _equally(row["amount"], people), "equal")


@api(EXPENSES, "POST")
def resplit_by_amounts(
    call: Call, expense_id: int, participant_emails: list[str], amounts: list[Money]
) -> Json:
    """Split an expense anew, by amounts; together they must be what it cost.

    Args:
        expense_id: an expense that you added or paid.
        participant_emails: the members who share it.
        amounts: for each of them, in the same order, what they carry.

    Returns:
        The expense: {expense_id, group_id, description, amount, category, payer, added_by, split, shares,
        spent_on}; each share has a name, an email and an amount.
    """
    row = _changeable(call, expense_id)
    parts = _parts(call, row["group_id"], participant_emails, amounts)
    if sum(parts.values()) != row["amount"]:
        raise ApiError(422, f"the amounts must add up to ${dollars(row['amount']):,.2f}")
    return _resplit(call, row, parts, "amounts")


# ---- expenses ----------------------------------------------------------------------------------------


@api(EXPENSES, "GET")
def show_expense(call: Call, expense_id: int) -> Json:
    """Show an expense of one of your groups.

    Args:
        expense_id: the expense.

    Returns:
        {expense_id, group_id, description, amount, category, payer, added_by, split, shares, spent_on}; each
        share has a name, an email and an amount.
    """
    return _shown(call, _expense(call, expense_id))


@api(EXPENSES, "GET")
def list_expenses(
    call: Call,
    group_id: int | None = None,
    query: str = "",
    category: Category | None = None,
    payer_email: str | None = None,
    participant_email: str | None = None,
    from_date: Date | None = None,
    to_date: Date | None = None,
    page_index: int = 0,
    page_limit: int = 5,
) -> Json:
    """Find expenses of your groups, archived ones too; the latest first.

    Args:
        group_id: those of one group.
        query: a text that must occur in the description, in any case.
        category: those of one category.
        payer_email: those that one person paid.
        participant_email: those that one person has a share in.
        from_date: the first day.
        to_date: the last day, included.
        page_index: which page, counted from 0.
        page_limit: expenses a page, at most 20.

    Returns:
        A list of {expense_id, group_id, description, amount, category, payer, your_share, spent_on}; the
        payer has a name and an email, your_share is 0 where you have none.
    """
    if group_id is not None:
        own_group(call, group_id)
    payer, participant = (
        None if email is None else call.person(email)["id"] for email in (payer_email, participant_email)
    )
    has_share = "EXISTS (SELECT 1 FROM expenses_shares WHERE expense_id = s.id AND person_id = ?)"
    condition, values = where(
        (IN_MY_GROUPS, call.person_id),
        ("s.group_id = ?", group_id),
        ("instr(lower(description), ?)", query.strip().lower() or None),
        ("category = ?", category),
        ("payer_id = ?", payer),
        (has_share, participant),
        ("spent_on >= ?", from_date),
        ("spent_on <= ?", to_date),
    )
    rows = call.page(
        f"SELECT s.* FROM expenses_expenses s WHERE {condition} ORDER BY spent_on DESC, id DESC",
        *values,
        page_index=page_index,
        page_limit=page_limit,
    )
    return [_brief(call, row) for row in rows]


@api(EXPENSES, "PATCH")
def update_expense(
    call: Call,
    expense_id: int,
    description: str | None = None,
    amount: Money | None = None,
    category: Category | None = None,
    payer_email: str | None = None,
    spent_on: Date | None = None,
) -> Json:
    """Change an expense; what is left out stays. A new amount is split as before if that was equally.

    Args:
        expense_id: an expense that you added or paid.
        description: what it was.
        amount: what it cost in all.
        category: what kind of expense it is.
        payer_email: the member who paid.
        spent_on: the day.

    Returns:
        The expense: {expense_id, group_id, description, amount, category, payer, added_by, split, shares,
        spent_on}; each share has a name, an email and an amount.
    """
    row = _changeable(call, expense_id)
    payer = None if payer_email is None else group_member(call, row["group_id"], payer_email)["id"]
    changes = {
        "description": None if description is None else short_text(description, "description"),
        "amount": None if amount is None else positive(amount),
        "category": category,
        "payer_id": payer,
        "spent_on": spent_on,
    }
    changes = {name: value for name, value in changes.items() if value is not None}
    if not changes:
        raise ApiError(422, "name something to change: description, amount, category, payer_email, spent_on")
    if amount is not None:
        if row["split"] != "equal":
            raise ApiError(409, "this expense is not split equally; delete it and add it anew instead")
        _write_shares(call, expense_id, _equally(amount, list(_shares(call, expense_id))))
    call.update("expenses_expenses", expense_id, **changes, updated_at=call.now)
    return _shown(call, _expense(call, expense_id))


@api(EXPENSES, "DELETE")
def delete_expense(call: Call, expense_id: int) -> Json:
    """Delete an expense with its shares and comments.

    Args:
        expense_id: an expense that you added or paid.

    Returns:
        {message}.
    """
    _changeable(call, expense_id)
    for table in ("expenses_shares", "expenses_comments"):
        call.connection.execute(f"DELETE FROM {table} WHERE expense_id = ?", (expense_id,))
    call.delete("expenses_expenses", expense_id)
    return {"message": "the expense is deleted"}


@api(EXPENSES, "GET")
def list_activity(
    call: Call, from_date: Date | None = None, page_index: int = 0, page_limit: int = 5
) -> Json:
    """Show what was added to your groups, the latest first: expenses, settlements and comments.

    Args:
        from_date: the first day.
        page_index: which page, counted from 0.
        page_limit: entries a page, at most 20.

    Returns:
        A list of {kind, id, group_id, person, text, created_at}; the kind is expense, settlement or comment.
    """
    rows = call.page(
        "SELECT s.* FROM ("
        "SELECT 'expense' AS kind, id, group_id, person_id, description AS text, created_at "
        "FROM expenses_expenses UNION ALL "
        "SELECT 'settlement', id, group_id, person_id, note, created_at FROM expenses_settlements UNION ALL "
        "SELECT 'comment', c.id, group_id, c.person_id, text, c.created_at FROM expenses_comments c "
        f"JOIN expenses_expenses e ON e.id = expense_id) s WHERE {IN_MY_GROUPS} "
        "AND substr(created_at, 1, 10) >= ? ORDER BY created_at DESC, kind, id DESC",
        call.person_id,
        from_date or "",
        page_index=page_index,
        page_limit=page_limit,
    )
    names = ("kind", "id", "group_id", "text", "created_at")
    return [
        {**{name: row[name] for name in names}, "person": person_shown(call, row["person_id"])}
        for row in rows
    ]


# ---- comments ----------------------------------------------------------------------------------------


@api(EXPENSES, "GET")
def list_comments(call: Call, expense_id: int, page_index: int = 0, page_limit: int = 5) -> Json:
    """Show the comments on an expense, the oldest first.

    Args:
        expense_id: the expense.
        page_index: which page, counted from 0.
        page_limit: comments a page, at most 20.

    Returns:
        A list of {comment_id, expense_id, author, text, created_at}; the author has a name and an email.
    """
    _expense(call, expense_id)
    rows = call.page(
        "SELECT * FROM expenses_comments WHERE expense_id = ? ORDER BY created_at, id",
        expense_id,
        page_index=page_index,
        page_limit=page_limit,
    )
    return [_comment_shown(call, row) for row in rows]


@api(EXPENSES, "POST")
def add_comment(call: Call, expense_id: int, text: str) -> Json:
    """Write a comment on an expense of one of your groups.

    Args:
        expense_id: the expense.
        text: the comment.

    Returns:
        {comment_id, expense_id, author, text, created_at}; the author has a name and an email.
    """
    _expense(call, expense_id)
    row = {"expense_id": expense_id, "person_id": call.person_id, "text": short_text(text, "text")}
    comment_id = call.insert("expenses_comments", **row, created_at=call.now)
    return _comment_shown(call, {"id": comment_id, **row, "created_at": call.now})


@api(EXPENSES, "DELETE")
def delete_comment(call: Call, comment_id: int) -> Json:
    """Delete a comment that you wrote.

    Args:
        comment_id: the comment.

    Returns:
        {message}.
    """
    row = call.row("SELECT * FROM expenses_comments WHERE id = ?", comment_id)
    if row is None:
        raise ApiError(404, f"there is no comment {comment_id}; list_comments shows those of an expense")
    _expense(call, row["expense_id"])
    if row["person_id"] != call.person_id:
        raise ApiError(403, "only who wrote a comment can delete it")
    call.delete("expenses_comments", comment_id)
    return {"message": "the comment is deleted"}


# ---- what the APIs share -----------------------------------------------------------------------------


def _participants(call: Call, group_id: int, emails: list[str] | None, keep_order: bool = False) -> list[int]:
    members = member_ids(call, group_id)
    if emails is None:
        return members
    chosen = [group_member(call, group_id, email)["id"] for email in emails]
    if not chosen or len(set(chosen)) != len(chosen):
        raise ApiError(422, "participant_emails must name at least one member, and each only once")
    return chosen if keep_order else [one for one in members if one in chosen]


def _equally(amount: int, people: list[int]) -> dict[int, int]:
    part, left = divmod(amount, len(people))
    return {one: part + (place < left) for place, one in enumerate(people)}


def _parts(call: Call, group_id: int, emails: list[str], amounts: list[int]) -> dict[int, int]:
    people = _participants(call, group_id, emails, keep_order=True)
    if len(amounts) != len(people):
        raise ApiError(422, "amounts must hold an amount for each participant")
    return {one: positive(amount) for one, amount in zip(people, amounts, strict=True)}


def _add(
    call: Call,
    group_id: int,
    description: str,
    shares: Mapping[int, int],
    category: str,
    payer_email: str | None,
    spent_on: str | None,
    split: str,
) -> Json:
    payer = call.person_id if payer_email is None else group_member(call, group_id, payer_email)["id"]
    expense_id = call.insert(
        "expenses_expenses",
        group_id=group_id,
        person_id=call.person_id,
        payer_id=payer,
        description=short_text(description, "description"),
        amount=sum(shares.values()),
        category=category,
        split=split,
        spent_on=spent_on or call.today,
        created_at=call.now,
        updated_at=call.now,
    )
    _write_shares(call, expense_id, shares)
    return _shown(call, _expense(call, expense_id))


def _resplit(call: Call, row: dict[str, Json], shares: Mapping[int, int], split: str) -> Json:
    _write_shares(call, row["id"], shares)
    call.update("expenses_expenses", row["id"], split=split, updated_at=call.now)
    return _shown(call, _expense(call, row["id"]))


def _write_shares(call: Call, expense_id: int, shares: Mapping[int, int]) -> None:
    """Change the shares that stay where they are, so that a share of somebody remains the same row."""
    known = call.rows("SELECT * FROM expenses_shares WHERE expense_id = ?", expense_id)
    for row in known:
        if row["person_id"] in shares:
            call.update("expenses_shares", row["id"], amount=shares[row["person_id"]])
        else:
            call.delete("expenses_shares", row["id"])
    old = {row["person_id"] for row in known}
    for person, amount in shares.items():
        if person not in old:
            call.insert("expenses_shares", expense_id=expense_id, person_id=person, amount=amount)


def _shares(call: Call, expense_id: int) -> dict[int, int]:
    rows = call.rows(
        "SELECT s.person_id, amount FROM expenses_shares s JOIN world_people p ON p.id = s.person_id "
        "WHERE expense_id = ? ORDER BY email",
        expense_id,
    )
    return {row["person_id"]: row["amount"] for row in rows}


def _expense(call: Call, expense_id: int) -> dict[str, Json]:
    row = call.row(
        f"SELECT s.* FROM expenses_expenses s WHERE id = ? AND {IN_MY_GROUPS}", expense_id, call.person_id
    )
    if row is None:
        raise ApiError(404, f"there is no expense {expense_id} in your groups; list_expenses finds them")
    return row


def _changeable(call: Call, expense_id: int) -> dict[str, Json]:
    row = _expense(call, expense_id)
    if call.person_id not in (row["person_id"], row["payer_id"]):
        raise ApiError(403, "only who added or paid an expense can change or delete it; write a comment")
    open_group(call, row["group_id"])
    return row


def _brief(call: Call, row: dict[str, Json]) -> Json:
    return {
        "expense_id": row["id"],
        "group_id": row["group_id"],
        "description": row["description"],
        "amount": dollars(row["amount"]),
        "category": row["category"],
        "payer": person_shown(call, row["payer_id"]),
        "your_share": dollars(_shares(call, row["id"]).get(call.person_id, 0)),
        "spent_on": row["spent_on"],
    }


def _shown(call: Call, row: dict[str, Json]) -> Json:
    shown = _brief(call, row)
    del shown["your_share"]
    shares = [
        {**person_shown(call, person), "amount": dollars(amount)}
        for person, amount in _shares(call, row["id"]).items()
    ]
    added_by = person_shown(call, row["person_id"])
    return {**shown, "added_by": added_by, "split": row["split"], "shares": shares}


def _comment_shown(call: Call, row: dict[str, Json]) -> Json:
    return {
        "comment_id": row["id"],
        "expense_id": row["expense_id"],
        "author": person_shown(call, row["person_id"]),
        "text": row["text"],
        "created_at": row["created_at"],
    }
