"""The catalogue: every app, API and scenario there is, found in modules.

A module adds what it holds by holding it: objects of the classes ``App``, ``Api`` and ``Scenario``. Nothing
registers itself anywhere, so a catalogue depends on the list of modules and on nothing else.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable
from functools import cached_property, lru_cache
from types import ModuleType
from typing import Any

from palaestra.envs.apps import scenarios, services
from palaestra.envs.apps.accounts import account_apis
from palaestra.envs.apps.api import Api, App
from palaestra.envs.apps.scenario import Scenario
from palaestra.envs.apps.values import Json
from palaestra.errors import OptionError


class Catalogue:
    """Apps by name, APIs by ``app.name``, scenarios by name; all sorted. Compared by identity."""

    def __init__(self, modules: Iterable[ModuleType]) -> None:
        """Take what the modules hold. Raises ``OptionError`` where two things have one name."""
        apps: dict[str, App] = {}
        apis: dict[str, Api] = {}
        scenarios: dict[str, Scenario] = {}
        for module in modules:
            for thing in vars(module).values():
                if isinstance(thing, App):
                    _add(apps, thing.name, thing, "app")
                elif isinstance(thing, Api):
                    _add(apis, thing.full_name, thing, "API")
                elif isinstance(thing, Scenario):
                    _add(scenarios, thing.name, thing, "scenario")
        for app in apps.values():
            if app.accounts:
                for one in account_apis(app):
                    _add(apis, one.full_name, one, "API")
        self.apps = dict(sorted(apps.items()))
        self.apis = dict(sorted(apis.items()))
        self.scenarios = dict(sorted(scenarios.items()))
        for name, one in self.apis.items():
            if one.app.name not in apps:
                raise OptionError(f"the API {name} belongs to an app that no module holds")
            assert one.parameters is not None  # reads the documentation, which must be whole

    @cached_property
    def schemas(self) -> list[Json]:
        """All APIs as functions for models that call tools."""
        return [one.schema() for one in self.apis.values()]

    def of_split(self, split: str) -> list[Scenario]:
        """Return the scenarios of a split."""
        return [scenario for scenario in self.scenarios.values() if scenario.split == split]

    def of_app(self, app: str) -> list[Api]:
        """Return the APIs of an app."""
        return [one for one in self.apis.values() if one.app.name == app]

    def in_seed_order(self) -> list[App]:
        """Return the apps, each behind those whose rows its seed reads. Raises ``OptionError``."""
        done: dict[str, App] = {}
        waiting = dict(self.apps)
        while waiting:
            ready = [app for app in waiting.values() if all(name in done for name in app.after)]
            if not ready:
                raise OptionError(
                    f"the apps {sorted(waiting)} wait for one another, or for one that is not there"
                )
            for app in ready:
                done[app.name] = waiting.pop(app.name)
        return list(done.values())


def _add(known: dict[str, Any], name: str, thing: Any, what: str) -> None:
    if known.setdefault(name, thing) is not thing:
        raise OptionError(f"there are two {what}s called {name!r}; give one of them another name")


@lru_cache
def load(extensions: tuple[str, ...] = ()) -> Catalogue:
    """Return the catalogue of our own modules and of ``extensions``, names of modules.

    Raises ``OptionError`` for an extension that cannot be imported or adds nothing.
    """
    own = [*_modules(services), *_modules(scenarios)]
    return Catalogue([*own, *(_extension(name) for name in extensions)])


def _modules(package: ModuleType) -> list[ModuleType]:
    names = sorted(info.name for info in pkgutil.iter_modules(package.__path__))
    return [importlib.import_module(f"{package.__name__}.{name}") for name in names]


def _extension(name: str) -> ModuleType:
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        raise OptionError(f"the extension {name!r} cannot be imported: {error}") from error
    if not any(isinstance(thing, App | Api | Scenario) for thing in vars(module).values()):
        raise OptionError(f"the extension {name!r} holds no App, Api or Scenario")
    return module
