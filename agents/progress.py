"""Progress: one live line in a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from palaestra.agents.episode import Episode

_PLAIN_INTERVAL_S = 15.0


class ProgressLine:
    """Shows how far something is, on stderr so that stdout keeps the result."""

    def __init__(self, name: str, total: int, done: int = 0, console: Console | None = None) -> None:
        self._name, self._total, self._done = name, total, done
        self._console = console or Console(stderr=True, highlight=False)
        self._printed = time.monotonic() - _PLAIN_INTERVAL_S
        self._live: Progress | None = None
        if self._console.is_terminal:
            self._live = Progress(
                TextColumn("[bold]{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[text]}"),
                TimeRemainingColumn(),
                console=self._console,
            )
            self._task = self._live.add_task(name, total=total, completed=done, text="")
            self._live.start()

    def advance(self, text: str) -> None:
        """Count one more step and show ``text`` beside it."""
        self._done += 1
        if self._live is not None:
            self._live.update(self._task, advance=1, text=text)
        elif self._done == self._total or time.monotonic() - self._printed >= _PLAIN_INTERVAL_S:
            self._printed = time.monotonic()
            self._console.print(
                f"{self._name} {self._done}/{self._total}  {text}", markup=False, soft_wrap=True
            )

    def close(self) -> None:
        """Leave the line as it stands."""
        if self._live is not None:
            self._live.stop()

    def __enter__(self) -> ProgressLine:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class RolloutProgress:
    """Counts finished episodes and shows success, reward, tokens/s and failures."""

    def __init__(self, name: str, total: int, console: Console | None = None) -> None:
        self.done = self.failures = self.successes = self.sampled_tokens = 0
        self.reward = 0.0
        self._began = time.monotonic()
        self._line = ProgressLine(name, total, console=console)

    def update(self, episode: Episode) -> None:
        """Count a finished episode."""
        self.done += 1
        self.failures += episode.failed
        self.successes += episode.success
        self.sampled_tokens += episode.sampled_tokens
        self.reward += episode.reward
        self._line.advance(self.text())

    def text(self) -> str:
        """Return the figures so far."""
        judged = max(1, self.done - self.failures)
        rate = self.sampled_tokens / max(1e-9, time.monotonic() - self._began)
        return (
            f"success {self.successes / judged:.0%}  reward {self.reward / judged:.2f}  "
            f"{rate:,.0f} tokens/s  failures {self.failures}"
        )

    def close(self) -> None:
        """Leave the line as it stands."""
        self._line.close()

    def __enter__(self) -> RolloutProgress:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
