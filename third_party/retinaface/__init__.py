"""RetinaFace, detection of faces with five points."""

from third_party.retinaface.detection import DetectionConfig
from third_party.retinaface.network import RetinaFace, RetinaFaceConfig

__all__ = ["DetectionConfig", "RetinaFace", "RetinaFaceConfig"]
