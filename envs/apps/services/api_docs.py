"""api_docs: the documentation of all apps, from the catalogue."""

from __future__ import annotations

import re

from palaestra.envs.apps.api import Api, ApiError, App, api, nearest
from palaestra.envs.apps.values import Json
from palaestra.envs.apps.world import Call

API_DOCS = App(
    name="api_docs",
    description="The documentation of all apps and their APIs.",
    schema="",
    accounts=False,
)


@api(API_DOCS, "GET", login=False)
def show_apps(call: Call) -> Json:
    """Show all apps.

    Returns:
        A list of {name, description, apis}, with the number of APIs.
    """
    catalogue = call.world.catalogue
    return [
        {"name": app.name, "description": app.description, "apis": len(catalogue.of_app(app.name))}
        for app in catalogue.apps.values()
    ]


@api(API_DOCS, "GET", login=False)
def show_apis(call: Call, app: str) -> Json:
    """Show the APIs of an app.

    Args:
        app: the app's name.

    Returns:
        A list of {name, description}.
    """
    return [{"name": one.name, "description": one.documentation.summary} for one in _of_app(call, app)]


@api(API_DOCS, "GET", login=False)
def show_api(call: Call, app: str, api: str) -> Json:
    """Show the documentation of one API.

    Args:
        app: the app's name.
        api: the API's name.

    Returns:
        {app, api, method, path, description, parameters, returns}; each parameter has a name, a type, a
        description, and says whether it is required or what it is by default.
    """
    apis = {one.name: one for one in _of_app(call, app)}
    if api not in apis:
        raise ApiError(404, f"{app} has no API {api!r}; {nearest(api, apis)}")
    return apis[api].document()


@api(API_DOCS, "GET", login=False)
def search_apis(call: Call, query: str) -> Json:
    """Find APIs by words in their names and descriptions, the best ones first.

    Args:
        query: some words, such as "create event".

    Returns:
        A list of at most 20 {app, api, description}.
    """
    words = set(re.findall(r"[a-z]+", query.lower()))
    scored = [(_score(words, one), one.full_name, one) for one in call.world.catalogue.apis.values()]
    best = sorted((-score, name, one) for score, name, one in scored if score > 0)[:20]
    return [
        {"app": one.app.name, "api": one.name, "description": one.documentation.summary} for _, _, one in best
    ]


def _score(words: set[str], one: Api) -> int:
    named = set(one.name.split("_")) | {one.app.name}
    described = set(re.findall(r"[a-z]+", one.documentation.summary.lower()))
    return 3 * len(words & named) + len(words & described)


def _of_app(call: Call, app: str) -> list[Api]:
    if app not in call.world.catalogue.apps:
        raise ApiError(404, f"there is no app {app!r}; {nearest(app, call.world.catalogue.apps)}")
    return call.world.catalogue.of_app(app)
