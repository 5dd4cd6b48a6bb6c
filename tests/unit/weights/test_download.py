"""Downloads against a server on the loopback: resumed, verified, and never half a file."""

from __future__ import annotations

import dataclasses
import json
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from retalking.errors import WeightsError
from retalking.weights.catalogue import LOCK_NAME
from retalking.weights.download import OfflineError, exclusive, fetch
from retalking.weights.http import RetryPolicy
from tests.unit.weights.web import CONTENT, SHA256, Page, Server, names, weight


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
    short = weight(url, sha256=SHA256[:8])
    assert fetch(short, folder).trusted_sha256 == SHA256  # eight digits are no pin
    assert not fetch(short, folder).trusted_sha256
    (folder / LOCK_NAME).write_text(json.dumps({"Net": {"sha256": SHA256[:8] + "0" * 56}}))
    with pytest.raises(WeightsError, match="wrong hash"):
        fetch(short, folder)


def test_plain_http_needs_a_whole_hash(folder: Path) -> None:
    # An address that leads nowhere: it is refused before anything is asked of it.
    for known in ("", SHA256[:8]):
        with pytest.raises(WeightsError, match="is not https, and no hash of the file is known"):
            fetch(weight("http://weights.invalid/Net.pth", sha256=known), folder)


@pytest.mark.parametrize(
    ("leads_to", "message"),
    [
        ("http://weights.invalid:1/Net.pth", "cannot fetch"),
        ("file:///etc/hostname", "cannot fetch"),
        ("gopher://weights.invalid/", "cannot fetch"),
        ("http://[::1", "malformed answer"),
        ("http://127.0.0.1:99999999/", "cannot fetch"),
    ],
)
def test_odd_redirects_are_one_line(
    server: Server, folder: Path, leads_to: str, message: str
) -> None:
    server.pages["/Net.pth"] = Page(leads_to=leads_to)
    with pytest.raises(WeightsError, match=message):
        fetch(weight(server.url + "/Net.pth"), folder, retry=RetryPolicy(1, 0.001, 2))
    assert "Net.pth" not in names(folder)


@pytest.mark.parametrize("length", ["\u00b2", "9" * 400, "-5"])
def test_odd_lengths_are_one_line(server: Server, folder: Path, length: str) -> None:
    server.pages["/Net.pth"] = Page(length=length)
    with suppress(WeightsError):
        fetch(weight(server.url + "/Net.pth"), folder, retry=RetryPolicy(1, 0.001, 1))


def test_a_transfer_stops_at_the_known_size(server: Server, folder: Path) -> None:
    page = server.pages["/Net.pth"] = Page(announce_length=False)
    page.content = CONTENT + b"and more"
    with pytest.raises(WeightsError, match=f"sends more than the {len(CONTENT)} bytes"):
        fetch(weight(server.url + "/Net.pth", num_bytes=len(CONTENT)), folder)
    assert (folder / "Net.pth.part").stat().st_size <= len(CONTENT)


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


def test_folder_that_cannot_be_written(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(WeightsError, match=r"cannot write .*file"), exclusive([tmp_path / "file"]):
        pytest.fail("got in")


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


def test_damaged_lock_file_is_not_forgotten(server: Server, folder: Path) -> None:
    (folder / LOCK_NAME).write_text('{"Net": ')
    with pytest.raises(WeightsError, match=f"{LOCK_NAME} is damaged; delete it"):
        fetch(weight(server.url + "/Net.pth", sha256=""), folder)
