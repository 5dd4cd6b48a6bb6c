"""Resumable HTTP: fill a ``.part`` file from one address, over as many connections as it takes.

``NAME.part.tag`` holds what the server said to identify its version of the file (ETag or
Last-Modified), so that a later run continues only the very same file.
"""

from __future__ import annotations

import dataclasses
import errno
import http.client
import ipaddress
import logging
import re
import shutil
import socket
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from retalking.errors import WeightsError
from retalking.weights.catalogue import WeightFile

logger = logging.getLogger(__name__)

Progress = Callable[[int, "int | None"], None]
"""Called with the bytes on disk and the bytes of the whole file, ``None`` where not known."""

BLOCK_BYTES = 1 << 18
SPARE_BYTES = 16 << 20  # left free on the disk
TRANSIENT_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
UNREACHABLE_ERRNO = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ECONNREFUSED})


class AddressError(Exception):
    """An address that does not serve the file; another one may."""


class UnreachableError(AddressError):
    """No connection to the host of an address."""


class _InterruptionError(Exception):
    """The connection broke or the server is busy; the same address may go on later."""


@dataclasses.dataclass(frozen=True)
class RetryPolicy:
    """How stubborn a download is.

    Attributes:
        num_attempts: tries in a row without any new byte, for each address.
        first_wait_s: pause after the first of them; doubled after each further one.
        timeout_s: how long a silent connection is waited for.
    """

    num_attempts: int = 4
    first_wait_s: float = 1.0
    timeout_s: float = 30.0


DEFAULT_RETRY = RetryPolicy()


def tag_path(part: Path) -> Path:
    """Where the server's mark of a partial file is kept."""
    return part.with_name(part.name + ".tag")


