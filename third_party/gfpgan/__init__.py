"""GFPGAN v1 (clean architecture), blind face restoration."""

from third_party.gfpgan.network import GFPGAN, GFPGANConfig

__all__ = ["GFPGAN", "GFPGANConfig"]
