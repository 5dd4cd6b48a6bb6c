"""What an output says of itself: manifest in the file or beside it, comment, certificate."""

from __future__ import annotations

import dataclasses
import logging
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from retalking.errors import ConfigError
from retalking.inference.writing import labelled
from retalking.media.output.extras import Extras
from retalking.trust.manifest import seal as seal_file
from retalking.trust.manifest.certificates import find_credentials
from retalking.trust.manifest.reading import read_manifest
from retalking.trust.manifest.seal import JOB_LABEL, JobFacts, Seal, find_signer, sidecar
from retalking.trust.options import ProvenanceSection
from tests.media import write_video

DEFAULT = ProvenanceSection(sound="mark", provenance="on", certificate=None, certificate_key=None)


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def facts(tmp_path: Path) -> JobFacts:
    speech, weights = tmp_path / "speech.wav", tmp_path / "net.safetensors"
    speech.write_bytes(b"RIFF, or not")
    weights.write_bytes(b"weights")
    options = {"crf": 18, "face_image": Path("/home/somebody/anna.jpg"), "tmp_dir": Path("/t")}
    face = film(tmp_path / "face.mp4")
    return JobFacts(face, (speech,), (weights,), options, payload=7, sound_marked=True)


def film(path: Path) -> Path:
    write_video(path, 6)
    return path


def signed(tmp_path: Path, facts: JobFacts, name: str) -> Path:
    pytest.importorskip("c2pa")
    path = film(tmp_path / name)
    Seal(facts, find_signer(DEFAULT), must_sign=True).apply(path, path)
    return path


