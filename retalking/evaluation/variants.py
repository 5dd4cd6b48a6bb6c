"""The rows of the paper's tables as configurations of our pipeline."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from models.lnet import LNet
from models.weights import load_any
from retalking.errors import WeightsError
from retalking.evaluation.methods import Method
from retalking.inference.config import InferenceConfig
from retalking.inference.profiles import missing_files

_PAPER = {"mouth": "networks"}
"""Tables of the paper are about its networks, whatever way the profile makes the mouth."""
LoadConfig = Callable[[Mapping[str, object]], InferenceConfig]
"""A profile with some of its fields changed."""

NO_CROSS_ATTENTION_FILE = "lnet_concat.safetensors"
"""Weights of an L-Net with ``fusion="concat"``, looked for beside the profile's L-Net."""

_PARTS = {"dnet": "D-Net", "enet": "E-Net", "lnet": "L-Net"}
# The paper does not say what surrounds L-Net alone; its CPBD, that of Wav2Lip, leaves no room for
# the restoration networks.
_LNET_ALONE = {"dnet": None, "enet": None, "reference_enhancer": "none", "restorer": "none"}


@dataclass(frozen=True)
class Variant:
    """A row of a table.

    Attributes:
        label: as in the paper.
        options: fields of the profile that differ.
        requires: networks that the profile must have.
        without_attention: whether the L-Net must be one without cross-attention.
    """

    label: str
    options: Mapping[str, object] = field(default_factory=dict)
    requires: tuple[str, ...] = ()
    without_attention: bool = False


OURS = Variant("Ours")


def ablations(no_cross_attention: Path) -> list[Variant]:
    """Table 3: the framework grows from L-Net to all three networks.

    Args:
        no_cross_attention: weights of an L-Net that was trained without it.
    """
    return [
        Variant(
            "L-Net w/o cross-att.",
            {**_LNET_ALONE, "lnet": str(no_cross_attention)},
            ("lnet",),
            without_attention=True,
        ),
        Variant("L-Net", _LNET_ALONE, ("lnet",)),
        Variant("L-Net + E-Net", {"dnet": None}, ("enet",)),
        Variant("L-Net + E-Net + D-Net", {}, ("enet", "dnet")),
    ]


def expression_templates() -> list[Variant]:
    """Table 4: from the neutral to the smiling template, by the paper's steps."""
    texts = {"0": "neutral", "1": "smile"}
    texts |= {ratio: f"neutral:smile:{ratio}" for ratio in ("0.2", "0.4", "0.6", "0.8")}
    return [Variant(ratio, {"exp_img": texts[ratio]}, ("dnet",)) for ratio in sorted(texts)]


def reenactment_settings() -> list[Variant]:
    """Appendix B: one reference for all frames, or each frame its own."""
    return [
        Variant("one-shot", {"one_shot": True}, ("dnet",)),
        Variant("video-to-video", {"one_shot": False}, ("dnet",)),
    ]


def make_methods(
    variants: Sequence[Variant], load_config: LoadConfig
) -> tuple[list[Method], dict[str, str]]:
    """Configure the variants whose weights are here.

    Returns:
        These, and the labels of the others with the reason.

    Raises:
        ConfigError: an option out of range.
    """
    methods: list[Method] = []
    left_out: dict[str, str] = {}
    profile = load_config(_PAPER)
    for variant in variants:
        config = load_config({**_PAPER, **variant.options})
        obstacle = _find_obstacle(variant, profile, config)
        if obstacle:
            left_out[variant.label] = obstacle
        else:
            methods.append(Method.from_config(variant.label, config))
    return methods, left_out


def _find_obstacle(variant: Variant, profile: InferenceConfig, config: InferenceConfig) -> str:
    absent = [_PARTS[part] for part in variant.requires if getattr(profile, part) is None]
    if absent:
        return f"the profile has no {' and no '.join(absent)}"
    missing = missing_files(config)
    if missing:
        return f"not here: {', '.join(missing)}"
    path = config.lnet and config.locate(config.lnet)
    if variant.without_attention and path:
        try:
            fusion = load_any(path, LNet, "LNet").config.fusion
        except WeightsError as error:
            return str(error)
        return "" if fusion == "concat" else f"{path}: is an L-Net with cross-attention"
    return ""


def no_cross_attention_file(profile: InferenceConfig, given: Path | None) -> Path:
    """Return where the L-Net of the first ablation is expected."""
    if given is not None:
        return given
    return (profile.lnet or Path("LNet.pth")).with_name(NO_CROSS_ATTENTION_FILE)
