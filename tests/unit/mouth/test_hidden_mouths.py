"""What passes in front of a mouth is found, in whole videos too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from retalking.face.crops import Pads
from retalking.inference.pipeline import Retalker
from retalking.mouth.networks.hidden_mouths import find_hidden_mouths
from retalking.mouth.networks.reference_choice import find_references
from retalking.mouth.networks.reference_frames import ReferenceFrames
from tests.talking import DrawnSource, analysis_of, draw, openings, talking_points, turns


def test_a_hand_is_found_in_its_frames() -> None:
    points = talking_points(openings(24), turns(24, 3.0))
    pictures = [draw(p) for p in points]
    for frame in (5, 6, 17):
        pictures[frame][150:220, 80:140] = (40, 30, 25)
    frames = np.delete(np.arange(24), 3)
    source = DrawnSource(pictures)
    hidden = find_hidden_mouths(source, analysis_of(points), Pads(), frames)  # type: ignore[arg-type]
    assert frames[hidden].tolist() == [5, 6, 17]
    assert source.read == frames.tolist()


def test_of_a_few_frames_nothing_is_known() -> None:
    points = talking_points(openings(6), turns(6, 3.0))
    pictures = [draw(p) for p in points]
    pictures[2][150:220, 80:140] = (40, 30, 25)
    source = DrawnSource(pictures)
    analysis = analysis_of(points)
    assert not find_hidden_mouths(source, analysis, Pads(), np.arange(6)).any()  # type: ignore[arg-type]


@pytest.mark.shared
def test_a_microphone_is_in_no_quiet_reference(shared_dir: Path, tmp_path: Path) -> None:
    retalker = Retalker.from_profile("lite", tmp_dir=tmp_path)
    with retalker.prepare(shared_dir / "cases" / "F05_microphone_passes.mp4") as scene:
        references = find_references("quiet", scene, None)
    assert isinstance(references, ReferenceFrames)
    # It covers the mouth in frames 12 to 18, where lips seem closed, and 21 to 26 (looked at).
    assert set(references.rgb) <= {32, 33, 34, 35, 36}
