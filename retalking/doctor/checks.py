"""What a dub needs, looked at one by one: versions, devices, weights, codecs, room."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import av
import torch

import retalking
from retalking.config import section_values
from retalking.errors import RetalkingError
from retalking.files import read_hashes, sha256_of
from retalking.inference.config import InferenceConfig
from retalking.inference.profiles import load_profile
from retalking.inference.scenes import cache_folder
from retalking.locations import CHECKPOINTS, LITE_WEIGHTS
from retalking.media.output.encoding import FILE_TYPES
from retalking.networks.load import load_parts
from retalking.networks.options import RunnerSection
from retalking.networks.runner import make_runner
from retalking.weights.catalogue import FACE_ANALYSIS_WEIGHTS, read_catalogue

State = Literal["good", "note", "bad"]
_PACKAGES = (
    *("torch", "torchvision", "numpy", "opencv-python-headless", "av", "scipy", "pydantic"),
    *("safetensors", "soxr", "face-alignment", "lpips"),
)
_OPTIONAL = {
    "ray": "requirements-ray.txt",
    "gradio": "requirements-web.txt",
    "wandb": "requirements-wandb.txt",
}
_LEAST_FREE_GB = 2.0
_DIGITS = 12
_BRING = {
    "lite": "run git checkout checkpoints/lite",
    "official": "run python scripts/download_checkpoints.py",
}


@dataclass(frozen=True)
class Finding:
    """Something that was looked at.

    Attributes:
        topic: what it belongs to.
        state: whether it is as it should be; ``note`` for what only some jobs need.
        text: what was found, and what to do if that is bad.
    """

    topic: str
    state: State
    text: str


def examine() -> Iterator[Finding]:
    """Look at everything that costs no more than seconds."""
    yield from look_at_versions()
    yield from look_at_devices()
    for profile in ("lite", "official"):
        yield from look_at_weights(profile)
    yield from look_at_codecs()
    yield from look_at_room(load_profile("lite", {}))


def look_at_versions() -> Iterator[Finding]:
    """Versions of Python, of this library and of those that it needs."""
    yield Finding(
        "versions",
        "good",
        f"retalking {retalking.__version__}, Python {platform.python_version()}, "
        f"{platform.system()} {platform.machine()}",
    )
    found = {name: _version(name) for name in _PACKAGES}
    found["opencv-python-headless"] = found["opencv-python-headless"] or _version("opencv-python")
    here = ", ".join(f"{name} {version}" for name, version in found.items() if version)
    yield Finding("versions", "good", here)
    missing = [name for name, version in found.items() if not version]
    if missing:
        text = f"not installed: {', '.join(missing)}; run bash scripts/setup.sh"
        yield Finding("versions", "bad", text)
    for name, file in _OPTIONAL.items():
        version = _version(name)
        text = f"{name} {version}" if version else f"no {name}; pip install -r {file} brings it"
        yield Finding("extras", "good" if version else "note", text)


def look_at_devices() -> Iterator[Finding]:
    """What computes: processors, and what else torch sees."""
    text = f"{os.cpu_count()} processors, {torch.get_num_threads()} threads of torch"
    memory = _memory_bytes()
    if memory:
        text += f", {memory / 1e9:.0f} GB of memory"
    yield Finding("devices", "good", text)
    for number in range(torch.cuda.device_count()):
        device = torch.cuda.get_device_properties(number)
        text = f"cuda:{number} {device.name}, {device.total_memory / 1e9:.0f} GB"
        yield Finding("devices", "good", text)
    if torch.backends.mps.is_available():
        yield Finding("devices", "good", "mps: the GPU of this Mac")
    options = section_values(load_profile("lite", {}), [RunnerSection])
    runner = make_runner(options["device"], options["precision"], options["batch_size"])
    precision = str(runner.precision).removeprefix("torch.")
    yield Finding("devices", "good", f"--device auto is {runner.device}, in {precision}")


def look_at_weights(profile: str) -> Iterator[Finding]:
    """Files that a profile loads: where they are, their hashes, and whether they fit."""
    topic, config = f"weights of {profile}", load_profile(profile, {})
    catalogue, lacking = read_catalogue(), []
    listed = {weight.file: weight.sha256 for weight in catalogue.weights.values()}
    listed |= read_hashes(LITE_WEIGHTS)
    folder = config.checkpoints or CHECKPOINTS
    needed = {path.name: config.locate(path) for path in config.weight_files()}
    for name in FACE_ANALYSIS_WEIGHTS[config.face_analysis]:
        path = catalogue.named(name).path(folder)
        needed[path.name] = path if path.is_file() else None
    if profile == "lite":
        needed |= {path.name: path for path in sorted(LITE_WEIGHTS.glob("*.safetensors"))}
    bring = _BRING[profile]
    for name, found in needed.items():
        if found is None:
            lacking.append(name)
            continue
        digits, wanted = sha256_of(found), listed.get(name, "")
        fits = digits.startswith(wanted)
        text = f"{found}: {digits[:_DIGITS]}"
        text += "" if fits else f", expected {wanted[:_DIGITS]}; {bring} again"
        yield Finding(topic, "good" if fits else "bad", text)
    if lacking:
        text = f"not here: {', '.join(lacking)}; {bring}"
        yield Finding(topic, "bad" if profile == "lite" else "note", text)
        return
    try:
        load_parts(config)
        yield Finding(topic, "good", "all load and fit their networks")
    except RetalkingError as error:
        yield Finding(topic, "bad", " ".join(str(error).split()))


def look_at_codecs() -> Iterator[Finding]:
    """Encoders of the FFmpeg that PyAV brings."""
    names = dict.fromkeys(
        name
        for kind in FILE_TYPES.values()
        for name in (*kind.codecs, "flac" if kind.format == "matroska" else kind.audio_encoder)
    )
    lacking = [name for name in names if not _can_encode(name)]
    library = ".".join(map(str, av.library_versions["libavcodec"]))
    here = ", ".join(name for name in names if name not in lacking)
    yield Finding("codecs", "good", f"{here} (libavcodec {library})")
    if lacking:
        text = f"not in this PyAV: {', '.join(lacking)}; install the wheel of PyPI"
        yield Finding("codecs", "bad" if "libx264" in lacking else "note", text)


def look_at_room(config: InferenceConfig) -> Iterator[Finding]:
    """Free disk where jobs keep their work."""
    cache = cache_folder(config)
    place = next(folder for folder in (cache, *cache.parents) if folder.exists())
    free_gb = shutil.disk_usage(place).free / 1e9
    text = f"{cache}: {free_gb:.1f} GB free, {_size_gb(cache):.2f} of {config.cache_gb:g} GB kept"
    if not os.access(place, os.W_OK):
        yield Finding("room", "bad", f"{text}; not writable, give another --tmp-dir")
    elif free_gb < _LEAST_FREE_GB:
        yield Finding("room", "bad", f"{text}; give another --tmp-dir, or make room")
    else:
        yield Finding("room", "good", text)


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _memory_bytes() -> int | None:
    if sys.platform == "win32" or "SC_PHYS_PAGES" not in os.sysconf_names:
        return None
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _can_encode(name: str) -> bool:
    try:
        return av.Codec(name, "w").is_encoder
    except ValueError:  # PyAV's for a name that it does not know
        return False


def _size_gb(folder: Path) -> float:
    files = folder.rglob("*.arrays") if folder.is_dir() else ()
    return sum(file.stat().st_size for file in files) / 1e9
