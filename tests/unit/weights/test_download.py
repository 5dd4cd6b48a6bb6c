"""Downloads against a server on the loopback: resumed, verified, and never half a file."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from retalking.errors import ConfigError, WeightsError
from retalking.locations import REPOSITORY
from retalking.weights import catalogue, http
from retalking.weights.catalogue import LOCK_NAME, State, WeightFile, read_catalogue
from retalking.weights.download import OfflineError, exclusive, fetch
from retalking.weights.http import RetryPolicy
from scripts import download_checkpoints

CONTENT = random.Random(0).randbytes(900_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
Run = Callable[..., tuple[int, str, str]]

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
            self.send_header("Content-Length", str(len(body)))
        if page.etag:
            self.send_header("ETag", page.etag)
        self.send_header("Content-Type", page.content_type)
        self.end_headers()
        with contextlib.suppress(ConnectionError):  # some tests hang up on purpose
            self.wfile.write(body if failure is None else body[: len(body) // 2])


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path / "torch" / "hub" / "checkpoints"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "checkpoints"
    path.mkdir()
    return path


@pytest.fixture
def closed_url() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def weight(*urls: str, sha256: str = SHA256, num_bytes: int | None = None) -> WeightFile:
    return WeightFile("Net", "Net.pth", "official", urls, "MIT", "a test", sha256, num_bytes)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


# ------------------------------------------------------------------ one file
def test_full_download_reports_progress(server: Server, folder: Path) -> None:
    server.pages["/Net.pth"] = Page()
    seen: list[tuple[int, int | None]] = []
    fetched = fetch(
        weight(server.url + "/Net.pth", num_bytes=len(CONTENT)),
        folder,
        on_progress=lambda done, total: seen.append((done, total)),
    )
    assert fetched.path.read_bytes() == CONTENT
    assert fetched.downloaded
    assert not fetched.trusted_sha256
    assert names(folder) == {"Net.pth"}
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})
    assert seen[-1] == (len(CONTENT), len(CONTENT))


def test_file_that_is_here_is_not_fetched_again(server: Server, folder: Path) -> None:
    (folder / "Net.pth").write_bytes(CONTENT)
    fetched = fetch(weight(server.url + "/Net.pth"), folder)
    assert not fetched.downloaded
    assert server.requests == []


def test_partial_file_is_continued(server: Server, folder: Path) -> None:
    server.pages["/Net.pth"] = Page()
    (folder / "Net.pth.part").write_bytes(CONTENT[:300_000])
    fetch(weight(server.url + "/Net.pth"), folder)
    assert server.requests == [("/Net.pth", "bytes=300000-")]
    assert (folder / "Net.pth").read_bytes() == CONTENT


def test_server_that_ignores_ranges_starts_over(server: Server, folder: Path) -> None:
    server.pages["/Net.pth"] = Page(ranges=False)
    (folder / "Net.pth.part").write_bytes(CONTENT[:300_000])
    fetch(weight(server.url + "/Net.pth"), folder)
    assert (folder / "Net.pth").read_bytes() == CONTENT


def test_server_that_sends_another_range_is_left(server: Server, folder: Path) -> None:
    server.pages["/Net.pth"] = Page(range_shift=5)
    (folder / "Net.pth.part").write_bytes(CONTENT[:300_000])
    with pytest.raises(WeightsError, match="another part of the file than asked for"):
        fetch(weight(server.url + "/Net.pth"), folder)
    assert (folder / "Net.pth.part").read_bytes() == CONTENT[:300_000]


def test_complete_partial_file_needs_no_body(server: Server, folder: Path) -> None:
    server.pages["/Net.pth"] = Page()
    (folder / "Net.pth.part").write_bytes(CONTENT)
    fetch(weight(server.url + "/Net.pth"), folder)
    assert names(folder) == {"Net.pth"}


def test_partial_file_longer_than_the_file_starts_over(server: Server, folder: Path) -> None:
    server.pages["/Net.pth"] = Page()
    (folder / "Net.pth.part").write_bytes(CONTENT + b"more")
    fetch(weight(server.url + "/Net.pth"), folder, retry=QUICK)
    assert (folder / "Net.pth").read_bytes() == CONTENT


@pytest.mark.parametrize("announce_length", [True, False])
def test_truncated_bodies_are_resumed(announce_length: bool, server: Server, folder: Path) -> None:
    page = Page(failures=[0, 0, 503, 0], announce_length=announce_length)
    server.pages["/Net.pth"] = page
    known = weight(server.url + "/Net.pth", num_bytes=len(CONTENT))
    fetch(known, folder, retry=QUICK)
    assert (folder / "Net.pth").read_bytes() == CONTENT
    starts = [int((asked or "bytes=0-")[len("bytes=") : -1]) for _, asked in server.requests]
    assert starts == [0, 450_000, 675_000, 675_000, 787_500]


def test_truncated_body_of_unknown_length_shows_in_the_hash(server: Server, folder: Path) -> None:
    server.pages["/Net.pth"] = Page(failures=[0], announce_length=False)
    with pytest.raises(WeightsError, match=r"not the published .* file, deleted"):
        fetch(weight(server.url + "/Net.pth"), folder, retry=QUICK)
    assert names(folder) == set()


def test_hopeless_server_is_left_and_the_part_kept(server: Server, folder: Path) -> None:
    server.pages["/Net.pth"] = Page(failures=[0, 500, 502, 503, 504])
    with pytest.raises(WeightsError, match=r"Net.pth: HTTP 503 .*, after 3 tries$") as caught:
        fetch(weight(server.url + "/Net.pth"), folder, retry=QUICK)
    assert "\n" not in str(caught.value)
    assert (folder / "Net.pth.part").stat().st_size == 450_000
    assert len(server.requests) == 4


def test_wait_doubles(server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(http.time, "sleep", waits.append)
    server.pages["/Net.pth"] = Page(failures=[503, 429, 500])
    fetch(weight(server.url + "/Net.pth"), folder, retry=RetryPolicy(4, 1.0, 5))
    assert waits == [1, 2, 4]


def test_wrong_hash_goes_to_the_next_address(server: Server, folder: Path) -> None:
    server.pages["/bad/Net.pth"] = Page(content=b"x" * 1000)
    server.pages["/good/Net.pth"] = Page()
    fetch(weight(server.url + "/bad/Net.pth", server.url + "/good/Net.pth"), folder)
    assert (folder / "Net.pth").read_bytes() == CONTENT


def test_wrong_hash_everywhere_leaves_nothing(server: Server, folder: Path) -> None:
    server.pages["/Net.pth"] = Page(content=b"x" * 1000)
    with pytest.raises(
        WeightsError, match=f"deleted: expected sha256 {SHA256}, got [0-9a-f]{{64}}$"
    ):
        fetch(weight(server.url + "/Net.pth"), folder)
    assert names(folder) == set()


def test_short_hash_is_compared(server: Server, folder: Path) -> None:
    server.pages["/Net.pth"] = Page()
    url = server.url + "/Net.pth"
    with pytest.raises(WeightsError, match=f"expected sha256 00000000, got {SHA256[:8]}$"):
        fetch(weight(url, sha256="00000000"), folder)
    fetched = fetch(weight(url, sha256=SHA256[:8]), folder)
    assert not fetched.trusted_sha256


def test_404_goes_to_the_next_address_at_once(server: Server, folder: Path) -> None:
    server.pages["/good/Net.pth"] = Page()
    fetch(weight(server.url + "/gone/Net.pth", server.url + "/good/Net.pth"), folder)
    assert [path for path, _ in server.requests] == ["/gone/Net.pth", "/good/Net.pth"]


def test_user_mirror_comes_first(server: Server, folder: Path) -> None:
    server.pages["/mine/Net.pth"] = Page()
    fetch(weight(server.url + "/Net.pth"), folder, mirror=server.url + "/mine/")
    assert [path for path, _ in server.requests] == ["/mine/Net.pth"]


def test_web_page_is_refused(server: Server, folder: Path) -> None:
    server.pages["/Net.pth"] = Page(content_type="text/html; charset=utf-8")
    with pytest.raises(WeightsError, match="a web page instead of the file"):
        fetch(weight(server.url + "/Net.pth"), folder)


def test_wrong_size_is_refused_before_the_body(server: Server, folder: Path) -> None:
    server.pages["/Net.pth"] = Page()
    with pytest.raises(WeightsError, match="expected 5 bytes, the server has 900000"):
        fetch(weight(server.url + "/Net.pth", num_bytes=5), folder)
    assert names(folder) == set()


def test_no_network(closed_url: str, folder: Path) -> None:
    wanted = weight(closed_url + "/a/Net.pth", closed_url + "/b/Net.pth")
    with pytest.raises(OfflineError, match=r"^no network, cannot fetch Net.pth: .*refused"):
        fetch(wanted, folder)
    assert names(folder) == set()


def test_one_closed_port_is_not_offline(server: Server, closed_url: str, folder: Path) -> None:
    with pytest.raises(WeightsError) as caught:
        fetch(weight(closed_url + "/Net.pth", server.url + "/Net.pth"), folder)
    assert not isinstance(caught.value, OfflineError)


def test_silent_server_is_left(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/Net.pth"
        with pytest.raises(OfflineError, match="timed out"):
            fetch(weight(url), folder, retry=RetryPolicy(3, 0.001, timeout_s=0.1))


def test_file_without_address_says_how_to_get_it(folder: Path) -> None:
    wanted = dataclasses.replace(weight(), note="Ask its author.")
    with pytest.raises(
        WeightsError, match=r"Net.pth: no public address is known. Ask its author.$"
    ):
        fetch(wanted, folder)


# ------------------------------------------------------------------ disk
def test_full_disk_is_seen_before_the_body(
    server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.pages["/Net.pth"] = Page()
    nearly_full = shutil._ntuple_diskusage(100, 99, 600_000)
    monkeypatch.setattr(http.shutil, "disk_usage", lambda path: nearly_full)
    with pytest.raises(WeightsError, match=r"Net.pth needs 1 MB more, 1 MB are free"):
        fetch(weight(server.url + "/Net.pth"), folder)
    assert names(folder) == set()


def test_full_disk_while_writing_keeps_the_part(
    server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.pages["/Net.pth"] = Page()

    def fill_up(done_bytes: int, total_bytes: int | None) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(WeightsError, match=r"cannot write .*Net.pth: No space left on device$"):
        fetch(weight(server.url + "/Net.pth"), folder, on_progress=fill_up)
    assert (folder / "Net.pth.part").stat().st_size > 0


def test_folder_that_cannot_be_written(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(WeightsError, match=r"cannot write .*file"), exclusive([tmp_path / "file"]):
        pytest.fail("got in")


def test_interruption_keeps_the_part(server: Server, folder: Path) -> None:
    server.pages["/Net.pth"] = Page()

    def press_ctrl_c(done_bytes: int, total_bytes: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(weight(server.url + "/Net.pth"), folder, on_progress=press_ctrl_c)
    assert names(folder) == {"Net.pth.part", "Net.pth.part.tag"}
    fetch(weight(server.url + "/Net.pth"), folder)
    assert server.requests[1][1] is not None
    assert names(folder) == {"Net.pth"}


def test_only_one_download_at_a_time(folder: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from retalking.weights.download import exclusive\n"
        "with exclusive([Path(sys.argv[1])]): print('held')"
    )
    command = [sys.executable, "-c", code, str(folder)]
    with exclusive([folder]):
        other = subprocess.run(command, capture_output=True, text=True, check=False)
    assert f"another download into {folder} is running" in other.stderr
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "held\n"


def test_wrong_file_on_disk_is_never_replaced(server: Server, folder: Path) -> None:
    server.pages["/Net.pth"] = Page()
    (folder / "Net.pth").write_bytes(b"my own fine-tuned weights")
    url = server.url + "/Net.pth"
    with pytest.raises(WeightsError, match=r"Net.pth: wrong hash; .*Move it away to fetch"):
        fetch(weight(url), folder)
    with pytest.raises(WeightsError, match=r"Net.pth: wrong size"):
        fetch(weight(url, num_bytes=9), folder)
    assert (folder / "Net.pth").read_bytes() == b"my own fine-tuned weights"


# ------------------------------------------------------------------ trust on first use
def test_first_use_is_locked_and_later_changes_are_refused(server: Server, folder: Path) -> None:
    page = server.pages["/Net.pth"] = Page()
    unknown = weight(server.url + "/Net.pth", sha256="")
    assert fetch(unknown, folder).trusted_sha256 == SHA256
    entry = json.loads((folder / LOCK_NAME).read_text())["Net"]
    assert entry["sha256"] == SHA256
    assert entry["bytes"] == len(CONTENT)
    assert entry["url"] == server.url + "/Net.pth"
    assert not fetch(unknown, folder).trusted_sha256  # the second time it is known

    (folder / "Net.pth").unlink()
    page.content = b"replaced at its source"
    with pytest.raises(WeightsError, match=r"not the published .* file, deleted"):
        fetch(unknown, folder)
    assert names(folder) == {LOCK_NAME}
    (folder / "Net.pth").write_bytes(page.content)
    with pytest.raises(WeightsError, match=r"\(or first seen\)"):
        fetch(unknown, folder)


def test_file_put_there_by_hand_is_locked(folder: Path) -> None:
    (folder / "Net.pth").write_bytes(CONTENT)
    assert fetch(weight(sha256=""), folder).trusted_sha256 == SHA256
    assert json.loads((folder / LOCK_NAME).read_text())["Net"]["url"] == "found on disk"


def test_unknown_file_is_resumed_only_with_the_same_tag(server: Server, folder: Path) -> None:
    page = server.pages["/Net.pth"] = Page(failures=[0, 404])
    unknown = weight(server.url + "/Net.pth", sha256="")
    with pytest.raises(WeightsError, match="404"):
        fetch(unknown, folder, retry=QUICK)
    page.content, page.etag = CONTENT[::-1], '"v2"'  # the source changes in between
    fetch(unknown, folder, retry=QUICK)
    assert (folder / "Net.pth").read_bytes() == CONTENT[::-1]


@pytest.mark.parametrize("etag", ["", 'W/"weak"'])
def test_unknown_file_without_a_strong_tag_starts_over(
    etag: str, server: Server, folder: Path
) -> None:
    server.pages["/Net.pth"] = Page(failures=[0], etag=etag)
    fetch(weight(server.url + "/Net.pth", sha256=""), folder, retry=QUICK)
    assert [asked for _, asked in server.requests] == [None, None]


def test_damaged_lock_file_is_not_forgotten(server: Server, folder: Path) -> None:
    (folder / LOCK_NAME).write_text('{"Net": ')
    with pytest.raises(WeightsError, match=f"{LOCK_NAME} is damaged; delete it"):
        fetch(weight(server.url + "/Net.pth", sha256=""), folder)


# ------------------------------------------------------------------ the list
def test_shipped_list_is_sound() -> None:
    catalogue = read_catalogue()
    from models.weights import OFFICIAL_FORMATS

    networks = {entry.network for entry in catalogue.weights.values()} - {""}
    assert networks == set(OFFICIAL_FORMATS)
    files = [entry.file for entry in catalogue.weights.values()]
    assert len(files) == len(set(files))
    for entry in catalogue.weights.values():
        assert entry.urls or entry.note, f"{entry.name}: how does one get it?"
        assert all(url.endswith("/" + entry.file) for url in entry.urls)
        assert all(url.startswith("https://") for url in entry.urls)
        assert entry.licence
        assert entry.used_by
    assert [group.name for group in catalogue.groups.values() if group.default] == [
        "official",
        "emotion",
    ]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('sha256 = "xyz"', "weights.Net.sha256: expected 8 to 64 hex digits, got 'xyz'"),
        ('file = "../Net.pth"', "weights.Net.file: expected a bare file name"),
        ('cache = "home"', "weights.Net.cache: expected torch_hub"),
        ('urls = ["ftp://x/Net.pth"]', "weights.Net.urls: expected http"),
        ('host = "nowhere"\nurls = []', "expected either host or urls"),
        ('group = "unknown"', "no group of weights is called 'unknown'; known are official"),
        ('colour = "red"', "malformed list of weights: .*colour"),
        ("licence = ", "malformed list of weights"),
    ],
)
def test_malformed_list_is_one_line(line: str, problem: str, tmp_path: Path) -> None:
    fields = {
        "file": '"Net.pth"',
        "group": '"official"',
        "urls": "[]",
        "licence": '"MIT"',
        "used_by": '"x"',
    }
    fields.pop(line.split(maxsplit=1)[0], None)
    rows = [f"{key} = {value}" for key, value in fields.items() if f"\n{key} =" not in line]
    path = tmp_path / "weights.toml"
    path.write_text('[group.official]\nabout = "x"\n[weights.Net]\n' + "\n".join([*rows, line]))
    with pytest.raises(ConfigError, match=problem) as caught:
        read_catalogue(path)
    assert "\n" not in str(caught.value)


def test_missing_list(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read the list of weights"):
        read_catalogue(tmp_path / "weights.toml")


def test_find_and_missing(folder: Path, hub: Path) -> None:
    expected = [entry.name for entry in read_catalogue().of_groups(["official"])]
    assert catalogue.missing("official", folder) == expected
    with pytest.raises(WeightsError, match=r"DNet.pt \(for D-Net\) is not here; run: .* DNet$"):
        catalogue.find("DNet", folder)
    with pytest.raises(WeightsError, match="is not here; Wav2Lip's README dropped the link"):
        catalogue.find("lipsync_expert", folder)

    (folder / "DNet.pt").write_bytes(b"x")
    (folder / "GFPGANv1.3.pth").write_bytes(b"too short")
    hub.mkdir(parents=True)
    (hub / "2DFAN4-11f355bf06.pth.tar").write_bytes(b"x")
    assert catalogue.find("DNet", folder) == folder / "DNet.pt"
    assert catalogue.find("FAN", folder) == hub / "2DFAN4-11f355bf06.pth.tar"
    left = set(expected) - {"DNet", "FAN"}
    assert set(catalogue.missing("official", folder)) == left
    with pytest.raises(WeightsError, match="has 9 bytes, expected 348632874 bytes; run"):
        catalogue.find("GFPGAN", folder)
    with pytest.raises(ConfigError, match="no weight file is called 'DNett'; did you mean DNet"):
        catalogue.find("DNett", folder)


@pytest.mark.parametrize("variable", ["TORCH_HOME", "XDG_CACHE_HOME", "UNRELATED"])
def test_torch_hub_folder_is_pytorchs(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.delenv("TORCH_HOME")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv(variable, "/some/place")
    expected = Path(torch.hub.get_dir()) / "checkpoints"
    assert catalogue.torch_hub_folder() == expected


# ------------------------------------------------------------------ the command line
@pytest.fixture
def catalogue_file(server: Server, tmp_path: Path) -> Path:
    path = tmp_path / "weights.toml"
    path.write_text(f"""