class Transfer:
    """One address of one file.

    Args:
        url: the address.
        part: the partial file; bytes that are there already are kept where that is safe.
        weight: what is known of the file.
        on_progress: told about bytes as they come.
        retry: how stubborn to be.
        must_be_safe: take it over https alone, redirects included, since no hash can prove it.
    """

    def __init__(
        self,
        url: str,
        part: Path,
        weight: WeightFile,
        on_progress: Progress,
        retry: RetryPolicy,
        must_be_safe: bool = False,
    ) -> None:
        self.url = url
        self.must_be_safe = must_be_safe
        self.part = part
        self.weight = weight
        self.on_progress = on_progress
        self.retry = retry

    def run(self) -> None:
        """Fill the partial file, going on after interruptions.

        Raises:
            AddressError: this address is hopeless now; what came stays in the partial file.
            WeightsError: the disk is too full.
            OSError: the partial file cannot be written.
        """
        most_bytes = first_bytes = _size_of(self.part)
        num_failed = 0
        while True:
            try:
                self._attempt()
                return
            except UnreachableError as error:
                if most_bytes == first_bytes:  # else the network was there a moment ago
                    raise
                reason = str(error)
            except _InterruptionError as error:
                reason = str(error)
            size_bytes = _size_of(self.part)
            num_failed = num_failed + 1 if size_bytes <= most_bytes else 0
            most_bytes = max(most_bytes, size_bytes)
            if num_failed >= self.retry.num_attempts:
                raise AddressError(f"{reason}, after {num_failed} tries")
            wait_s = self.retry.first_wait_s * 2 ** max(num_failed - 1, 0)
            logger.info("%s: %s; again in %g s", self.url, reason, wait_s)
            time.sleep(wait_s)

    def _attempt(self) -> None:
        have_bytes = self._resumable_bytes()
        try:
            response = self._open(have_bytes)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
                if error.headers.get("Content-Range", "") == f"bytes */{have_bytes}":
                    return  # there is nothing after what we have: it is complete
                self.part.unlink(missing_ok=True)
                raise _InterruptionError("cannot resume, starting over") from None
            kind = _InterruptionError if error.code in TRANSIENT_STATUS else AddressError
            raise kind(f"HTTP {error.code} {error.reason}") from None
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            if _is_unreachable(reason):
                raise UnreachableError(f"no connection ({reason})") from None
            raise _InterruptionError(f"no answer ({reason})") from None
        except ValueError as error:
            raise AddressError(f"a malformed answer ({error})") from None
        with response:
            offset = have_bytes if _continues_at(response, have_bytes) else 0
            length = response.headers.get("Content-Length", "")
            total = offset + int(length) if re.fullmatch("[0-9]{1,18}", length) else None
            self._check_announced(response, offset, total)
            tag_path(self.part).write_text(_tag_of(response), encoding="utf-8")
            wanted_bytes = self.weight.bytes if total is None else total
            with self.part.open("ab" if offset else "wb") as file:
                done_bytes = self._copy(response, file, offset, wanted_bytes)
        if wanted_bytes is not None and done_bytes < wanted_bytes:
            raise _InterruptionError(f"cut off at {done_bytes} of {wanted_bytes} bytes")

    def _open(self, have_bytes: int) -> http.client.HTTPResponse:
        headers = {"User-Agent": "retalking", "Accept-Encoding": "identity"}
        if have_bytes:
            headers["Range"] = f"bytes={have_bytes}-"
            if tag := _read_tag(self.part):
                headers["If-Range"] = tag
        request = urllib.request.Request(self.url, headers=headers)
        self._check_address(self.url)
        response: http.client.HTTPResponse = urllib.request.urlopen(
            request, timeout=self.retry.timeout_s
        )
        try:
            self._check_address(response.geturl())
        except AddressError:
            response.close()
            raise
        return response

    def _check_address(self, url: str) -> None:
        """Refuse what a stranger between here and the server could have changed unnoticed."""
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https"):
            raise AddressError(f"leads to {url}, expected http or https")
        if self.must_be_safe and parts.scheme == "http" and not _is_this_machine(parts.hostname):
            raise AddressError(f"{url} is not https, and no hash of the file is known")

    def _resumable_bytes(self) -> int:
        """Resume only what is known to be the same file: by its hash, or by the server's tag."""
        known = self.weight.sha256 or _read_tag(self.part)
        return _size_of(self.part) if known else 0

    def _check_announced(
        self, response: http.client.HTTPResponse, offset: int, total: int | None
    ) -> None:
        if response.headers.get_content_type() == "text/html":
            raise AddressError("a web page instead of the file")
        if total is None:
            return
        if self.weight.bytes is not None and total != self.weight.bytes:
            raise AddressError(f"expected {self.weight.bytes} bytes, the server has {total}")
        free_bytes = shutil.disk_usage(self.part.parent).free
        if total - offset + SPARE_BYTES > free_bytes:
            raise WeightsError(
                f"{self.part.parent}: {self.weight.file} needs {(total - offset) / 1e6:.0f} MB "
                f"more, {free_bytes / 1e6:.0f} MB are free"
            )

    def _copy(
        self, response: http.client.HTTPResponse, file: BinaryIO, offset: int, total: int | None
    ) -> int:
        """Copy until the end of the body and return the bytes that are on the disk then."""
        done_bytes = offset
        while True:
            try:
                block = response.read(BLOCK_BYTES)
            except (OSError, http.client.HTTPException) as error:
                raise _InterruptionError(f"lost at {done_bytes} bytes ({error})") from None
            if not block:
                return done_bytes
            if total is not None and done_bytes + len(block) > total:
                raise AddressError(f"sends more than the {total} bytes of the file")
            file.write(block)
            done_bytes += len(block)
            self.on_progress(done_bytes, total)


def _continues_at(response: http.client.HTTPResponse, have_bytes: int) -> bool:
    """Tell whether the body is the rest that was asked for, and not the file from its start."""
    if response.status != http.client.PARTIAL_CONTENT:
        return False
    start = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    if start is None or int(start[1]) != have_bytes:
        raise AddressError("the server sent another part of the file than asked for")
    return True


def _is_this_machine(host: str | None) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def _is_unreachable(reason: object) -> bool:
    known = isinstance(reason, socket.gaierror | TimeoutError)
    return known or getattr(reason, "errno", None) in UNREACHABLE_ERRNO


def _tag_of(response: http.client.HTTPResponse) -> str:
    etag = response.headers.get("ETag", "")
    strong = etag.startswith('"')  # a weak one does not promise the same bytes
    tag = etag if strong else response.headers.get("Last-Modified", "")
    return tag if tag.isascii() and tag.isprintable() else ""  # it goes back in a header


def _read_tag(part: Path) -> str:
    path = tag_path(part)
    return path.read_text(encoding="utf-8").strip() if path.exists() else ""


def _size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
