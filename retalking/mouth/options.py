"""Options of what the new mouth does."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from retalking.config import Section, option
from retalking.networks.options import MouthNetworksSection


class MouthSection(Section):
    """What the face does."""

    TITLE: ClassVar[str] = "what the face does"

    keep_away_s: Annotated[float, Field(ge=0)] = option("frames so near lend no mouth, to judge it")
    lip_strength: Annotated[float, Field(ge=0, le=2)] = option("of lip movement; 1 as in speech")
    exp_img: str = option("neutral | smile | neutral:smile:0.4 | picture")
    reference_surroundings: Literal["edited", "source"] = option("around D-Net's faces")
    without_rl1: bool = option("upper face from E-Net, not the original pixels")

    def expression_picture(self) -> Path | None:
        """Return the picture whose expression is wanted, if ``exp_img`` names a file."""
        picture = Path(self.exp_img)
        return picture if picture.is_file() else None


class MouthOptions(MouthSection, MouthNetworksSection):
    """What a way of making the mouth reads."""
