"""How long a dub takes here, by doing a short one."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from retalking.doctor.checks import Finding
from retalking.inference.pipeline import Retalker
from retalking.locations import REPOSITORY

_SECONDS = 2.0
_SAMPLE = REPOSITORY / "assets" / "sample"


def measure_speed(profile: str = "lite") -> Finding:
    """Dub two seconds of the bundled sample, and say what a minute would take.

    Args:
        profile: of which the weights are here.

    Raises:
        RetalkingError: it cannot be dubbed.
    """
    with tempfile.TemporaryDirectory() as folder:
        options = {"tmp_dir": folder, "max_seconds": _SECONDS}
        retalker = Retalker.from_profile(profile, **options)
        begin_s = time.perf_counter()
        report = retalker(_SAMPLE / "talk.mp4", _SAMPLE / "speech.wav", Path(folder) / "out.mp4")
        took_s = time.perf_counter() - begin_s
    per_frame_ms = 1000 * took_s / report.num_frames
    minute_s = 60 * took_s / report.duration_s
    return Finding(
        "speed",
        "good",
        f"{profile}: {per_frame_ms:.0f} ms a frame, so about {minute_s:.0f} s for a minute like "
        "the sample (448x448, 25 frames a second), once the networks are loaded",
    )
