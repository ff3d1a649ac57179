"""What an environment leaves behind over many lives, and how fast it is."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import statistics
import sys
import time
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

from palaestra.envs.conformance_bed import Bed, Check, NotApplicable, Seen, Violation, global_generators

# Episodes repeat after this many cycles, so that caches of bounded size fill before anything is measured.
DISTINCT_EPISODES = 8
# Something may be opened once, late, and be kept for good: that is not a leak.
SPARE_HANDLES = 2
# So many are no accident: to go on would only fill the machine with threads or processes.
ENOUGH_HANDLES = 50
# The allocator hands pages out in lumps: memory seems to move by some hundred KiB with no leak at all.
TOLERATED_GROWTH_BYTES = 1 << 20
SAMPLED_EVERY, SAMPLED_EVERY_S = 50, 0.25  # cycles, seconds
MOST_SAMPLES = 100
SETTLING_S = 2.0
SPEED_S = 0.25


def leaks(bed: Bed) -> Seen:
    """Make, reset, step and close over and over; count threads, children, descriptors and resident memory."""
    if not Path("/proc/self/statm").exists():
        raise NotApplicable("threads, descriptors and memory are read from /proc, which this system lacks")
    for number in range(DISTINCT_EPISODES):
        _one_life(bed, number)
    before = _settled({})
    _give_free_pages_back()
    samples = _lives(bed, before)
    cycle = samples[-1][0]
    after = _settled(before)
    for what, count in after.items():
        if count > before[what] + SPARE_HANDLES:
            raise Violation(f"{before[what]} {what} before, {count} after {cycle} cycles")
    slope = _slope([sample for sample in samples if sample[0] >= cycle / 2])
    _judge_growth(bed, slope, cycle)
    counts = ", ".join(f"{what} {before[what]} -> {count}" for what, count in after.items())
    short = "" if cycle == bed.cycles else f" (of {bed.cycles}: there was no time for more)"
    text = f"{cycle} cycles{short}: {counts}; memory {slope:+,.0f} bytes a cycle"
    return Seen(text, {"cycles": cycle, "memory_growth_bytes_per_cycle": slope})


def _lives(bed: Bed, before: dict[str, int]) -> list[tuple[int, int]]:
    """Live all cycles, or as many as time and leaks allow; return resident memory after some of them."""
    samples = [(0, _resident_bytes())]
    cycle, due = 0, time.monotonic() + SAMPLED_EVERY_S
    while cycle < bed.cycles and time.monotonic() < bed.stop_at:
        _one_life(bed, cycle)
        cycle += 1
        # Not after every life, because a full garbage collection goes before each sample.
        if cycle % SAMPLED_EVERY == 0 or time.monotonic() > due:
            samples.append((cycle, _resident_bytes()))
            if any(count > before[what] + ENOUGH_HANDLES for what, count in _held().items()):
                break
            due = time.monotonic() + SAMPLED_EVERY_S
    if cycle == 0:
        raise Violation(f"the first {DISTINCT_EPISODES} lives took all the time there was")
    return samples if samples[-1][0] == cycle else [*samples, (cycle, _resident_bytes())]


def _one_life(bed: Bed, number: int) -> None:
    env = bed.make()
    episode = bed.seed + number % DISTINCT_EPISODES
    bed.play(env, episode, limit=3)
    bed.close(env)


def _judge_growth(bed: Bed, slope: float, cycles: int) -> None:
    growth = slope * cycles / 2
    if growth <= TOLERATED_GROWTH_BYTES:
        return
    raise Violation(
        f"over the second half of {cycles} cycles memory grew by {growth / 2**20:.1f} MiB, "
        f"{slope / 1024:.1f} KiB a cycle (tolerated: {TOLERATED_GROWTH_BYTES / 2**20:.0f} MiB, "
        "what the lumps of the allocator account for)" + _allocated_most(bed)
    )


def _allocated_most(bed: Bed) -> str:
    """Name the line whose allocations outlive most of a few more cycles."""
    import tracemalloc  # here only: tracing slows everything down

    if tracemalloc.is_tracing():
        return ""
    tracemalloc.start()
    try:
        before = tracemalloc.take_snapshot()
        for number in range(2 * DISTINCT_EPISODES):
            _one_life(bed, number)
        gc.collect()
        grown = tracemalloc.take_snapshot().compare_to(before, "lineno")
    finally:
        tracemalloc.stop()
    ours = [line for line in grown if Path(line.traceback[0].filename).name != "tracemalloc.py"]
    if not ours or ours[0].size_diff < TOLERATED_GROWTH_BYTES // 64:
        return "; none of it in Python objects: look for a library that allocates by itself"
    frame = ours[0].traceback[0]
    return f"; most of what stays is allocated in {frame.filename}, line {frame.lineno}"


def _slope(samples: list[tuple[int, int]]) -> float:
    """Return the median slope between pairs of samples, which a single jump does not move."""
    samples = samples[:: 1 + len(samples) // MOST_SAMPLES]
    slopes = [(b - a) / (later - sooner) for (sooner, a), (later, b) in combinations(samples, 2)]
    return statistics.median(slopes) if slopes else 0.0


def _resident_bytes() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _give_free_pages_back() -> None:
    # Else a leak grows unseen into the pages that the allocator kept from whatever this process did before.
    with contextlib.suppress(AttributeError, OSError):  # malloc_trim is glibc's alone
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)


def _settled(at_most: dict[str, int]) -> dict[str, int]:
    """Count what is held now, after a moment for threads and children that are about to end."""
    until = time.monotonic() + SETTLING_S
    while True:
        gc.collect()
        counts = _held()
        if time.monotonic() > until or all(counts[what] <= at_most.get(what, 1 << 30) for what in counts):
            return counts
        time.sleep(0.05)


def _held() -> dict[str, int]:
    return {
        "threads": len(os.listdir("/proc/self/task")),
        "child processes": _children(),
        "file descriptors": len(os.listdir("/proc/self/fd")),
    }


def _children() -> int:
    """Count the processes whose parent we are, those that nobody waited for included."""
    count, parent = 0, str(os.getpid())
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name, in parentheses, may hold spaces; what follows is the state, then the parent.
            count += entry.read_text().rpartition(")")[2].split()[1] == parent
        except OSError:  # it ended while we looked
            continue
    return count


def speed(bed: Bed) -> Seen:
    """Time making, resets and steps; nothing is judged."""
    env = bed.make()
    _, info = bed.reset(env, bed.seed)
    action = next(iter(info.get("admissible_actions") or ["hello?"]))

    def step() -> None:
        if env.step(action)[2:4] != (False, False):
            env.reset(seed=bed.seed)

    with global_generators(None):
        figures = {
            "makes_per_s": _rate(bed, "making", lambda: bed.close(bed.make())),
            "resets_per_s": _rate(bed, "resets", lambda: env.reset(seed=bed.seed)),
            "steps_per_s": _rate(bed, "steps", step),
        }
    text = ", ".join(f"{value:,.0f} {name.removesuffix('_per_s')}/s" for name, value in figures.items())
    return Seen(f"{text} (one process, {sys.implementation.name} {sys.version.split()[0]})", figures)


def _rate(bed: Bed, what: str, call: Callable[[], object]) -> float:
    count, start = 0, time.perf_counter()
    with bed.watched(f"timing {what}"):
        while (elapsed := time.perf_counter() - start) < SPEED_S:
            call()
            count += 1
    return count / elapsed


RESOURCE_CHECKS = (
    Check(
        "leaks",
        leaks,
        "After close() nothing stays behind: no thread, child process, file descriptor or memory.",
        "Give close() everything that _start opened, and make it work twice; bound every cache.",
    ),
    Check("speed", speed, "Reported, never judged.", "See what raised."),
)
