"""Print the arithmetic of the released networks for a frame of 720p, beside upstream's, as a table.

    python scripts/measure/chain_costs.py

How often upstream runs each network is from its released code (inference.py and what it calls). The
columns "here" are the profile official with its defaults; with the switches that save arithmetic;
and with these and without an enhancer of references. Counted as in scripts/measure/model_costs.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from retalking.script import run_entry_point

from models.landmarks import LandmarkNet, LandmarkNetConfig
from scripts.measure.model_costs import WORKLOADS, Workload, measure
from third_party.parsenet.network import ParseNet
from third_party.retinaface.network import RetinaFace
from third_party.s3fd.network import S3FD

_FAN_GFLOP = 50.5
"""Of FAN-4 at 256 px, counted in upstream's copy of its class; the package brings it compiled."""
_SEARCHES = 1 / 25  # of the whole frame, once a second (TrackingSettings)
_OPEN = 0.84
"""Share of frames whose mouth is open enough to be restored: mean over five speaking clips, of
0.61 to 0.93."""


@dataclass(frozen=True)
class Link:
    """A network, and how often it runs for a frame: upstream, and here in three ways."""

    workload: Workload | None
    name: str
    runs: tuple[float, float, float, float]

    def gflop(self) -> float:
        """Arithmetic of one run."""
        return _FAN_GFLOP if self.workload is None else measure(self.workload)[1] / 1e9


def links() -> list[Link]:
    """Return the chain in the order in which a frame goes through it."""
    known = {workload.name: workload for workload in WORKLOADS}

    def of(name: str, *runs: float) -> Link:
        return Link(known[name], name, runs)  # type: ignore[arg-type]

    def at(name: str, workload: Workload, *runs: float) -> Link:
        return Link(workload, name, runs)  # type: ignore[arg-type]

    def square(network: type, side_px: int) -> Workload:
        return Workload("", network, ((1, 3, side_px, side_px),), "")

    landmarks = Workload("", lambda: LandmarkNet(LandmarkNetConfig()), ((1, 3, 128, 128),), "")
    return [
        of("S3FD", 1, _SEARCHES, 0, 0),
        at("S3FD, 256 px", square(S3FD, 256), 2, 0, 0, 0),
        Link(None, "FAN", (2, 2, 0, 0)),
        at("our landmark network", landmarks, 0, 0, 3, 3),
        of("Deep3DFaceRecon", 1, 1, 1, 1),
        of("D-Net", 1, 1, 1, 1),
        at("RetinaFace, 256 px", square(RetinaFace, 256), 1, 0, 0, 0),
        of("GPEN-BFR-512", 1, 1, 1, 0),
        of("E-Net with L-Net", 1, 1, 1, 1),
        of("RetinaFace-R50", 2, 0, 0, 0),
        of("GFPGAN v1.3", 1, 1, _OPEN, _OPEN),
        of("ParseNet", 3, 1, 0, 0),
        at("ParseNet, 256 px", square(ParseNet, 256), 0, 0, 1, 1),
    ]


def main(chain: Sequence[Link] | None = None) -> None:
    """Print the table."""
    print(
        "| GFLOP per frame of 720p | one run | upstream | here | with switches | without enhancer |"
    )
    print("|---|---:|---:|---:|---:|---:|")
    totals = [0.0] * 4
    for link in chain or links():
        once = link.gflop()
        spent = [once * runs for runs in link.runs]
        totals = [total + each for total, each in zip(totals, spent, strict=True)]
        columns = [f"{each:.1f}" if each else "" for each in (once, *spent)]
        print(f"| {link.name} | {' | '.join(columns)} |")
    print(f"| sum | | {' | '.join(f'{total:.0f}' for total in totals)} |")
    print(f"| share of upstream's | | {' | '.join(f'{t / totals[0]:.2f}' for t in totals)} |")
    print(
        "\nSwitches: --face-analysis lite --coefficients face3d --parser-px 256 "
        "--restorer-frames teeth; without enhancer: --reference-enhancer none as well."
    )


if __name__ == "__main__":
    run_entry_point(main)
