"""The error family. Entry scripts turn these into one line on stderr and exit code 2."""

from __future__ import annotations


class RetalkingError(Exception):
    """Something the user can fix; the message says what, where, got/expected and how."""


class ConfigError(RetalkingError):
    """A bad option or configuration value."""


class MediaError(RetalkingError):
    """A video, image or audio file that cannot be read or written."""


class WeightsError(RetalkingError):
    """A weight file that is missing, damaged or does not fit the network."""


class CancelledError(RetalkingError):
    """A job that was stopped from outside; its output was not written."""


class FaceNotFoundError(RetalkingError):
    """No usable face where one is needed.

    Attributes:
        frame_index: index of the frame in presentation order, or ``None`` for the whole video.
        time_s: presentation time of that frame in seconds, or ``None``.
    """

    def __init__(
        self, message: str, frame_index: int | None = None, time_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.frame_index = frame_index
        self.time_s = time_s
