"""A server that truncates, corrupts or stalls: nothing half-loaded gets through; reasons are told."""

import dataclasses
import errno
import hashlib
import http.client
import io
import os
import ssl
import threading
import time
import urllib.error
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from tests import tiny_datasets as tiny
from utils.data import DatasetNotFound, DiskFull, load_dataset
from utils.data import download as downloading
from utils.data.download import Patience, fetch_file
from utils.data.sources import SOURCES, RemoteFile, get_source

CONTENT = np.random.default_rng(0).bytes(300_000)
MD5 = hashlib.md5(CONTENT).hexdigest()


class Server:
    """Answers ``/NAME`` as the function ``NAME`` of the test says; ``requests`` are (path, Range header)."""

    def __init__(self):
        server = self
        self.behaviors, self.requests, self.over = {}, [], threading.Event()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.0"

            def do_GET(self):
                server.requests.append((self.path, self.headers.get("Range")))
                server.behaviors[self.path.strip("/")](self)

            def log_message(self, *arguments):
                """Nothing on the terminal."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.handle_error = lambda *arguments: None  # clients that hang up are what is tested here
        self.thread = threading.Thread(
            target=self.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )
        self.thread.start()

    def url(self, name, behavior):
        self.behaviors[name] = behavior
        return f"http://127.0.0.1:{self.http.server_address[1]}/{name}"

    def stop(self):
        self.over.set()
        self.http.shutdown()
        self.http.server_close()


@pytest.fixture
def server():
    running = Server()
    yield running
    running.stop()


@pytest.fixture
def pauses():
    return []


@pytest.fixture
def patience(pauses):
    return Patience(
        timeout=0.3, floor=0, window=60, attempts=3, pause=1, longest_pause=20, sleep=pauses.append
    )


def send(handler, body, *, start=0, total=None, ranges=True, cut=None):
    """Answer with ``body``, honoring a Range header, perhaps hanging up after ``cut`` bytes."""
    wanted = handler.headers.get("Range")
    if wanted and ranges:
        start = int(wanted.removeprefix("bytes=").rstrip("-"))
        if start >= len(body):
            handler.send_error(416)
            return
        handler.send_response(206)
        handler.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
    else:
        handler.send_response(200)
    handler.send_header("Content-Length", str(len(body) - start))
    handler.end_headers()
    handler.wfile.write(body[start:] if cut is None else body[start : start + cut])


def good(handler):
    send(handler, CONTENT)


def ignores_ranges(handler):
    send(handler, CONTENT, ranges=False)


def truncates(handler):
    send(handler, CONTENT, cut=100_000)


def corrupts(handler):
    send(handler, CONTENT[:1000] + b"?" + CONTENT[1001:])


def another_file(handler):
    send(handler, b"<html>Please log in to the network</html>")


def busy(handler):
    handler.send_response(503)
    handler.send_header("Retry-After", "7")
    handler.end_headers()


def missing(handler):
    handler.send_error(404)


SIZE = len(CONTENT)


def remote(*urls, size=SIZE, path="deep/data.bin"):
    return RemoteFile(path, MD5, size, urls)


def left(folder):
    return sorted(p.name for p in folder.rglob("*") if p.is_file())


@pytest.mark.parametrize("size", [len(CONTENT), None])
def test_whole_file_arrives_under_its_own_name(server, tmp_path, patience, size):
    path = fetch_file(remote(server.url("a", good), size=size), tmp_path, patience)
    assert path == tmp_path / "deep" / "data.bin" and path.read_bytes() == CONTENT
    assert left(tmp_path) == ["data.bin"]
    fetch_file(remote(server.url("a", good), size=size), tmp_path, patience)
    assert len(server.requests) == 1, "what is there and right is not fetched again"


def test_broken_connection_is_resumed_where_it_broke(server, tmp_path, patience, pauses):
    path = fetch_file(remote(server.url("a", truncates)), tmp_path, patience)
    assert path.read_bytes() == CONTENT
    assert server.requests == [("/a", None), ("/a", "bytes=100000-"), ("/a", "bytes=200000-")]
    assert pauses == [1, 2]


def test_next_mirror_goes_on_from_what_the_last_one_left(server, tmp_path, patience):
    urls = (
        server.url("a", lambda h: send(h, CONTENT, cut=0 if h.headers.get("Range") else 120_000)),
        server.url("b", good),
    )
    assert fetch_file(remote(*urls), tmp_path, patience).read_bytes() == CONTENT
    assert server.requests[-1] == ("/b", "bytes=120000-")


def test_next_run_goes_on_from_what_the_last_one_left(server, tmp_path, patience):
    once = dataclasses.replace(patience, attempts=1)
    with pytest.raises(DatasetNotFound, match="broke off after 100,000 of 300,000 bytes"):
        fetch_file(remote(server.url("a", truncates)), tmp_path, once)
    assert left(tmp_path) == [f"data.bin.{MD5[:8]}.part"]
    assert fetch_file(remote(server.url("b", good)), tmp_path, once).read_bytes() == CONTENT
    assert server.requests[-1] == ("/b", "bytes=100000-")


def test_server_that_ignores_ranges_starts_again(server, tmp_path, patience):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / f"data.bin.{MD5[:8]}.part").write_bytes(b"x" * 5000)
    assert fetch_file(remote(server.url("a", ignores_ranges)), tmp_path, patience).read_bytes() == CONTENT


@pytest.mark.parametrize("length", [len(CONTENT), len(CONTENT) + 50])
def test_part_that_is_as_long_as_the_file_or_longer_but_wrong(server, tmp_path, patience, length):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / f"data.bin.{MD5[:8]}.part").write_bytes(b"x" * length)
    assert fetch_file(remote(server.url("a", good)), tmp_path, patience).read_bytes() == CONTENT
    assert fetch_file(remote(server.url("a", good), path="b"), tmp_path, patience).read_bytes() == CONTENT


def test_416_starts_again(server, tmp_path, patience):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / f"data.bin.{MD5[:8]}.part").write_bytes(b"x" * 400_000)
    assert fetch_file(remote(server.url("a", good), size=None), tmp_path, patience).read_bytes() == CONTENT
    assert [r for _, r in server.requests] == ["bytes=400000-", None]


def test_wrong_bytes_are_thrown_away_and_the_next_mirror_asked(server, tmp_path, patience):
    urls = server.url("a", corrupts), server.url("b", good)
    assert fetch_file(remote(*urls), tmp_path, patience).read_bytes() == CONTENT
    with pytest.raises(DatasetNotFound, match="wrong MD5"):
        fetch_file(remote(urls[0], path="other"), tmp_path, patience)
    assert left(tmp_path) == ["data.bin"], "no part of wrong bytes is kept"


def test_part_spoilt_by_one_mirror_does_not_condemn_the_next(server, tmp_path, patience):
    spoils = server.url(
        "a", lambda h: send(h, b"?" * len(CONTENT), cut=0 if h.headers.get("Range") else 5000)
    )
    assert fetch_file(remote(spoils, server.url("b", good)), tmp_path, patience).read_bytes() == CONTENT
    assert server.requests[-2:] == [("/b", "bytes=5000-"), ("/b", None)]


def test_stalled_connection_is_left_for_the_next_mirror(server, tmp_path, patience):
    def stalls(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(CONTENT)))
        handler.end_headers()
        handler.wfile.write(CONTENT[:50_000])
        handler.wfile.flush()
        server.over.wait(10)

    assert (
        fetch_file(remote(server.url("a", stalls), server.url("b", good)), tmp_path, patience).read_bytes()
        == CONTENT
    )
    assert server.requests[-1] == ("/b", "bytes=50000-")
    with pytest.raises(DatasetNotFound, match=r"nothing came for 0\.3 s"):
        fetch_file(remote(server.url("a", stalls), path="other"), tmp_path, patience)


def test_busy_server_is_asked_again_after_the_time_it_names(server, tmp_path, patience, pauses):
    answers = [busy, busy, good]
    path = fetch_file(remote(server.url("a", lambda h: answers.pop(0)(h))), tmp_path, patience)
    assert path.read_bytes() == CONTENT and pauses == [7, 7]


def test_server_busy_for_too_long_is_left(server, tmp_path, patience, pauses):
    brief = dataclasses.replace(patience, longest_pause=5)
    assert (
        fetch_file(remote(server.url("a", busy), server.url("b", good)), tmp_path, brief).read_bytes()
        == CONTENT
    )
    assert pauses == []


def drips(over, pause=0.02):
    def answer(handler):
        body = CONTENT
        wanted = handler.headers.get("Range")
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        handler.send_response(206 if wanted else 200)
        if wanted:
            handler.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        handler.send_header("Content-Length", str(len(body) - start))
        handler.end_headers()
        for place in range(start, len(body), 20_000):
            handler.wfile.write(body[place : place + 20_000])
            handler.wfile.flush()
            if over.wait(pause):
                return

    return answer


def test_slow_mirror_is_left_while_there_is_another(server, tmp_path, patience):
    hasty = dataclasses.replace(patience, floor=1e9, window=0.05)
    urls = server.url("a", drips(server.over)), server.url("b", good)
    assert fetch_file(remote(*urls), tmp_path, hasty).read_bytes() == CONTENT
    assert [path for path, _ in server.requests] == ["/a", "/b"]


def test_slow_mirror_is_better_than_none(server, tmp_path, patience):
    hasty = dataclasses.replace(patience, floor=1e9, window=0.05)
    urls = server.url("a", drips(server.over)), server.url("b", missing)
    assert fetch_file(remote(*urls), tmp_path, hasty).read_bytes() == CONTENT
    assert [path for path, _ in server.requests] == ["/a", "/b", "/a"]


def test_of_slow_mirrors_the_fastest_is_taken(server, tmp_path, patience):
    hasty = dataclasses.replace(patience, floor=1e9, window=0.05)
    slowest = drips(server.over, pause=0.06)
    urls = server.url("a", slowest), server.url("b", drips(server.over)), server.url("c", slowest)
    assert fetch_file(remote(*urls), tmp_path, hasty).read_bytes() == CONTENT
    assert [path for path, _ in server.requests] == ["/a", "/b", "/c", "/b"]


def test_every_mirror_failing_tells_each_reason(server, tmp_path, patience):
    with pytest.raises(DatasetNotFound) as caught:
        fetch_file(remote("http://127.0.0.1:9/a"), tmp_path, patience)
    assert "data.bin from no mirror: 127.0.0.1:9: " in str(caught.value)
    for behavior, reason in (
        (missing, "HTTP 404"),
        (busy, "busy"),
        (another_file, "offers 41 bytes, 300,000 are expected"),
        (corrupts, "wrong MD5"),
    ):
        with pytest.raises(DatasetNotFound, match=reason):
            fetch_file(remote(server.url("x", behavior)), tmp_path, patience)
    assert left(tmp_path) == []


def test_full_disk_says_where_and_how_much(server, tmp_path, patience, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(downloading, "_copy", full)
    with pytest.raises(DiskFull, match=r"deep/data\.bin needs 0.30 MB in .*deep, where .* set CNNLAB_CACHE"):
        fetch_file(remote(server.url("a", good)), tmp_path, patience)


def offered(server, monkeypatch, name, archive, behavior=None):
    """Make the named dataset's only mirror one that serves ``archive``."""
    body = archive.read_bytes()
    url = server.url("archive", behavior or (lambda handler: send(handler, body)))
    file = dataclasses.replace(
        SOURCES[name].files[0], md5=hashlib.md5(body).hexdigest(), size=len(body), urls=(url,)
    )
    monkeypatch.setitem(SOURCES, name, dataclasses.replace(get_source(name), files=(file,)))


