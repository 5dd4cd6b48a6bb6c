"""Where L-Net's references come from, as the user says it."""

from __future__ import annotations

from models.dnet import DNet
from retalking.mouth.networks.hidden_mouths import find_hidden_mouths
from retalking.mouth.networks.reference_frames import (
    ReferenceFrames,
    choose_first_frame,
    choose_quiet_frames,
    choose_what_to_look_at,
    enlargement,
    read_reference_frames,
)
from retalking.mouth.networks.warped_references import WarpedReferences
from retalking.networks.options import ReferenceSource
from retalking.rendering.scene import Scene


def find_references(
    chosen: ReferenceSource, scene: Scene, dnet: DNet | None
) -> ReferenceFrames | WarpedReferences | None:
    """Read what stands for every frame as reference, or as what D-Net edits.

    Args:
        chosen: by the user; without D-Net and ``warped``, it is ``quiet``.
        scene: the video.
        dnet: edits what is returned.

    Returns:
        ``None`` where every frame stands for itself.
    """
    source, analysis, anchors = scene.source, scene.analysis, scene.anchors_px
    if chosen == "current" and dnet is not None:
        return None
    if chosen == "first" and dnet is not None:
        index = choose_first_frame(analysis.track)
    else:
        looked_at = choose_what_to_look_at(analysis)
        hidden = find_hidden_mouths(source, analysis, scene.pads, looked_at)
        index = choose_quiet_frames(analysis, looked_at[hidden])
    if chosen == "warped":
        return WarpedReferences.read(source, analysis, anchors, index, scene.pads)
    return read_reference_frames(source, analysis, anchors, index, enlargement(dnet))
