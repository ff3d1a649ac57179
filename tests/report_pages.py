"""Episodes to make report pages of, and the pages read as a browser reads them."""

from __future__ import annotations

import json
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from palaestra.agents.episode import Episode, EpisodeWriter, Turn
from palaestra.cli.report.episodes import unpack

HOSTILE = "a </script><script>document.title='owned'</script> <!-- <b>&amp; {{style}} \u2028 é 🙂"
needs_browser = pytest.mark.skipif(shutil.which("chromium") is None, reason="needs the program chromium")


def make_episode(
    number: int, *, outcome: str = "terminated", success: bool = True, text: str = "You see a door."
) -> Episode:
    turn = Turn(text, [1, 2, 3], 0, [4, 5], [-0.1, -2.0], "open door", reward=float(success))
    return Episode(
        env_id="palaestra/Door-v0",
        task_id=f"task-{number}",
        goal="Open the door.",
        seed=number,
        policy="tiny",
        agent="react",
        scenario="doors" if number % 2 else "windows",
        turns=[turn],
        reward=float(success),
        success=success,
        outcome=outcome,  # pyright: ignore[reportArgumentType]
        failure="WorkerError: the worker died" if outcome == "failed" else "",
        final_observation="It is open.",
    )


def write_episodes(path: Path, episodes: list[Episode]) -> Path:
    with EpisodeWriter(path) as writer:
        for episode in episodes:
            writer.write(episode)
    return path


class Page(HTMLParser):
    """Reads a page as a browser would split it: elements, and the text of its data element."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.scripts = 0
        self.addresses: list[str] = []
        self.text = ""
        self._inside = False
        self.feed(page.read_text(encoding="utf-8"))
        self.data = json.loads(self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"
        self._inside = ("id", "data") in attrs
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.text += data


def shown(data: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the episodes whose turns are in a page whole: row, task and turns together."""
    blocks = [unpack(block) for block in data["blocks"]]
    return [
        {**data["tasks"][row["task"]], **blocks[row["block"]][row["line"]], **row}
        for row in data["rows"]
        if row["block"] >= 0
    ]


class Seen(HTMLParser):
    """What a person reads on a page that a browser has built: its texts, without scripts and styles."""

    def __init__(self, dom: str) -> None:
        super().__init__()
        self.pieces: list[str] = []
        self._hidden = 0
        self.feed(dom)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden += tag in ("script", "style", "noscript")
        self.pieces += [value or "" for name, value in attrs if name in ("data-tip", "aria-label")]

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in ("script", "style", "noscript")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.pieces.append(data)


def browse(page: Path, folder: Path, part: str = "") -> str:
    """Return what a person reads on ``page``, as chromium builds it without complaints."""
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    flags += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    flags += [
        f"--user-data-dir={folder / 'profile'}",
        "--enable-logging=stderr",
        "--virtual-time-budget=3000",
    ]
    done = subprocess.run(
        ["chromium", *flags, "--dump-dom", f"{page.resolve().as_uri()}{part}"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "CONSOLE" not in done.stderr, done.stderr
    return " ".join("".join(Seen(done.stdout).pieces).split())
