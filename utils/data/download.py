"""Fetching files over an unreliable network: several mirrors, resumed transfers, checked before they count.

A file grows under ``NAME.MD5.part`` and gets its own name only once its size and MD5 are right. The part is
kept between mirrors, and between runs, because they all serve the same bytes.
"""

from __future__ import annotations

import http.client
import os
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from utils.data.cache import disk_full
from utils.data.errors import FULL, DatasetNotFound, cannot_write
from utils.data.folders import downloads_folder, make_folder
from utils.data.hashing import file_digest
from utils.data.progress import progress
from utils.data.sources import RemoteFile, Source

CHUNK = 1 << 16  # bytes read at a time
LARGEST = 1 << 30  # bytes of a file whose size is not known beforehand
# worth another try at the same mirror
BROKEN = (ConnectionResetError, ConnectionAbortedError, BrokenPipeError, http.client.HTTPException)
# what a network can do to us: errors of the system (TLS among them), of HTTP, and addresses that are none
NETWORK_ERRORS = (OSError, http.client.HTTPException, ValueError)
BUSY = (408, 425, 429, 500, 502, 503, 504)  # HTTP answers worth another try after a pause
AGENT = "convolution-lab (course book; one download per machine)"


@dataclass(frozen=True)
class Patience:
    """How long to bear with a mirror.

    timeout: seconds without a byte before a connection counts as stalled.
    floor, window: a mirror that gives fewer than ``floor`` bytes a second over ``window`` seconds is left for
        the next one; when all have been tried, the fastest of the slow ones is taken as it is.
    attempts: tries at one mirror after busy answers and broken connections.
    pause, longest_pause: seconds before the second try, doubled each time; a longer ``Retry-After`` is
        honored up to the latter.
    """

    timeout: float = 10.0
    floor: float = 200_000
    window: float = 15.0
    attempts: int = 3
    pause: float = 1.0
    longest_pause: float = 20.0
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False)


class MirrorFailed(Exception):
    """A mirror is of no use now; the message says why in a few words."""


class TooSlow(MirrorFailed):
    """A mirror works, but below the speed floor; ``speed`` in bytes a second."""

    def __init__(self, speed: float) -> None:
        super().__init__(f"only {speed / 1000:,.0f} kB/s")
        self.speed = speed


class TryAgain(MirrorFailed):
    """Broken off or busy; ``after`` is what the server asked to wait, in seconds."""

    def __init__(self, message: str, after: float = 0.0) -> None:
        super().__init__(message)
        self.after = after


def fetch(source: Source, folder: Path | None = None, patience: Patience | None = None) -> list[Path]:
    """Download the files of ``source`` that are not yet in ``folder`` (default: our downloads folder).

    Raises ``DatasetNotFound`` with the reason of each mirror if a file could not be had from any,
    ``DiskFull``. The lock of the source must be held.
    """
    folder = folder or downloads_folder()
    return [fetch_file(remote, folder, patience or Patience()) for remote in source.files]


def fetch_file(remote: RemoteFile, folder: Path, patience: Patience) -> Path:
    """Download one file to ``folder / remote.path`` unless it is there with the right MD5."""
    target = folder / remote.path
    if target.is_file() and file_digest(target, "md5") == remote.md5:
        return target
    make_folder(target.parent)
    part = target.with_name(f"{target.name}.{remote.md5[:8]}.part")
    _from_any_mirror(remote, part, patience)
    try:
        os.replace(part, target)
    except OSError as error:
        raise cannot_write(target.parent, error) from error
    return target


def _from_any_mirror(remote: RemoteFile, part: Path, patience: Patience) -> None:
    """Get the whole, checked file into ``part``; ``DatasetNotFound`` with each reason if no mirror has it."""
    reasons: dict[str, MirrorFailed] = {}
    for number, url in enumerate(remote.urls):
        slow = [reason for reason in reasons.values() if isinstance(reason, TooSlow)]
        # with nothing else left, slow is better than none
        hurry = number + 1 < len(remote.urls) or bool(slow)
        try:
            return _from_mirror(url, remote, part, patience, hurry)
        except MirrorFailed as error:
            reasons[url] = error
            if number + 1 < len(remote.urls):
                following = urlsplit(remote.urls[number + 1]).netloc
                print(f"{urlsplit(url).netloc}: {error}; asking {following} …", file=sys.stderr, flush=True)
    speeds = {url: reason.speed for url, reason in reasons.items() if isinstance(reason, TooSlow)}
    for url in sorted(speeds, key=lambda url: speeds[url], reverse=True):
        try:
            return _from_mirror(url, remote, part, patience, hurry=False)
        except MirrorFailed as error:
            reasons[url] = error
    told = "; ".join(f"{urlsplit(url).netloc}: {reason}" for url, reason in reasons.items())
    raise DatasetNotFound(f"{Path(remote.path).name} from no mirror: {told}")


