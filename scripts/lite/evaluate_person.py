"""Measure what a person's folder gains: seconds that were held back, dubbed with and without it.

    python -m scripts.lite.evaluate_person CLIP [CLIP ...] --judge-models DIR --out runs/person

The first 70 % of every clip teach the person (``scripts/personalise.py``). Pieces of two seconds of
the rest are videos of their own: each speaks its own words, once with what only it shows, once with
``--speaker``. Frames within half a second of the one to be made lend nothing, so that no frame can
return the truth. The outside judge compares with the truth: perceptual distance of the mouths, and
correlation of the opening over all pieces. A photograph (the first frame of the rest) speaks the
rest as well; there only the correlation has a truth.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from retalking.script import run_entry_point

import numpy as np

from retalking.evaluation.judge import measures
from retalking.evaluation.judge.dubs import shift
from retalking.evaluation.judge.face_features import FaceFeatures
from retalking.evaluation.judge.judges import JUDGE_PYTHON, Judges
from retalking.evaluation.judge.mouths import compare_mouths
from retalking.exit_code import report_mistakes
from retalking.face.lip_motion import correlate
from retalking.inference.pipeline import Retalker
from retalking.inference.profiles import load_profile
from retalking.media.images import save_image
from retalking.media.output.encoding import EncoderOptions
from retalking.media.output.video_writer import VideoWriter
from retalking.media.sound import audio
from retalking.media.sound.audio_track import AudioTrack
from retalking.media.sound.wav import write_clip
from retalking.media.video import VideoReader
from retalking.personal.learning import Learnt, learn_person
from retalking.types import AudioClip, IntArray, UInt8Array, VideoInfo

LEARN_SHARE, PIECE_S = 0.7, 2.0
_KEEP_AWAY_S = 0.5
_LIKENESS_STRIDE = 2
_WAYS = ("without", "with")
_LOSSLESS = EncoderOptions(codec="ffv1")
_MOST_S = 600.0  # that the judge looks at


@dataclass(frozen=True)
class Piece:
    """A video of held-back seconds.

    Attributes:
        truth: the seconds.
        face: what is dubbed: the same, or a photograph.
        speech: their sound, in step with the lips.
    """

    truth: Path
    face: Path
    speech: Path

    @property
    def is_photo(self) -> bool:
        """Whether one frame speaks."""
        return self.face != self.truth


@dataclass(frozen=True)
class Score:
    """Figures of one clip, dubbed in one way.

    Attributes:
        distance: perceptual, of mouths, mean over pieces.
        correlation: of the opening, over all pieces.
        photo: the same of the photograph.
    """

    distance: float
    correlation: float
    photo: float


@dataclass(frozen=True)
class Clip:
    """Frames and sound of a clip, cut in two.

    Attributes:
        path: of it.
        info: of it.
        frames: all of them.
        pts: int64, of the frames.
        sound: at 16 kHz.
    """

    path: Path
    info: VideoInfo
    frames: list[UInt8Array]
    pts: IntArray
    sound: AudioClip

    @classmethod
    def read(cls, path: Path) -> Clip:
        """Read all of a short clip."""
        with VideoReader(path) as reader:
            chunks = list(reader.read_chunks(16))
            info = reader.info
        frames = [frame for chunk in chunks for frame in chunk.rgb]
        pts = np.concatenate([chunk.pts for chunk in chunks])
        return cls(path, info, frames, pts, audio.load(path))

    @property
    def learnt(self) -> int:
        """How many frames teach."""
        return int(LEARN_SHARE * len(self.frames))

    def write(self, path: Path, first: int, end: int, late_s: float = 0.0) -> Path:
        """Write frames without loss, with the sound that belongs to them; return the sound's file.

        Args:
            path: of the video; its sound lies beside it.
            first: frame.
            end: frame after the last one.
            late_s: by which the sound of the clip comes late.
        """
        sound = path.with_suffix(".wav")
        times_s = (self.pts - self.pts[0]) * float(self.info.time_base)
        samples = shift(self.sound.samples, round(-late_s * self.sound.sample_rate_hz))
        last_s = times_s[end] if end < len(times_s) else self.sound.duration_s
        begin, stop = (round(t * self.sound.sample_rate_hz) for t in (times_s[first], last_s))
        write_clip(sound, AudioClip(samples[begin:stop], self.sound.sample_rate_hz))
        track = AudioTrack(sound)
        with VideoWriter(path, self.info, _LOSSLESS, track) as writer:
            writer.write(np.stack(self.frames[first:end]), self.pts[first:end] - self.pts[first])
        return sound

    def pieces(self, folder: Path, late_s: float) -> list[Piece]:
        """Write the pieces of the rest, and the photograph."""
        length = round(PIECE_S * float(self.info.frame_rate))
        count = len(self.frames)
        found = []
        for first in range(self.learnt, count - length + 1, length):
            video = folder / f"{self.path.stem}-{first}.mkv"
            found.append(Piece(video, video, self.write(video, first, first + length, late_s)))
        rest, photo = folder / f"{self.path.stem}-rest.mkv", folder / f"{self.path.stem}.png"
        save_image(photo, self.frames[self.learnt])
        return [*found, Piece(rest, photo, self.write(rest, self.learnt, count, late_s))]


def dub(pieces: Sequence[Piece], retalker: Retalker, folder: Path, way: str) -> list[Path]:
    """Dub all pieces; return the results."""
    dubs = []
    for piece in pieces:
        away = 0.0 if piece.is_photo else _KEEP_AWAY_S
        config = retalker.config.model_copy(update={"keep_away_s": away})
        made = folder / f"{piece.face.stem}-{way}.mkv"
        Retalker(config, retalker.parts)(piece.face, piece.speech, made)
        dubs.append(made)
    return dubs


def score(
    pieces: Sequence[Piece], dubs: Sequence[Path], judges: Judges, features: FaceFeatures
) -> Score:
    """Compare dubs with the truth."""
    judges.watch("mediapipe", [*dubs, *(piece.truth for piece in pieces)], _MOST_S)
    distances, curves, photo = [], [], 0.0
    for piece, made in zip(pieces, dubs, strict=True):
        truth = judges.recall("mediapipe", piece.truth, _MOST_S)
        pair = measures.line_up(judges.recall("mediapipe", made, _MOST_S), truth)
        openings = np.stack([sight.shapes["opening"] for sight in pair])
        if piece.is_photo:
            photo = correlate(*openings)
            continue
        curves.append(openings)
        mouths = compare_mouths(piece.truth, made, truth)
        some = slice(None, None, _LIKENESS_STRIDE)
        distances.append(features.distance(mouths.made[some], mouths.true[some]))
    return Score(float(np.mean(distances)), correlate(*np.concatenate(curves, axis=1)), photo)


def late_s(learnt: Learnt) -> float:
    """By how much the sound comes late in what was learnt from."""
    speech = learnt.videos[0].speech
    return speech.fit.offset_s if speech else 0.0


@report_mistakes()
def main(arguments: Sequence[str] | None = None) -> int:
    """Run; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("clips", type=Path, nargs="+", help="15 s and more, of one person each")
    parser.add_argument("--out", type=Path, required=True, help="folder of cuts and dubs")
    parser.add_argument("--judge-models", type=Path, required=True, metavar="DIR")
    parser.add_argument("--judge-python", type=Path, default=JUDGE_PYTHON)
    options = parser.parse_args(arguments)
    folder: Path = options.out
    folder.mkdir(parents=True, exist_ok=True)
    judges = Judges(options.judge_python, options.judge_models, folder / "sights")
    features = FaceFeatures(options.judge_models)
    common = Retalker(load_profile("lite", {"tmp_dir": folder / "cache"}))
    print("| clip | way | distance of mouths | r opening | photograph: r opening |")
    print("|---|---|---|---|---|")
    for path in options.clips:
        clip = Clip.read(path)
        learn, person = folder / f"{path.stem}-learn.mkv", folder / f"person-{path.stem}"
        clip.write(learn, 0, clip.learnt)
        learnt = learn_person([learn], common)
        learnt.save(person)
        pieces = clip.pieces(folder, late_s(learnt))
        own = Retalker(common.config.model_copy(update={"speaker": person}))
        for way, retalker in zip(_WAYS, (common, own), strict=True):
            found = score(pieces, dub(pieces, retalker, folder, way), judges, features)
            figures = f"{found.distance:.4f} | {found.correlation:.3f} | {found.photo:.3f}"
            print(f"| {path.stem} | {way} | {figures} |", flush=True)
    return 0


if __name__ == "__main__":
    run_entry_point(main)
