"""expenses: groups that share expenses, who owes whom, and settling up."""

from __future__ import annotations

from typing import Literal

from palaestra.envs.apps.api import ApiError, App, api
from palaestra.envs.apps.services import expenses_seed
from palaestra.envs.apps.values import Date, Json, Money, dollars
from palaestra.envs.apps.world import Call

_LONGEST_TEXT = 280
GroupKind = Literal["home", "trip", "other"]

EXPENSES = App(
    name="expenses",
    description="Shared expenses: groups, who paid for whom, balances, and settling up.",
    schema="""
    CREATE TABLE expenses_groups (
        id INTEGER PRIMARY KEY, person_id INTEGER NOT NULL, name TEXT NOT NULL,
        kind TEXT NOT NULL DEFAULT 'other', archived INTEGER NOT NULL DEFAULT 0, created_at TEXT NOT NULL
    );
    CREATE TABLE expenses_members (
        id INTEGER PRIMARY KEY, group_id INTEGER NOT NULL, person_id INTEGER NOT NULL,
        UNIQUE (group_id, person_id)
    );
    CREATE TABLE expenses_expenses (
        id INTEGER PRIMARY KEY, group_id INTEGER NOT NULL, person_id INTEGER NOT NULL,
        payer_id INTEGER NOT NULL, description TEXT NOT NULL, amount INTEGER NOT NULL,
        category TEXT NOT NULL DEFAULT 'general', split TEXT NOT NULL DEFAULT 'equal',
        spent_on TEXT NOT NULL, created_at TEXT NOT NULL, updated_at TEXT NOT NULL
    );
    CREATE TABLE expenses_shares (
        id INTEGER PRIMARY KEY, expense_id INTEGER NOT NULL, person_id INTEGER NOT NULL,
        amount INTEGER NOT NULL, UNIQUE (expense_id, person_id)
    );
    CREATE TABLE expenses_settlements (
        id INTEGER PRIMARY KEY, group_id INTEGER NOT NULL, person_id INTEGER NOT NULL,
        receiver_id INTEGER NOT NULL, amount INTEGER NOT NULL, note TEXT NOT NULL DEFAULT '',
        settled_on TEXT NOT NULL, created_at TEXT NOT NULL
    );
    CREATE TABLE expenses_comments (
        id INTEGER PRIMARY KEY, expense_id INTEGER NOT NULL, person_id INTEGER NOT NULL, text TEXT NOT NULL,
        created_at TEXT NOT NULL
    );
    CREATE INDEX expenses_expenses_group ON expenses_expenses (group_id);
    CREATE INDEX expenses_settlements_group ON expenses_settlements (group_id)
    """,
    seed=expenses_seed.seed,
)


# ---- groups ------------------------------------------------------------------------------------------


@api(EXPENSES, "POST")
def create_group(call: Call, name: str, member_emails: list[str], kind: GroupKind = "other") -> Json:
    """Create a group; you are always a member.

    Args:
        name: its name.
        member_emails: the email addresses of the other members.
        kind: home, trip or other.

    Returns:
        The group: {group_id, name, kind, archived, created_by, members, created_at}; each member has a name
        and an email.
    """
    members = {call.person_id: None} | {call.person(email)["id"]: None for email in member_emails}
    group_id = call.insert(
        "expenses_groups",
        person_id=call.person_id,
        name=short_text(name, "name"),
        kind=kind,
        created_at=call.now,
    )
    call.insert_all("expenses_members", [{"group_id": group_id, "person_id": one} for one in members])
    return _group_shown(call, own_group(call, group_id))


