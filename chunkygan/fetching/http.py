"""One file over HTTP into a part file: resumed, tried again, and refused where it is a web page or of another length.

`Resuming` is a downloader for `pooch`, which has checksums and placement but begins anew after every interruption.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from chunkygan.errors import WeightsError
from chunkygan.fetching.pages import begins_like_page, confirmed, is_page, said

Listener = Callable[[int, int | None], None]
"""Called with the bytes that are here, and how many there will be or None where the server does not tell."""

BLOCK = 1 << 18
CUT = "the connection was cut"
TRIES = 5
WAITING = {408, 425, 429, 500, 502, 503, 504}
"""Answers that may be different next time."""


class Resuming:
    """Fills a part file from where it ends, over as many connections as it takes, then hands it over.

    Args:
        part: the part file; what an earlier process left in it is kept if the server still has the same file.
        size: bytes that the whole file must have; None: not known.
        listener: told how far it is.
        timeout: seconds without a byte, after which a connection is given up.
        tries: connections in a row that bring nothing, after which it fails.
        pause: waits so many seconds between two of them.
    """

    def __init__(
        self,
        part: Path,
        *,
        size: int | None = None,
        listener: Listener | None = None,
        timeout: float = 30.0,
        tries: int = TRIES,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self.part = part
        self.source = part.with_name(f"{part.name}.json")
        self.size = size
        self.listener = listener
        self.timeout = timeout
        self.tries = tries
        self.pause = pause

    def __call__(self, url: str, output_file: str, pooch: Any = None, check_only: bool = False) -> None:
        """Downloads; `output_file` is the finished part file, moved.

        Raises:
            WeightsError: the server has no such file, or another one, or cannot be reached; what came so far is kept
                where it can be continued.
        """
        import requests
        import urllib3

        failures = 0
        while True:
            before = self._here()
            try:
                if self._connection(url):
                    break
                problem = CUT
            except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, _TryAgain) as error:
                problem = _reason(error)
            failures = 0 if self._here() > before else failures + 1
            if failures >= self.tries:
                kept = f"; {self._here():,} bytes are kept, and the same command goes on from there"
                raise WeightsError(f"{url}: {problem}, {failures} times in a row{kept if self._here() else ''}")
            self.pause(min(2.0**failures, 30.0))
        self._check_content(url)
        os.replace(self.part, output_file)
        self.source.unlink(missing_ok=True)

    def discard(self) -> None:
        """Forgets what has come."""
        self.part.unlink(missing_ok=True)
        self.source.unlink(missing_ok=True)

    def _connection(self, url: str) -> bool:
        """Reads as much as one connection gives; whether the file is whole."""
        import requests

        with requests.Session() as session:
            for scheme in ("http://", "https://"):
                session.mount(scheme, _single_requests())
            response = self._answer(session, url)
            if is_page(response):
                action, fields = confirmed(response)
                response = self._answer(session, action, fields) if action else response
            if is_page(response):
                raise WeightsError(f"{url}: the server answered with a web page instead of the file{said(response)}")
            return self._read(response, url)

    def _answer(self, session: Any, url: str, fields: dict[str, str] | None = None) -> Any:
        """The server's answer to a request for what is still missing."""
        headers = {"Accept-Encoding": "identity", "User-Agent": "chunkygan"}
        if self._here():
            headers["Range"] = f"bytes={self._here()}-"
            if tag := self._known().get("tag"):
                headers["If-Range"] = tag
        return session.get(url, params=fields, headers=headers, stream=True, timeout=(self.timeout, self.timeout))

    def _read(self, response: Any, url: str) -> bool:
        if response.status_code == 416:
            return self._nothing_left(response)
        if response.status_code in WAITING:
            raise _TryAgain(f"the server answers {response.status_code} {response.reason}")
        if response.status_code not in (200, 206):
            raise WeightsError(f"{url}: the server answers {response.status_code} {response.reason}{said(response)}")
        start, total = _extent(response)
        known = self._known()
        if start not in (0, self._here()) or (start and known and known.get("total") != total):
            self.discard()
            raise _TryAgain("the server has another file now; beginning anew")
        self._check_total(total, url)
        self._check_space(total, start)
        tag = response.headers.get("ETag", "")
        tag = "" if tag.startswith("W/") else tag  # weak tags do not promise equal bytes
        self.source.write_text(json.dumps({"tag": tag or response.headers.get("Last-Modified", ""), "total": total}))
        with self.part.open("ab" if start else "wb") as file:
            self._tell(start, total)
            # What is there, without waiting for a whole block: a cut connection loses nothing that came.
            while block := response.raw.read1(BLOCK, decode_content=True):
                file.write(block)
                self._check_length(file.tell(), url)
                self._tell(file.tell(), total)
            file.flush()
            os.fsync(file.fileno())
        whole = total if total is not None else self.size
        return whole is None or self._here() >= whole

    def _nothing_left(self, response: Any) -> bool:
        """Whether the part file is whole already; otherwise it is of another file."""
        text = response.headers.get("Content-Range", "").rpartition("/")[2]
        if text.isdigit() and int(text) == self._here():
            return True
        self.discard()
        raise _TryAgain("the server has another file now; beginning anew")

    def _check_total(self, total: int | None, url: str) -> None:
        if self.size is not None and total is not None and total != self.size:
            self.discard()
            raise WeightsError(
                f"{url}: the server has a file of {total:,} bytes; it should be {self.size:,}: it is another file, or "
                "the page that names it has moved"
            )

    def _check_length(self, length: int, url: str) -> None:
        if self.size is not None and length > self.size:
            self.discard()
            raise WeightsError(f"{url}: the server sends more than the {self.size:,} bytes that it should be")

    def _check_content(self, url: str) -> None:
        with self.part.open("rb") as file:
            beginning = file.read(512)
        if begins_like_page(beginning):
            self.discard()
            raise WeightsError(f"{url}: the server sent a web page under the file's name; open it in a browser")

    def _check_space(self, total: int | None, start: int) -> None:
        free = shutil.disk_usage(self.part.parent).free
        if total is not None and total - start > free:
            raise WeightsError(
                f"{self.part.parent}: {total - start:,} bytes are missing and {free:,} are free; make room, or name "
                "another folder with --to"
            )

    def _tell(self, here: int, total: int | None) -> None:
        if self.listener is not None:
            self.listener(here, total if total is not None else self.size)

    def _here(self) -> int:
        return self.part.stat().st_size if self.part.is_file() else 0

    def _known(self) -> dict[str, Any]:
        """What the server said of the file whose beginning is here."""
        try:
            known = json.loads(self.source.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return known if isinstance(known, dict) else {}


class _TryAgain(Exception):
    """Something that may be different with the next connection."""


def _single_requests() -> Any:
    """An adapter with a connection of its own for each request.

    A connection kept from a redirection may be one that the server is about to close without having said so; whoever
    asks again on it gets no answer.
    """
    from requests.adapters import HTTPAdapter

    class SingleRequests(HTTPAdapter):
        def send(self, *args: Any, **options: Any) -> Any:
            self.poolmanager.clear()
            return super().send(*args, **options)

    return SingleRequests()


def _extent(response: Any) -> tuple[int, int | None]:
    """Where the answer's first byte lies in the file, and the file's length where the server tells."""
    length = "" if "Content-Encoding" in response.headers else response.headers.get("Content-Length", "")
    if response.status_code == 206:
        span, _, total = response.headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
        first = span.partition("-")[0]
        return (int(first) if first.isdigit() else -1), (int(total) if total.isdigit() else None)
    return 0, int(length) if length.isdigit() else None


def _reason(error: Exception) -> str:
    """What went wrong with a connection, in a few words."""
    import requests
    import urllib3

    if isinstance(error, _TryAgain):
        return str(error)
    if isinstance(error, (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError)):
        return "nothing came any more"
    if isinstance(error, (requests.exceptions.ChunkedEncodingError, urllib3.exceptions.ProtocolError)):
        return CUT
    if isinstance(error, requests.exceptions.SSLError):
        return f"the server's certificate is not accepted ({error})"
    if isinstance(error, requests.exceptions.ConnectionError):
        return "the server cannot be reached"
    return str(error) or type(error).__name__
