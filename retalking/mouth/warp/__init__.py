"""The speaker's own pixels, warped: the mouth of the lite profile."""

from retalking.mouth.warp.warp_mouth import WarpMouth, WarpOptions

__all__ = ["WarpMouth", "WarpOptions"]
