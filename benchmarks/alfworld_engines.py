"""The fast ALFWorld engine against the real one: equality in every state, and the ratio of their speeds.

    python benchmarks/alfworld_engines.py [--games 180] [--raw-games 36] [--steps 60] [--workers 2]

Walks the same commands through both engines (see ``palaestra.envs.alfworld.differential``) over generated
and official games, all six task types, both wordings, four kinds of walk; then times both on the same games
and commands, one after the other in one process, by CPU time. "raw" is the unmodified TextWorld engine,
"cached" the one whose parses are remembered, which is fast enough for volume. Exits with 1 when anything
differs or fails; ``--only SPEC`` repeats one comparison of such a run.

Needs scripts/install-engines.sh. Official games come from ALFWORLD_DATA, or from PALAESTRA_SHARED; the real
engine's older wording needs ALFWORLD_LOGIC, or PALAESTRA_SHARED. What is not here is left out and named.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import re
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Self

import numpy as np

from palaestra.envs.alfworld.differential import WALKS, Comparison, compare
from palaestra.envs.alfworld.engine import Engine, FastEngine
from palaestra.envs.alfworld.game import TASK_TYPES, WORDINGS, Game
from palaestra.envs.alfworld.generator import SCALES, GeneratedGames
from palaestra.envs.alfworld.tasks import DATA_VARIABLE, OfficialGames
from palaestra.envs.alfworld.textworld_engine import RealGame, game_file, playable_wordings
from palaestra.errors import InfrastructureError, PalaestraError
from palaestra.sandboxes.worker import Worker

RAW_WALKS = ("mixed", "expert", "curious")
# Every game loads its own copy of Fast Downward's library, which is never unloaded.
GAMES_PER_PROCESS = 15
GAME_DEADLINE_S = 900.0
Row = tuple[str, str, str, str]


# ---- which games -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Job:
    """One game to compare: where it comes from, which walks, how long, in which real engine."""

    source: str
    wording: str
    task_type: str
    index: int
    walks: tuple[str, ...]
    engine: str
    steps: int
    seed: int

    def spec(self) -> str:
        """Return the job in one word, for ``--only`` and for the child process."""
        parts = (self.source, self.wording, self.task_type, self.index, "+".join(self.walks))
        return "/".join(str(part) for part in (*parts, self.engine, self.steps, self.seed))

    @classmethod
    def of(cls, spec: str) -> Self:
        """Read what ``spec`` wrote."""
        source, wording, task_type, index, walks, engine, steps, seed = spec.split("/")
        walk_names = tuple(walks.split("+"))
        return cls(source, wording, task_type, int(index), walk_names, engine, int(steps), int(seed))

    def game(self) -> Game:
        """Make or read the game."""
        return games_of(self.source, self.wording, self.task_type).game(self.index)


@cache
def official_folder() -> Path | None:
    """Return the folder of the official games, or None."""
    named = os.environ.get(DATA_VARIABLE)
    shared = os.environ.get("PALAESTRA_SHARED") or Path(__file__).parents[1] / ".." / "shared"
    folder = Path(named) if named else Path(shared) / "data" / "alfworld"
    return folder if folder.is_dir() else None


@cache
def games_of(source: str, wording: str, task_type: str) -> GeneratedGames | OfficialGames:
    """Return the games of a source: a scale of generated ones, or "official"."""
    if source == "official":
        return OfficialGames("valid_seen", data=official_folder(), wording=wording, task_types=[task_type])
    return GeneratedGames("train", scale=source, wording=wording, task_types=[task_type])


def jobs(count: int, walks: tuple[str, ...], engine: str, steps: int, seed: int) -> Iterator[Job]:
    """Yield ``count`` jobs, one after another of every source, wording and task type; games drawn by seed."""
    sources = [*SCALES, *(["official"] if official_folder() else [])]
    wordings = playable_wordings()
    combinations = [(s, w, t) for t in TASK_TYPES for s in sources for w in wordings]
    generator = np.random.default_rng([seed, engine == "raw"])
    for number in range(count):
        source, wording, task_type = combinations[number % len(combinations)]
        index = int(generator.integers(len(games_of(source, wording, task_type))))
        yield Job(source, wording, task_type, index, walks, engine, steps, number)


# ---- what the child process does -------------------------------------------------------------------------


class Host:
    """Plays games in the real engine, raw or cached, in this process: it lives in a ``Worker``."""

    def __init__(self, engine: str) -> None:
        self.cached = engine == "cached"
        official_folder()  # asked now, since importing alfworld sets ALFWORLD_DATA to a folder of its own

    def compare(self, spec: str) -> list[Comparison]:
        """Load the job's game once and make its walks."""
        job = Job.of(spec)
        game = job.game()
        real = RealGame(game_file(game), game.id, self.cached)
        return [
            compare(game, real, walk, job.steps, np.random.default_rng([job.seed, WALKS.index(walk)]))
            for walk in job.walks
        ]

    def time(self, spec: str) -> dict[str, float]:
        """Time the job's game in the real and in the fast engine; return CPU seconds and steps a second."""
        job = Job.of(spec)
        game = job.game()
        commands = mixed_commands(game, job)
        _import_real_engine(game, self.cached)
        began = time.process_time()
        real = RealGame(game_file(game), game.id, self.cached)
        real.reset()
        real_load_s = time.process_time() - began
        began = time.process_time()
        fast = FastEngine(game)
        fast_load_s = time.process_time() - began
        return {
            "real_load_s": real_load_s,
            "fast_load_s": fast_load_s,
            "real": steps_per_second(real, commands, 0.0),
            "fast": steps_per_second(fast, commands, 0.5),
        }


