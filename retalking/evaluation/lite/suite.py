"""The lite suite: do the embedded weights do what they are for, on clips not trained on.

Every clip speaks its own words again, through the analysis, references and rendering of
``inference.py``. Measured are

* D-Net: by how much the neutral template lowers the standard deviation of the lip opening over
  time, how far landmarks outside the mouth move (in distances of the outer eye corners), and how
  much wider the template ``smile`` makes the mouth than ``neutral``;
* L-Net (with E-Net where there is one), in the lip crop: the correlation of the lip opening with
  the true one, with the right audio and with that of half a clip away; its standard deviation over
  the true one; the PSNR of L-Net's lower half; how open the mouth is in silence, from 0 (the clip's
  5th percentile of the true opening) to 1 (its 95th); and, on the finished frames, the change from
  frame to frame of the edited skin outside the mouth over that of the source;
* E-Net: mean gradient of its face over the source's, and its PSNR above bicubic enlargement.

The lip opening is measured by the lite landmarks on made and true faces alike.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from tqdm import tqdm

from retalking.errors import ConfigError, RetalkingError
from retalking.evaluation.lite.probe import LiteProbe
from retalking.evaluation.lite.report import LiteReport
from retalking.evaluation.lite.scene import LiteClip
from retalking.inference.profiles import load_profile
from retalking.networks.device import DeviceName, Precision
from retalking.networks.load import Parts

logger = logging.getLogger(__name__)


def run_lite_suite(
    clips: Sequence[LiteClip],
    *,
    profile: str = "small",
    overrides: Sequence[str] = (),
    limit: int | None = None,
    seconds: float | None = 6.0,
    device: DeviceName = "auto",
    precision: Precision = "auto",
    progress: bool = False,
    parts: Parts | None = None,
) -> LiteReport:
    """Measure clips.

    Args:
        clips: with speech.
        profile: see ``load_profile``.
        overrides: ``key=value`` texts such as ``lnet=runs/lnet/weights-best.safetensors``.
        limit: measure so many of the clips, evenly from the list.
        seconds: of each clip from its beginning, or ``None`` for all of it.
        device: where the networks run.
        precision: of the networks.
        progress: show a bar on stderr.
        parts: networks that are loaded already.

    Returns:
        The report; clips that cannot be read or show no face are named in it.

    Raises:
        ConfigError: no clips, or an option out of range.
        WeightsError: a weight file is missing or does not fit.
    """
    if not clips or (limit is not None and limit < 1):
        wrong = "no clips" if not clips else f"limit {limit}"
        raise ConfigError(f"lite suite: got {wrong}, expected at least one clip to measure")
    count = len(clips) if limit is None else min(limit, len(clips))
    chosen = [clips[place * len(clips) // count] for place in range(count)]
    options = {"max_seconds": seconds, "device": device, "precision": precision}
    config = load_profile(profile, options, overrides)
    probe = LiteProbe(config, parts)
    found: dict[str, dict[str, float]] = {}
    failures: dict[str, str] = {}
    with tqdm(chosen, desc="lite suite", unit="clip", disable=not progress) as bar:
        for clip in bar:
            bar.set_postfix_str(clip.name)
            try:
                found[clip.name] = probe.measure(clip)
            except RetalkingError as error:
                logger.warning("%s: not measured: %s", clip.name, error)
                failures[clip.name] = str(error)
    weights = {
        name: str(getattr(config, name))
        for name in ("dnet", "lnet", "enet")
        if getattr(config, name)
    }
    settings = {"profile": profile, "overrides": list(overrides), "seconds": seconds, **weights}
    return LiteReport(found, failures, _describe_absence(probe), settings)


def _describe_absence(probe: LiteProbe) -> list[str]:
    notes = []
    if not probe.has_dnet:
        notes.append("No D-Net here: its lines are left out; references are quiet frames.")
    if not probe.has_enet:
        notes.append("No E-Net here: its lines are left out; faces are L-Net's, enlarged.")
    return notes
