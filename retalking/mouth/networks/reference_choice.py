"""Where L-Net's references come from, as the user says it."""

from __future__ import annotations

from typing import Literal

from models.dnet import DNet
from retalking.face.crops import Pads
from retalking.media.source import Source
from retalking.mouth.networks.reference_frames import (
    ReferenceFrames,
    choose_first_frame,
    choose_quiet_frames,
    enlargement,
    read_reference_frames,
)
from retalking.mouth.networks.warped_references import WarpedReferences
from retalking.types import Float64Array, VideoAnalysis

ReferenceSource = Literal["current", "quiet", "first", "warped"]
"""What D-Net edits: the frame itself, the frame with closed lips nearest in pose, the first one; or
that quiet frame warped into pose, without D-Net."""


def find_references(
    chosen: ReferenceSource,
    source: Source,
    analysis: VideoAnalysis,
    anchors_px: Float64Array,
    dnet: DNet | None,
    pads: Pads,
) -> ReferenceFrames | WarpedReferences | None:
    """Read what stands for every frame as reference, or as what D-Net edits.

    Args:
        chosen: by the user; without D-Net and ``warped``, it is ``quiet``.
        source: the video.
        analysis: of it.
        anchors_px: float64 ``[F, 3, 2]``, eyes and nose in pixels of the frame.
        dnet: edits what is returned.
        pads: room around the face in the lip crop.

    Returns:
        ``None`` where every frame stands for itself.
    """
    if chosen == "current" and dnet is not None:
        return None
    if chosen == "first" and dnet is not None:
        index = choose_first_frame(analysis.track)
    else:
        index = choose_quiet_frames(analysis)
    if chosen == "warped":
        return WarpedReferences.read(source, analysis, anchors_px, index, pads)
    return read_reference_frames(source, analysis, anchors_px, index, enlargement(dnet))
