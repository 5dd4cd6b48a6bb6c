"""Fetch and check the weight files of others that ``checkpoints/weights.toml`` lists.

    python -m scripts.download_checkpoints                    what --profile official needs
    python -m scripts.download_checkpoints --list             what there is, and what is here
    python -m scripts.download_checkpoints --verify           compare hashes, fetch nothing
    python -m scripts.download_checkpoints --only LNet ENet
    python -m scripts.download_checkpoints --group training

Run it again after an interruption: it goes on where it stopped. Exit code 0: all that was asked
for is here; 2: something is not; 130: interrupted.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from retalking.script import run_entry_point

from tqdm import tqdm

from retalking.errors import WeightsError
from retalking.exit_code import report_mistakes
from retalking.locations import CHECKPOINTS
from retalking.weights.catalogue import (
    CATALOGUE_FILE,
    LOCK_NAME,
    Catalogue,
    State,
    WeightFile,
    full_state,
    quick_state,
    read_catalogue,
)
from retalking.weights.download import OfflineError, exclusive, fetch


@report_mistakes("interrupted; run the same command again to go on")
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    options = _parse(arguments)
    catalogue = read_catalogue(options.catalogue)
    if options.list:
        listed = _selected(catalogue, options, list(catalogue.groups))
        _print_table(catalogue, listed, options.dest, options.verify)
        return 0
    defaults = [group.name for group in catalogue.groups.values() if group.default]
    weights = _selected(catalogue, options, defaults)
    if options.verify:
        return _verify(weights, options.dest)
    return _download(weights, options.dest, options.mirror)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser."""
    parser = argparse.ArgumentParser(
        description="Fetch and check the weight files listed in checkpoints/weights.toml."
    )
    parser.add_argument("--list", action="store_true", help="show the files and what is here")
    parser.add_argument(
        "--verify", action="store_true", help="compare sizes and hashes with the list; no download"
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--only", nargs="+", metavar="NAME", help="these files")
    which.add_argument("--group", nargs="+", metavar="GROUP", help="the files of these groups")
    parser.add_argument("--mirror", metavar="URL", help="try URL/FILE before the listed addresses")
    parser.add_argument(
        "--dest", type=Path, default=CHECKPOINTS, help="folder (default %(default)s)"
    )
    parser.add_argument(
        "--catalogue", type=Path, default=CATALOGUE_FILE, help="list of files (default %(default)s)"
    )
    return parser


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = build_parser()
    options = parser.parse_args(arguments)
    if options.mirror is not None and not options.mirror.startswith(("http://", "https://")):
        parser.error(f"--mirror: expected http://... or https://..., got {options.mirror!r}")
    return options


def _selected(
    catalogue: Catalogue, options: argparse.Namespace, groups: list[str]
) -> list[WeightFile]:
    if options.only:
        return [catalogue.named(name) for name in options.only]
    return catalogue.of_groups(options.group or groups)


def _print_table(
    catalogue: Catalogue, weights: list[WeightFile], folder: Path, verify: bool
) -> None:
    rows = [("name", "file", "size", "state", "licence", "used by")]
    for weight in weights:
        path = weight.path(folder)
        size_bytes = path.stat().st_size if path.is_file() else weight.bytes
        state = full_state(weight, folder) if verify else quick_state(weight, folder)
        size = "?" if size_bytes is None else f"{size_bytes / 1e6:.1f} MB"
        rows.append((weight.name, weight.file, size, state.value, weight.licence, weight.used_by))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())
    print()
    for group in catalogue.groups.values():
        members = [weight.name for weight in weights if weight.group == group.name]
        if members:
            default = " [default]" if group.default else ""
            print(f"{group.name}{default}: {group.about}: {', '.join(members)}")


def _verify(weights: list[WeightFile], folder: Path) -> int:
    bad = []
    for weight in weights:
        state = full_state(weight, folder)
        print(f"{weight.name}: {state.value}")
        if state not in (State.VERIFIED, State.UNKNOWN_HASH):
            bad.append(weight.name)
    if bad:
        raise WeightsError(f"{len(bad)} of {len(weights)} absent or wrong: {', '.join(bad)}")
    return 0


def _download(weights: list[WeightFile], folder: Path, mirror: str | None) -> int:
    failures = []
    with exclusive([folder, *(weight.path(folder).parent for weight in weights)]):
        for weight in weights:
            try:
                _download_one(weight, folder, mirror)
            except OfflineError:
                raise
            except WeightsError as error:
                print(f"error: {error}", file=sys.stderr)
                failures.append(weight.name)
    if failures:
        print(f"error: not here: {', '.join(failures)}", file=sys.stderr)
        return 2
    return 0


def _download_one(weight: WeightFile, folder: Path, mirror: str | None) -> None:
    # disable=None: no bar where stderr is not a terminal.
    with tqdm(desc=weight.file, unit="B", unit_scale=True, leave=False, disable=None) as bar:

        def show(done_bytes: int, total_bytes: int | None) -> None:
            bar.total = total_bytes
            bar.update(done_bytes - bar.n)

        fetched = fetch(weight, folder, mirror, show)
    print(f"{weight.name}: {fetched.path} {'downloaded' if fetched.downloaded else 'was here'}")
    if fetched.trusted_sha256:
        print(
            f"  nobody published a hash of it: trusted on first use, sha256 "
            f"{fetched.trusted_sha256} noted in {folder / LOCK_NAME}"
        )


if __name__ == "__main__":
    run_entry_point(main)
