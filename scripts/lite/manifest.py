"""Write the manifest of the research clips on which the lite weights are trained.

    python -m scripts.lite.manifest ../shared/clips OUT.tsv

The clips' own list says by how many frames their sound is later than their lips (column ``lag``,
found by a network that tells lips from speech); here that becomes ``audio_offset_s``. Clips whose
lips and speech do not fit have no lag there and count as clips without speech here. Clips of
``lrcar`` go to the splits ``lrcar_train`` and ``lrcar_val``.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path

from retalking.script import run_entry_point

from datasets.prepare.manifest import ClipRow, write_manifest
from retalking.errors import ConfigError
from retalking.exit_code import report_mistakes

FRAME_S = 0.04


def read_research_clips(folder: Path) -> list[ClipRow]:
    """Read ``MANIFEST.tsv`` of the research clips: every video in it.

    Raises:
        ConfigError: there is no such list, or a lag in it is not a number.
    """
    path = folder / "MANIFEST.tsv"
    if not path.is_file():
        raise ConfigError(f"{path}: no such list of clips")
    with path.open(encoding="utf-8", newline="") as file:
        entries = list(csv.DictReader(file, delimiter="\t"))
    rows = []
    for entry in entries:
        media = folder.parent / entry["file"]
        group = media.parent.name
        if media.suffix != ".mp4":
            continue
        offset_s = _offset_s(entry, path)
        rows.append(
            ClipRow(
                clip=f"{group}/{media.stem}",
                media=media,
                identity=entry["identity"],
                split={"lrcar": f"lrcar_{entry['split']}", "silent": "silent"}.get(group, group),
                licence=entry["repo_licence"] or "unknown",
                has_audio=offset_s is not None,
                audio_offset_s=offset_s or 0.0,
                notes=entry["notes"],
            )
        )
    order = {"train": 0, "val": 1, "silent": 2}
    return sorted(rows, key=lambda row: (order.get(row.split, 3), row.clip))


def _offset_s(entry: dict[str, str], path: Path) -> float | None:
    lag = entry["lag"].strip()
    try:
        return -float(lag) * FRAME_S if lag else None
    except ValueError:
        raise ConfigError(
            f"{path}: {entry['file']}: lag: got {lag!r}, expected a number of frames or nothing"
        ) from None


@report_mistakes()
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("clips", type=Path, help="folder with MANIFEST.tsv")
    parser.add_argument("out", type=Path, help="manifest to write")
    options = parser.parse_args(arguments)
    rows = read_research_clips(options.clips)
    write_manifest(options.out, rows)
    print(f"{options.out}: {len(rows)} clips")
    return 0


if __name__ == "__main__":
    run_entry_point(main)
