"""A C2PA manifest in the output file, or beside it: what was made of what, by what, and how.

Nothing is asked of a network, not even the time. The package ``c2pa-python`` is an extra: without
it the output says in plain metadata alone that it was edited.
"""

from __future__ import annotations

import functools
import json
import logging
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retalking.errors import ConfigError
from retalking.files import commit, partial_file
from retalking.trust.manifest.certificates import Credentials, find_credentials
from retalking.trust.options import ProvenanceSection
from retalking.trust.payload_code import VERSION, payload_of
from retalking.weights.catalogue import sha256_of

logger = logging.getLogger(__name__)

EDITED = "compositeWithTrainedAlgorithmicMedia"
JOB_LABEL = "org.retalking.job"
PICTURE_BINDING, SOUND_BINDING = (f"org.retalking.{of}.{VERSION}" for of in ("picture", "sound"))
EMBEDDED = {".mp4": "video/mp4", ".m4v": "video/mp4", ".mov": "video/quicktime"}
"""File types that hold their manifest; all others have it in a file beside them."""
ANY_FILE = "application/octet-stream"
SIDECAR = ".c2pa"

_SOURCE_TYPE = f"http://cv.iptc.org/newscodes/digitalsourcetype/{EDITED}"
INSTALL = "python -m pip install -r requirements-trust.txt"


@dataclass(frozen=True)
class JobFacts:
    """What a manifest says of a job.

    Attributes:
        face: the video or picture whose face was edited.
        speech: files that are heard.
        weights: files of the networks.
        options: all of the job's.
        payload: the user's 16 bits in the marks; ``None`` without marks.
        sound_marked: whether the sound carries them too.
    """

    face: Path
    speech: tuple[Path, ...]
    weights: tuple[Path, ...]
    options: Mapping[str, object]
    payload: int | None
    sound_marked: bool


def sidecar(path: Path) -> Path:
    """Where the manifest of a file lies that cannot hold it."""
    return path.with_name(path.name + SIDECAR)


def remove_sidecar(path: Path) -> None:
    """Remove what this program said of an earlier file of that name; what others said stays."""
    beside = sidecar(path)
    with suppress(OSError):
        if JOB_LABEL.encode() in beside.read_bytes():
            beside.unlink()


class Seal:
    """What an output says of itself, and its signature."""

    def __init__(self, facts: JobFacts, signer: Credentials | None, must_sign: bool) -> None:
        """Keep what is said.

        Args:
            facts: all of it.
            signer: of ``find_signer``.
            must_sign: whether an output without a manifest is a fault.
        """
        self._facts = facts
        self._credentials = signer
        self._must_sign = must_sign

    @property
    def comment(self) -> str:
        """What any player shows."""
        payload = self._facts.payload
        marks = "no watermark" if payload is None else f"watermark {payload_of(payload):08X}"
        return f"Edited by AI: the mouth was made to say other words (Retalking, {marks})"

    def apply(self, finished: Path, named: Path) -> None:
        """Sign a file that is complete but has not got its name, if there is what signs.

        A manifest of ours beside it that belongs to an earlier file goes.

        Args:
            finished: the file, which is replaced by the signed one.
            named: what it will be called.

        Raises:
            ConfigError: the user's certificate cannot sign a C2PA manifest.
        """
        if self._credentials is None:
            remove_sidecar(named)
            return
        import c2pa  # noqa: PLC0415 (an extra, which takes a while to load)

        kind = EMBEDDED.get(named.suffix.lower())
        try:
            with (
                partial_file(named) as target,
                c2pa.Builder(self._manifest(named), offline(c2pa)) as builder,
            ):
                for path, name, role in self._inputs():
                    _add_ingredient(c2pa, builder, path, name, role)
                if kind is None:
                    builder.set_no_embed()
                with finished.open("rb") as source, target.open("w+b") as signed:
                    signer = _signer(c2pa, self._credentials)
                    manifest = builder.sign(signer, kind or ANY_FILE, source, signed)
                if kind is None:  # what was signed is a copy
                    target.write_bytes(manifest)
                    commit(target, sidecar(named))
                else:
                    os.replace(target, finished)
                    remove_sidecar(named)
        except c2pa.C2paError as error:
            if self._must_sign:
                raise ConfigError(
                    f"{named}: the manifest cannot be signed: {error}; give another --certificate, "
                    "or --provenance off"
                ) from error
            remove_sidecar(named)
            logger.warning("%s: gets no signed manifest: %s", named, error)

    def _inputs(self) -> list[tuple[Path, str, str]]:
        """Files with their name in the manifest and their role."""
        speech = [
            (path, f"speech {number}", "componentOf")
            for number, path in enumerate(self._facts.speech)
        ]
        return [(self._facts.face, "face", "parentOf"), *speech]

    def _manifest(self, named: Path) -> dict[str, Any]:
        facts = self._facts
        names = [name for _, name, _ in self._inputs()]
        agent = {"name": "Retalking"}
        job = {
            "inputs": [
                {"role": name, "name": path.name, "sha256": sha256_of(path)}
                for path, name, _ in self._inputs()
            ],
            "weights": [{"name": path.name, "sha256": sha256_of(path)} for path in facts.weights],
            "options": _without_folders(facts.options),
            "watermark": {
                "picture": facts.payload is not None,
                "sound": facts.payload is not None and facts.sound_marked,
            },
        }
        edited = {
            "action": "c2pa.edited",
            "digitalSourceType": _SOURCE_TYPE,
            "softwareAgent": agent,
            "description": "The mouth was made anew to say other words.",
        }
        opened = {"action": "c2pa.opened", "parameters": {"ingredientIds": names[:1]}}
        placed = {"action": "c2pa.placed", "parameters": {"ingredientIds": names[1:]}}
        actions = {"actions": [opened, placed, edited] if names[1:] else [opened, edited]}
        assertions = [
            {"label": "c2pa.actions.v2", "data": actions},
            {"label": JOB_LABEL, "data": job},
        ]
        if facts.payload is not None:
            value = f"{payload_of(facts.payload):08X}"
            bindings = [PICTURE_BINDING, *([SOUND_BINDING] if facts.sound_marked else [])]
            assertions += [
                {
                    "label": "c2pa.soft-binding",
                    "data": {"alg": binding, "blocks": [{"scope": {}, "value": value}]},
                }
                for binding in bindings
            ]
        return {"claim_generator_info": [agent], "title": named.name, "assertions": assertions}


