"""Retalking: audio-based lip synchronisation for talking-head video (VideoReTalking)."""

__version__ = "0.1.0"
