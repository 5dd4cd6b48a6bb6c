"""The Inception network whose features FID compares."""

from third_party.inception.network import FidInception

__all__ = ["FidInception"]
