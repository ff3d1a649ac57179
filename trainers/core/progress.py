"""Progress of a run: one live line in a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

_PLAIN_INTERVAL_S = 15.0


class ProgressLine:
    """Shows how far a run is, on stderr so that stdout keeps the result."""

    def __init__(self, name: str, total: int, done: int = 0, console: Console | None = None) -> None:
        self._name, self._total, self._done = name, total, done
        self._console = console or Console(stderr=True, highlight=False)
        self._printed = -_PLAIN_INTERVAL_S
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
