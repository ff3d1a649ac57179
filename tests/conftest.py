"""What tests of more than one file start from."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from palaestra.envs.apps import catalogue
from palaestra.envs.apps.world import World, base_image


@pytest.fixture
def world() -> Iterator[World]:
    """The apps' world of seed 0 before anything was called in it."""
    known = catalogue.load()
    world = World(known, base_image(known, 0))
    yield world
    world.close()