@cache
def _import_real_engine(game: Game, cached: bool) -> None:
    RealGame(game_file(game), game.id, cached)


def mixed_commands(game: Game, job: Job) -> list[str]:
    """Return the commands of a mixed walk."""
    return compare(game, FastEngine(game), "mixed", job.steps, np.random.default_rng(job.seed)).commands


def steps_per_second(engine: Engine, commands: list[str], least_s: float) -> float:
    """Return steps a second of CPU time, the admissible commands read after each; resets are not counted."""
    steps, spent = 0, 0.0
    while not steps or spent < least_s:
        engine.reset()
        began = time.process_time()
        for command in commands:
            engine.step(command)
            _ = engine.admissible
        spent += time.process_time() - began
        steps += len(commands)
    return steps / spent


# ---- what the parent does --------------------------------------------------------------------------------


def run_chunk(chunk: list[Job], tell: Callable[[], None]) -> list[tuple[Job, list[Comparison] | str]]:
    """Compare a few games in one child process; a failure is reported in the place of its comparisons."""
    made: list[tuple[Job, list[Comparison] | str]] = []
    with Worker("alfworld_engines:Host", {"engine": chunk[0].engine}) as worker:
        for job in chunk:
            try:
                made.append((job, worker.call("compare", job.spec(), deadline_s=GAME_DEADLINE_S)))
            except PalaestraError as error:
                made.append((job, f"{type(error).__name__}: {error}"))
                if isinstance(error, InfrastructureError):
                    worker.restart()
            tell()
    return made


