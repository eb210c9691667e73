"""Downloads, against a server on this machine that behaves as badly as servers do."""

from __future__ import annotations

import bz2
import hashlib
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer

import pytest

from chunkygan import weights
from chunkygan.cli.main import main
from chunkygan.errors import WeightsError
from chunkygan.fetching import download
from chunkygan.weights import Weights

CONTENT = random.Random(0).randbytes(1_024_000)
SUM = hashlib.sha256(CONTENT).hexdigest()
Answer = Callable[["Handler", int], None]


class Handler(BaseHTTPRequestHandler):
    """Answers as the server's `answers` say: path -> function of this handler and the number of the request."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        seen = self.server.seen.setdefault(path, [])  # type: ignore[attr-defined]
        seen.append(dict(self.headers) | {"query": self.path.partition("?")[2]})
        self.close_connection = True
        self.server.answers[path](self, len(seen))  # type: ignore[attr-defined]

    def log_message(self, *args: object) -> None:
        pass

    def begin(self, status: int = 200, **headers: object) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    @property
    def start(self) -> int:
        """The first byte that is asked for."""
        return int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))

    def serve(self, content: bytes = CONTENT, *, until: int | None = None, tag: str = '"a"') -> None:
        """The content from where it is asked for; cut off at `until`, though the whole length was promised."""
        start = self.start
        if start and self.headers.get("If-Range", tag) != tag:
            start = 0
        if start >= len(content) > 0:
            self.begin(416, Content_Range=f"bytes */{len(content)}", Content_Length=0)
            return
        span = {"Content_Range": f"bytes {start}-{len(content) - 1}/{len(content)}"} if start else {}
        self.begin(206 if start else 200, Content_Length=len(content) - start, ETag=tag, **span)
        self.wfile.write(content[start:until])


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[str, Answer] = {}
        self.seen: dict[str, list[dict[str, str]]] = {}

    def server_bind(self) -> None:
        TCPServer.server_bind(self)  # HTTPServer's looks the name up, which takes long without a network
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}{path}"

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # a client that hangs up is part of these tests


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def entry(server: Server) -> Weights:
    page = "https://example.org/net"
    return Weights(
        "net", "net.pth", "a network", "generator", "MIT", page=page, url=server.url("/net.pth"), size=len(CONTENT),
        sha256=SUM,
    )  # fmt: skip


@pytest.fixture
def get(tmp_path: Path) -> Callable[..., Path]:
    def run(entry: Weights, **options: object) -> Path:
        return download.fetch(entry, tmp_path / "to", pause=lambda seconds: None, **options)  # type: ignore[arg-type]

    return run


def names(tmp_path: Path) -> set[str]:
    return {path.name for path in (tmp_path / "to").iterdir()}


def test_a_file_comes_whole_and_alone(server: Server, entry: Weights, get: Callable[..., Path], tmp_path: Path) -> None:
    server.answers["/net.pth"] = lambda handler, number: handler.serve()
    told: list[tuple[int, int | None]] = []
    path = get(entry, listener=lambda here, total: told.append((here, total)))
    assert path.read_bytes() == CONTENT and names(tmp_path) == {"net.pth"}
    assert told[0] == (0, len(CONTENT)) and told[-1] == (len(CONTENT), len(CONTENT))
    assert get(entry) == path and len(server.seen["/net.pth"]) == 1  # once is enough


def test_cut_connections_are_resumed(server: Server, entry: Weights, get: Callable[..., Path]) -> None:
    server.answers["/net.pth"] = lambda handler, number: handler.serve(until=number * 200_000)
    assert get(entry).read_bytes() == CONTENT
    ranges = [seen.get("Range") for seen in server.seen["/net.pth"]]
    assert ranges == [None, *(f"bytes={i * 200_000}-" for i in range(1, 6))]


def test_a_server_without_ranges_is_read_from_the_start(
    server: Server, entry: Weights, get: Callable[..., Path]
) -> None:
    def answer(handler: Handler, number: int) -> None:
        handler.begin(Content_Length=len(CONTENT))
        handler.wfile.write(CONTENT[: 100_000 if number == 1 else None])

    server.answers["/net.pth"] = answer
    assert get(entry).read_bytes() == CONTENT


def test_an_interrupted_process_is_continued_by_the_next(
    server: Server, entry: Weights, get: Callable[..., Path], tmp_path: Path
) -> None:
    server.answers["/net.pth"] = lambda handler, number: handler.serve()

    def interrupt(here: int, total: int | None) -> None:
        if here > 300_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        get(entry, listener=interrupt)
    assert "net.pth" not in names(tmp_path)
    assert get(entry).read_bytes() == CONTENT
    first = int(server.seen["/net.pth"][1]["Range"].removeprefix("bytes=").rstrip("-"))
    assert first > 300_000 and names(tmp_path) == {"net.pth"}


@pytest.mark.parametrize("known", [True, False], ids=["sum", "no sum"])
def test_what_was_begun_of_another_file_is_not_continued(
    server: Server, entry: Weights, get: Callable[..., Path], tmp_path: Path, known: bool
) -> None:
    old = bytes(len(CONTENT))
    server.answers["/net.pth"] = lambda handler, number: handler.serve(old, until=500_000, tag='"old"')
    with pytest.raises(WeightsError, match="goes on from there"):
        get(entry, timeout=5)
    server.answers["/net.pth"] = lambda handler, number: handler.serve(tag='"new"')
    assert get(entry if known else replace(entry, sha256=None)).read_bytes() == CONTENT


def test_a_part_of_another_file_without_tags_is_noticed_by_the_sum(
    server: Server, entry: Weights, get: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "to").mkdir()
    (tmp_path / "to" / ".net.pth.part").write_bytes(bytes(1000))
    server.answers["/net.pth"] = lambda handler, number: handler.serve()
    assert get(entry).read_bytes() == CONTENT and len(server.seen["/net.pth"]) == 2


def test_a_stalled_connection_is_given_up_and_resumed(server: Server, entry: Weights, get: Callable[..., Path]) -> None:
    over = threading.Event()

    def answer(handler: Handler, number: int) -> None:
        handler.serve(until=400_000 if number == 1 else None)
        if number == 1:
            handler.wfile.flush()
            over.wait(20)

    server.answers["/net.pth"] = answer
    try:
        assert get(entry, timeout=0.5).read_bytes() == CONTENT
    finally:
        over.set()
    assert len(server.seen["/net.pth"]) == 2


def test_a_server_that_only_stalls_is_given_up(server: Server, entry: Weights, get: Callable[..., Path]) -> None:
    over = threading.Event()
    server.answers["/net.pth"] = lambda handler, number: bool(over.wait(20)) or None  # type: ignore[return-value]
    try:
        with pytest.raises(WeightsError, match="nothing came any more, 5 times in a row"):
            get(entry, timeout=0.1)
    finally:
        over.set()
    assert len(server.seen["/net.pth"]) == 5


def test_a_promise_of_more_than_comes_is_an_error(server: Server, entry: Weights, get: Callable[..., Path]) -> None:
    def answer(handler: Handler, number: int) -> None:
        handler.begin(Content_Length=len(CONTENT))
        handler.wfile.write(CONTENT[:1000])

    server.answers["/net.pth"] = answer
    with pytest.raises(WeightsError, match="the connection was cut, 5 times in a row; 1,000 bytes are kept"):
        get(entry)


@pytest.mark.parametrize("length", [len(CONTENT) // 2, len(CONTENT) * 2])
def test_a_file_of_another_length_is_refused_at_once(
    server: Server, entry: Weights, get: Callable[..., Path], tmp_path: Path, length: int
) -> None:
    def answer(handler: Handler, number: int) -> None:
        handler.begin(Content_Length=length)
        handler.wfile.write(bytes(length))

    server.answers["/net.pth"] = answer
    with pytest.raises(WeightsError, match=rf"{length:,} bytes; it should be {len(CONTENT):,}"):
        get(entry)
    assert names(tmp_path) == set()


def test_a_server_that_never_ends_is_stopped(
    server: Server, entry: Weights, get: Callable[..., Path], tmp_path: Path
) -> None:
    def answer(handler: Handler, number: int) -> None:
        handler.begin(Transfer_Encoding="chunked")
        while True:
            handler.wfile.write(b"10000\r\n" + bytes(65536) + b"\r\n")

    server.answers["/net.pth"] = answer
    with pytest.raises(WeightsError, match="sends more than"):
        get(entry)
    assert names(tmp_path) == set()


def test_a_wrong_file_is_refused_and_not_kept(
    server: Server, entry: Weights, get: Callable[..., Path], tmp_path: Path
) -> None:
    server.answers["/net.pth"] = lambda handler, number: handler.serve(bytes(len(CONTENT)))
    with pytest.raises(WeightsError, match="is not the one that the manifest calls 'net'.*see https://example.org/net"):
        get(entry)
    assert names(tmp_path) == set() and len(server.seen["/net.pth"]) == 1


@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "application/octet-stream"])
def test_a_web_page_is_no_file(
    server: Server, entry: Weights, get: Callable[..., Path], tmp_path: Path, kind: str
) -> None:
    page = b"<!DOCTYPE html><html><head><title>Quota exceeded</title></head><body>Sorry</body></html>"

    def answer(handler: Handler, number: int) -> None:
        handler.begin(Content_Length=len(page), Content_Type=kind)
        handler.wfile.write(page)

    server.answers["/net.pth"] = answer
    expected = "a web page instead of the file: 'Quota exceeded'" if kind.startswith("text") else "sent a web page"
    with pytest.raises(WeightsError, match=expected):
        get(replace(entry, sha256=None, size=None))
    assert names(tmp_path) == set()


@pytest.mark.parametrize(("status", "asked"), [(404, 1), (403, 1), (503, 5)])
def test_refusals_are_told_and_only_passing_ones_tried_again(
    server: Server, entry: Weights, get: Callable[..., Path], status: int, asked: int
) -> None:
    server.answers["/net.pth"] = lambda handler, number: handler.begin(status, Content_Length=0)
    with pytest.raises(WeightsError, match=f"the server answers {status}"):
        get(entry)
    assert len(server.seen["/net.pth"]) == asked


def test_redirections_are_followed(server: Server, entry: Weights, get: Callable[..., Path]) -> None:
    server.answers["/net.pth"] = lambda handler, number: handler.begin(302, Location="/there", Content_Length=0)
    server.answers["/there"] = lambda handler, number: handler.serve(until=number * 600_000)
    assert get(entry).read_bytes() == CONTENT
    assert server.seen["/there"][1]["Range"] == "bytes=600000-"


def test_a_connection_that_is_closed_without_a_word_is_not_asked_again(
    server: Server, entry: Weights, get: Callable[..., Path]
) -> None:
    def late(handler: Handler, number: int) -> None:
        handler.begin(302, Location="/there", Content_Length=0)
        time.sleep(0.2)  # the connection looks open until here

    server.answers["/net.pth"] = late
    server.answers["/there"] = lambda handler, number: handler.serve()
    assert get(entry).read_bytes() == CONTENT and len(server.seen["/net.pth"]) == 1


def test_the_question_of_google_drive_is_answered(server: Server, entry: Weights, get: Callable[..., Path]) -> None:
    page = b"""<!DOCTYPE html><html><head><title>Google Drive - Virus scan warning</title></head><body>
    <form id="download-form" action="/download" method="get"><input type="submit" value="Download anyway"/>
    <input type="hidden" name="id" value="x1"><input type="hidden" name="confirm" value="t"></form></body></html>"""

    def ask(handler: Handler, number: int) -> None:
        handler.begin(Content_Length=len(page), Content_Type="text/html")
        handler.wfile.write(page)

    server.answers["/net.pth"] = ask
    server.answers["/download"] = lambda handler, number: handler.serve(until=number * 600_000)
    assert get(entry).read_bytes() == CONTENT
    assert [seen["query"] for seen in server.seen["/download"]] == ["id=x1&confirm=t"] * 2
    assert server.seen["/download"][1]["Range"] == "bytes=600000-"


def test_nobody_there_is_told(entry: Weights, get: Callable[..., Path]) -> None:
    with pytest.raises(WeightsError, match="the server cannot be reached, 5 times in a row"):
        get(replace(entry, url="http://127.0.0.1:9/net.pth"))


def test_packed_files_are_unpacked_and_checked(
    server: Server, entry: Weights, get: Callable[..., Path], tmp_path: Path
) -> None:
    packed = bz2.compress(CONTENT)
    server.answers["/net.pth"] = lambda handler, number: handler.serve(packed)
    assert get(replace(entry, packed="bz2")).read_bytes() == CONTENT and names(tmp_path) == {"net.pth"}


@pytest.mark.parametrize(
    "packed", [bz2.compress(CONTENT)[:-20], bz2.compress(bytes(10**7)), b"none", bz2.compress(b"x")]
)
def test_damaged_or_other_packed_files_are_refused(
    server: Server, entry: Weights, get: Callable[..., Path], tmp_path: Path, packed: bytes
) -> None:
    server.answers["/net.pth"] = lambda handler, number: handler.serve(packed)
    with pytest.raises(WeightsError, match="nothing was kept"):
        get(replace(entry, packed="bz2"))
    assert names(tmp_path) == set()


def test_an_unknown_sum_is_recorded_and_held_to(
    server: Server, entry: Weights, get: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answers["/net.pth"] = lambda handler, number: handler.serve()
    unknown = replace(entry, sha256=None, size=None)
    path = get(unknown)
    assert (tmp_path / "to" / "net.pth.sha256").read_text() == f"{SUM}  net.pth\n"
    monkeypatch.setattr(weights, "manifest", lambda: {"net": unknown})
    monkeypatch.setenv("CHUNKYGAN_CHECKPOINTS", str(tmp_path / "to"))
    assert weights.find("net") == path
    path.write_bytes(CONTENT[:-1] + b"x")
    with pytest.raises(WeightsError, match="not the file that was fetched as 'net'"):
        weights.find("net")
    with pytest.raises(WeightsError, match="not the file that was fetched as 'net'"):
        get(unknown)


def test_another_file_in_the_place_is_left_alone(
    server: Server, entry: Weights, get: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "to").mkdir()
    (tmp_path / "to" / "net.pth").write_bytes(b"mine")
    with pytest.raises(WeightsError, match="Move it away"):
        get(entry)
    assert (tmp_path / "to" / "net.pth").read_bytes() == b"mine" and not server.seen


def test_two_at_once_do_not_mix(server: Server, entry: Weights, get: Callable[..., Path]) -> None:
    going, over = threading.Event(), threading.Event()

    def answer(handler: Handler, number: int) -> None:
        going.set()
        over.wait(20)
        handler.serve()

    server.answers["/net.pth"] = answer
    first = threading.Thread(target=get, args=(entry,))
    first.start()
    going.wait(20)
    with pytest.raises(WeightsError, match="another process is fetching it"):
        get(entry)
    over.set()
    first.join()
    assert get(entry).read_bytes() == CONTENT


def test_a_folder_that_cannot_be_made_is_told(entry: Weights, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(WeightsError, match="cannot be written.*--to"):
        download.fetch(entry, tmp_path / "file" / "deeper")


def test_a_full_disk_is_foreseen(
    server: Server, entry: Weights, get: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil
    from types import SimpleNamespace

    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=10))
    server.answers["/net.pth"] = lambda handler, number: handler.serve()
    with pytest.raises(WeightsError, match="1,024,000 bytes are missing and 10 are free"):
        get(entry)


def test_domains_mean_all_their_weights() -> None:
    found = [entry.name for entry in download.wanted(["ffhq_1024", "ffhq_1024", "lpips_vgg16"])]
    assert {"stylegan2_ffhq_1024", "lpips_vgg16"} <= set(found) and len(found) == len(set(found))
    assert download.wanted(["procfaces_128"]) == []


def test_every_entry_that_is_fetched_says_what_it_is() -> None:
    for entry in weights.manifest().values():
        if entry.url:
            assert entry.url.startswith("https://") and entry.page and entry.licence
            assert entry.sha256 is None or len(entry.sha256) == 64
            assert entry.packed in ("", "bz2")


@pytest.fixture
def command(server: Server, entry: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    for module in (weights, download):
        monkeypatch.setattr(module, "manifest", lambda: {"net": replace(entry, sha256=None)})
    monkeypatch.setenv("CHUNKYGAN_CHECKPOINTS", str(tmp_path / "to"))
    server.answers["/net.pth"] = lambda handler, number: handler.serve()
    return server


def test_the_command_fetches_and_says_what(command: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fetch", "net"]) == 0
    out, error = capsys.readouterr()
    assert f"net: {tmp_path}/to/net.pth; its sum was not known and is recorded in net.pth.sha256" in out
    assert "licence: MIT" in error and "1.0 of 1.0 MB" in error
    assert weights.find("net").read_bytes() == CONTENT


def test_a_missing_file_names_the_command(command: Server) -> None:
    with pytest.raises(WeightsError, match="`chunkygan fetch net` gets it from https://example.org/net"):
        weights.find("net")


def test_the_list_fetches_nothing(command: Server, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fetch", "--list"]) == 0
    out = capsys.readouterr().out
    assert "net: a network; not here" in out and "sha256 not known: recorded on first use" in out
    assert "procfaces_128: ships" in out and not command.seen


@pytest.mark.parametrize(
    ("words", "message"),
    [([], "name weights or a domain"), (["nett"], "did you mean 'net'"), (["procfaces_12"], "'procfaces_128'")],
)
def test_mistakes_of_the_command(
    command: Server, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert main(["fetch", *words]) == 2
    assert message in capsys.readouterr().err


def test_waits_grow_between_failures(server: Server, entry: Weights, tmp_path: Path) -> None:
    waited: list[float] = []
    server.answers["/net.pth"] = lambda handler, number: handler.begin(503, Content_Length=0)
    began = time.monotonic()
    with pytest.raises(WeightsError):
        download.fetch(entry, tmp_path, pause=waited.append)
    assert waited == sorted(waited) and len(waited) == 4 and time.monotonic() > began
