"""Options of the first pass, and of what is kept of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field, model_validator

from retalking.analysis.missing_faces import MissingFace
from retalking.config import FourBorders, FourPixels, Section, option


class AnalysisSection(Section):
    """Whose face is edited, and when not."""

    TITLE: ClassVar[str] = "whose face, and where"

    face_index: Annotated[int, Field(ge=0, le=999)] | None = option("n-th person by size, from 0")
    face_box: FourPixels | None = option("person in this box", letters="LTRB")
    face_image: Path | None = option("picture of the person")
    box: FourBorders = option("fixed face box, no detection", letters="TBLR")
    max_yaw_deg: Annotated[float, Field(gt=0, le=180)] = option("faces turned further stay")
    on_missing_face: MissingFace = option("frames without the face")
    max_gap_s: Annotated[float, Field(ge=0, le=3600)] = option(
        "bridge gaps of the track up to this"
    )

    @model_validator(mode="after")
    def _one_choice_of_face(self) -> AnalysisSection:
        chosen = [
            self.face_index is not None,
            self.face_box is not None,
            self.face_image is not None,
        ]
        if sum(chosen) > 1:
            raise ValueError("give only one of face_index, face_box and face_image")
        return self


class CacheSection(Section):
    """What is kept from one job for the next."""

    TITLE: ClassVar[str] = "kept work"

    tmp_dir: Path | None = option("cache of the face analysis and of unfinished jobs")
    cache_gb: Annotated[float, Field(ge=0, le=1e6)] = option("size of that cache")
    re_preprocess: bool = option("ignore that cache")
