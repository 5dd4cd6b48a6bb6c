"""The user study (paper section 5.1, table 2): a page on which people rate blinded videos.

People see videos of all methods in an order of their own, without a name, and rate visual quality
and lip-sync quality from 1 to 5. Which video is whose stands in ``key.json``, which stays with the
one who asks.
"""

from __future__ import annotations

import base64
import json
import random
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from retalking.errors import ConfigError, MediaError
from retalking.evaluation.result_folder import write_json
from retalking.files import replacing

PAGE_TEMPLATE = Path(__file__).with_name("rating_page.html")
MEDIA_TYPES = {".mp4": "video/mp4", ".m4v": "video/mp4", ".webm": "video/webm"}
"""What browsers play."""

Placement = Literal["embed", "beside"]
"""Videos inside the page, or as files with meaningless names in a folder beside it."""


@dataclass(frozen=True)
class Sample:
    """A video to rate.

    Attributes:
        method: label of its maker.
        name: of what is shown; the same for all methods.
        path: the file.
    """

    method: str
    name: str
    path: Path


def write_study(
    samples: Sequence[Sample], folder: Path, placement: Placement = "embed", seed: int = 0
) -> Path:
    """Write ``rate.html`` and ``key.json``, and the folder ``media`` for videos beside the page.

    Args:
        samples: videos of at least two methods, the same ones of each.
        folder: where to; made if needed.
        placement: of the videos.
        seed: of the meaningless names and of the order in the file.

    Returns:
        The page.

    Raises:
        ConfigError: fewer than two methods, or a method lacks a video that another has.
        MediaError: a video that browsers do not play, or that cannot be read or copied.
    """
    _check(samples)
    draw = random.Random(seed)
    shuffled = list(samples)
    draw.shuffle(shuffled)
    names = {f"{draw.getrandbits(48):012x}": sample for sample in shuffled}
    study = f"{draw.getrandbits(48):012x}"
    folder.mkdir(parents=True, exist_ok=True)
    items = [
        {"id": name, "source": _place(sample.path, name, folder, placement)}
        for name, sample in names.items()
    ]
    page = folder / "rate.html"
    # "</" would end the script that holds the text.
    data = json.dumps({"study": study, "items": items}).replace("</", "<\\/")
    template = PAGE_TEMPLATE.read_text(encoding="utf-8")
    with replacing(page) as partial:
        partial.write_text(template.replace("/*STUDY*/null", data), encoding="utf-8")
    key = {name: {"method": s.method, "sample": s.name} for name, s in names.items()}
    write_json(folder / "key.json", {"study": study, "items": key})
    return page


def _check(samples: Sequence[Sample]) -> None:
    by_method: dict[str, list[str]] = {}
    for sample in samples:
        by_method.setdefault(sample.method, []).append(sample.name)
        if sample.path.suffix.lower() not in MEDIA_TYPES:
            raise MediaError(f"{sample.path}: browsers play {', '.join(MEDIA_TYPES)} only")
    if len(by_method) < 2:
        raise ConfigError(
            f"user study: got {len(by_method)} method(s), expected two or more; add --outputs"
        )
    everything = {name for names in by_method.values() for name in names}
    for method, names in by_method.items():
        lacking = sorted(everything - set(names))
        if lacking or len(names) != len(set(names)):
            what = f"no {lacking[0]}" if lacking else "the same video twice"
            raise ConfigError(f"user study: {method} has {what}; every method shows the same")


def _place(path: Path, name: str, folder: Path, placement: Placement) -> str:
    """Return what the page gives as the video's address."""
    try:
        if placement == "embed":
            text = base64.b64encode(path.read_bytes()).decode("ascii")
            return f"data:{MEDIA_TYPES[path.suffix.lower()]};base64,{text}"
        target = folder / "media" / f"{name}{path.suffix.lower()}"
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(path, target)  # the content alone: times could tell the methods apart
    except OSError as error:
        raise MediaError(f"{path}: cannot be put into the study: {error.strerror}") from error
    return f"media/{target.name}"
