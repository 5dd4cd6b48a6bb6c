"""Command line of ``inference.py``: flags to configuration, errors to exit codes."""

from __future__ import annotations

import argparse
import copy
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from retalking.config import dump_config, sections_of
from retalking.errors import ConfigError, RetalkingError
from retalking.exit_code import EXIT_OK, report_mistakes
from retalking.inference.config import InferenceConfig
from retalking.inference.dialogue import converse, parse_speakers
from retalking.inference.pipeline import Retalker
from retalking.inference.preview import dub_preview
from retalking.inference.profiles import PROFILES, load_file, load_profile
from retalking.inference.writing import DubbingReport
from retalking.media.images import save_image
from retalking.review.review import check_report_path
from retalking.terminal import log_to_terminal

_WITHOUT_EFFECT = ("face_det_batch_size", "img_size")
"""Upstream's flags for its own detector and for the one size that E-Net has."""
_COMMAND = (
    *("face", "audio", "speaker_audio", "mix", "outfile", "report", "preview"),
    *("profile", "config", "set", "verbose", "dry_run"),
)

_EXAMPLES = """\
examples:
  inference.py --face talk.mp4 --audio speech.wav --outfile out.mp4
  inference.py --face photo.jpg --audio speech.wav --exp-img smile --outfile out.mp4
  inference.py --face talk.mp4 --audio speech.wav --preview --outfile look.mp4
  inference.py --face talk.mp4 --audio speech.wav --report out.html --outfile out.mp4
  inference.py --face group.mp4 --audio speech.wav --face-image anna.jpg --outfile out.mp4
  inference.py --face two.mp4 --speaker-audio 0=anna.wav 1=ben.wav --outfile out.mp4
  inference.py --face talk.mp4 --audio speech.wav --codec ffv1 --outfile lossless.mkv

Values not given come from configs/inference/PROFILE.yaml, which explains each. Many videos:
scripts/batch.py. What works on this machine: scripts/doctor.py.
"""


@report_mistakes("interrupted: no output was written")
def main(arguments: Sequence[str] | None = None) -> int:
    """Run a job and return the exit code: 0, 2 for what the user can fix, 130 for Ctrl-C."""
    options = build_parser().parse_args(arguments)
    log_to_terminal(logging.INFO if options.verbose else logging.WARNING)
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
    for name in set(_WITHOUT_EFFECT) & set(given):
        logging.getLogger(__name__).warning("--%s has no effect here", name)
        del given[name]
    if options.config:
        return load_file(options.config, given, options.set)
    return load_profile(options.profile, given, options.set)


def _run(options: argparse.Namespace) -> None:
    if options.mix is not None and options.speaker_audio is None:
        raise ConfigError("--mix: is the sound of several speakers; give --speaker-audio")
    if options.speaker_audio is not None and options.preview:
        raise ConfigError("--preview: looks at one speaker; give --audio")
    if options.report is not None:
        check_report_path(options.report)
    speakers = parse_speakers(options.speaker_audio or [])
    config = configure(options)
    if options.dry_run:
        print(dump_config(config), end="")
        return
    retalker, face, out = Retalker(config), options.face, options.outfile
    wants_review = options.report is not None
    if speakers:
        mix = options.mix
        report = converse(retalker, face, speakers, out, mix, progress=True, review=wants_review)
    elif options.preview:
        report = _preview(retalker, options)
    else:
        report = retalker(face, options.audio, out, progress=True, review=wants_review)
    print(report.timings.table())
    print(
        f"{report.outfile}: {report.num_frames} frames, {report.duration_s:.2f} s, "
        f"{report.num_edited} edited"
    )
    for number, review in enumerate(report.reviews):
        path = options.report
        if len(report.reviews) > 1:
            path = path.with_stem(f"{path.stem}-{number}")
            print(f"{options.speaker_audio[number]}: {path}")
        review.save(path)
        print("\n".join(review.lines()))


def _preview(retalker: Retalker, options: argparse.Namespace) -> DubbingReport:
    """Dub passages, and write their contact sheet beside them."""
    preview = dub_preview(
        retalker,
        options.face,
        options.audio,
        options.outfile,
        progress=True,
        review=options.report is not None,
    )
    sheet = options.outfile.with_suffix(".png")
    save_image(sheet, preview.sheet)
    shown = (f"{part.reason} at {part.start_s:.1f} s" for part in preview.passages)
    print(f"passages: {', '.join(shown)}\ncontact sheet: {sheet}")
    return preview.report