def _from_mirror(url: str, remote: RemoteFile, part: Path, patience: Patience, hurry: bool) -> None:
    """Get the whole, checked file into ``part``, in several attempts; else the last ``MirrorFailed``."""
    for attempt in range(patience.attempts):
        last = attempt + 1 == patience.attempts
        resumed = part.exists() and part.stat().st_size > 0
        try:
            if not _is_whole(part, remote):
                _transfer(url, remote, part, patience, hurry)
        except TryAgain as error:
            wait = max(patience.pause * 2**attempt, error.after)
            if last or wait > patience.longest_pause:
                raise
            patience.sleep(wait)
            continue
        except OSError as error:
            if error.errno in FULL:
                raise disk_full(part.parent, remote.path, remote.size) from error
            raise cannot_write(part.parent, error) from error
        if file_digest(part, "md5") == remote.md5:
            return
        part.unlink()
        if last or not resumed:  # else the wrong bytes may be another mirror's: once more from the start
            raise MirrorFailed("the bytes are not those of the original (wrong MD5)")


def _is_whole(part: Path, remote: RemoteFile) -> bool:
    return remote.size is not None and part.exists() and part.stat().st_size == remote.size


def _transfer(url: str, remote: RemoteFile, part: Path, patience: Patience, hurry: bool) -> None:
    """Get what is missing in ``part``; what has come stays there when a ``MirrorFailed`` is raised."""
    have = part.stat().st_size if part.exists() else 0
    if remote.size is not None and have > remote.size:
        part.unlink()
        have = 0
    try:
        answer = _open(url, have, patience)
    except urllib.error.HTTPError as error:
        raise _refused(error, part) from error
    except NETWORK_ERRORS as error:
        raise _broken(error, patience) from error
    with answer:
        start, total = _extent(answer, have, part)
        if remote.size is not None and total not in (None, remote.size):
            raise MirrorFailed(f"offers {total:,} bytes, {remote.size:,} are expected")
        total = total or remote.size
        if total is not None and total > LARGEST:
            raise MirrorFailed(f"offers {total:,} bytes, more than the {LARGEST:,} that a file may have")
        _copy(answer, part, start, total, patience, hurry, remote)
    if total is not None and part.stat().st_size < total:
        raise TryAgain(f"broke off after {part.stat().st_size:,} of {total:,} bytes")


def _open(url: str, have: int, patience: Patience):
    request = urllib.request.Request(url, headers={"User-Agent": AGENT, "Accept-Encoding": "identity"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    return urllib.request.urlopen(request, timeout=patience.timeout)


def _extent(answer, have: int, part: Path) -> tuple[int, int | None]:
    """First byte and total size of what comes; a server that ignores the range sends all again."""
    length = answer.headers.get("Content-Length", "")
    if answer.status == 206:
        unit, _, rest = answer.headers.get("Content-Range", "").partition(" ")
        span, _, total = rest.partition("/")
        if unit != "bytes" or not span.startswith(f"{have}-"):
            part.unlink(missing_ok=True)
            raise TryAgain("answered with another part of the file")
        return have, int(total) if total.isdecimal() else None
    return 0, int(length) if length.isdecimal() else None


def _copy(
    answer, part: Path, start: int, total: int | None, patience: Patience, hurry: bool, remote: RemoteFile
) -> None:
    """Write what comes to ``part``, at most ``total`` or, where that is unknown, ``LARGEST`` bytes."""
    began, counted = time.monotonic(), 0
    have, most = start, LARGEST if total is None else total
    with (
        open(part, "r+b" if start else "wb") as file,
        progress(total=total, initial=start, desc=Path(remote.path).name, unit="B", unit_scale=True) as bar,
    ):
        file.seek(start)
        file.truncate()
        while chunk := _next_chunk(answer, patience):
            have += len(chunk)
            if have > most:
                break
            file.write(chunk)
            bar.update(len(chunk))
            counted += len(chunk)
            elapsed = time.monotonic() - began
            if elapsed >= patience.window:
                if hurry and counted / elapsed < patience.floor:
                    raise TooSlow(counted / elapsed)
                began, counted = time.monotonic(), 0
    if have > most:
        part.unlink()
        raise MirrorFailed(f"sends more than the {most:,} bytes that are expected")


def _next_chunk(answer, patience: Patience) -> bytes:
    """What comes next; only here can reading fail, so that other errors are those of our own disk."""
    try:
        return answer.read1(CHUNK)
    except NETWORK_ERRORS as error:
        raise _broken(error, patience) from error


def _refused(error: urllib.error.HTTPError, part: Path) -> MirrorFailed:
    if error.code == 416:  # the part reaches past the end of what is there: start again
        part.unlink(missing_ok=True)
        return TryAgain("could not resume (HTTP 416)")
    if error.code in BUSY:
        after = error.headers.get("Retry-After", "") if error.headers else ""
        return TryAgain(f"busy (HTTP {error.code})", float(after) if after.isdecimal() else 0.0)
    return MirrorFailed(f"HTTP {error.code}")


def _broken(error: Exception, patience: Patience) -> MirrorFailed:
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(reason, TimeoutError):
        return MirrorFailed(f"nothing came for {patience.timeout:g} s")
    if isinstance(reason, ssl.SSLCertVerificationError):
        return MirrorFailed(f"not trusted ({getattr(reason, 'verify_message', '') or reason})")
    if isinstance(reason, BROKEN) or (reason is error and not isinstance(error, ValueError)):
        return TryAgain(f"connection broken ({getattr(reason, 'strerror', None) or type(reason).__name__})")
    return MirrorFailed(f"not reachable ({getattr(reason, 'strerror', None) or reason})")
