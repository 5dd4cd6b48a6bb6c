"""ArcFace, an identity embedding of faces."""

from third_party.arcface.network import ArcFace, ArcFaceConfig

__all__ = ["ArcFace", "ArcFaceConfig"]
