"""Retalking: audio-based lip synchronisation for talking-head video (VideoReTalking)."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from retalking.inference.pipeline import Retalker

__version__ = "0.1.0"
__all__ = ["Retalker"]


def __getattr__(name: str) -> Any:
    # Imported on demand: the networks import `retalking.errors`, and the pipeline the networks.
    if name == "Retalker":
        from retalking.inference.pipeline import Retalker  # noqa: PLC0415

        return Retalker
    raise AttributeError(f"module 'retalking' has no attribute {name!r}")
