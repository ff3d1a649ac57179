"""``palaestra view RUN``: a run, a benchmark or a file of episodes as one self-contained HTML page."""

from __future__ import annotations

import html
import json
import os
import re
import webbrowser
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import tyro

from palaestra.cli.report.content import content
from palaestra.errors import OptionError, StorageError

_SCRIPTS = (
    "base",
    "header",
    "results",
    "comparisons",
    "breakdown",
    "curves",
    "browser",
    "episode",
    "failures",
)
_EPISODES = 5000


@dataclass(frozen=True)
class Config:
    """Make one self-contained HTML page: results, curves, and every turn of the episodes."""

    run: tyro.conf.Positional[Path]
    """A run directory, a benchmark directory, or a .jsonl file of episodes."""
    out: Path | None = None
    """Where the page is written; without it, report.html in the directory or NAME.html beside the file."""
    episodes: int = _EPISODES
    """At most so many episodes are put into the page; it says when there are more."""
    open: bool = False
    """Open the page in the browser."""


def run(config: Config) -> int:
    """Write the page and print where it is."""
    page = write_report(config.run, config.out, max_episodes=config.episodes)
    print(page)
    if config.open:
        webbrowser.open(page.resolve().as_uri())
    return 0


def write_report(path_in: Path, path_out: Path | None = None, *, max_episodes: int = _EPISODES) -> Path:
    """Write the page of a run directory, benchmark directory or episode file; return where it is.

    The page holds everything it needs and works without a network, straight from the disk. Raises
    ``DataError`` when there is nothing to show, ``StorageError`` when the page cannot be written.
    """
    if max_episodes < 1:
        raise OptionError(f"a page shows at least 1 episode, not {max_episodes}")
    path_in = Path(path_in)
    page = render(content(path_in, max_episodes))
    if path_out is None:
        path_out = path_in / "report.html" if path_in.is_dir() else path_in.with_suffix(".html")
    # Written beside its place and moved there, so that a full disk never leaves half a page.
    partial = path_out.with_name(f".{path_out.name}.{os.getpid()}")
    try:
        path_out.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(page, encoding="utf-8")
        partial.replace(path_out)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise StorageError(f"cannot write the page {path_out}: {error}") from error
    return path_out


def render(data: dict[str, Any]) -> str:
    """Return the HTML of a page that shows ``data`` (see ``palaestra.cli.report.content``)."""
    folder = files("palaestra.cli.report")
    parts = {
        "title": html.escape(data["title"]),
        "style": folder.joinpath("style.css").read_text(encoding="utf-8"),
        "script": "\n".join(folder.joinpath(f"{name}.js").read_text(encoding="utf-8") for name in _SCRIPTS),
        "data": embed(data),
    }
    template = folder.joinpath("page.html").read_text(encoding="utf-8")
    # One pass, so that a placeholder spelt out in an observation stays the text it is.
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], template)


def embed(data: Any) -> str:
    """Return ``data`` as JSON that can stand in a script element whatever texts it holds."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    # Without a "<" no text can close the script element or open a comment in it. A lone surrogate, which
    # JSON may hold, has no UTF-8.
    return text.replace("<", "\\u003c").encode("utf-8", "replace").decode()
