"""The list of weight files, and what of it is here."""

from __future__ import annotations

from pathlib import Path

import pytest

from retalking.errors import ConfigError, WeightsError
from retalking.weights import catalogue
from retalking.weights.catalogue import read_catalogue


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


def test_find(folder: Path, hub: Path) -> None:
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
