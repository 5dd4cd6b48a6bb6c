"""The whole chain from file to file: real classes, small random networks, a real face."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from retalking.inference.cli import main
from retalking.inference.pipeline import Retalker
from retalking.inference.profiles import load_profile
from retalking.media.sound.audio import load
from retalking.media.video import VideoReader
from retalking.networks.load import Parts, load_parts
from tests import media
from tests.e2e.conftest import FRAMES, HEIGHT, WIDTH, portrait_frames


def read_frames(path: Path) -> np.ndarray:
    with VideoReader(path) as reader:
        return np.concatenate([chunk.rgb for chunk in reader.read_chunks(8)])


def times_s(path: Path) -> list[float]:
    with av.open(str(path)) as container:
        return [frame.time for frame in container.decode(video=0)]


@pytest.fixture(scope="module")
def parts(small_networks: dict[str, Path]) -> Parts:
    return load_parts(load_profile("small", {**small_networks, "batch_size": 2}))


def dub(parts: Parts, tmp_path: Path, clip: Path, speech: Path, **options: object) -> np.ndarray:
    settings = {"codec": "ffv1", "tmp_dir": str(tmp_path / "cache"), "device": "cpu", **options}
    outfile = tmp_path / "out.mkv"
    Retalker(load_profile("small", settings), parts)(clip, speech, outfile)
    return read_frames(outfile)


def test_the_first_light_command_writes_a_complete_video(
    tmp_path: Path, clip: Path, speech: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outfile = tmp_path / "a dir" / "dubbed v1.2.mp4"
    outfile.parent.mkdir()
    job = ["--face", str(clip), "--audio", str(speech), "--outfile", str(outfile)]
    code = main([*job, "--profile", "lite", "--tmp-dir", str(tmp_path)])
    assert code == 0
    with av.open(str(outfile)) as container:
        assert [stream.type for stream in container.streams] == ["video", "audio"]
        video, sound = container.streams.video[0], container.streams.audio[0]
        assert (video.width, video.height) == (WIDTH, HEIGHT)
        assert video.average_rate == 25
        assert sound.sample_rate == 22050
    assert len(read_frames(outfile)) == FRAMES
    assert load(outfile).duration_s == pytest.approx(load(speech).duration_s, abs=0.05)
    assert f"{FRAMES} frames" in capsys.readouterr().out
    assert [path.name for path in outfile.parent.iterdir()] == [outfile.name]


def test_only_the_lower_face_changes(
    parts: Parts, tmp_path: Path, clip: Path, speech: Path
) -> None:
    source, dubbed = read_frames(clip), dub(parts, tmp_path, clip, speech)
    changed = (source != dubbed).any(axis=-1)
    assert changed.any(axis=(1, 2)).all()
    rows, columns = np.nonzero(changed.any(axis=0))
    height, width = rows.max() - rows.min(), columns.max() - columns.min()
    assert height < 0.4 * HEIGHT
    assert width < 0.5 * WIDTH
    assert changed.mean() < 0.15


def test_the_batch_size_changes_no_more_than_a_rounding(
    small_networks: dict[str, Path], tmp_path: Path, clip: Path, speech: Path
) -> None:
    # In bfloat16 a rounding is coarse, and random networks enlarge it.
    options = {**small_networks, "precision": "fp32"}
    several, single = (
        load_parts(load_profile("small", {**options, "batch_size": size})) for size in (4, 1)
    )
    for name in ("dnet", "enet"):
        again = getattr(single, name).state_dict()
        for key, weight in getattr(several, name).state_dict().items():
            assert torch.equal(weight, again[key])
    batched = dub(several, tmp_path, clip, speech).astype(int)
    frames = dub(single, tmp_path, clip, speech, re_preprocess=True)
    assert np.abs(frames - batched).max() <= 2


@pytest.mark.parametrize("chunk_size", [1, 3, FRAMES])
def test_the_chunk_size_does_not_change_a_frame(
    parts: Parts, tmp_path: Path, clip: Path, speech: Path, chunk_size: int
) -> None:
    expected = dub(parts, tmp_path, clip, speech, chunk_size=2)
    again = dub(parts, tmp_path, clip, speech, chunk_size=chunk_size, re_preprocess=True)
    assert np.array_equal(expected, again)


@pytest.mark.parametrize(
    ("rate", "pts"),
    [
        (Fraction(30), None),
        (Fraction(30000, 1001), None),
        (Fraction(60), None),
        (Fraction(25), [0, 31, 95, 120, 200]),
    ],
)
def test_timestamps_are_the_sources(
    parts: Parts, tmp_path: Path, speech: Path, rate: Fraction, pts: list[int] | None
) -> None:
    clip = tmp_path / "clip.mp4"
    media.write_video(
        clip,
        pictures=portrait_frames(5),
        width=WIDTH,
        height=HEIGHT,
        rate=rate,
        pts=pts,
        time_base=None if pts is None else Fraction(1, 1000),
    )
    outfile = tmp_path / "out.mp4"
    options = {"tmp_dir": str(tmp_path), "length_policy": "video", "min_fps": 0}
    Retalker(load_profile("small", options), parts)(clip, speech, outfile)
    assert times_s(outfile) == pytest.approx(times_s(clip), abs=0.0005)


def test_a_turned_clip_comes_out_upright(parts: Parts, tmp_path: Path, speech: Path) -> None:
    stored = [np.ascontiguousarray(np.rot90(upright)) for upright in portrait_frames(3)]
    clip = tmp_path / "phone.mp4"
    media.write_video(clip, pictures=stored, width=HEIGHT, height=WIDTH, rotation_ccw_deg=-90)
    dubbed = dub(parts, tmp_path, clip, speech, length_policy="video")
    assert dubbed.shape == (3, HEIGHT, WIDTH, 3)
    upper = slice(0, HEIGHT // 4)
    np.testing.assert_array_equal(dubbed[:, upper], read_frames(clip)[:, upper])


def test_another_audio_skips_the_first_pass(
    parts: Parts, tmp_path: Path, clip: Path, speech: Path
) -> None:
    options = {"tmp_dir": str(tmp_path / "cache")}
    retalker = Retalker(load_profile("small", options), parts)
    first = retalker(clip, speech, tmp_path / "1.mp4")
    second = retalker(clip, speech, tmp_path / "2.mp4")
    assert "face tracking" in {stage for stage, *_ in first.timings.rows()}
    assert "face tracking" not in {stage for stage, *_ in second.timings.rows()}


def test_frames_without_a_face_pass_through(parts: Parts, tmp_path: Path, speech: Path) -> None:
    empty = [np.full((HEIGHT, WIDTH, 3), 90, np.uint8)] * 8
    pictures = portrait_frames(8) + empty + portrait_frames(8)
    path = tmp_path / "gap.mkv"
    media.write_video(
        path, pictures=pictures, width=WIDTH, height=HEIGHT, codec="ffv1", pixel_format="bgr0"
    )
    dubbed = dub(parts, tmp_path, path, speech, length_policy="video")
    assert len(dubbed) == len(pictures)
    same = [np.array_equal(a, b) for a, b in zip(pictures, dubbed, strict=True)]
    assert all(same[8:16])
    assert not any(same[:6])


def test_a_video_without_any_face_is_one_line_and_no_file(
    tmp_path: Path, speech: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    media.write_video(tmp_path / "empty.mp4", num_frames=5)
    outfile = tmp_path / "out.mp4"
    job = ["--face", str(tmp_path / "empty.mp4"), "--audio", str(speech)]
    settings = ["--outfile", str(outfile), "--profile", "lite", "--tmp-dir", str(tmp_path / "c")]
    code = main([*job, *settings])
    errors = [line for line in capsys.readouterr().err.splitlines() if "error:" in line]
    assert code == 2
    assert len(errors) == 1
    assert "empty.mp4" in errors[0]
    assert not outfile.exists()
