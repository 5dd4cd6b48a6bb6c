"""Command line of ``inference.py``: flags to configuration, errors to exit codes."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from retalking.config import dump_config
from retalking.errors import RetalkingError
from retalking.exit_code import EXIT_OK, report_mistakes
from retalking.face.crops import LIP_PX
from retalking.inference.config import InferenceConfig
from retalking.inference.pipeline import Retalker
from retalking.inference.profiles import PROFILES, load_file, load_profile

_WITHOUT_EFFECT = {"face_det_batch_size", "img_size"}
"""Upstream's flags for its own detector and for the one size that E-Net has."""
_COMMAND = ("face", "audio", "outfile", "profile", "config", "set", "verbose", "dry_run")


@report_mistakes("interrupted: no output was written")
def main(arguments: Sequence[str] | None = None) -> int:
    """Run a job and return the exit code: 0, 2 for what the user can fix, 130 for Ctrl-C."""
    options = build_parser().parse_args(arguments)
    logging.basicConfig(
        level=logging.INFO if options.verbose else logging.WARNING,
        format="%(levelname)s: %(message)s",
        stream=sys.stderr,
    )
    try:
        _run(options)
    except RetalkingError:
        if options.verbose:
            logging.getLogger(__name__).exception("stopped by")
        raise
    return EXIT_OK


def configure(options: argparse.Namespace) -> InferenceConfig:
    """Return the configuration that parsed flags ask for.

    Raises:
        ConfigError: an unknown key or a value out of range.
    """
    given = {name: value for name, value in vars(options).items() if name not in _COMMAND}
    for name in _WITHOUT_EFFECT & set(given):
        logging.getLogger(__name__).warning("--%s has no effect here", name)
        del given[name]
    if options.config:
        return load_file(options.config, given, options.set)
    return load_profile(options.profile, given, options.set)


def _run(options: argparse.Namespace) -> None:
    config = configure(options)
    if options.dry_run:
        print(dump_config(config), end="")
        return
    report = Retalker(config)(options.face, options.audio, options.outfile, progress=True)
    print(report.timings.table())
    print(
        f"{report.outfile}: {report.num_frames} frames, {report.duration_s:.2f} s, "
        f"{report.num_edited} edited"
    )


