"""Where public corpora keep their videos: from a folder as distributed to rows of a manifest."""

from __future__ import annotations

import zlib
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from datasets.prepare.manifest import ClipRow, list_media
from retalking.errors import ConfigError

_LEAST_VAL_SHARE = 0.1


def list_folder(folder: Path, licence: str, val_every: int) -> list[ClipRow]:
    """List any folder of videos; the folder that holds a video names the person.

    Where there is one person alone, some videos are for validation, or the end of the only one.

    Args:
        folder: searched with all its subfolders.
        licence: of all of them.
        val_every: one in so many persons is for validation, chosen by name; 0 for none.

    Raises:
        ConfigError: no such folder, or no video in it.
    """
    rows = [
        ClipRow(
            clip=str(media.relative_to(folder).with_suffix("")),
            media=media,
            identity=_person(media, folder),
            split="train",
            licence=licence,
        )
        for media in list_media(folder)
    ]
    if val_every:
        rows = _hold_out(rows, val_every)
    return _filled(rows, folder, "videos (.mp4, .mkv, ...)")


def _hold_out(rows: list[ClipRow], val_every: int) -> list[ClipRow]:
    """Give persons, else videos, else the end of the one video to validation."""
    if len(rows) == 1:
        return [replace(rows[0], val_share=max(1 / val_every, _LEAST_VAL_SHARE))]
    several = len({row.identity for row in rows}) > 1
    chosen = _choose([row.identity if several else row.clip for row in rows], val_every)
    return [
        replace(row, split="val") if (row.identity if several else row.clip) in chosen else row
        for row in rows
    ]


def _choose(names: Collection[str], val_every: int) -> set[str]:
    """Choose some names for validation, at least one and not all."""
    chosen = {name for name in names if _split(name, val_every) == "val"}
    if chosen and chosen != set(names):
        return chosen
    return {min(names, key=lambda name: (zlib.crc32(name.encode()), name))}


def list_voxceleb(folder: Path, val_every: int = 100) -> list[ClipRow]:
    """List VoxCeleb videos cut by ``video-preprocessing``, or the official VoxCeleb2 ``mp4`` tree.

    Layouts: ``{train,test}/IDENTITY#VIDEO#FIRST#LAST.mp4`` (256 px crops, silent unless muxed) and
    ``{dev,test}/mp4/IDENTITY/VIDEO/NUMBER.mp4``.

    Raises:
        ConfigError: neither layout is there.
    """
    rows = []
    for media in list_media(folder):
        place = media.relative_to(folder)
        cut = "#" in media.stem
        tree = "mp4" in place.parts and len(place.parts) >= 4
        if not (cut or tree):
            continue
        identity = media.stem.split("#")[0] if cut else place.parts[-3]
        held_out = place.parts[0] == "test" or _split(identity, val_every) == "val"
        rows.append(
            ClipRow(
                clip=str(place.with_suffix("")),
                media=media,
                identity=identity,
                split="val" if held_out else "train",
                licence="VoxCeleb (CC BY 4.0 metadata; videos of their owners, research only)",
            )
        )
    wanted = "train/ID#VIDEO#FIRST#LAST.mp4 or dev/mp4/ID/VIDEO/NUMBER.mp4"
    return _filled(rows, folder, wanted)


def list_lrs2(folder: Path, subset: str = "main") -> list[ClipRow]:
    """List LRS2: ``mvlrs_v1/{main,pretrain}/VIDEO/NUMBER.mp4`` and the lists ``train.txt`` etc.

    Raises:
        ConfigError: the lists or the videos are not there.
    """
    root = next((p.parent for p in sorted(folder.glob(f"**/{subset}")) if p.is_dir()), folder)
    rows: list[ClipRow] = []
    names = ("pretrain",) if subset == "pretrain" else ("train", "val", "test")
    for split in names:
        lists = [place / f"{split}.txt" for place in (root, root.parent, folder)]
        path = next((path for path in lists if path.is_file()), None)
        if path is None:
            raise ConfigError(
                f"{folder}: no {split}.txt of LRS2 beside or above {subset}/; the BBC's page "
                "offers the lists next to the videos"
            )
        for line in path.read_text(encoding="utf-8").splitlines():
            name = line.split()[0] if line.strip() else ""
            if name:
                media = root / subset / f"{name}.mp4"
                rows.append(
                    ClipRow(
                        clip=f"{subset}/{name}",
                        media=media,
                        identity=name.split("/")[0],
                        split="train" if split == "pretrain" else split,
                        licence="LRS2 (BBC, research agreement)",
                        frame_rate=25.0,
                    )
                )
    return _filled(rows, folder, f"mvlrs_v1/{subset}/VIDEO/NUMBER.mp4 and train.txt")


def list_hdtf(folder: Path, val_every: int = 20) -> list[ClipRow]:
    """List HDTF clips: ``[WD|RD|Radio...]NAME_NUMBER.mp4``, in one folder or several.

    Raises:
        ConfigError: no video.
    """
    rows = []
    for media in list_media(folder):
        stem = media.stem
        speaker, _, number = stem.rpartition("_")
        identity = speaker if speaker and number.isdigit() else stem
        # Speakers appear in several videos: WDA_BarackObama_000, WDA_BarackObama1, ...
        identity = identity.rstrip("0123456789_") or identity
        rows.append(
            ClipRow(
                clip=str(media.relative_to(folder).with_suffix("")),
                media=media,
                identity=identity,
                split=_split(identity, val_every),
                licence="HDTF (annotations CC BY 4.0; videos of their owners)",
            )
        )
    return _filled(rows, folder, "NAME_NUMBER.mp4")


def _person(media: Path, folder: Path) -> str:
    return media.parent.name if media.parent != folder else media.stem


def _split(identity: str, val_every: int) -> str:
    """Choose by the name, so that the split does not change when clips are added."""
    chosen = val_every > 0 and zlib.crc32(identity.encode()) % val_every == 0
    return "val" if chosen else "train"


def _filled(rows: list[ClipRow], folder: Path, wanted: str) -> list[ClipRow]:
    if not rows:
        raise ConfigError(f"{folder}: no clip found; expected {wanted}")
    return rows
