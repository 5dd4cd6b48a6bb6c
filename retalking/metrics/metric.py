"""What a metric is: it reads clips in chunks, and its results over clips can be merged.

A clip is read once, front to back::

    meter = metric.start(clip)          # the whole clip's speech and face tracks
    for chunk in chunks:
        meter.add(chunk)                # pixels, a few frames at a time
    state = meter.finish()              # small named arrays
    total = metric.merge(total, state)  # in any order, over shards and machines
    metric.values(total)                # {"fid": 12.3}

States are dictionaries of numpy arrays, at most float64: ``np.savez(path, **state)`` keeps one and
``dict(np.load(path))`` brings it back without pickle. How clips are spread over shards changes the
values only by float64 rounding.

Three videos meet in a clip, frame by frame: the ``result`` that is measured, the ``source`` that
was edited, and the ``truth``, which shows what the speaker's mouth does while saying this speech
(the source itself where the video was given its own speech; for others there is often none).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

from numpy.typing import NDArray

from retalking.errors import MediaError
from retalking.types import AudioClip, FaceTrack, UInt8Array

Need = Literal["source", "truth", "speech", "result_track", "source_track", "truth_track"]
"""What a metric reads besides the result's frames: a field of ``ClipChunk`` or ``Clip``."""

State = dict[str, NDArray[Any]]
"""Named arrays; what they hold is the metric's own business."""

Better = Literal["higher", "lower", "neither"]


@dataclass(frozen=True)
class Quantity:
    """One number that a metric gives.

    Attributes:
        name: key of ``Metric.values`` and column of the tables, such as ``lse_d``.
        unit: such as ``dB``; empty for a pure number.
        better: which way is better.
        per_clip: whether a single clip's value means something; FID's does not.
        note: what a reader of the number must know, such as which crop was measured.
    """

    name: str
    unit: str
    better: Better
    per_clip: bool = True
    note: str = ""


@dataclass(frozen=True)
class Clip:
    """What is known of a clip before its pixels are read.

    Attributes:
        name: for messages.
        frame_rate: frames per second of the result.
        speech: 16 kHz, its first sample at the time of the first frame.
        result_track: the edited face in the result, one row per frame.
        source_track: in the frames of ``ClipChunk.source``, row by row with the result.
        truth_track: in those of ``ClipChunk.truth``.
    """

    name: str
    frame_rate: float
    speech: AudioClip | None = None
    result_track: FaceTrack | None = None
    source_track: FaceTrack | None = None
    truth_track: FaceTrack | None = None


@dataclass(frozen=True)
class ClipChunk:
    """Consecutive frames of a clip, all uint8 RGB ``[T, H, W, 3]``.

    Attributes:
        start: index of the first frame.
        result: what is measured.
        source: the frame of the edited video behind each frame of the result.
        truth: the frame that shows the mouth as it should be.
    """

    start: int
    result: UInt8Array
    source: UInt8Array | None = None
    truth: UInt8Array | None = None

    def __post_init__(self) -> None:
        for name in ("source", "truth"):
            other = getattr(self, name)
            if other is not None and other.shape != self.result.shape:
                raise MediaError(
                    f"{name}: got frames {list(other.shape)}, expected {list(self.result.shape)} "
                    "like the result's; give videos of one size"
                )


class ClipMeter(Protocol):
    """A metric at work on one clip."""

    def add(self, chunk: ClipChunk) -> None:
        """Take the next frames."""

    def finish(self) -> State:
        """Return the clip's state.

        Raises:
            RetalkingError: the metric is not defined for this clip: no face, too short, ...
        """


class Metric(Protocol):
    """A measure over a set of clips.

    Constructors that take a weight file raise ``WeightsError`` where it is missing.
    """

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """What it measures."""

    @property
    def needs(self) -> frozenset[Need]:
        """What must be known of a clip."""

    def start(self, clip: Clip) -> ClipMeter:
        """Begin a clip that has what ``needs`` names.

        Raises:
            RetalkingError: the metric is not defined for this clip.
        """

    def merge(self, first: State, second: State) -> State:
        """Join the states of two sets of clips."""

    def values(self, state: State) -> dict[str, float]:
        """Return the quantities of the set, by name."""
