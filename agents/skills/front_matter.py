"""The front matter of a Markdown page: the small part of YAML that people write there, and nothing else.

Texts (plain, quoted, or as ``|`` and ``>`` blocks), lists of texts, and mappings of texts, one level deep.
Everything is text: ``version: 1.0`` gives "1.0". What is beyond that (anchors, tags, deeper nesting) is an
error with its line, never a guess.
"""

from __future__ import annotations

import json
import re
from typing import Any

from palaestra.errors import DataError

FrontMatter = dict[str, Any]
"""Keys to a text, a list of texts, or a mapping of texts."""

_FENCE = "---"
_KEY = re.compile(r"([A-Za-z_][\w.-]*)[ \t]*:(?:[ \t]+(.*))?")
_BLOCK = re.compile(r"([|>])([+-]?)")
_ESCAPES = {
    "n": "\n",
    "t": "\t",
    "r": "\r",
    "0": "\0",
    "e": "\x1b",
    "a": "\a",
    "b": "\b",
    "v": "\v",
    "f": "\f",
}
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))", re.DOTALL)
# What would not come back as the same plain text.
_NEEDS_QUOTES = re.compile(r"^$|^[\s\-?:,\[\]{}#&*!|>'\"%@`]|:(\s|$)|\s#|\s$|[^\S ]|[^\x20-\x7e\xa0-\ufffd]")


def load(text: str) -> tuple[FrontMatter, str]:
    """Return the front matter of a page and the text below it. Raises ``DataError`` with the line."""
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n")
    if lines[0].rstrip() != _FENCE:
        raise DataError("line 1: a page begins with front matter between two lines '---'")
    end = next((number for number, line in enumerate(lines) if number and line.rstrip() == _FENCE), None)
    if end is None:
        raise DataError("line 1: the front matter has no closing line '---'")
    return _Reader(lines[1:end]).mapping(0), "\n".join(lines[end + 1 :]).strip("\n") + "\n"


def dump(front: FrontMatter) -> str:
    """Return front matter with its fences; ``load`` gives the same back. Raises ``DataError``."""
    lines = [_FENCE]
    for key, value in front.items():
        if isinstance(value, dict):
            lines.append(f"{_key(key)}:")
            lines += [f"  {_key(inner)}: {_scalar(item)}" for inner, item in value.items()]
        elif isinstance(value, list | tuple):
            lines.append(f"{_key(key)}:")
            lines += [f"  - {_scalar(item)}" for item in value]
        else:
            lines.append(f"{_key(key)}: {_scalar(value)}")
    return "\n".join([*lines, _FENCE, "", ""])


def _key(key: Any) -> str:
    if not isinstance(key, str) or not _KEY.fullmatch(f"{key}:"):
        raise DataError(f"{key!r} cannot be a key of front matter")
    return key


def _scalar(value: Any) -> str:
    if not isinstance(value, str):
        raise DataError(f"front matter holds texts, not {value!r}: write it as a text")
    # JSON's strings are YAML's double-quoted ones; other readers would take 1.0 or yes for something else.
    plain = not _NEEDS_QUOTES.search(value) and re.search(r"[A-Za-z]{4}", value) is not None
    return value if plain and value.lower() not in ("true", "false", "null") else json.dumps(value)


