"""What is evaluated: our pipeline under some configuration, or the results of another tool."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from retalking.errors import ConfigError, MediaError
from retalking.evaluation.pairs import Pair
from retalking.face.landmarks import LITE_LANDMARKS_PATH
from retalking.face.tracking import FaceChoice
from retalking.files import sha256_of
from retalking.inference.config import InferenceConfig
from retalking.media.output.encoding import FILE_TYPES
from retalking.media.source import Region
from retalking.rendering.timeline import LengthPolicy

_NOT_PIXELS = {"checkpoints", "batch_size", "chunk_size", "device"}
"""Where the weights lie and how the work is cut up; the hashes of the weights count instead."""


@dataclass(frozen=True)
class Framing:
    """Which frame of the video lies behind each frame of a result.

    Attributes:
        length_policy: what happens where the speech outlasts the video.
        max_seconds: where results end.
        crop: region of the video that the results show.
        static: only the first frame of the video is used.
        rotate_deg: clockwise, by which the results are turned.
        choice: whose face is edited.
    """

    length_policy: LengthPolicy = "audio"
    max_seconds: float | None = None
    crop: Region = (0, -1, 0, -1)
    static: bool = False
    rotate_deg: int = 0
    choice: FaceChoice = field(default_factory=FaceChoice)


@dataclass(frozen=True)
class Method:
    """One row of a table.

    Attributes:
        label: as the row is called.
        framing: of its results.
        config: of our pipeline, which makes the results; ``None`` for another tool's.
        folder: where the other tool left its results; see ``find_output``.
    """

    label: str
    framing: Framing
    config: InferenceConfig | None = None
    folder: Path | None = None

    @classmethod
    def from_config(cls, label: str, config: InferenceConfig) -> Method:
        """Evaluate our own pipeline."""
        framing = Framing(
            config.length_policy,
            config.max_seconds,
            config.crop,
            config.static,
            config.rotate,
            FaceChoice(config.face_index, config.face_box),
        )
        return cls(label, framing, config=config)

    @classmethod
    def from_folder(cls, label: str, folder: Path, max_seconds: float | None) -> Method:
        """Evaluate the results of another tool, which restarts a video that the speech outlasts.

        Raises:
            ConfigError: no such folder.
        """
        if not folder.is_dir():
            raise ConfigError(f"--outputs {label}={folder}: no such folder")
        return cls(label, Framing("loop", max_seconds), folder=folder)

    @property
    def name(self) -> str:
        """The label as a name for folders."""
        return re.sub(r"[^\w.+-]+", "_", self.label).strip("._")

    def describe(self) -> dict[str, object]:
        """Return everything that the results depend on, for JSON.

        Raises:
            WeightsError: a weight file cannot be read.
        """
        if self.config is None:
            return {"label": self.label, "max_seconds": self.framing.max_seconds}
        config = self.config
        found = {path.name: config.locate(path) for path in config.weight_files()}
        if config.face_analysis == "lite":
            found[LITE_LANDMARKS_PATH.name] = LITE_LANDMARKS_PATH
        options = {key: v for key, v in config.pixel_values().items() if key not in _NOT_PIXELS}
        return {
            "label": self.label,
            "options": {**options, "codec": config.codec, "crf": config.crf},
            "weights": {name: sha256_of(path) for name, path in found.items() if path is not None},
        }

    def result_path(self, pair: Pair, videos: Path) -> Path:
        """Return where a result of our pipeline goes, below the folder ``videos``."""
        assert self.config is not None
        suffix = ".mp4" if self.config.codec in FILE_TYPES[".mp4"].codecs else ".mkv"
        return videos / self.name / f"{pair.name}{suffix}"

    def find_result(self, pair: Pair, videos: Path) -> Path:
        """Return where the result of a pair is.

        Raises:
            MediaError: it is not there.
        """
        if self.folder is not None:
            return find_output(self.folder, pair)
        path = self.result_path(pair, videos)
        if not path.is_file():
            raise MediaError(f"{path}: no such result; it could not be made")
        return path


def find_output(folder: Path, pair: Pair) -> Path:
    """Look for another tool's result of a pair.

    Its name is the place of the pair in the list, from 0 (``12.mp4`` or ``00012.mp4``), or else the
    names of both files (``VIDEO__AUDIO.mp4``, without their folders and suffixes); the suffix is
    that of any video.

    Raises:
        MediaError: there is none, or more than one of these.
    """
    stems = (pair.name, str(pair.number), f"{pair.video.stem}__{pair.audio.stem}")
    for stem in dict.fromkeys(stems):
        found = [p for p in (folder / f"{stem}{suffix}" for suffix in FILE_TYPES) if p.is_file()]
        if len(found) > 1:
            raise MediaError(f"{folder}: got {found[0].name} and {found[1].name}, expected one")
        if found:
            return found[0]
    raise MediaError(f"{folder}: no {pair.name}.mp4, {pair.number}.mp4 or {stems[2]}.mp4")


def check_names(methods: Sequence[Method]) -> None:
    """Refuse labels that would share a folder.

    Raises:
        ConfigError: two labels that differ in punctuation only, or one without a letter.
    """
    seen: dict[str, str] = {}
    for method in methods:
        if not method.name or method.name in seen:
            raise ConfigError(
                f"method {method.label!r}: its name is {method.name!r} like that of "
                f"{seen.get(method.name, 'nothing')!r}; give methods different names"
            )
        seen[method.name] = method.label
