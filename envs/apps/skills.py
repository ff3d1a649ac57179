"""What every gold program does again and again: reusable functions over ``apis``.

Gold programs call them as whole statements (``token = login("notes")``). In the plain form of a program
their bodies stand in the place of the call; in the form with functions they are defined first. So each is
plain statements with at most one ``return``, at its end.
"""

from __future__ import annotations

from typing import Any

apis: Any = None  # the interpreter of an episode brings its own


def login(app: str) -> str:
    """Return an access token for an app."""
    email = apis.supervisor.show_profile()["email"]
    accounts = apis.supervisor.show_account_passwords()
    password = next(account["password"] for account in accounts if account["app"] == app)
    return getattr(apis, app).login(username=email, password=password)["access_token"]


def every_page(api: Any, **arguments: Any) -> list[Any]:
    """Return all pages of an API as one list."""
    found: list[Any] = []
    while batch := api(page_index=len(found) // 20, page_limit=20, **arguments):
        found += batch
        if len(batch) < 20:
            break
    return found
