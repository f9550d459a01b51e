"""The outline of a page: its tags, checked to be balanced, and its text."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Self

_VOID = {"meta", "img", "br", "hr", "link", "input", "wbr"}


class Outline(HTMLParser):
    """Reads a page, and notes what is not well-formed."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, dict[str, str | None]]] = []
        self.problems: list[str] = []
        self._open: list[str] = []
        self._texts: list[tuple[str, list[str]]] = []
        self._reading: list[tuple[str, list[str]]] = []

    @classmethod
    def of(cls, page: str) -> Self:
        """Read a whole page."""
        outline = cls()
        outline.feed(page)
        outline.close()
        outline.problems += [f"<{tag}> is not closed" for tag in outline._open]
        return outline

    def text_of(self, tag: str) -> list[str]:
        """Text of each element of a name, with that of the elements in it."""
        return ["".join(parts) for name, parts in self._texts if name == tag]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        if len(set(names)) < len(names):
            self.problems.append(f"<{tag}> has an attribute twice")
        self.tags.append(tag)
        self.attributes.append((tag, dict(attrs)))
        if tag in _VOID:
            return
        self._open.append(tag)
        entry: tuple[str, list[str]] = (tag, [])
        self._texts.append(entry)
        self._reading.append(entry)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open[-1] != tag:
            self.problems.append(f"</{tag}> closes {self._open[-1:] or 'nothing'}")
            return
        self._open.pop()
        self._reading.pop()

    def handle_data(self, data: str) -> None:
        for _, parts in self._reading:
            parts.append(data)
