"""A verdict in words, and for programs."""

from __future__ import annotations

from typing import Any

from retalking.trust.manifest.reading import Manifest
from retalking.trust.payload_code import payload_of
from retalking.trust.verdict.verification import FALSE_POSITIVES_LOG10, FaceVerdict, Verdict


def as_text(verdict: Verdict) -> str:
    """Return the lines that a person reads."""
    lines = [f"{verdict.path}: {verdict.sentence}", f"  manifest  {_manifest(verdict.manifest)}"]
    if verdict.picture_note:
        lines.append(f"  picture   not looked at: {verdict.picture_note}")
    lines += [
        f"  face {number}    {describe_face(face)}" for number, face in enumerate(verdict.faces)
    ]
    lines.append(f"  sound     {_sound(verdict)}")
    if verdict.comment:
        lines.append(f"  comment   {verdict.comment}")
    return "\n".join(lines)


def as_json(verdict: Verdict) -> dict[str, Any]:
    """Return what a program reads."""
    manifest = verdict.manifest
    return {
        "file": str(verdict.path),
        "verdict": verdict.sentence,
        "manifest": {
            "state": manifest.state,
            "signer": manifest.signer,
            "vouched_for": manifest.vouched_for,
            "made_on_its_machine": manifest.is_own,
            "says_ai": manifest.says_ai,
            "claims": list(manifest.claims),
            "faults": list(manifest.faults),
        },
        "picture": {
            "note": verdict.picture_note,
            "threshold_log10_p": FALSE_POSITIVES_LOG10,
            "faces": [_face(face) for face in verdict.faces],
        },
        "sound": {
            "note": verdict.sound_note,
            "marked": verdict.sound_is_marked,
            "log10_p": round(verdict.sound.log10_p, 2) if verdict.sound else None,
            "user_payload": verdict.sound.user
            if verdict.sound and verdict.sound_is_marked
            else None,
            "windows_log10_p": [round(p, 2) for p in verdict.sound.windows_log10_p]
            if verdict.sound
            else [],
        },
        "comment": verdict.comment,
    }


def describe_face(face: FaceVerdict) -> str:
    """Return a line about one face."""
    seen = f"{face.face.height_px:.0f} px, {len(face.face.time_s)} frames"
    if face.finding is None:
        return f"{seen}: seen too shortly"
    chance = f"chance 1e{face.log10_p:.1f}"
    if not face.is_marked:
        return f"{seen}: no mark ({chance})"
    mirrored = ", mirrored" if face.finding.mirrored else ""
    return f"{seen}: marked {payload_of(face.finding.user):08X} ({chance}{mirrored})"


def _sound(verdict: Verdict) -> str:
    if verdict.sound is None:
        return f"not judged: {verdict.sound_note}"
    chance = f"chance 1e{verdict.sound.log10_p:.1f}"
    if not verdict.sound_is_marked:
        return f"no mark ({chance})"
    return f"marked {payload_of(verdict.sound.user):08X} ({chance})"


def _face(face: FaceVerdict) -> dict[str, Any]:
    finding = face.finding
    return {
        "height_px": round(face.face.height_px, 1),
        "frames": len(face.face.time_s),
        "from_s": round(float(face.face.time_s[0]), 3),
        "to_s": round(float(face.face.time_s[-1]), 3),
        "marked": face.is_marked,
        "log10_p": round(face.log10_p, 2),
        "payload": f"{payload_of(finding.user):08X}" if finding and face.is_marked else None,
        "user_payload": finding.user if finding and face.is_marked else None,
        "mirrored": bool(finding and finding.mirrored),
        "windows_log10_p": [round(p, 2) for p in finding.windows_log10_p] if finding else [],
    }


def _manifest(manifest: Manifest) -> str:
    if manifest.state == "unread":
        return "cannot be read: python -m pip install -r requirements-trust.txt"
    if manifest.state == "absent":
        return "absent"
    if manifest.is_own:
        who = "signed on the machine that made it, nobody vouches for the signer"
    else:
        vouched = "" if manifest.vouched_for else ", whom nobody known vouches for"
        who = f"signed by {manifest.signer}{vouched}"
    faults = f" ({', '.join(manifest.faults)})" if manifest.faults else ""
    return f"{manifest.state}{faults}: {who}; {', '.join(manifest.claims)}"