class _Reader:
    """Reads lines of front matter; ``at`` is the index of the next one."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines
        self.at = 0

    def mapping(self, indent: int) -> FrontMatter:
        """Read the keys at one indentation."""
        found: FrontMatter = {}
        while (line := self._next()) is not None and _indent_of(line) == indent:
            match = _KEY.fullmatch(line.strip(" "))
            if match is None:
                raise self._error("expected 'key: value'")
            key, rest = match[1], (match[2] or "").strip()
            if key in found:
                raise self._error(f"the key {key!r} is there twice")
            self.at += 1
            found[key] = self._value(rest, indent)
        line = self._next()
        if line is not None and _indent_of(line) > indent:
            raise self._error("this line is indented without belonging to anything")
        return found

    def _value(self, rest: str, indent: int) -> Any:
        if block := _BLOCK.fullmatch(_without_comment(rest)):
            return self._block(block[1], block[2], indent)
        if rest and not rest.startswith("#"):
            return self._inline(rest, indent)
        line = self._next()
        if line is not None and line.strip().startswith("- ") and _indent_of(line) >= indent:
            return self._list(_indent_of(line))
        if line is None or _indent_of(line) <= indent:
            return ""
        if not _KEY.fullmatch(line.strip(" ")):
            self.at += 1
            return self._inline(line.strip(), indent)
        if indent:
            raise self._error("mappings are read one level deep")
        return self.mapping(_indent_of(line))

    def _list(self, indent: int) -> list[str]:
        items = []
        while (line := self._next()) is not None and _indent_of(line) == indent:
            if not line.strip().startswith("- "):
                break
            self.at += 1
            item = line.strip()[2:].strip()
            if _KEY.fullmatch(item) and item[0] not in "'\"":
                raise self._error("lists are read as lists of texts", back=1)
            items.append(self._inline(item, indent))
        return items

    def _inline(self, text: str, indent: int) -> Any:
        """Read a text or a list in brackets that begins here and may go on over deeper lines."""
        start = self.at
        while (line := self._following(indent)) is not None and not _is_closed(text):
            text = f"{text}\n{line.strip()}" if not line.strip() else f"{_joined(text)}{line.strip()}"
            self.at += 1
        text = text.strip()
        if text.startswith("["):
            return self._brackets(_without_comment(text), start)
        return self._text(text, start)

    def _following(self, indent: int) -> str | None:
        """Return the next line if it can go on a text begun at this indentation."""
        if self.at >= len(self.lines):
            return None
        line = self.lines[self.at]
        if not line.strip():
            after = next((later for later in self.lines[self.at :] if later.strip()), "")
            return line if _indent_of(after) > indent else None
        return line if _indent_of(line) > indent and not line.strip().startswith("#") else None

    def _text(self, text: str, start: int) -> str:
        if text[:1] in ("'", '"'):
            return self._quoted(text, start)
        text = _without_comment(text)
        if not text or text[0] in "&*!|>%@`{}],?" or text.startswith("- "):
            raise self._error(f"{text[:30]!r} is not read here: put the text in quotes", at=start)
        if re.search(r":(\s|$)", text):
            raise self._error("a text with ': ' in it must stand in quotes", at=start)
        return text

    def _quoted(self, text: str, start: int) -> str:
        quote = text[0]
        body = r"'((?:[^']|'')*)'" if quote == "'" else r'"((?:[^"\\]|\\.)*)"'
        match = re.fullmatch(body + r"(?:\s+#.*)?", text, re.DOTALL)
        if match is None:
            raise self._error("a quoted text that does not end, or goes on after its end", at=start)
        if quote == "'":
            return match[1].replace("''", "'")
        return _ESCAPE.sub(lambda found: self._unescape(found, start), match[1])

    def _unescape(self, match: re.Match[str], start: int) -> str:
        code = match[1] or match[2] or match[3]
        if code is not None:
            return chr(int(code, 16)) if int(code, 16) < 0x110000 else "\ufffd"
        if match[4] in _ESCAPES:
            return _ESCAPES[match[4]]
        if match[4] not in '"\\/ ':
            raise self._error(f"unknown escape \\{match[4]}", at=start)
        return match[4]

    def _brackets(self, text: str, start: int) -> list[str]:
        if not text.endswith("]"):
            raise self._error("a list in brackets that does not end", at=start)
        pieces = re.findall(r"""\s*("(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^,\[\]{}"']+)\s*(,|$)""", text[1:-1])
        if "".join("".join(piece) for piece in pieces).replace(" ", "") != text[1:-1].replace(" ", ""):
            raise self._error("lists are read as lists of texts", at=start)
        return [self._text(piece.strip(), start) for piece, _ in pieces if piece.strip()]

    def _block(self, style: str, chomp: str, indent: int) -> str:
        start = self.at
        while self.at < len(self.lines):
            line = self.lines[self.at]
            if line.strip() and _indent_of(line) <= indent:
                break
            self.at += 1
        lines = self.lines[start : self.at]
        depth = min((_indent_of(line) for line in lines if line.strip()), default=0)
        text = "\n".join(line[depth:] for line in lines)
        kept = text.rstrip("\n")
        if style == ">":
            kept = _fold(kept)
        if chomp == "+":
            return kept + "\n" * (len(text) - len(text.rstrip("\n")) + 1)
        return kept + ("\n" if chomp == "" and kept else "")

    def _next(self) -> str | None:
        """Return the next line that says something, or None."""
        while self.at < len(self.lines):
            line = self.lines[self.at]
            if "\t" in line[: len(line) - len(line.lstrip())]:
                raise self._error("tabs cannot indent")
            if line.strip() and not line.strip().startswith("#"):
                return line
            self.at += 1
        return None

    def _error(self, what: str, *, at: int | None = None, back: int = 0) -> DataError:
        # Lines count from 1 and the opening fence is the first; ``at`` is one past the line meant.
        number = (self.at + 2 - back) if at is None else at + 1
        return DataError(f"line {number}: {what}")


def _indent_of(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _without_comment(text: str) -> str:
    return re.split(r"\s#", text, maxsplit=1)[0].strip()


def _is_closed(text: str) -> bool:
    """Whether a quoted or bracketed text has come to its end; a plain one goes on while lines are deeper."""
    if text[:1] == '"':
        return re.match(r'"(?:[^"\\]|\\.)*"', text, re.DOTALL) is not None
    if text[:1] == "'":
        return re.match(r"'(?:[^']|'')*'", text, re.DOTALL) is not None
    return text[:1] == "[" and _without_comment(text).endswith("]")


def _joined(text: str) -> str:
    """Return the text with what joins a further line to it: line breaks after blank lines, else a space."""
    return text if text.endswith("\n") else f"{text} "


def _fold(text: str) -> str:
    """Join lines as ``>`` does: single breaks become spaces, blank lines breaks; deeper lines stay lines."""
    folded, above, blanks = "", None, 0
    for line in text.split("\n"):
        if not line:
            blanks += 1
            continue
        if above is None:
            folded = "\n" * blanks
        elif line[0] == " " or above[0] == " ":
            folded += "\n" * (blanks + 1)
        else:
            folded += "\n" * blanks or " "
        folded, above, blanks = folded + line, line, 0
    return folded