def build_parser() -> argparse.ArgumentParser:
    """Return the parser; flags that are not given leave the value of the profile."""
    parser = argparse.ArgumentParser(
        prog="inference.py",
        description="Give a talking-head video another speech, and get the lips to match.",
        epilog="Values not given come from configs/inference/PROFILE.yaml, which explains each.",
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    job = parser.add_argument_group("job")
    job.add_argument("--face", type=Path, required=True, help="video or still image with the face")
    job.add_argument("--audio", type=Path, required=True, help="any file with a speech track")
    job.add_argument("--outfile", type=Path, default=Path("result.mp4"), help="default: result.mp4")
    job.add_argument("--profile", choices=PROFILES, default="auto", help="default: auto")
    job.add_argument("--config", type=Path, default=None, help="YAML file in place of a profile")
    job.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="any configuration value"
    )
    job.add_argument("--dry-run", action="store_true", default=False, help="print the values")
    job.add_argument("--verbose", action="store_true", default=False, help="more log, tracebacks")

    parts = parser.add_argument_group("parts")
    _flag(parts, "checkpoints", "folder of weight files", type=Path)
    _flag(parts, "face-analysis", "lite | official | retinaface", type=str)
    _flag(parts, "coefficients", "face3d | lite | auto", type=str)
    _flag(parts, "dnet", "weights of D-Net", "--DNet_path", type=Path)
    _flag(parts, "lnet", "weights of L-Net", "--LNet_path", type=Path)
    _flag(parts, "enet", "weights of E-Net", "--ENet_path", type=Path)
    _flag(parts, "face3d", "weights of Deep3DFaceRecon", "--face3d_net_path", type=Path)
    _flag(parts, "reference-enhancer", "gpen | gfpgan | none", type=str)
    _flag(parts, "reference-enhancer-strength", "0..1", type=float)
    _flag(parts, "reference-surroundings", "around D-Net's faces: edited | source", type=str)
    _flag(parts, "restorer", "of the mouth: gfpgan | gpen | none", type=str)
    _flag(parts, "restorer-strength", "0..1", type=float)
    _flag(parts, "gpen", "weights of GPEN", type=Path)
    _flag(parts, "gfpgan", "weights of GFPGAN", type=Path)
    _flag(parts, "parsenet", "weights of ParseNet", type=Path)
    _flag(parts, "ganimation", "weights of GANimation", type=Path)
    _flag(parts, "expression-templates", "expression.mat", type=Path)
    _flag(parts, "parser", "mask of the paste-back: parsenet | none", type=str)

    face = parser.add_argument_group("whose face, and where")
    _flag(face, "face-index", "n-th person by size, from 0", type=int)
    _flag(face, "face-box", "person in this box", type=int, nargs=4, metavar="LTRB")
    _flag(face, "face-image", "picture of the person", type=Path)
    _flag(face, "box", "fixed face box, no detection", type=int, nargs=4, metavar="TBLR")
    _flag(face, "crop", "region of the video to use", type=int, nargs=4, metavar="TBLR")
    _flag(
        face,
        "pads",
        "room around the face, px of a face 200 px high",
        type=int,
        nargs=4,
        metavar="TBLR",
    )
    _flag(face, "max-yaw-deg", "faces turned further stay as they are", type=float)
    _flag(face, "on-missing-face", "passthrough | hold | error", type=str)
    _flag(face, "max-gap-s", "bridge gaps of the track up to this", type=float)
    _switch(face, "nosmooth", "no filter over time")

    edit = parser.add_argument_group("what the face does")
    _flag(edit, "exp-img", "neutral | smile | neutral:smile:0.4 | picture", type=str)
    _flag(edit, "up-face", "original | sad | angry | surprise", type=str)
    _flag(edit, "reference-source", "current | quiet | first | warped", type=str)
    _switch(edit, "one-shot", "the same as --reference-source first")
    _switch(edit, "static", "use the first frame only")
    _switch(edit, "without-rl1", "upper face from E-Net, not the original pixels")
    edit.add_argument(
        "--no-silence-gate",
        dest="silence_gate",
        action="store_false",
        help="do not close the mouth in pauses",
    )

    time = parser.add_argument_group("sound and time")
    _flag(time, "audio-track", "n-th audio track of the speech file, from 0", type=int)
    _flag(time, "fps", "of a still image", type=float)
    _flag(time, "min-fps", "repeat the frames of slower videos; 0: never", type=float)
    _flag(time, "length-policy", "audio | loop | hold | video", type=str)
    _flag(time, "sync-offset-ms", "positive: lips earlier", type=float)
    _flag(time, "max-seconds", "stop after this much output", type=float)

    encoder = parser.add_argument_group("output file")
    _flag(encoder, "codec", "libx264, libx264rgb, libx265, libvpx-vp9, ffv1", type=str)
    _flag(encoder, "crf", "quality, 0 the best", type=int)
    _flag(encoder, "preset", "speed against size", type=str)

    machine = parser.add_argument_group("machine")
    _flag(machine, "device", "auto | cpu | cuda | mps", type=str)
    _flag(machine, "precision", "auto | fp32 | bf16 | fp16", type=str)
    _flag(
        machine,
        "batch-size",
        "frames per network call, or auto",
        "--LNet_batch_size",
        type=batch_size,
    )
    _flag(machine, "chunk-size", "frames in flight", type=int)
    _flag(machine, "tmp-dir", "cache of the face analysis", type=Path)
    _flag(machine, "cache-gb", "size of that cache", type=float)
    _switch(machine, "re-preprocess", "ignore that cache")
    _flag(machine, "face-det-batch-size", argparse.SUPPRESS, type=int)
    _flag(machine, "img-size", argparse.SUPPRESS, type=int, choices=[LIP_PX])
    return parser


def _flag(
    group: argparse._ArgumentGroup, name: str, text: str, *more: str, **settings: object
) -> None:
    """Add a flag under its name with hyphens, with underscores (upstream's way), and ``more``."""
    field = name.replace("-", "_")
    names = dict.fromkeys([f"--{name}", f"--{field}", *more])
    group.add_argument(*names, dest=field, help=text, **settings)  # type: ignore[arg-type]


def _switch(group: argparse._ArgumentGroup, name: str, text: str) -> None:
    _flag(group, name, text, action="store_true")


def batch_size(text: str) -> int | None:
    """Read a number of frames, or ``auto``."""
    return None if text == "auto" else int(text)
