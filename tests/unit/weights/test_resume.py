"""Downloads that are interrupted go on, and never end as half a file."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from retalking.errors import WeightsError
from retalking.weights import http
from retalking.weights.download import fetch
from retalking.weights.http import RetryPolicy
from tests.unit.weights.web import CONTENT, QUICK, Page, Server, names, weight


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