def find_signer(options: ProvenanceSection) -> Credentials | None:
    """Find what signs.

    Returns:
        ``None`` where nothing is to be signed, or the extra packages are missing.

    Raises:
        ConfigError: the certificate cannot be used.
    """
    if options.provenance == "off":
        return None
    try:
        import c2pa  # noqa: F401, PLC0415

        return find_credentials(options.certificate, options.certificate_key)
    except (ImportError, OSError) as error:
        if options.certificate is not None:
            raise ConfigError(
                f"--certificate: signing needs packages ({error}): {INSTALL}"
            ) from None
        _say_unsigned(str(error))
        return None


@functools.cache  # a batch asks for every job
def _say_unsigned(reason: str) -> None:
    logger.warning("outputs are not signed: %s; %s, or --provenance off", reason, INSTALL)


def offline(c2pa: Any) -> Any:
    """Return the context in which the library asks nothing of a network and holds no file.

    By itself it copies a file to memory and hashes it in pieces of 256 MB.
    """
    settings = {
        "core": {"backing_store_memory_threshold_in_mb": 8, "merkle_tree_chunk_size_in_kb": 1024},
        "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False},
        "builder": {"thumbnail": {"enabled": False}},
    }
    return c2pa.Context(settings=c2pa.Settings.from_dict(settings))


def _signer(c2pa: Any, credentials: Credentials) -> Any:
    info = c2pa.C2paSignerInfo(
        alg=credentials.algorithm.encode(),
        sign_cert=credentials.chain,
        private_key=credentials.private_key,
        ta_url=None,
    )
    return c2pa.Signer.from_info(info)


def _add_ingredient(c2pa: Any, builder: Any, path: Path, name: str, role: str) -> None:
    entry = {"title": path.name, "relationship": role, "label": name}
    kind = EMBEDDED.get(path.suffix.lower(), ANY_FILE)
    with path.open("rb") as stream:
        try:
            builder.add_ingredient(json.dumps(entry), kind, stream)
        except c2pa.C2paError:
            stream.seek(0)
            builder.add_ingredient(json.dumps(entry), ANY_FILE, stream)


def _without_folders(options: Mapping[str, object]) -> dict[str, object]:
    """Options as they may be shown to others: of a file its name, and nothing of the machine."""
    return {
        name: value.name if isinstance(value, Path) else value
        for name, value in options.items()
        if not name.startswith(("tmp_dir", "certificate", "watermark_key"))
    }
