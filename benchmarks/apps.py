"""Apps: the time of a reset, API calls a second, and the memory of many environments at once.

    python benchmarks/apps.py [--resets 200] [--environments 64] [--seconds 3]

Resets come from one environment, after one reset of each world in turn (the first one of a world builds it,
which is shown apart). Calls are those of gold programs, played anew on their worlds in this process, restores
left out; and the same programs through the sandbox of an episode, all of its steps included. Memory is the
proportional set size of this process and all below it, with every environment reset and one step on.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

from palaestra.envs.apps import catalogue, programs, tasks, trial
from palaestra.envs.apps.env import AppsEnv
from palaestra.envs.apps.tasks import WORLDS
from palaestra.envs.apps.world import World


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--resets", type=int, default=200)
    parser.add_argument("--environments", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=3.0)
    chosen = parser.parse_args()
    known = catalogue.load()
    print(f"{len(known.apps)} apps, {len(known.apis)} APIs, {len(known.scenarios)} scenarios")
    for mode in ("json", "code"):
        print(f"reset, mode {mode}: {_resets(mode, chosen.resets)}")
    print(f"calls in this process: {_calls_a_second(known, chosen.seconds):,.0f} a second")
    print(
        f"calls from the sandbox, steps included: {_sandboxed_calls_a_second(chosen.seconds):,.0f} a second"
    )
    for mode in ("json", "code"):
        print(f"{chosen.environments} environments, mode {mode}: {_memory(mode, chosen.environments)}")


def _resets(mode: str, count: int) -> str:
    env = AppsEnv(mode=mode)
    first = [_reset_s(env, seed) for seed in range(3 * len(WORLDS["train"]))]
    times_s = sorted(_reset_s(env, 1000 + seed) for seed in range(count))
    env.close()
    return (
        f"median {1000 * statistics.median(times_s):.1f} ms, "
        f"95th percentile {1000 * times_s[int(0.95 * count)]:.1f} ms, "
        f"slowest first one {1000 * max(first):.0f} ms"
    )


def _reset_s(env: AppsEnv, seed: int) -> float:
    began = time.perf_counter()
    env.reset(seed=seed)
    return time.perf_counter() - began


def _calls_a_second(known: catalogue.Catalogue, seconds: float) -> float:
    played = []
    for scenario in known.scenarios.values():
        prepared = tasks.prepare(known, scenario, 0)
        cells = programs.plain(scenario.gold, prepared.plan.parameters)
        played.append((prepared.image, trial.run(World(known, prepared.image), cells).calls))
    calls, spent = 0, 0.0
    while spent < seconds:
        for image, recorded in played:
            # Passwords and tokens are part of the image and of the order of calls: they come out the same.
            world = World(known, image)
            began = time.perf_counter()
            for name, arguments in recorded:
                world.call(name, arguments)
            spent += time.perf_counter() - began
            calls += len(recorded)
            world.close()
    return calls / spent


def _sandboxed_calls_a_second(seconds: float) -> float:
    env = AppsEnv(mode="code")
    calls, spent, seed = 0, 0.0, 0
    while spent < seconds:
        env.reset(seed=seed)
        began = time.perf_counter()
        while True:
            _, reward, terminated, truncated, info = env.step(env.expert())
            if terminated or truncated:
                break
        spent += time.perf_counter() - began
        assert reward == 1.0, info
        calls += info["metrics"]["api_calls"]
        seed += 1
    env.close()
    return calls / spent


def _memory(mode: str, count: int) -> str:
    before = _resident_bytes()
    envs = [AppsEnv(mode=mode) for _ in range(count)]
    for seed, env in enumerate(envs):
        env.reset(seed=seed)
        env.step(env.expert())
    after = _resident_bytes()
    for env in envs:
        env.close()
    return f"{after / 2**20:,.0f} MiB in all, {(after - before) / count / 2**20:.1f} MiB each"


def _resident_bytes() -> int:
    return sum(_proportional_bytes(process) for process in _family(os.getpid()))


def _family(process: int) -> Iterator[int]:
    yield process
    for thread in Path(f"/proc/{process}/task").iterdir():
        for child in (thread / "children").read_text().split():
            yield from _family(int(child))


def _proportional_bytes(process: int) -> int:
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


if __name__ == "__main__":
    main()