[group.official]
about = "inference"
default = true
[group.training]
about = "losses"
[host.here]
urls = ["{server.url}/a", "{server.url}/b"]
[weights.Known]
file = "Known.pth"
group = "official"
host = "here"
sha256 = "{SHA256}"
bytes = {len(CONTENT)}
licence = "MIT"
used_by = "L-Net"
[weights.Fresh]
file = "Fresh.pth"
group = "official"
host = "here"
cache = "torch_hub"
licence = "non-commercial"
used_by = "D-Net"
[weights.Teacher]
file = "Teacher.pth"
group = "training"
urls = []
licence = "?"
used_by = "a loss"
note = "Bring your own."
""")
    server.pages["/a/Known.pth"] = Page()
    server.pages["/b/Fresh.pth"] = Page(content=b"unheard of")
    return path


@pytest.fixture
def run(catalogue_file: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: str) -> tuple[int, str, str]:
        fixed = ["--catalogue", str(catalogue_file), "--dest", str(folder)]
        code = download_checkpoints.main([*arguments, *fixed])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return call


def test_cli_downloads_the_default_groups(run: Run, folder: Path, hub: Path) -> None:
    code, out, err = run()
    assert (code, err) == (0, "")
    assert (folder / "Known.pth").read_bytes() == CONTENT
    assert (hub / "Fresh.pth").read_bytes() == b"unheard of"
    assert f"Known: {folder / 'Known.pth'} downloaded" in out
    assert out.count("trusted on first use") == 1
    assert hashlib.sha256(b"unheard of").hexdigest() in out
    code, out, _ = run()
    assert code == 0
    assert out.count("was here") == 2
    assert "trusted" not in out


def test_cli_list_and_verify(run: Run, folder: Path, hub: Path) -> None:
    code, out, _ = run("--list")
    assert code == 0
    assert re.search(r"Known +Known.pth +0.9 MB +absent +MIT +L-Net\n", out)
    assert re.search(r"Fresh +Fresh.pth +\? +absent +non-commercial +D-Net\n", out)
    assert "Teacher" in out
    assert "official [default]: inference: Known, Fresh\n" in out
    code, out, err = run("--verify")
    assert code == 2
    assert "Known: absent\nFresh: absent\n" in out
    assert err == "error: 2 of 2 absent or wrong: Known, Fresh\n"

    run()
    code, out, _ = run("--verify")
    assert (code, out) == (0, "Known: verified\nFresh: verified\n")
    _, out, _ = run("--list", "--group", "official")
    assert re.search(r"Known .* present ", out)
    assert "Teacher" not in out
    (hub / "Fresh.pth").write_bytes(b"changed")
    _, out, _ = run("--list", "--verify")
    assert re.search(r"Known .* verified ", out)
    assert re.search(r"Fresh .* wrong hash ", out)
    (folder / LOCK_NAME).unlink()
    code, out, _ = run("--verify", "--only", "Fresh")
    assert (code, out) == (0, "Fresh: no hash known\n")


def test_cli_only_takes_names_and_files(run: Run, folder: Path, server: Server) -> None:
    assert run("--only", "Known.pth")[0] == 0
    assert [path for path, _ in server.requests] == ["/a/Known.pth"]
    code, out, err = run("--only", "Knwon")
    assert (code, out) == (2, "")
    assert err == "error: no weight file is called 'Knwon'; did you mean Known?\n"
    code, _, err = run("--group", "x")
    assert (code, err) == (
        2,
        "error: no group of weights is called 'x'; known are official, training\n",
    )


def test_cli_goes_on_after_a_file_that_cannot_be_had(
    run: Run, folder: Path, server: Server
) -> None:
    del server.pages["/a/Known.pth"]
    code, out, err = run("--group", "official", "training")
    assert code == 2
    assert "Fresh: " in out
    assert "cannot fetch Known.pth" in err
    assert "Teacher.pth: no public address is known. Bring your own." in err
    assert err.endswith("error: not here: Known, Teacher\n")


def test_cli_offline_is_one_line(
    run: Run, catalogue_file: Path, server: Server, closed_url: str, folder: Path
) -> None:
    catalogue_file.write_text(catalogue_file.read_text().replace(server.url, closed_url))
    code, out, err = run()
    assert (code, out) == (2, "")
    assert err.startswith("error: no network, cannot fetch Known.pth: ")
    assert err.count("\n") == 1
    assert names(folder) == {".download.lock"}


def test_cli_mirror(run: Run, server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    server.pages["/m/Known.pth"] = Page()
    assert run("--only", "Known", "--mirror", server.url + "/m")[0] == 0
    assert [path for path, _ in server.requests] == ["/m/Known.pth"]
    with pytest.raises(SystemExit) as caught:
        run("--mirror", "mirror.example.org")
    assert caught.value.code == 2
    assert "--mirror: expected http://" in capsys.readouterr().err


def test_cli_ctrl_c(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def press(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(download_checkpoints, "fetch", press)
    code, _, err = run()
    assert code == 130
    assert err == "interrupted; run the same command again to go on\n"


def test_module_runs_from_the_repository() -> None:
    root = REPOSITORY
    command = [sys.executable, "-m", "scripts.download_checkpoints", "--list", "--only", "LNet"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    assert "LNet.pth" in done.stdout
    assert State.ABSENT.value in done.stdout or State.PRESENT.value in done.stdout


def test_importing_downloads_does_not_import_torch() -> None:
    code = "import sys, retalking.weights.download; sys.exit('torch' in sys.modules)"
    root = REPOSITORY
    subprocess.run([sys.executable, "-c", code], cwd=root, env=dict(os.environ), check=True)