@api(EXPENSES, "GET")
def list_groups(
    call: Call,
    query: str = "",
    kind: GroupKind | None = None,
    archived: bool | None = False,
    page_index: int = 0,
    page_limit: int = 5,
) -> Json:
    """Show the groups that you are a member of, by name.

    Args:
        query: a text that must occur in the name, in any case.
        kind: groups of one kind.
        archived: only archived ones (True), only others (False), or both (None).
        page_index: which page, counted from 0.
        page_limit: groups a page, at most 20.

    Returns:
        A list of {group_id, name, kind, archived, members}, with the number of members.
    """
    condition, values = where(
        (
            "EXISTS (SELECT 1 FROM expenses_members m WHERE m.group_id = g.id AND m.person_id = ?)",
            call.person_id,
        ),
        ("instr(lower(name), ?)", query.strip().lower() or None),
        ("kind = ?", kind),
        ("archived = ?", None if archived is None else int(archived)),
    )
    rows = call.page(
        "SELECT g.id AS group_id, name, kind, archived, "
        "(SELECT count(*) FROM expenses_members m WHERE m.group_id = g.id) AS members "
        f"FROM expenses_groups g WHERE {condition} ORDER BY lower(name), g.id",
        *values,
        page_index=page_index,
        page_limit=page_limit,
    )
    return [{**row, "archived": bool(row["archived"])} for row in rows]


@api(EXPENSES, "GET")
def show_group(call: Call, group_id: int) -> Json:
    """Show a group and its members.

    Args:
        group_id: the group.

    Returns:
        {group_id, name, kind, archived, created_by, members, created_at}; each member has a name and an
        email.
    """
    return _group_shown(call, own_group(call, group_id))


@api(EXPENSES, "PATCH")
def update_group(
    call: Call,
    group_id: int,
    name: str | None = None,
    kind: GroupKind | None = None,
    archived: bool | None = None,
) -> Json:
    """Change a group; what is left out stays. Nothing can be added to an archived group.

    Args:
        group_id: the group.
        name: its new name.
        kind: home, trip or other.
        archived: whether it is archived.

    Returns:
        The group: {group_id, name, kind, archived, created_by, members, created_at}; each member has a name
        and an email.
    """
    own_group(call, group_id)
    changes = {
        **({} if name is None else {"name": short_text(name, "name")}),
        **({} if kind is None else {"kind": kind}),
        **({} if archived is None else {"archived": int(archived)}),
    }
    if not changes:
        raise ApiError(422, "name something to change: name, kind or archived")
    call.update("expenses_groups", group_id, **changes)
    return _group_shown(call, own_group(call, group_id))


@api(EXPENSES, "DELETE")
def delete_group(call: Call, group_id: int) -> Json:
    """Delete a group that you created and that has no expenses and settlements.

    Args:
        group_id: the group.

    Returns:
        {message}.
    """
    if own_group(call, group_id)["person_id"] != call.person_id:
        raise ApiError(403, "only who created a group can delete it")
    for table in ("expenses_expenses", "expenses_settlements"):
        if call.value(f"SELECT count(*) FROM {table} WHERE group_id = ?", group_id):
            raise ApiError(409, "there are expenses or settlements in this group; archive it instead")
    call.connection.execute("DELETE FROM expenses_members WHERE group_id = ?", (group_id,))
    call.delete("expenses_groups", group_id)
    return {"message": "the group is deleted"}


@api(EXPENSES, "POST")
def add_member(call: Call, group_id: int, email: str) -> Json:
    """Add somebody to a group.

    Args:
        group_id: the group.
        email: their email address.

    Returns:
        The group: {group_id, name, kind, archived, created_by, members, created_at}; each member has a name
        and an email.
    """
    group = open_group(call, group_id)
    person = call.person(email)
    if person["id"] in member_ids(call, group_id):
        raise ApiError(409, f"{person['email']} is in this group already")
    call.insert("expenses_members", group_id=group_id, person_id=person["id"])
    return _group_shown(call, group)


