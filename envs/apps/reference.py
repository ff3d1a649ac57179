"""The reference of all APIs, as a page.

``python -m palaestra.envs.apps.reference > docs/apps-reference.md`` writes it.
"""

from __future__ import annotations

from palaestra.envs.apps.api import TOKEN, Api
from palaestra.envs.apps.catalogue import Catalogue, load

_ACCOUNT = ("login", "logout", "show_account", "change_password")


def page(catalogue: Catalogue) -> str:
    """Return the page."""
    parts = [
        "# The APIs of `palaestra/Apps-v0`",
        "Written by `python -m palaestra.envs.apps.reference`; a test keeps it true. "
        f"{len(catalogue.apps)} apps, {len(catalogue.apis)} APIs.",
        "Called as `apis.APP.API(name=value, ...)`. Lists come in pages. A refused call raises "
        "`ToolError` with a status (400, 401, 403, 404, 409, 422, 429) and a message.",
        _contents(catalogue),
        _accounts(catalogue),
    ]
    for name, app in catalogue.apps.items():
        parts.append(f"## {name}\n\n{app.description}")
        own = [one for one in catalogue.of_app(name) if not app.accounts or one.name not in _ACCOUNT]
        parts.extend(_entry(one) for one in own)
    return "\n\n".join(parts) + "\n"


def _contents(catalogue: Catalogue) -> str:
    rows = [
        f"| [{name}](#{name}) | {len(catalogue.of_app(name))} | {app.description} |"
        for name, app in catalogue.apps.items()
    ]
    return "\n".join(["| app | APIs | what it is |", "|---|---|---|", *rows])


def _accounts(catalogue: Catalogue) -> str:
    """Describe once what every app with accounts has."""
    name = next(name for name, app in catalogue.apps.items() if app.accounts)
    with_accounts = ", ".join(name for name, app in catalogue.apps.items() if app.accounts)
    entries = [_entry(catalogue.apis[f"{name}.{one}"], "APP") for one in _ACCOUNT]
    return "\n\n".join([f"## Accounts\n\nThese four are in each of: {with_accounts}.", *entries])


def _entry(one: Api, app: str = "") -> str:
    arguments = [p for p in one.parameters if p.name != TOKEN]
    shown = ", ".join(p.name if p.required else f"{p.name}={p.default!r}" for p in arguments)
    token = f"{TOKEN}, " if one.login and arguments else TOKEN if one.login else ""
    lines = [f"### `{app or one.app.name}.{one.name}({token}{shown})`", "", one.documentation.summary, ""]
    lines += [f"* `{p.name}` ({p.kind.name}): {p.description}" for p in arguments]
    lines += [""] if arguments else []
    return "\n".join([*lines, f"`{one.method}` Returns: {one.documentation.returns}"])


if __name__ == "__main__":
    print(page(load()), end="")
