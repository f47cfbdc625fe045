"""A page of HTML, read: what is in which section, what it would load, what its pictures say."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from html.parser import HTMLParser

_EMPTY = {"meta", "img", "input", "link", "br", "rect", "line", "path", "circle"}


@dataclass
class Read(HTMLParser):
    """A page.

    Attributes:
        tags: every element's name and attributes, in order.
        rows: of tables, the texts of their cells, by the id of the section's heading.
        text: all of it that is shown.
    """

    html: str
    tags: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    rows: dict[str, list[list[str]]] = field(default_factory=dict)
    text: str = ""

    def __post_init__(self) -> None:
        super().__init__()
        self._open: list[str] = []
        self._section = ""
        self.feed(self.html)
        self.close()
        assert not self._open, f"left open: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        self.tags.append((tag, attributes))
        if tag not in _EMPTY:
            self._open.append(tag)
        if tag == "section":
            self._section = attributes["aria-labelledby"]
        elif tag == "tr":
            self.rows.setdefault(self._section, []).append([])
        elif tag in ("td", "th"):
            self.rows[self._section][-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] in ("script", "style"):
            return
        self.text += data
        if {"td", "th"} & set(self._open):
            self.rows[self._section][-1][-1] += data

    def named(self, tag: str) -> list[dict[str, str]]:
        """The attributes of all elements of a name."""
        return [attributes for name, attributes in self.tags if name == tag]

    def pictures(self, alt: str) -> list[bytes]:
        """The content of those pictures whose text begins so."""
        found = [image["src"] for image in self.named("img") if image["alt"].startswith(alt)]
        return [base64.b64decode(source.partition(",")[2]) for source in found]
