"""Everything a user can choose about a dubbing job; values are in ``configs/inference/*.yaml``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from retalking.config import Schema
from retalking.locations import CHECKPOINTS
from retalking.mouth.networks.reference_choice import ReferenceSource
from retalking.networks.runner import DeviceName, Precision
from retalking.rendering.timeline import LengthPolicy

Fraction01 = Annotated[float, Field(ge=0, le=1)]
Pixels = Annotated[int, Field(ge=0)]
Border = Annotated[int, Field(ge=-1)]
FourPixels = tuple[Pixels, Pixels, Pixels, Pixels]
FourBorders = tuple[Border, Border, Border, Border]
SEEDED = Path("seeded")
Restorer = Literal["gfpgan", "gpen", "none"]
_ANALYSIS_FIELDS = {
    "face_analysis",
    "coefficients",
    "face_index",
    "face_box",
    "box",
    "crop",
    "max_yaw_deg",
    "on_missing_face",
    "max_gap_s",
    "static",
    "fps",
    "max_seconds",
    "device",
    "precision",
}
_OUTPUT_FIELDS = {"codec", "crf", "preset", "tmp_dir", "cache_gb", "re_preprocess"}


class InferenceConfig(Schema):
    """Options of ``inference.py``, by the name of their flag.

    A weight file is looked for under its path first, then in the folder ``checkpoints``. The word
    ``seeded`` stands for a small network with random weights, for trying out the chain.
    """

    # ---- parts
    checkpoints: Path | None
    face_analysis: Literal["lite", "official", "retinaface"]
    coefficients: Literal["auto", "face3d", "lite"]
    dnet: Path | None
    lnet: Path | None
    enet: Path | None
    face3d: Path
    expression_templates: Path
    reference_enhancer: Restorer
    reference_enhancer_strength: Fraction01
    reference_surroundings: Literal["edited", "source"]
    restorer: Restorer
    restorer_strength: Fraction01
    parser: Literal["parsenet", "none"]
    gpen: Path
    gfpgan: Path
    parsenet: Path
    ganimation: Path

    # ---- whose face, and where
    face_index: Annotated[int, Field(ge=0)] | None
    face_box: FourPixels | None
    face_image: Path | None
    box: FourBorders
    crop: FourBorders
    pads: FourPixels
    max_yaw_deg: Annotated[float, Field(gt=0, le=180)]
    on_missing_face: Literal["passthrough", "hold", "error"]
    max_gap_s: Annotated[float, Field(ge=0)]
    nosmooth: bool

    # ---- what the face does
    exp_img: str
    up_face: Literal["original", "sad", "angry", "surprise"]
    reference_source: ReferenceSource
    one_shot: bool
    static: bool
    without_rl1: bool
    silence_gate: bool

    # ---- sound and time
    audio_track: Annotated[int, Field(ge=0)] | None
    fps: Annotated[float, Field(gt=0, le=1000)]
    min_fps: Annotated[float, Field(ge=0, le=25)]
    length_policy: LengthPolicy
    sync_offset_ms: Annotated[float, Field(ge=-10_000, le=10_000)]
    max_seconds: Annotated[float, Field(gt=0)] | None

    # ---- output file
    codec: str
    crf: Annotated[int, Field(ge=0, le=63)]
    preset: str

    # ---- machine
    device: DeviceName
    precision: Precision
    batch_size: Annotated[int, Field(ge=1, le=1024)] | None
    chunk_size: Annotated[int, Field(ge=1)]
    tmp_dir: Path | None
    cache_gb: Annotated[float, Field(ge=0)]
    re_preprocess: bool

    @property
    def uses_face3d(self) -> bool:
        """Whether coefficients come from Deep3DFaceRecon rather than from the landmarks."""
        if self.coefficients == "auto":
            return self.face_analysis != "lite"
        return self.coefficients == "face3d"

    def locate(self, path: Path) -> Path | None:
        """Return where a weight file is: at its path, in ``checkpoints``, or in our own folder."""
        folders = [Path(), *([self.checkpoints] if self.checkpoints else []), CHECKPOINTS]
        return next((folder / path for folder in folders if (folder / path).is_file()), None)

    def analysis_values(self) -> dict[str, object]:
        """Return the values that the first pass depends on."""
        return self.model_dump(mode="json", include=_ANALYSIS_FIELDS)

    def pixel_values(self) -> dict[str, object]:
        """Return the values that the pixels of the output depend on."""
        return self.model_dump(mode="json", exclude=_OUTPUT_FIELDS)

    def pictures(self) -> list[Path]:
        """Return the pictures that the job looks at, if they are files."""
        return [Path(self.exp_img), *([self.face_image] if self.face_image else [])]

    def weight_files(self) -> list[Path]:
        """Return the files that this configuration loads, but for those of face-alignment."""
        wanted = [
            (self.used_dnet, True),
            (self.lnet, self.enet != SEEDED),
            (self.enet, True),
            (self.face3d, self.uses_face3d),
            (self.expression_templates, self.uses_face3d),
            (self.gpen, "gpen" in self.active_restorers),
            (self.gfpgan, "gfpgan" in self.active_restorers),
            (self.parsenet, self.parser == "parsenet"),
            (self.ganimation, self.up_face != "original"),
        ]
        return [path for path, needed in wanted if needed and path and path != SEEDED]

    @property
    def references_from(self) -> ReferenceSource:
        """Where references come from; ``one_shot`` is another word for ``first``."""
        return "first" if self.one_shot else self.reference_source

    @property
    def used_dnet(self) -> Path | None:
        """D-Net's file, if the references need it."""
        return None if self.references_from == "warped" else self.dnet

    @property
    def active_restorers(self) -> tuple[Restorer, Restorer]:
        """Reference enhancer and mouth restorer; ``none`` for one of strength 0."""
        return (
            self.reference_enhancer if self.reference_enhancer_strength > 0 else "none",
            self.restorer if self.restorer_strength > 0 else "none",
        )

    @model_validator(mode="after")
    def _one_choice_of_face(self) -> InferenceConfig:
        chosen = [
            self.face_index is not None,
            self.face_box is not None,
            self.face_image is not None,
        ]
        if sum(chosen) > 1:
            raise ValueError("give only one of face_index, face_box and face_image")
        return self