def test_dataset_is_downloaded_decoded_and_from_then_on_opened(own, server, monkeypatch, tmp_path):
    offered(server, monkeypatch, "cifar10", tiny.cifar10_archive(tmp_path))
    first = load_dataset("cifar10")
    assert first.provenance.source == "cifar-10-python.tar.gz" and first.provenance.note == ""
    assert (own.cache / "downloads" / "cifar-10-python.tar.gz").is_file()
    (own.cache / "downloads" / "cifar-10-python.tar.gz").unlink()
    second = load_dataset("cifar10", download=False)
    assert len(server.requests) == 1 and (second.train.images == first.train.images).all()


def test_failed_download_of_a_dataset_names_the_three_remedies(own, server, monkeypatch, tmp_path):
    offered(server, monkeypatch, "cifar10", tiny.cifar10_archive(tmp_path), missing)
    with pytest.raises(DatasetNotFound) as caught:
        load_dataset("cifar10")
    message = str(caught.value)
    for part in (
        "HTTP 404",
        "1. put cifar-10-python.tar.gz",
        str(own.data),
        "2. run `python -m utils.data fetch cifar10`",
        '"digits"',
    ):
        assert part in message
    assert left(own.cache) == ["cifar10.lock"]


def test_two_threads_download_once(own, server, monkeypatch, tmp_path):
    body = tiny.cifar10_archive(tmp_path).read_bytes()

    def slow(handler):
        time.sleep(0.2)
        send(handler, body)

    offered(server, monkeypatch, "cifar10", tmp_path / "cifar-10-python.tar.gz", slow)
    results = []
    threads = [threading.Thread(target=lambda: results.append(load_dataset("cifar10"))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 2 and len(server.requests) == 1


# what a network can do in the middle of a transfer, and what is said of it
BREAKS = {
    "TLS record": ssl.SSLError(1, "[SSL: DECRYPTION_FAILED_OR_BAD_RECORD_MAC] decryption failed"),
    "TLS end": ssl.SSLEOFError(8, "EOF occurred in violation of protocol"),
    "TLS zero": ssl.SSLZeroReturnError(6, "TLS/SSL connection has been closed"),
    "TLS alert": ssl.SSLError("[SSL: TLSV1_ALERT_INTERNAL_ERROR] internal error"),
    **{
        errno.errorcode[code]: OSError(code, os.strerror(code))
        for code in (
            *(errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EIO, errno.ECONNRESET),
            *(errno.EPIPE, errno.ENOTCONN, errno.ENOBUFS, errno.ETIMEDOUT, errno.ENETRESET, errno.EBADF),
        )
    },
    "incomplete": http.client.IncompleteRead(b"abc", 100),
    "chunk": ValueError("invalid literal for int() with base 16: b'zz'"),
    "line": http.client.LineTooLong("chunk size"),
}


class Breaking:
    """An answer whose body breaks off after some bytes."""

    def __init__(self, error, after=50_000):
        self.status, self.headers = 200, {"Content-Length": str(SIZE)}
        self.body, self.error = io.BytesIO(CONTENT[:after]), error

    def read1(self, count):
        chunk = self.body.read(count)
        if not chunk:
            raise self.error
        return chunk

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        return None


@pytest.mark.parametrize("name", BREAKS)
@pytest.mark.parametrize("moment", ["opening", "reading"])
def test_next_mirror_is_asked_whatever_breaks(server, tmp_path, patience, name, moment, monkeypatch):
    opened, error = downloading._open, BREAKS[name]

    def breaking(url, have, patience):
        if not url.endswith("/broken"):
            return opened(url, have, patience)
        if moment == "opening":
            raise urllib.error.URLError(error) if isinstance(error, OSError) else error
        return Breaking(error)

    monkeypatch.setattr(downloading, "_open", breaking)
    urls = "http://one.invalid/broken", server.url("b", good)
    assert fetch_file(remote(*urls), tmp_path, patience).read_bytes() == CONTENT
    with pytest.raises(DatasetNotFound, match=r"^other from no mirror: one\.invalid: \S.*\)?$") as caught:
        fetch_file(remote(urls[0], path="other"), tmp_path, patience)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("code", [errno.EIO, errno.EROFS, errno.EACCES, errno.EFBIG, errno.ESTALE])
def test_an_error_of_our_own_disk_is_not_the_mirrors(server, tmp_path, patience, code, monkeypatch):
    def refuse(*arguments, **options):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(downloading, "open", refuse, raising=False)
    with pytest.raises(
        PermissionError, match=rf"deep cannot be written \({os.strerror(code)}\); set CNNLAB_"
    ):
        fetch_file(remote(server.url("a", good), server.url("b", good)), tmp_path, patience)
    assert [path for path, _ in server.requests] == ["/a"], "another mirror would not help"


def pours(over, headers=()):
    """A body that does not end, of unknown length."""

    def answer(handler):
        handler.send_response(200)
        for header in headers:
            handler.send_header(*header)
        handler.end_headers()
        while not over.is_set():
            handler.wfile.write(bytes(50_000))

    return answer


@pytest.mark.parametrize("size", [SIZE, None])
@pytest.mark.parametrize(
    "headers", [(), [("Content-Type", "text/html")], [("Content-Length", "-1")], [("Content-Length", "²")]]
)
def test_a_body_without_an_end_is_left(server, tmp_path, patience, size, headers, monkeypatch):
    monkeypatch.setattr(downloading, "LARGEST", 400_000)
    urls = server.url("a", pours(server.over, headers)), server.url("b", good)
    assert fetch_file(remote(*urls, size=size), tmp_path, patience).read_bytes() == CONTENT
    most = 400_000 if size is None else SIZE
    with pytest.raises(DatasetNotFound, match=f"sends more than the {most:,} bytes that are expected"):
        fetch_file(remote(urls[0], size=size, path="other"), tmp_path, patience)
    assert left(tmp_path) == ["data.bin"]


def test_a_file_that_is_announced_as_far_too_large_is_not_begun(server, tmp_path, patience):
    huge = server.url("a", pours(server.over, [("Content-Length", str(1 << 40))]))
    with pytest.raises(DatasetNotFound, match=r"offers 1,099,511,627,776 bytes, more than the 1,073,741,824"):
        fetch_file(remote(huge, size=None), tmp_path, patience)
    assert left(tmp_path) == []


@pytest.mark.parametrize(
    "address",
    ["http://[bad/", "file:///etc/hostname", "http://exa mple/", "/self", "", "gopher://x/", "http://:x/"],
)
def test_a_bad_redirect_is_passed_over(server, tmp_path, patience, address):
    def redirects(handler):
        handler.send_response(302)
        handler.send_header("Location", address)
        handler.end_headers()

    urls = server.url("self", redirects), server.url("b", good)
    assert fetch_file(remote(*urls), tmp_path, patience).read_bytes() == CONTENT
    with pytest.raises(DatasetNotFound, match=r"^other from no mirror: 127\.0\.0\.1:\d+: \S"):
        fetch_file(remote(urls[0], path="other"), tmp_path, patience)


def test_an_untrusted_certificate_is_said_and_the_next_mirror_asked(server, tmp_path, patience, monkeypatch):
    opened = downloading._open
    untrusted = ssl.SSLCertVerificationError(1, "certificate verify failed: self-signed certificate")

    def checked(url, have, patience):
        if url.startswith("https"):
            raise urllib.error.URLError(untrusted)
        return opened(url, have, patience)

    monkeypatch.setattr(downloading, "_open", checked)
    urls = "https://one.invalid/a", server.url("b", good)
    assert fetch_file(remote(*urls), tmp_path, patience).read_bytes() == CONTENT
    with pytest.raises(DatasetNotFound, match="one.invalid: not trusted .*self-signed certificate"):
        fetch_file(remote(urls[0], path="other"), tmp_path, patience)


def test_going_on_to_the_next_mirror_is_said(server, tmp_path, patience, capsys):
    urls = server.url("a", missing), server.url("b", good)
    fetch_file(remote(*urls), tmp_path, patience)
    assert "127.0.0.1:" in (told := capsys.readouterr().err) and "HTTP 404; asking 127.0.0.1:" in told
