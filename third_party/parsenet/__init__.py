"""ParseNet, segmentation of a face crop into 19 parts."""

from third_party.parsenet.network import FacePart, ParseNet, ParseNetConfig

__all__ = ["FacePart", "ParseNet", "ParseNetConfig"]