@api(EXPENSES, "DELETE")
def remove_member(call: Call, group_id: int, email: str) -> Json:
    """Take somebody (or yourself) out of a group; their balance in it must be 0.

    Args:
        group_id: the group.
        email: their email address.

    Returns:
        {message}.
    """
    own_group(call, group_id)
    member = group_member(call, group_id, email)
    if _balances(call, group_id)[member["id"]]:
        raise ApiError(409, f"{member['email']} is not settled up in this group; record_settlement does that")
    call.connection.execute(
        "DELETE FROM expenses_members WHERE group_id = ? AND person_id = ?", (group_id, member["id"])
    )
    return {"message": f"{member['email']} is no longer in the group"}


@api(EXPENSES, "GET")
def search_people(call: Call, query: str, page_index: int = 0, page_limit: int = 5) -> Json:
    """Find people who use this app, by name.

    Args:
        query: part of a name or an email address; an empty text finds everybody.
        page_index: which page, counted from 0.
        page_limit: people a page, at most 20.

    Returns:
        A list of {name, email}.
    """
    return call.page(
        "SELECT first_name || ' ' || last_name AS name, email FROM world_people p "
        "JOIN world_accounts a ON a.person_id = p.id AND a.app = 'expenses' "
        "WHERE p.id <> ? AND instr(lower(first_name || ' ' || last_name || ' ' || email), ?) "
        "ORDER BY name, p.id",
        call.person_id,
        query.strip().lower(),
        page_index=page_index,
        page_limit=page_limit,
    )


# ---- balances and settling up ------------------------------------------------------------------------


@api(EXPENSES, "GET")
def show_group_balances(call: Call, group_id: int) -> Json:
    """Show what each member of a group has paid for the others, less what the others paid for them.

    Args:
        group_id: the group.

    Returns:
        A list of {name, email, balance}; who has a negative balance owes money.
    """
    own_group(call, group_id)
    return [
        {**person_shown(call, member), "balance": dollars(cents)}
        for member, cents in _balances(call, group_id).items()
    ]


@api(EXPENSES, "GET")
def list_balances(call: Call, group_id: int | None = None, page_index: int = 0, page_limit: int = 5) -> Json:
    """Show what is open between you and other people, over all groups or in one; by email address.

    Args:
        group_id: one group alone.
        page_index: which page, counted from 0.
        page_limit: people a page, at most 20.

    Returns:
        A list of {name, email, balance}; they owe you a positive balance, you owe them a negative one.
        People with whom you are even are left out.
    """
    if group_id is not None:
        own_group(call, group_id)
    rows = call.page(
        f"WITH flows AS ({_FLOWS}) SELECT other, sum(cents) AS cents FROM ("
        "SELECT group_id, debtor AS other, cents FROM flows WHERE creditor = ? UNION ALL "
        "SELECT group_id, creditor, -cents FROM flows WHERE debtor = ?) "
        "JOIN world_people p ON p.id = other WHERE ? IN (group_id, 0) "
        "GROUP BY other HAVING sum(cents) <> 0 ORDER BY p.email",
        call.person_id,
        call.person_id,
        0 if group_id is None else group_id,
        page_index=page_index,
        page_limit=page_limit,
    )
    return [{**person_shown(call, row["other"]), "balance": dollars(row["cents"])} for row in rows]


@api(EXPENSES, "GET")
def suggest_settlements(call: Call, group_id: int) -> Json:
    """Show payments that would settle a group up, as few as are found by paying the largest debts first.

    Args:
        group_id: the group.

    Returns:
        A list of {payer, receiver, amount}; payer and receiver have a name and an email.
    """
    own_group(call, group_id)
    left = _balances(call, group_id)
    found = []
    while any(left.values()):
        payer = min(left, key=lambda one: (left[one], one))
        receiver = max(left, key=lambda one: (left[one], -one))
        amount = min(-left[payer], left[receiver])
        left[payer] += amount
        left[receiver] -= amount
        found.append(
            {
                "payer": person_shown(call, payer),
                "receiver": person_shown(call, receiver),
                "amount": dollars(amount),
            }
        )
    return found


