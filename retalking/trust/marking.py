"""The marks of a planned dub."""

from __future__ import annotations

from retalking.rendering.edit_plan import EditPlan
from retalking.rendering.scene import Scene
from retalking.trust.options import ProvenanceSection, WatermarkSection
from retalking.trust.picture.mark import PictureMark
from retalking.trust.picture.pattern import Pattern, picture_code
from retalking.trust.sound.mark import SoundMark
from retalking.trust.sound.pattern import slot_signs, sound_code


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


def marks_sound(watermark: WatermarkSection, provenance: ProvenanceSection) -> bool:
    """Tell whether the sound is to be marked."""
    return watermark.watermark == "on" and provenance.sound == "mark"


def sound_mark(watermark: WatermarkSection, provenance: ProvenanceSection) -> SoundMark | None:
    """Return what marks the sound; ``None`` where no mark is wanted.

    Args:
        watermark: payload and key.
        provenance: whether the sound is left as it is.

    Raises:
        ConfigError: the key cannot be read.
    """
    if not marks_sound(watermark, provenance):
        return None
    code = sound_code(watermark.read_watermark_key())
    return SoundMark(slot_signs(code, watermark.watermark_payload))