def run_all(chosen: list[Job], workers: int) -> list[tuple[Job, list[Comparison] | str]]:
    """Compare all games, ``workers`` child processes at a time; progress goes to standard error."""
    size = min(GAMES_PER_PROCESS, -(-len(chosen) // workers))
    chunks = [chosen[start : start + size] for start in range(0, len(chosen), size)]
    done: list[None] = []

    def tell() -> None:
        done.append(None)
        print(f"\r{chosen[0].engine}: {len(done)}/{len(chosen)} games ", end="", file=sys.stderr, flush=True)

    with ThreadPoolExecutor(workers) as pool:
        made = [result for part in pool.map(lambda chunk: run_chunk(chunk, tell), chunks) for result in part]
    print(file=sys.stderr)
    return made


def walks_made(
    made: list[tuple[Job, list[Comparison] | str]],
) -> Iterator[tuple[Job, str, Comparison]]:
    """Yield (job, walk, comparison) of all that did not fail."""
    for job, found in made:
        if not isinstance(found, str):
            yield from ((job, walk, one) for walk, one in zip(job.walks, found, strict=True))


# ---- what is printed -------------------------------------------------------------------------------------


def print_comparison(made: list[tuple[Job, list[Comparison] | str]]) -> bool:
    """Print the tables of states and mismatches; return whether all was equal and nothing failed."""
    rows: dict[Row, Counter[str]] = {}
    for job, walk, found in walks_made(made):
        row = rows.setdefault((job.source, job.wording, walk, job.engine), Counter())
        row.update(walks=1, states=found.states, won=found.won_states, wrong=len(found.mismatches))
    print(
        f"\n{'games':10} {'wording':8} {'walk':8} {'engine':7} "
        f"{'walks':>6} {'states':>7} {'goal held':>10} {'mismatches':>11}"
    )
    for (source, wording, walk, engine), row in sorted(rows.items()):
        print(
            f"{source:10} {wording:8} {walk:8} {engine:7} "
            f"{row['walks']:6} {row['states']:7,} {row['won']:10,} {row['wrong']:11}"
        )
    print_task_types(made)
    print_texts(made)
    return print_failures(made)


def print_task_types(made: list[tuple[Job, list[Comparison] | str]]) -> None:
    """Print games and states by task type and engine, then in all."""
    print(f"\n{'task type':32} {'engine':7} {'games':>6} {'states':>7} {'mismatches':>11}")
    totals: dict[tuple[str, str], Counter[str]] = {}
    for job, found in made:
        if isinstance(found, str):
            continue
        counts = Counter(games=1, states=sum(one.states for one in found))
        counts["wrong"] = sum(len(one.mismatches) for one in found)
        for key in ((job.task_type, job.engine), ("all", job.engine), ("all", "both")):
            totals.setdefault(key, Counter()).update(counts)
    for (task_type, engine), row in sorted(totals.items(), key=lambda item: (item[0][0] == "all", item[0])):
        print(f"{task_type:32} {engine:7} {row['games']:6} {row['states']:7,} {row['wrong']:11}")


def shape(text: str) -> str:
    """Return the kind of an observation: names are X, lists of them L."""
    if text.startswith(("-=", "Available")):
        return "(introduction)" if text.startswith("-=") else "(help)"
    text = re.sub(r"\b[a-z]+ \d+", "X", text)
    text = re.sub(r"you see a X(, a X)*(, and a X)?", "you see L", text)
    return re.sub(r"facing the X(, X)*, and X", "facing the X, and X", text)


def print_texts(made: list[tuple[Job, list[Comparison] | str]]) -> None:
    """Print how often each kind of text was compared, rare ones too: what was not seen was not tested."""
    counts = {engine: Counter[str]() for engine in ("raw", "cached")}
    for job, _, found in walks_made(made):
        counts[job.engine].update(map(shape, found.texts))
    print(f"\n{'text compared (X a name, L a list of names)':80} {'raw':>7} {'cached':>7}")
    for text in sorted(counts["raw"] | counts["cached"], key=lambda one: -counts["cached"][one]):
        print(f"{text:80} {counts['raw'][text]:7,} {counts['cached'][text]:7,}")


def print_failures(made: list[tuple[Job, list[Comparison] | str]]) -> bool:
    """Print the first mismatches and all failures, with how to repeat each; return whether there is none."""
    wrong = [(job, walk, found) for job, walk, found in walks_made(made) if found.mismatches]
    failed = [(job, found) for job, found in made if isinstance(found, str)]
    for job, walk, found in wrong[:5]:
        print(f"\nMISMATCH in the {walk} walk, the first of {len(found.mismatches)}: {found.mismatches[0]}")
        print(f"  to repeat: python benchmarks/alfworld_engines.py --only {job.spec()}")
    for job, message in failed:
        print(f"\nFAILED: {message}\n  to repeat: python benchmarks/alfworld_engines.py --only {job.spec()}")
    print(f"\n{len(wrong)} walks with mismatches, {len(failed)} games that failed")
    return not wrong and not failed


def print_speed(games: int, steps: int, seed: int) -> None:
    """Time the raw and the cached engine, each with the fast one beside it on the same games and commands."""
    print(f"\nsteps a second of CPU time, sorted admissible commands included: {games} games, mixed walks of")
    print(f"up to {steps} commands, the same in all engines; the fast engine runs in the real one's process")
    for engine in ("raw", "cached"):
        chosen = list(jobs(games, ("mixed",), "raw", steps, seed + 1))
        with Worker("alfworld_engines:Host", {"engine": engine}) as worker:
            timed: list[dict[str, float]] = [
                worker.call("time", job.spec(), deadline_s=GAME_DEADLINE_S) for job in chosen
            ]
        _print_rates(engine, timed)


def _print_rates(engine: str, timed: list[dict[str, float]]) -> None:
    ratios = [one["fast"] / one["real"] for one in timed]
    load, fast_load = (statistics.median(one[key] for one in timed) for key in ("real_load_s", "fast_load_s"))
    for name, key, seconds in ((f"TextWorld {engine}", "real", load), ("fast", "fast", fast_load)):
        rates = [one[key] for one in timed]
        print(
            f"  {name:17} {statistics.median(rates):12,.1f} steps/s (median; {min(rates):,.1f} to "
            f"{max(rates):,.1f})   load and reset {seconds * 1000:,.1f} ms"
        )
    print(f"  ratio to {engine:8} {statistics.median(ratios):12,.0f} (median; from {min(ratios):,.0f})")


def print_machine() -> None:
    """Print what was measured, on what."""
    packages = ("textworld", "fast-downward-textworld", "alfworld", "palaestra")
    versions = []
    for package in packages:
        try:
            versions.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            versions.append(f"{package} from this checkout")
    print(f"Python {platform.python_version()}, {', '.join(versions)}")
    print(f"{os.cpu_count()} cores, load average at the start {os.getloadavg()[0]:.1f}")
    left_out = [f"the wording {name!r}" for name in WORDINGS if name not in playable_wordings()]
    left_out += [] if official_folder() else ["official games"]
    print(f"left out, because their files are not here: {', '.join(left_out) or 'nothing'}")


def read_arguments() -> Any:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--games", type=int, default=180, help="games to compare in the cached engine")
    parser.add_argument("--steps", type=int, default=60, help="longest walk in the cached engine")
    parser.add_argument("--raw-games", type=int, default=36, help="games to compare in the raw engine")
    parser.add_argument("--raw-steps", type=int, default=12, help="longest walk in the raw engine")
    parser.add_argument("--timed-games", type=int, default=12, help="games to time; 0 for none")
    parser.add_argument("--workers", type=int, default=2, help="child processes at a time")
    parser.add_argument("--seed", type=int, default=0, help="which games")
    parser.add_argument("--only", default="", metavar="SPEC", help="repeat one comparison and stop")
    return parser.parse_args()


def main() -> None:
    """Compare, then time; exit with 1 when anything differed or failed."""
    arguments = read_arguments()
    print("$ python", " ".join(["benchmarks/alfworld_engines.py", *sys.argv[1:]]), flush=True)
    if arguments.only:
        raise SystemExit(not print_failures(run_all([Job.of(arguments.only)], 1)))
    print_machine()
    began = time.perf_counter()
    made = []
    if arguments.raw_games:
        chosen = jobs(arguments.raw_games, RAW_WALKS, "raw", arguments.raw_steps, arguments.seed)
        made += run_all(list(chosen), arguments.workers)
    if arguments.games:
        chosen = jobs(arguments.games, WALKS, "cached", arguments.steps, arguments.seed)
        made += run_all(list(chosen), arguments.workers)
    equal = print_comparison(made)
    print(f"compared in {time.perf_counter() - began:.0f} s with {arguments.workers} workers", flush=True)
    if arguments.timed_games:
        print_speed(arguments.timed_games, 2 * arguments.raw_steps, arguments.seed)
    raise SystemExit(not equal)


if __name__ == "__main__":
    main()
