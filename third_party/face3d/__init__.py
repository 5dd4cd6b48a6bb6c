"""Deep3DFaceRecon, regression of 3D morphable model coefficients from a face crop."""

from third_party.face3d.network import Face3D, Face3DConfig, MorphableCoefficients

__all__ = ["Face3D", "Face3DConfig", "MorphableCoefficients"]
