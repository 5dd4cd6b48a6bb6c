"""What a file's C2PA manifest says, and whether it still belongs to the file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from retalking.trust.manifest.certificates import OWN_ORGANISATION
from retalking.trust.manifest.seal import ANY_FILE, EDITED, EMBEDDED, offline, sidecar

State = Literal["valid", "broken", "absent", "unread"]

_UNTRUSTED = "signingCredential.untrusted"


@dataclass(frozen=True)
class Manifest:
    """A manifest.

    Attributes:
        state: ``valid``: signed, and the file has not been changed since; ``broken``: it has, or
            the manifest was; ``absent``; ``unread``: the package that reads it is not installed.
        signer: who signed.
        vouched_for: whether the signer's certificate is one that the reader trusts.
        is_own: whether the certificate was made by this program, so that it proves no identity.
        says_ai: whether it says that networks took part in the picture.
        claims: its own words: actions, and what this program says of a job.
        faults: codes of what is wrong.
    """

    state: State
    signer: str = ""
    vouched_for: bool = False
    is_own: bool = False
    says_ai: bool = False
    claims: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()


def read_manifest(path: Path) -> Manifest:
    """Read the manifest in a file or beside it; nothing is asked of a network."""
    try:
        import c2pa  # noqa: PLC0415 (an extra)
    except (ImportError, OSError):
        return Manifest("unread")
    beside = sidecar(path)
    try:
        if beside.is_file():
            with path.open("rb") as stream:
                data = beside.read_bytes()
                return _describe(c2pa.Reader(ANY_FILE, stream, data, offline(c2pa)))
        kind = EMBEDDED.get(path.suffix.lower(), path.suffix.lower().lstrip("."))
        if kind not in c2pa.Reader.get_supported_mime_types():
            return Manifest("absent")
        with path.open("rb") as stream:
            return _describe(c2pa.Reader(kind, stream, context=offline(c2pa)))
    except c2pa.C2paError as error:
        name = str(error).partition(":")[0]
        if name == "ManifestNotFound":
            return Manifest("absent")
        return Manifest("broken", faults=(str(error),))


def _describe(reader: Any) -> Manifest:
    with reader:
        store = json.loads(reader.json())
        state = reader.get_validation_state()
    manifest = store["manifests"][store["active_manifest"]]
    faults = [fault["code"] for fault in store.get("validation_status", [])]
    signature = manifest.get("signature_info", {})
    signer = signature.get("issuer", "") or signature.get("common_name", "")
    claims, says_ai = [], False
    for assertion in manifest.get("assertions", []):
        if assertion["label"].startswith("c2pa.actions"):
            for action in assertion["data"]["actions"]:
                kind = str(action.get("digitalSourceType", "")).rpartition("/")[2]
                says_ai |= kind == EDITED
                claims.append(" ".join([action["action"], kind]).strip())
        elif assertion["label"].startswith("c2pa.soft-binding"):
            blocks = ", ".join(str(block["value"]) for block in assertion["data"]["blocks"])
            claims.append(f"{assertion['data']['alg']}: {blocks}")
    return Manifest(
        "broken" if state == "Invalid" else "valid",
        signer,
        _UNTRUSTED not in faults,
        signer == OWN_ORGANISATION,
        says_ai,
        tuple(claims),
        tuple(code for code in faults if code != _UNTRUSTED),
    )
