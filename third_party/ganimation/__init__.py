"""GANimation, facial expression editing by action units."""

from third_party.ganimation.expressions import ACTION_UNITS, EXPRESSIONS, expression_aus
from third_party.ganimation.network import GANimation, GANimationConfig

__all__ = ["ACTION_UNITS", "EXPRESSIONS", "GANimation", "GANimationConfig", "expression_aus"]
