"""ArcFace, an identity embedding of faces."""

from third_party.arcface.network import (
    ARCFACE_POINTS_112,
    ARCFACE_PX,
    ArcFace,
    ArcFaceConfig,
)

__all__ = ["ARCFACE_POINTS_112", "ARCFACE_PX", "ArcFace", "ArcFaceConfig"]
