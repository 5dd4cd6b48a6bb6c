"""The picture's mark of a planned dub."""

from __future__ import annotations

from retalking.rendering.edit_plan import EditPlan
from retalking.rendering.scene import Scene
from retalking.trust.options import WatermarkSection
from retalking.trust.picture_mark import PictureMark
from retalking.trust.picture_pattern import Pattern, picture_code


def picture_mark(scene: Scene, plan: EditPlan, options: WatermarkSection) -> PictureMark | None:
    """Return what marks the new faces; ``None`` where no mark is wanted.

    Args:
        scene: the video.
        plan: of the output.
        options: payload and key.

    Raises:
        ConfigError: the key cannot be read.
    """
    if options.watermark == "off":
        return None
    code = picture_code(options.read_watermark_key())
    pattern = Pattern(code, options.watermark_payload)
    return PictureMark.place(pattern, scene.anchors_px, plan.timeline.time_s)
