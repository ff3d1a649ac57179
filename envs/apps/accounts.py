"""The APIs that every app with accounts has: logging in and out, and looking at the account."""

from __future__ import annotations

import datetime
import hashlib

from palaestra.envs.apps.api import Api, ApiError, App
from palaestra.envs.apps.values import Json
from palaestra.envs.apps.world import Call

_TOKEN_HOURS = 12


def account_apis(app: App) -> list[Api]:
    """Return the account APIs of an app."""
    return [
        Api(app, "POST", login, login=False),
        Api(app, "POST", logout),
        Api(app, "GET", show_account),
        Api(app, "POST", change_password),
    ]


def login(call: Call, username: str, password: str) -> Json:
    """Log in.

    Args:
        username: the email address of the account.
        password: its password; supervisor.show_account_passwords tells your own.

    Returns:
        The token for the other APIs of this app: {access_token, expires_at}.
    """
    account = call.row(
        "SELECT world_accounts.* FROM world_accounts JOIN world_people ON world_people.id = person_id "
        "WHERE app = ? AND email = ?",
        call.app,
        username.strip().lower(),
    )
    if account is None or account["password"] != password:
        raise ApiError(401, f"this username and password do not fit an account of {call.app}")
    until = datetime.datetime.fromisoformat(call.now) + datetime.timedelta(hours=_TOKEN_HOURS)
    # Not secret from anybody in this world, and the same in every run.
    seed = f"{call.app} {account['person_id']} {call.now} {password}"
    token = hashlib.sha256(seed.encode()).hexdigest()[:24]
    expires_at = until.isoformat(timespec="seconds")
    call.insert(
        "world_tokens", token=token, app=call.app, person_id=account["person_id"], expires_at=expires_at
    )
    return {"access_token": token, "expires_at": expires_at}


def logout(call: Call) -> Json:
    """Log out: all access tokens of the account in this app end.

    Returns:
        {message}.
    """
    call.connection.execute(
        "DELETE FROM world_tokens WHERE app = ? AND person_id = ?", (call.app, call.person_id)
    )
    return {"message": "logged out"}


def show_account(call: Call) -> Json:
    """Show whose account this is.

    Returns:
        {first_name, last_name, email, phone_number, registered_at}.
    """
    person = call.row("SELECT * FROM world_people WHERE id = ?", call.person_id)
    since = call.value(
        "SELECT created_at FROM world_accounts WHERE app = ? AND person_id = ?", call.app, call.person_id
    )
    assert person is not None
    names = ("first_name", "last_name", "email", "phone_number")
    return {**{name: person[name] for name in names}, "registered_at": since}


def change_password(call: Call, old_password: str, new_password: str) -> Json:
    """Change the password of the account.

    Args:
        old_password: the present password.
        new_password: the new one, at least 8 characters.

    Returns:
        {message}.
    """
    account = call.row(
        "SELECT * FROM world_accounts WHERE app = ? AND person_id = ?", call.app, call.person_id
    )
    assert account is not None
    if account["password"] != old_password:
        raise ApiError(401, "the old password is wrong")
    if len(new_password) < 8:
        raise ApiError(422, "new_password needs at least 8 characters")
    call.update("world_accounts", account["id"], password=new_password)
    return {"message": "the password is changed"}
