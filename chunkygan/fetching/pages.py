"""Web pages where a file was expected: Google Drive's question whether one is sure, and errors."""

from __future__ import annotations

import textwrap
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urljoin

MOST = 1 << 16
"""Bytes of a page that are looked at."""


def is_page(response: Any) -> bool:
    """Whether a successful answer says of itself that it is a web page."""
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    return response.status_code < 400 and kind in ("text/html", "application/xhtml+xml")


def begins_like_page(beginning: bytes) -> bool:
    """Whether a file begins as web pages do, and no weight file does."""
    return beginning.lstrip()[:15].lower().startswith((b"<!doctype html", b"<html", b"<?xml", b"<head"))


def confirmed(response: Any) -> tuple[str, dict[str, str]]:
    """Address and fields of the form with which Google Drive asks about files too large for its virus scan; empty
    where the page has none."""
    page = _Page(_text(response))
    return (urljoin(response.url, page.action), page.fields) if page.action else ("", {})


def said(response: Any) -> str:
    """What an answer's text says, for the end of a message; empty where it says nothing."""
    text = _text(response)
    title = _Page(text).title.strip() if "<" in text else text.strip()
    return f": '{textwrap.shorten(title, 120)}'" if title else ""


def _text(response: Any) -> str:
    """The beginning of an answer; read once, since it comes over the network."""
    if not hasattr(response, "beginning"):
        response.beginning = next(response.iter_content(MOST), b"").decode("utf-8", "replace")
    return str(response.beginning)


class _Page(HTMLParser):
    """Title and download form of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.action = ""
        self.fields: dict[str, str] = {}
        self.title = ""
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = dict(attributes)
        if tag == "form" and found.get("id") == "download-form":
            self.action = found.get("action") or ""
            self._inside = "form"
        elif tag == "input" and self._inside == "form" and found.get("name"):
            self.fields[str(found["name"])] = found.get("value") or ""
        elif tag == "title":
            self._inside = "title"

    def handle_endtag(self, tag: str) -> None:
        if tag == self._inside:
            self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "title":
            self.title += data
