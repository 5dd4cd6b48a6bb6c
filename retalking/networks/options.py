"""Options of which networks run, from which files, and on what machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from retalking.config import Fraction01, Section, option
from retalking.locations import CHECKPOINTS, MOUTH_INSIDE_PATH
from retalking.networks.device import DeviceName, Precision
from retalking.networks.engines.run import EngineName
from retalking.speech.lip_shapes import ENCODER_PATH, LIP_SHAPES_PATH, VOICE_ACTIVITY_PATH

MouthName = Literal["warp", "networks"]
"""The speaker's own pixels warped to the lips that are heard, or the chain of the paper."""
FaceAnalysis = Literal["lite", "official", "retinaface"]
Restorer = Literal["gfpgan", "gpen", "none"]
ReferenceSource = Literal["current", "quiet", "first", "warped"]
"""What D-Net edits: the frame itself, the frame with closed lips nearest in pose, the first one; or
that quiet frame warped into pose, without D-Net."""
PERSON_FILE, OWN_LIPS_FILE, SOUNDS_FILE = "person.arrays", "lips.safetensors", "sounds.arrays"
"""What a folder of ``--speaker`` holds: ``retalking.mouth.person``."""
ENCODER_KEY = "encoder"
"""Metadata of its network: hash of the encoder that the network listens to."""


class RunnerSection(Section):
    """Where networks run, and how many frames at a time."""

    TITLE: ClassVar[str] = "machine"

    device: DeviceName = option("where networks run")
    precision: Precision = option("number format of networks")
    batch_size: Annotated[int, Field(ge=1, le=1024)] | None = option(
        "frames per network call, or auto", "--LNet_batch_size"
    )


class FaceNetworksSection(Section):
    """What finds faces and their coefficients."""

    TITLE: ClassVar[str] = "face analysis"

    face_analysis: FaceAnalysis = option("finder of faces and landmarks")
    coefficients: Literal["auto", "face3d", "lite"] = option("what D-Net's coefficients are from")
    face3d: Path = option("weights of Deep3DFaceRecon", "--face3d_net_path")

    @property
    def uses_face3d(self) -> bool:
        """Whether coefficients come from Deep3DFaceRecon rather than from the landmarks."""
        if self.coefficients == "auto":
            return self.face_analysis != "lite"
        return self.coefficients == "face3d"


class MouthNetworksSection(Section):
    """The networks of the paper that make the new mouth, and those that finish it."""

    TITLE: ClassVar[str] = "networks"

    checkpoints: Path | None = option("folder of weight files")
    engine: EngineName = option("what computes D-, L-, E-Net, restorers and the parser")
    mouth: MouthName = option("warp: the speaker's own pixels; networks: D-Net, L-Net, E-Net")
    speaker: Path | None = option("folder of scripts/personalise.py, for warp: whose lips")
    dnet: Path | None = option("weights of D-Net", "--DNet_path")
    lnet: Path | None = option("weights of L-Net", "--LNet_path")
    enet: Path | None = option("weights of E-Net", "--ENet_path")
    reference_source: ReferenceSource = option("the frame that D-Net edits")
    one_shot: bool = option("the same as --reference-source first")
    expression_templates: Path = option("expression.mat")
    reference_enhancer: Restorer = option("makes D-Net's faces sharp")
    reference_enhancer_strength: Fraction01 = option("0..1")
    restorer: Restorer = option("of the mouth")
    restorer_strength: Fraction01 = option("0..1")
    restorer_frames: Literal["all", "teeth"] = option("teeth: only those whose mouth is open")
    parser_px: Annotated[int, Field(ge=64, le=512, multiple_of=16)] = option(
        "side of the faces that ParseNet reads"
    )
    parser: Literal["parsenet", "none"] = option("mask of the paste-back")
    up_face: Literal["original", "sad", "angry", "surprise"] = option("emotion of the upper face")
    gpen: Path = option("weights of GPEN")
    gfpgan: Path = option("weights of GFPGAN")
    parsenet: Path = option("weights of ParseNet")
    ganimation: Path = option("weights of GANimation")

    @property
    def references_from(self) -> ReferenceSource:
        """Where references come from; ``one_shot`` is another word for ``first``."""
        return "first" if self.one_shot else self.reference_source

    @property
    def used_dnet(self) -> Path | None:
        """D-Net's file, if there are references, and they need it."""
        needed = self.mouth == "networks" and self.references_from != "warped"
        return self.dnet if needed else None

    @property
    def lip_shapes(self) -> Path:
        """The network that tells lips: the speaker's own, or the one of this repository."""
        own = None if self.speaker is None else self.speaker / OWN_LIPS_FILE
        return own if own is not None and own.is_file() else LIP_SHAPES_PATH

    @property
    def own_pixel_files(self) -> tuple[Path, ...]:
        """What ``mouth: warp`` reads."""
        person = () if self.speaker is None else (self.speaker / PERSON_FILE,)
        sounds = () if self.sounds is None else (self.sounds,)
        common = (ENCODER_PATH, self.lip_shapes, VOICE_ACTIVITY_PATH, MOUTH_INSIDE_PATH)
        return (*common, *person, *sounds)

    @property
    def sounds(self) -> Path | None:
        """Where the speaker's sounds lie; ``None`` where that is unknown."""
        file = None if self.speaker is None else self.speaker / SOUNDS_FILE
        return file if file is not None and file.is_file() else None

    @property
    def active_restorers(self) -> tuple[Restorer, Restorer]:
        """Reference enhancer and mouth restorer; ``none`` for one of strength 0."""
        references = self.mouth == "networks" and self.reference_enhancer_strength > 0
        return (
            self.reference_enhancer if references else "none",
            self.restorer if self.restorer_strength > 0 else "none",
        )

    def locate(self, path: Path) -> Path | None:
        """Return where a weight file is: at its path, in ``checkpoints``, or in our own folder."""
        folders = [Path(), *([self.checkpoints] if self.checkpoints else []), CHECKPOINTS]
        return next((folder / path for folder in folders if (folder / path).is_file()), None)


class PartsOptions(RunnerSection, MouthNetworksSection, FaceNetworksSection):
    """What ``load_parts`` reads.

    A weight file is looked for under its path first, then in the folder ``checkpoints``.
    """

    def weight_files(self) -> list[Path]:
        """Return the files that this configuration loads, but for those of face-alignment."""
        painted = self.mouth == "networks"
        wanted = [
            (self.used_dnet, painted),
            (self.lnet, painted),
            (self.enet, painted),
            *((path, not painted) for path in self.own_pixel_files),
            (self.face3d, self.uses_face3d),
            (self.expression_templates, painted and self.uses_face3d),
            (self.gpen, "gpen" in self.active_restorers),
            (self.gfpgan, "gfpgan" in self.active_restorers),
            (self.parsenet, self.parser == "parsenet"),
            (self.ganimation, self.up_face != "original"),
        ]
        return [path for path, needed in wanted if needed and path]
