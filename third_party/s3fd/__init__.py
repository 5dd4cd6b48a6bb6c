"""S3FD, detection of faces down to a few pixels."""

from third_party.s3fd.network import S3FD, DetectionConfig

__all__ = ["S3FD", "DetectionConfig"]
