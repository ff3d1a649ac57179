"""The fast ALFWorld engine against the real one: equality in every state, and the ratio of their speeds.

    PYTHONPATH=. python benchmarks/alfworld_engines.py --games 120 --workers 2

Walks the same commands through both engines (see ``palaestra.envs.alfworld.differential``) over generated
and official games, all six task types, both wordings, three kinds of walk; then times both on the same games
and commands in the same run. "raw" is the unmodified TextWorld engine, "cached" the one whose parses are
remembered. Needs scripts/install-engines.sh; the official games and the wording "put" need PALAESTRA_SHARED.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from palaestra.envs.alfworld.differential import WALKS, Comparison, compare
from palaestra.envs.alfworld.engine import FastEngine
from palaestra.envs.alfworld.game import TASK_TYPES, WORDINGS, Game
from palaestra.envs.alfworld.generator import SCALES, GeneratedGames
from palaestra.envs.alfworld.tasks import OfficialGames
from palaestra.envs.alfworld.textworld_engine import TextWorldEngine, _logic_paths

SHARED = Path(os.environ.get("PALAESTRA_SHARED") or Path(__file__).parents[1] / ".." / "shared")


@dataclass(frozen=True)
class Plan:
    """One comparison to make: a game, a kind of walk, and which real engine."""

    source: str
    game: Game
    walk: str
    cached: bool
    seed: int


def plans(games: int, raw_every: int) -> Iterator[Plan]:
    """Yield ``games`` comparisons, spread over sources, wordings, walks and task types."""
    wordings = WORDINGS if any(path.is_file() for path in _logic_paths()) else ("move",)
    sources = [f"generated {scale}" for scale in SCALES]
    official = SHARED / "data" / "alfworld"
    if official.is_dir():
        sources.append("official")
    for number in range(games):
        task_type = TASK_TYPES[number % len(TASK_TYPES)]
        turn = number // len(TASK_TYPES)
        wording = wordings[turn % len(wordings)]
        source = sources[turn // len(wordings) % len(sources)]
        walk = WALKS[turn % len(WALKS)]
        chosen: GeneratedGames | OfficialGames
        if source == "official":
            chosen = OfficialGames("valid_seen", data=official, wording=wording, task_types=[task_type])
        else:
            scale = source.split()[1]
            chosen = GeneratedGames("valid_seen", scale=scale, wording=wording, task_types=[task_type])
        game = chosen.game(number % len(chosen))
        yield Plan(source, game, walk, cached=number % raw_every != 0, seed=number)


def run(plan: Plan, steps: int) -> Comparison:
    """Make one comparison; the raw engine gets a sixth of the steps, since it is that slow."""
    real = TextWorldEngine(plan.game, cached=plan.cached)
    try:
        length = steps if plan.cached else max(10, steps // 6)
        return compare(plan.game, real, plan.walk, length, np.random.default_rng(plan.seed))
    finally:
        real.close()


def print_comparison(made: list[tuple[Plan, Comparison]]) -> int:
    """Print the table of states and mismatches; return the number of mismatches."""
    table: dict[tuple[str, str, str, str], list[int]] = defaultdict(lambda: [0, 0, 0])
    for plan, found in made:
        engine = "cached" if plan.cached else "raw"
        row = table[(plan.source, plan.game.wording, plan.walk, engine)]
        row[0] += 1
        row[1] += found.states
        row[2] += len(found.mismatches)
    print(
        f"{'games from':16} {'wording':8} {'walk':8} {'engine':7} "
        f"{'games':>6} {'states':>7} {'mismatches':>10}"
    )
    for (source, wording, walk, engine), (games, states, wrong) in sorted(table.items()):
        print(f"{source:16} {wording:8} {walk:8} {engine:7} {games:6} {states:7} {wrong:10}")
    types = {plan.game.task_type for plan, _ in made}
    mismatches = [text for _, found in made for text in found.mismatches]
    states = sum(found.states for _, found in made)
    print(f"in all {len(made)} games of {len(types)} types, {states} states, {len(mismatches)} mismatches")
    for text in mismatches[:5]:
        print("MISMATCH", text)
    return len(mismatches)


def print_speed(made: list[tuple[Plan, Comparison]], games: int) -> None:
    """Time both engines on the same games and commands; the fast one also for long enough to be read."""
    raw = [(plan, found) for plan, found in made if not plan.cached and len(found.commands) >= 5][:games]
    fast_rates, raw_rates = [], []
    for plan, found in raw:
        real = TextWorldEngine(plan.game)
        try:
            real.reset()
            began = time.process_time(), time.perf_counter()
            for command in found.commands:
                real.step(command)
                _ = real.admissible
            raw_rates.append(len(found.commands) / (time.perf_counter() - began[1]))
        finally:
            real.close()
        fast_rates.append(_fast_rate(plan.game, found.commands))
    ratios = [fast / slow for fast, slow in zip(fast_rates, raw_rates, strict=True)]
    print(f"speed on {len(raw)} games, same commands, with sorted admissible commands, one core:")
    print(f"  fast engine     {statistics.median(fast_rates):12,.0f} steps/s (median)")
    print(f"  raw TextWorld   {statistics.median(raw_rates):12,.1f} steps/s (median)")
    print(f"  ratio           {statistics.median(ratios):12,.0f} (median; from {min(ratios):,.0f})")


def _fast_rate(game: Game, commands: list[str]) -> float:
    engine = FastEngine(game)
    steps, began = 0, time.perf_counter()
    while time.perf_counter() - began < 0.5:
        engine.reset()
        for command in commands:
            engine.step(command)
            _ = engine.admissible
        steps += len(commands)
    return steps / (time.perf_counter() - began)


def main() -> None:
    """Compare, then time; exit 1 when anything differed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--games", type=int, default=180, help="comparisons to make")
    parser.add_argument("--steps", type=int, default=120, help="longest walk in the cached engine")
    parser.add_argument("--raw-every", type=int, default=9, help="each so many games in the raw engine")
    parser.add_argument("--timed", type=int, default=8, help="games to time")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    print("python", " ".join(["benchmarks/alfworld_engines.py", *sys.argv[1:]]), flush=True)
    began = time.perf_counter()
    chosen = list(plans(arguments.games, arguments.raw_every))
    with ThreadPoolExecutor(arguments.workers) as pool:
        made = list(zip(chosen, pool.map(lambda plan: run(plan, arguments.steps), chosen), strict=True))
    wrong = print_comparison(made)
    print_speed(made, arguments.timed)
    print(f"took {time.perf_counter() - began:.0f} s with {arguments.workers} workers")
    raise SystemExit(wrong > 0)


if __name__ == "__main__":
    main()