def build_parser() -> argparse.ArgumentParser:
    """Return the parser; flags that are not given leave the value of the profile."""
    parser = argparse.ArgumentParser(
        prog="inference.py",
        description="Give a talking-head video another speech, and get the lips to match.",
        epilog=_EXAMPLES,
        usage="%(prog)s --face FILE --audio FILE [--outfile FILE] [options below]",
        formatter_class=_Help,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    job = parser.add_argument_group("job")
    job.add_argument("--face", type=Path, required=True, help="video or still image with the face")
    sound = job.add_mutually_exclusive_group(required=True)
    sound.add_argument("--audio", type=Path, default=None, help="any file with a speech track")
    sound.add_argument(
        "--speaker-audio",
        nargs="+",
        default=None,
        metavar="WHO=FILE",
        help="a speech for each of several people: 0=a.wav (n-th by size), left,top,right,"
        "bottom=b.wav, or photo.jpg=c.wav",
    )
    job.add_argument(
        "--mix", type=Path, default=None, help="what is heard then; else all speeches at once"
    )
    job.add_argument("--outfile", type=Path, default=Path("result.mp4"), help="default: result.mp4")
    job.add_argument(
        "--report",
        type=Path,
        default=None,
        metavar="FILE",
        help="look at the result, and say so: .html, .json; of several speakers, one for each",
    )
    job.add_argument(
        "--preview",
        action="store_true",
        default=False,
        help="dub three short passages, and draw a contact sheet",
    )
    job.add_argument("--profile", choices=PROFILES, default="auto", help="default: auto")
    job.add_argument("--config", type=Path, default=None, help="YAML file in place of a profile")
    job.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="any configuration value"
    )
    job.add_argument("--dry-run", action="store_true", default=False, help="print the values")
    job.add_argument("--verbose", action="store_true", default=False, help="more log, tracebacks")

    for section in sections_of(InferenceConfig):
        group = parser.add_argument_group(section.TITLE)
        for name, field in section.model_fields.items():
            _add_flag(group, name, field)
    for name in _WITHOUT_EFFECT:
        parser.add_argument(f"--{name}", f"--{name.replace('_', '-')}", help=argparse.SUPPRESS)
    return parser


class _Help(argparse.RawDescriptionHelpFormatter):
    """Shows each flag once: with hyphens, where it may be written with underscores as well."""

    def _format_action_invocation(self, action: argparse.Action) -> str:
        shown = copy.copy(action)
        flags = action.option_strings
        shown.option_strings = [
            flag
            for flag in flags
            if flag.replace("_", "-") == flag or flag.replace("_", "-") not in flags
        ]
        return super()._format_action_invocation(shown)


def _add_flag(group: argparse._ArgumentGroup, name: str, field: FieldInfo) -> None:
    """Add the flag of a field: its name with hyphens, with underscores (upstream's way), aliases.

    What the flag takes follows from the field's type; its range is checked with the whole
    configuration.
    """
    extra: dict[str, Any] = field.json_schema_extra  # type: ignore[assignment]
    names = dict.fromkeys([f"--{name.replace('_', '-')}", f"--{name}", *extra["aliases"]])
    settings: dict[str, Any] = {"dest": name, "help": field.description}
    kind, can_be_none = _without_none(field.annotation)
    if kind is bool:
        group.add_argument(*names, **settings, action=argparse.BooleanOptionalAction)
        return
    if get_origin(kind) is Literal:
        settings["choices"] = get_args(kind)
        settings["type"] = type(get_args(kind)[0])
    elif get_origin(kind) is tuple:
        settings |= {"type": int, "nargs": len(get_args(kind)), "metavar": extra["letters"]}
    elif can_be_none and kind in (int, float):
        settings["type"] = _optional_number(kind)
    else:
        settings["type"] = kind
    group.add_argument(*names, **settings)


def _without_none(annotation: Any) -> tuple[Any, bool]:
    """Return the type behind ``Annotated[Type, ...] | None``, and whether ``None`` was there."""
    if get_origin(annotation) is Annotated:
        return _without_none(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        (kind,) = (part for part in get_args(annotation) if part is not NoneType)
        return _without_none(kind)[0], True
    return annotation, False


def _optional_number(kind: type[int] | type[float]) -> Callable[[str], float | None]:
    """Return what reads a number, or ``auto`` for none given."""

    def number(text: str) -> float | None:
        return None if text == "auto" else kind(text)

    return number