@api(EXPENSES, "POST")
def record_settlement(
    call: Call,
    group_id: int,
    payer_email: str,
    receiver_email: str,
    amount: Money,
    note: str = "",
    settled_on: Date | None = None,
) -> Json:
    """Record that one member paid another back; no money moves.

    Args:
        group_id: the group.
        payer_email: who paid; you, or else the receiver is you.
        receiver_email: who was paid.
        amount: how much.
        note: a remark.
        settled_on: the day; today by default.

    Returns:
        {settlement_id, group_id, payer, receiver, amount, note, settled_on}; payer and receiver have a name
        and an email.
    """
    open_group(call, group_id)
    payer, receiver = (group_member(call, group_id, one)["id"] for one in (payer_email, receiver_email))
    if payer == receiver or call.person_id not in (payer, receiver):
        raise ApiError(422, "one of payer_email and receiver_email must be you, the other somebody else")
    settlement_id = call.insert(
        "expenses_settlements",
        group_id=group_id,
        person_id=payer,
        receiver_id=receiver,
        amount=positive(amount),
        note=short_text(note, "note", least=0),
        settled_on=settled_on or call.today,
        created_at=call.now,
    )
    return _settlement_shown(call, _settlement(call, settlement_id))


@api(EXPENSES, "GET")
def list_settlements(
    call: Call,
    group_id: int | None = None,
    email: str | None = None,
    from_date: Date | None = None,
    to_date: Date | None = None,
    page_index: int = 0,
    page_limit: int = 5,
) -> Json:
    """Show the settlements of your groups, the latest first.

    Args:
        group_id: those of one group.
        email: those that one person paid or received.
        from_date: the first day.
        to_date: the last day, included.
        page_index: which page, counted from 0.
        page_limit: settlements a page, at most 20.

    Returns:
        A list of {settlement_id, group_id, payer, receiver, amount, note, settled_on}; payer and receiver
        have a name and an email.
    """
    if group_id is not None:
        own_group(call, group_id)
    condition, values = where(
        (IN_MY_GROUPS, call.person_id),
        ("s.group_id = ?", group_id),
        ("? IN (s.person_id, s.receiver_id)", None if email is None else call.person(email)["id"]),
        ("settled_on >= ?", from_date),
        ("settled_on <= ?", to_date),
    )
    rows = call.page(
        f"SELECT s.* FROM expenses_settlements s WHERE {condition} ORDER BY settled_on DESC, id DESC",
        *values,
        page_index=page_index,
        page_limit=page_limit,
    )
    return [_settlement_shown(call, row) for row in rows]


@api(EXPENSES, "DELETE")
def delete_settlement(call: Call, settlement_id: int) -> Json:
    """Delete a settlement that you paid or received.

    Args:
        settlement_id: the settlement.

    Returns:
        {message}.
    """
    row = _settlement(call, settlement_id)
    if call.person_id not in (row["person_id"], row["receiver_id"]):
        raise ApiError(403, "only who paid or received a settlement can delete it")
    call.delete("expenses_settlements", settlement_id)
    return {"message": "the settlement is deleted"}


# ---- what the APIs share -----------------------------------------------------------------------------

IN_MY_GROUPS = "s.group_id IN (SELECT group_id FROM expenses_members WHERE person_id = ?)"
# What a debtor owes a creditor: one row a share, and one for every settlement, the other way round.
_FLOWS = (
    "SELECT e.group_id, payer_id AS creditor, s.person_id AS debtor, s.amount AS cents "
    "FROM expenses_shares s JOIN expenses_expenses e ON e.id = expense_id WHERE s.person_id <> payer_id "
    "UNION ALL SELECT group_id, person_id, receiver_id, amount FROM expenses_settlements"
)


def where(*conditions: tuple[str, Json]) -> tuple[str, list[Json]]:
    """Join conditions of one value each; one without a value does not hold anything back."""
    named = [(text, value) for text, value in conditions if value is not None]
    return " AND ".join(text for text, _ in named), [value for _, value in named]


