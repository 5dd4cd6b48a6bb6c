"""The rows of the paper's tables as configurations, and which of them can run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch

from models import weights
from models.lnet import LNet, LNetConfig
from retalking.errors import ConfigError
from retalking.evaluation.metric_choice import choose_metrics
from retalking.evaluation.published import PublishedTable, read_published
from retalking.evaluation.variants import (
    OURS,
    ablations,
    expression_templates,
    make_methods,
    no_cross_attention_file,
    reenactment_settings,
)
from retalking.inference.config import InferenceConfig
from retalking.inference.profiles import load_profile

SMALL = LNetConfig(
    base_channels=8,
    max_channels=16,
    blocks_per_level=1,
    adain_channels=8,
    audio_channels=16,
    audio_base_channels=4,
    attention_head_channels=4,
    attention_hidden=8,
    fusion="concat",
)


def official(changes: Mapping[str, object]) -> InferenceConfig:
    return load_profile("official", changes)


Choose = Callable[[Mapping[str, object]], InferenceConfig]


@pytest.fixture
def small(small_networks: dict[str, Path]) -> Choose:
    return lambda changes: load_profile("small", {**small_networks, **changes})


def options_of(config: InferenceConfig | None) -> tuple[object, ...]:
    assert config is not None
    return (config.dnet, config.enet, config.reference_enhancer, config.restorer)


def test_the_ablation_grows_from_lnet_to_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retalking.evaluation.variants.missing_files", lambda config: [])
    methods, left_out = make_methods(ablations(Path("gone.safetensors")), official)
    assert left_out == {}
    assert [method.label for method in methods] == list(read_published().table3.rows)
    configs = [method.config for method in methods]
    assert configs[0] is not None
    assert configs[0].lnet == Path("gone.safetensors")
    dnet, enet = Path("DNet.pt"), Path("ENet.pth")
    assert [options_of(config) for config in configs] == [
        (None, None, "none", "none"),
        (None, None, "none", "none"),
        (None, enet, "gpen", "gfpgan"),
        (dnet, enet, "gpen", "gfpgan"),
    ]


def test_expressions_go_from_neutral_to_smile_by_the_papers_steps(small: Choose) -> None:
    methods, left_out = make_methods(expression_templates(), small)
    assert left_out == {}
    assert [method.label for method in methods] == list(read_published().table4.rows)
    assert [method.config and method.config.exp_img for method in methods] == [
        "neutral",
        "neutral:smile:0.2",
        "neutral:smile:0.4",
        "neutral:smile:0.6",
        "neutral:smile:0.8",
        "smile",
    ]


def test_appendix_b_compares_one_reference_with_one_per_frame(small: Choose) -> None:
    methods, _ = make_methods(reenactment_settings(), small)
    assert [method.config and method.config.one_shot for method in methods] == [True, False]


def test_variants_without_their_weights_are_named_and_left_out(
    small_networks: dict[str, Path],
) -> None:
    def without_dnet(changes: Mapping[str, object]) -> InferenceConfig:
        without = {"dnet": None, "enet": small_networks["enet"], "lnet": None}
        return load_profile("small", {**without, **changes})

    methods, left_out = make_methods(ablations(Path("gone.safetensors")), without_dnet)
    assert [method.label for method in methods] == ["L-Net + E-Net"]
    assert left_out == {
        "L-Net w/o cross-att.": "the profile has no L-Net",
        "L-Net": "the profile has no L-Net",
        "L-Net + E-Net + D-Net": "the profile has no D-Net",
    }
    methods, left_out = make_methods([OURS], lambda changes: official({"dnet": "gone.pt"}))
    assert methods == []
    assert "gone.pt" in left_out["Ours"]


def test_only_an_lnet_without_attention_counts_as_one(tmp_path: Path) -> None:
    def with_lnet(changes: Mapping[str, object]) -> InferenceConfig:
        return load_profile("small", {"dnet": None, "enet": None, **changes})

    torch.manual_seed(0)
    weights.save(tmp_path / "concat.safetensors", LNet(SMALL))
    methods, _ = make_methods(ablations(tmp_path / "concat.safetensors")[:1], with_lnet)
    assert [method.label for method in methods] == ["L-Net w/o cross-att."]
    attentive = ablations(Path("lite/lnet.safetensors"))[:1]
    methods, left_out = make_methods(attentive, with_lnet)
    assert methods == []
    assert left_out["L-Net w/o cross-att."].endswith("is an L-Net with cross-attention")
    (tmp_path / "bad.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{}")
    _, left_out = make_methods(ablations(tmp_path / "bad.safetensors")[:1], with_lnet)
    assert "bad.safetensors" in left_out["L-Net w/o cross-att."]


def test_the_ablations_weights_are_looked_for_beside_the_profiles_lnet() -> None:
    lite = load_profile("small", {})
    assert no_cross_attention_file(lite, None) == Path("lite/lnet_concat.safetensors")
    assert no_cross_attention_file(lite, Path("mine.pt")) == Path("mine.pt")


def test_the_papers_figures_are_complete() -> None:
    published = read_published()
    assert published.table1_lrs2.figures("Ours") == {
        "fid": 5.193, "cpbd": 0.2809, "lse_d": 6.519, "lse_c": 7.089
    }  # fmt: skip
    assert published.table1_hdtf.figures("PC-AVS") == {}
    assert published.table3.figures("L-Net + E-Net + D-Net") == published.table1_hdtf.figures(
        "Ours"
    )
    assert len(published.table4.rows) == 6
    short = {"caption": "", "dataset": "hdtf", "columns": {"a": "lower"}, "rows": {"x": [1.0, 2.0]}}
    with pytest.raises(ValueError, match="row x: expected 1 figures"):
        PublishedTable.model_validate(short)


def test_metrics_without_weights_are_left_out_and_say_what_to_do(tmp_path: Path) -> None:
    gone = tmp_path / "gone.pth"
    chosen = choose_metrics(
        ["cpbd", "fid", "lse", "psnr"], {"inception": gone, "syncnet_v2": gone}, torch.device("cpu")
    )
    assert list(chosen.metrics) == ["cpbd", "psnr"]
    assert list(chosen.left_out) == ["fid", "lse"]
    assert "--weights inception=FILE" in chosen.left_out["fid"]
    with pytest.raises(ConfigError, match=r"--metrics: got 'fud', expected of fid, cpbd"):
        choose_metrics(["fud"], {}, torch.device("cpu"))
