"""Retalking: audio-based lip synchronisation for talking-head video (VideoReTalking).

Import it before torch: it sets ``OMP_WAIT_POLICY=PASSIVE`` where the user has set nothing.
"""

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from retalking.inference.dialogue import converse
    from retalking.inference.pipeline import Retalker
    from retalking.media.given import Frames, LiveSound, Sound
    from retalking.progress import Progress

# Threads of torch's OpenMP runtime spin while they wait: where other programs compute too, they
# take the processor from those that they wait for, and a job becomes several times slower. The
# runtime reads the variable when torch is loaded; processes that this one starts inherit it.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__version__ = "0.1.0"
__all__ = ["Frames", "LiveSound", "Progress", "Retalker", "Sound", "converse"]


_HOMES = {
    "Retalker": "retalking.inference.pipeline",
    "converse": "retalking.inference.dialogue",
    "Frames": "retalking.media.given",
    "LiveSound": "retalking.media.given",
    "Sound": "retalking.media.given",
    "Progress": "retalking.progress",
}


def __getattr__(name: str) -> Any:
    # Imported on demand: the networks import `retalking.errors`, and the pipeline the networks.
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'retalking' has no attribute {name!r}")