def own_group(call: Call, group_id: int) -> dict[str, Json]:
    """Return a group that the caller is in. Raises ``ApiError`` 404."""
    row = call.row("SELECT * FROM expenses_groups WHERE id = ?", group_id)
    if row is None or call.person_id not in member_ids(call, group_id):
        raise ApiError(404, f"there is no group {group_id} that you are in; list_groups shows them")
    return row


def open_group(call: Call, group_id: int) -> dict[str, Json]:
    """Return a group that can be added to. Raises ``ApiError``."""
    group = own_group(call, group_id)
    if group["archived"]:
        raise ApiError(409, "this group is archived; update_group with archived=False opens it again")
    return group


def member_ids(call: Call, group_id: int) -> list[int]:
    """Return the members of a group, by email address."""
    rows = call.rows(
        "SELECT p.id FROM expenses_members m JOIN world_people p ON p.id = m.person_id "
        "WHERE group_id = ? ORDER BY email",
        group_id,
    )
    return [row["id"] for row in rows]


def group_member(call: Call, group_id: int, email: str) -> dict[str, Json]:
    """Return a member by email address. Raises ``ApiError`` 404 or 409."""
    person = call.person(email)
    if person["id"] not in member_ids(call, group_id):
        raise ApiError(409, f"{person['email']} is not in this group; add_member adds people")
    return person


def person_shown(call: Call, person_id: int) -> Json:
    """Return a person as callers see them."""
    row = call.row("SELECT * FROM world_people WHERE id = ?", person_id)
    assert row is not None
    return {"name": f"{row['first_name']} {row['last_name']}", "email": row["email"]}


def positive(amount: int) -> int:
    """Return an amount that is not nothing. Raises ``ApiError`` 422."""
    if amount <= 0:
        raise ApiError(422, "amount must be more than $0")
    return amount


def short_text(text: str, name: str, least: int = 1) -> str:
    """Return a text, trimmed. Raises ``ApiError`` 422 for one that is too long or too short."""
    if not least <= len(text.strip()) <= _LONGEST_TEXT:
        raise ApiError(422, f"{name} must have {least} to {_LONGEST_TEXT} characters")
    return text.strip()


def _balances(call: Call, group_id: int) -> dict[int, int]:
    """Return the balance of every member in cents, members by email address."""
    balances = dict.fromkeys(member_ids(call, group_id), 0)
    for row in call.rows(f"SELECT * FROM ({_FLOWS}) WHERE group_id = ?", group_id):
        for person, cents in ((row["creditor"], row["cents"]), (row["debtor"], -row["cents"])):
            balances[person] = balances.get(person, 0) + cents
    return balances


def _group_shown(call: Call, row: dict[str, Json]) -> Json:
    return {
        "group_id": row["id"],
        "name": row["name"],
        "kind": row["kind"],
        "archived": bool(row["archived"]),
        "created_by": person_shown(call, row["person_id"]),
        "members": [person_shown(call, one) for one in member_ids(call, row["id"])],
        "created_at": row["created_at"],
    }


def _settlement(call: Call, settlement_id: int) -> dict[str, Json]:
    row = call.row(
        f"SELECT s.* FROM expenses_settlements s WHERE id = ? AND {IN_MY_GROUPS}",
        settlement_id,
        call.person_id,
    )
    if row is None:
        raise ApiError(404, f"there is no settlement {settlement_id} in your groups; see list_settlements")
    return row


def _settlement_shown(call: Call, row: dict[str, Json]) -> Json:
    return {
        "settlement_id": row["id"],
        "group_id": row["group_id"],
        "payer": person_shown(call, row["person_id"]),
        "receiver": person_shown(call, row["receiver_id"]),
        "amount": dollars(row["amount"]),
        "note": row["note"],
        "settled_on": row["settled_on"],
    }
