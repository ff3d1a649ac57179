"""One app of a world as one person calls it: what the tests of the apps share."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from palaestra.envs.apps import catalogue
from palaestra.envs.apps.api import ApiError
from palaestra.envs.apps.life import Life
from palaestra.envs.apps.world import World

CATALOGUE = catalogue.load()
LIFE = Life.generate(0)


class Caller:
    """Calls ``app`` with the token of a person."""

    app: ClassVar[str]

    def __init__(self, world: World, email: str) -> None:
        self.world = world
        sql = (
            "SELECT password FROM world_accounts a JOIN world_people p ON p.id = a.person_id "
            "WHERE a.app = ? AND p.email = ?"
        )
        password = world.connection.execute(sql, (self.app, email)).fetchone()[0]
        login = world.call(f"{self.app}.login", {"username": email, "password": password})
        self.token = login["access_token"]

    def __call__(self, api: str, /, **arguments: Any) -> Any:
        return self.world.call(f"{self.app}.{api}", {**arguments, "access_token": self.token})

    def refused(self, status: int, api: str, /, **arguments: Any) -> None:
        """Assert that a call is refused with this status and changes nothing in the app."""
        before = self._rows()
        with pytest.raises(ApiError) as refusal:
            self(api, **arguments)
        assert refusal.value.status == status
        assert self._rows() == before

    def every(self, api: str, /, **arguments: Any) -> list[dict[str, Any]]:
        """Return all pages as one list."""
        found: list[dict[str, Any]] = []
        while page := self(api, page_index=len(found) // 20, page_limit=20, **arguments):
            found += page
            if len(page) < 20:
                break
        return found

    def _rows(self) -> list[str]:
        return [line for line in self.world.connection.iterdump() if f"{self.app}_" in line]
