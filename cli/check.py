"""``palaestra check ID`` says whether an environment keeps the contract."""

from __future__ import annotations

from dataclasses import dataclass

import tyro
from rich.console import Console

from palaestra.cli.envs import EnvOptions, ImportOption, flatten, import_modules
from palaestra.envs.conformance import check, render
from palaestra.envs.panel import parse_options


@dataclass(frozen=True)
class Config:
    """Run the conformance suite on one environment. The exit code is 1 when a check failed.

    It looks at the interface, seeding, expert and near-miss scores, attacking agents, snapshots, leaks,
    pickling and speed, and says of every failed check what was seen and how to mend it.
    """

    id: tyro.conf.Positional[str]
    """The environment's id; `palaestra envs` lists them."""
    option: EnvOptions = ()
    """Options of the environment, such as split=valid max_steps=20."""
    modules: ImportOption = ()
    """Modules to import first, which register more environments."""
    cycles: int = 1000
    """Lives of an environment over which leaks are sought."""
    tasks: int = 20
    """Tasks that the expert (of each split) and each attacking agent play."""
    seed: int = 0
    """Everything random derives from it."""


def run(config: Config) -> int:
    """Check the environment and print the report; return 1 when a check failed, else 0."""
    import_modules(config.modules)
    options = parse_options(flatten(config.option))
    report = check(config.id, options, cycles=config.cycles, tasks=config.tasks, seed=config.seed)
    render(report, Console(highlight=False))
    return 0 if report.passed else 1
