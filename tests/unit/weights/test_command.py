"""``scripts/download_checkpoints.py`` as a user runs it."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from retalking.locations import REPOSITORY
from retalking.weights.catalogue import LOCK_NAME, State
from scripts import download_checkpoints
from tests.unit.weights.web import CONTENT, SHA256, Page, Server, names

Run = Callable[..., tuple[int, str, str]]


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
    assert (code, out) == (0, "Fresh: no full hash known\n")


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
