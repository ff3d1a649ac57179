"""The families of generated coding tasks, by topic. Importing this package fills the catalogue."""

from palaestra.envs.code.families import (
    dates,
    grids,
    intervals,
    lists,
    mappings,
    numbers,
    parsing,
    pipelines,
    recursion,
    sequences,
    simulations,
    strings,
)

__all__ = [
    "dates",
    "grids",
    "intervals",
    "lists",
    "mappings",
    "numbers",
    "parsing",
    "pipelines",
    "recursion",
    "sequences",
    "simulations",
    "strings",
]