@pytest.mark.parametrize("name", ["out.mp4", "out.mov", "out.mkv", "out.avi"])
def test_a_manifest_is_valid_until_a_byte_changes(
    tmp_path: Path, facts: JobFacts, name: str
) -> None:
    path = signed(tmp_path, facts, name)
    assert sidecar(path).exists() == (path.suffix not in (".mp4", ".mov"))
    manifest = read_manifest(path)
    assert (manifest.state, manifest.is_own, manifest.vouched_for) == ("valid", True, False)
    assert manifest.says_ai
    assert "org.retalking.picture.3: 5E130007" in manifest.claims
    assert "org.retalking.sound.3: 5E130007" in manifest.claims

    data = bytearray(path.read_bytes())
    data[data.rfind(b"mdat") + 30 if b"mdat" in data else len(data) // 2] ^= 1
    path.write_bytes(data)
    assert read_manifest(path).state == "broken"


def test_a_manifest_names_files_and_hashes_but_no_folders(tmp_path: Path, facts: JobFacts) -> None:
    path = signed(tmp_path, facts, "out.mp4")
    data = path.read_bytes()
    for told in (b"net.safetensors", b"anna.jpg", b"speech.wav", b"digitalsourcetype"):
        assert told in data
    assert b"/home/somebody" not in data
    assert b"tmp_dir" not in data


def test_a_file_without_a_manifest_has_none(tmp_path: Path) -> None:
    pytest.importorskip("c2pa")
    assert read_manifest(film(tmp_path / "plain.mp4")).state == "absent"
    assert read_manifest(film(tmp_path / "plain.mkv")).state == "absent"


def test_without_marks_the_manifest_says_so(tmp_path: Path, facts: JobFacts) -> None:
    path = signed(tmp_path, dataclasses.replace(facts, payload=None), "out.mp4")
    assert not any("retalking.picture" in claim for claim in read_manifest(path).claims)


def test_the_certificate_of_a_machine_is_made_once_and_kept_secret(tmp_path: Path) -> None:
    pytest.importorskip("cryptography")
    first, second = (find_credentials(None, None) for _ in range(2))
    assert first == second
    key = tmp_path / "cache" / "retalking" / "signing" / "key.pem"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_a_users_certificate_is_used_or_refused_in_one_line(tmp_path: Path) -> None:
    pytest.importorskip("cryptography")
    own = find_credentials(None, None)
    chain, key = tmp_path / "c.pem", tmp_path / "k.pem"
    chain.write_bytes(own.chain)
    key.write_bytes(own.private_key)
    assert find_credentials(chain, key) == own
    with pytest.raises(ConfigError, match="both or neither"):
        find_credentials(chain, None)
    with pytest.raises(ConfigError, match="in PEM"):
        find_credentials(key, chain)
    with pytest.raises(ConfigError, match=r"missing\.pem: cannot be read"):
        find_credentials(tmp_path / "missing.pem", key)


def test_without_the_packages_an_output_is_labelled_but_not_signed(
    tmp_path: Path,
    facts: JobFacts,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setitem(sys.modules, "c2pa", None)
    seal_file._say_unsigned.cache_clear()
    path = film(tmp_path / "out.mp4")
    before = path.read_bytes()
    with caplog.at_level(logging.WARNING):  # what is shown without --verbose
        seal = Seal(facts, find_signer(DEFAULT), must_sign=False)
        find_signer(DEFAULT)
    seal.apply(path, path)
    (line,) = caplog.messages
    assert "requirements-trust.txt" in line
    assert path.read_bytes() == before
    assert read_manifest(path).state == "unread"
    wanted = DEFAULT.model_copy(update={"certificate": tmp_path / "c.pem"})
    with pytest.raises(ConfigError, match=r"requirements-trust\.txt"):
        find_signer(wanted)


def test_a_manifest_of_an_earlier_file_goes_with_it(tmp_path: Path, facts: JobFacts) -> None:
    path = signed(tmp_path, facts, "out.mkv")
    assert sidecar(path).exists()
    Seal(facts, None, must_sign=False).apply(path, path)
    assert not sidecar(path).exists()
    assert read_manifest(path).state == "absent"


def test_only_our_own_manifests_go(tmp_path: Path, facts: JobFacts) -> None:
    path = film(tmp_path / "out.mkv")
    for content, stays in ((b"jumb, of another program", True), (JOB_LABEL.encode(), False)):
        sidecar(path).write_bytes(content)
        Seal(facts, None, must_sign=False).apply(path, path)
        assert sidecar(path).exists() == stays


def test_the_comment_comes_before_the_sources_own_and_only_once(facts: JobFacts) -> None:
    comment = Seal(facts, None, must_sign=False).comment
    assert "AI" in comment
    assert "5E130007" in comment
    once = labelled(Extras(tags={"comment": "holiday"}), comment)
    assert once.tags["comment"] == f"{comment}. holiday"
    assert labelled(once, comment) == once
    assert labelled(Extras(), comment).tags == {"comment": comment}
    assert "no watermark" in Seal(dataclasses.replace(facts, payload=None), None, False).comment


GROWTH = """
import sys
from pathlib import Path
from types import SimpleNamespace
from retalking.timings import peak_memory_bytes
from retalking.trust.manifest.seal import JobFacts, Seal, find_signer

path, small = Path(sys.argv[1]), Path(sys.argv[2])
options = SimpleNamespace(provenance="on", certificate=None, certificate_key=None)
seal = Seal(JobFacts(small, (), (), {}, None, False), find_signer(options), must_sign=True)
seal.apply(small, small)
before = peak_memory_bytes()
seal.apply(path, path)
print(peak_memory_bytes() - before)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows hides what a process held")
def test_a_long_film_is_not_signed_in_memory(tmp_path: Path) -> None:
    """By itself the library holds it twice; an hour took 400 MB more than a minute."""
    pytest.importorskip("c2pa")
    path, small = film(tmp_path / "long.mp4"), film(tmp_path / "short.mp4")
    num_bytes = 10**8
    data = path.read_bytes()
    start = data.index(b"mdat") - 4
    size = int.from_bytes(data[start : start + 4], "big")
    with path.open("wb") as file:
        file.write(
            data[:start] + (size + num_bytes).to_bytes(4, "big") + data[start + 4 :][: size - 4]
        )
        for _ in range(100):
            file.write(bytes(num_bytes // 100))
        file.write(data[start + size :])
    command = [sys.executable, "-c", GROWTH, str(path), str(small)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert int(done.stdout) < num_bytes / 2
    assert read_manifest(path).state == "valid"
    with path.open("r+b") as file:
        file.seek(start + size + num_bytes)  # in the last piece of the film, which is zero
        file.write(b"1")
    assert read_manifest(path).state == "broken"
