"""Everything a user can choose about a dubbing job; values are in ``configs/inference/*.yaml``."""

from __future__ import annotations

from pathlib import Path

from retalking.analysis.options import AnalysisSection, CacheSection
from retalking.config import Section, section_values
from retalking.media.options import EncoderSection, SourceSection
from retalking.mouth.options import MouthOptions, MouthSection
from retalking.networks.options import (
    FaceNetworksSection,
    MouthNetworksSection,
    PartsOptions,
    RunnerSection,
)
from retalking.rendering.options import RenderingSection
from retalking.speech.options import SpeechSection
from retalking.trust.options import ProvenanceSection, WatermarkSection


class InferenceConfig(
    CacheSection,
    ProvenanceSection,
    WatermarkSection,
    EncoderSection,
    RenderingSection,
    MouthOptions,
    SpeechSection,
    SourceSection,
    AnalysisSection,
    PartsOptions,  # its fields come first
):
    """Options of ``inference.py``, by the name of their flag: the sum of the readers' sections."""

    def analysis_values(self) -> dict[str, object]:
        """Return the values that the first pass depends on."""
        return section_values(self, ANALYSIS_SECTIONS)

    def pixel_values(self) -> dict[str, object]:
        """Return the values that the pixels of the output depend on."""
        return section_values(self, PIXEL_SECTIONS)

    def pictures(self) -> list[Path]:
        """Return the pictures that the job looks at."""
        return [path for path in (self.expression_picture(), self.face_image) if path]


ANALYSIS_SECTIONS: tuple[type[Section], ...] = (
    SourceSection,
    AnalysisSection,
    FaceNetworksSection,
    RunnerSection,
)
"""What the first pass reads. (Weights count by their bytes, not by where they lie.)"""
PIXEL_SECTIONS: tuple[type[Section], ...] = (
    *ANALYSIS_SECTIONS,
    SpeechSection,
    RenderingSection,
    MouthSection,
    MouthNetworksSection,
    WatermarkSection,
)
"""All but how the result is compressed and what is kept of earlier work."""
