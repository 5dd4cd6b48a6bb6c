"""A server on the loopback that answers as good and bad ones do, and a file on it."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import random
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from retalking.weights.catalogue import WeightFile
from retalking.weights.http import RetryPolicy

CONTENT = random.Random(0).randbytes(900_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
QUICK = RetryPolicy(num_attempts=3, first_wait_s=0.001, timeout_s=5)


@dataclasses.dataclass
class Page:
    """How the server answers for one path.

    Attributes:
        failures: statuses to answer first, one per request; 0 breaks the body in the middle.
    """

    content: bytes = CONTENT
    etag: str = '"v1"'
    ranges: bool = True
    failures: list[int] = dataclasses.field(default_factory=list)
    content_type: str = "application/octet-stream"
    range_shift: int = 0
    announce_length: bool = True
    length: str = ""
    leads_to: str = ""


class Server(ThreadingHTTPServer):
    """Serves ``pages`` and remembers the requests as (path, Range header)."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.pages: dict[str, Page] = {}
        self.requests: list[tuple[str, str | None]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test output clean."""

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.requests.append((self.path, wanted))
        page = self.server.pages.get(self.path)
        failure = page.failures.pop(0) if page and page.failures else None
        if page is None or failure:
            self.send_error(failure or 404)
            return
        if page.leads_to:
            self.send_response(302)
            self.send_header("Location", page.leads_to)
            self.end_headers()
            return
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
        if not page.ranges or self.headers.get("If-Range", page.etag) != page.etag:
            start = 0
        total = len(page.content)
        if start >= total:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{total}")
            self.end_headers()
            return
        body = page.content[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header(
                "Content-Range", f"bytes {start + page.range_shift}-{total - 1}/{total}"
            )
        if page.announce_length:
            self.send_header("Content-Length", page.length or str(len(body)))
        if page.etag:
            self.send_header("ETag", page.etag)
        self.send_header("Content-Type", page.content_type)
        self.end_headers()
        with contextlib.suppress(ConnectionError):  # some tests hang up on purpose
            self.wfile.write(body if failure is None else body[: len(body) // 2])


def weight(*urls: str, sha256: str = SHA256, num_bytes: int | None = None) -> WeightFile:
    return WeightFile("Net", "Net.pth", "official", urls, "MIT", "a test", sha256, num_bytes)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}
