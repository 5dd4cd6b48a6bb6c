"""GPEN, blind face restoration with a GAN prior inside a U-Net."""

from third_party.gpen.network import GPEN, GPENConfig

__all__ = ["GPEN", "GPENConfig"]
