"""Print the arithmetic of the released networks for a frame of 720p, beside upstream's, as a table.

    python scripts/measure/chain_costs.py

How often upstream runs each network, and what one run costs there, is from its released code
(inference.py and what it calls). The other columns are the profile official with its defaults; with
one switch; with all that save arithmetic; and with these and without an enhancer of references.
Counted as in scripts/measure/model_costs.py. Restorers, ParseNet and E-Net compute the part of a
face that is looked at; of a head turned far, ParseNet and GPEN compute all.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from retalking.script import run_entry_point

from models.landmarks import LandmarkNet, LandmarkNetConfig
from retalking.mouth.networks.references import LOOKED_AT
from retalking.mouth.restored import PARSED, RESTORED
from scripts.measure.model_costs import WORKLOADS, Workload, measure
from third_party.gfpgan.network import GFPGAN
from third_party.gpen.network import GPEN
from third_party.parsenet.network import ParseNet
from third_party.retinaface.network import RetinaFace
from third_party.s3fd.network import S3FD
from third_party.windows import Window

_FAN_GFLOP = 50.5
"""Of FAN-4 at 256 px, counted in upstream's copy of its class; the package brings it compiled."""
_SEARCHES = 1 / 25  # of the whole frame, once a second (TrackingSettings)
_OPEN = 0.84
"""Share of frames whose mouth is open enough to be restored: mean over five speaking clips, of
0.61 to 0.93."""


_COLUMNS = (
    "one run",
    "upstream",
    "here",
    "--parser-px 256",
    "all switches",
    "without enhancer",
)


@dataclass(frozen=True)
class Link:
    """A network, and how often it runs for a frame: upstream, and here in four ways.

    Attributes:
        workload: ``None`` for FAN.
        upstream_gflop: of one run of upstream's code, where that computes more than ours.
    """

    workload: Workload | None
    name: str
    runs: tuple[float, float, float, float, float]
    upstream_gflop: float | None = None

    def gflop(self) -> tuple[float, float]:
        """Arithmetic of one run, upstream's and ours."""
        ours = _FAN_GFLOP if self.workload is None else measure(self.workload)[1] / 1e9
        return ours if self.upstream_gflop is None else self.upstream_gflop, ours


def links() -> list[Link]:
    """Return the chain in the order in which a frame goes through it."""
    known = {workload.name: workload for workload in WORKLOADS}

    def of(name: str, *runs: float, upstream: float | None = None) -> Link:
        return Link(known[name], name, runs, upstream)  # type: ignore[arg-type]

    def at(name: str, workload: Workload, *runs: float, upstream: float | None = None) -> Link:
        return Link(workload, name, runs, upstream)  # type: ignore[arg-type]

    def square(network: type, side_px: int, window: Window | None = None) -> Workload:
        options = {} if window is None else {"window": window}
        return Workload("", network, ((1, 3, side_px, side_px),), "", options=options)

    faces = dataclasses.replace(known["E-Net with L-Net"], options={"painted_only": True})

    landmarks = Workload("", lambda: LandmarkNet(LandmarkNetConfig()), ((1, 3, 128, 128),), "")
    return [
        of("S3FD", 1, _SEARCHES, _SEARCHES, 0, 0),
        at("S3FD, 256 px", square(S3FD, 256), 2, 0, 0, 0, 0),
        Link(None, "FAN", (2, 2, 2, 0, 0)),
        at("our landmark network", landmarks, 0, 0, 0, 3, 3),
        of("Deep3DFaceRecon", 1, 1, 1, 1, 1),
        of("D-Net", 1, 1, 1, 1, 1, upstream=123.2),
        at("RetinaFace, 256 px", square(RetinaFace, 256), 1, 0, 0, 0, 0),
        at("GPEN-BFR-512", square(GPEN, 512, LOOKED_AT[GPEN]), 1, 1, 1, 1, 0, upstream=276.2),
        at("E-Net with L-Net", faces, 1, 1, 1, 1, 1, upstream=407.5),
        of("RetinaFace-R50", 2, 0, 0, 0, 0),
        at("GFPGAN v1.3", square(GFPGAN, 512, RESTORED), 1, 1, 1, _OPEN, _OPEN, upstream=395.5),
        at("ParseNet", square(ParseNet, 512, PARSED), 3, 1, 0, 0, 0, upstream=469.0),
        at("ParseNet, 256 px", square(ParseNet, 256, PARSED.scaled(256)), 0, 0, 1, 1, 1),
    ]


def main(chain: Sequence[Link] | None = None) -> None:
    """Print the table."""
    print(f"| GFLOP per frame of 720p | {' | '.join(_COLUMNS)} |")
    print(f"|---|{'---:|' * len(_COLUMNS)}")
    totals = [0.0] * (len(_COLUMNS) - 1)
    for link in chain or links():
        theirs, once = link.gflop()
        spent = [each * runs for each, runs in zip((theirs, *[once] * 4), link.runs, strict=True)]
        totals = [total + each for total, each in zip(totals, spent, strict=True)]
        columns = [f"{each:.1f}" if each else "" for each in (once, *spent)]
        print(f"| {link.name} | {' | '.join(columns)} |")
    print(f"| sum | | {' | '.join(f'{total:.0f}' for total in totals)} |")
    print(f"| share of upstream's | | {' | '.join(f'{t / totals[0]:.2f}' for t in totals)} |")
    print(
        "\nAll switches: --face-analysis lite --coefficients face3d --parser-px 256 "
        "--restorer-frames teeth; without enhancer: --reference-enhancer none as well."
    )


if __name__ == "__main__":
    run_entry_point(main)
