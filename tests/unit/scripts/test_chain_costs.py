"""The table of the chain adds up, and ParseNet at its own size agrees with itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from retalking.networks.runner import Runner
from scripts.measure.chain_costs import Link, links, main
from scripts.measure.model_costs import WORKLOADS
from scripts.measure.parser_px import agreement
from third_party.parsenet import ParseNet, ParseNetConfig


def test_runs_times_costs_are_summed(capsys: pytest.CaptureFixture[str]) -> None:
    dnet = next(workload for workload in WORKLOADS if workload.name == "D-Net")
    main([Link(dnet, "D-Net", (1, 2, 0, 0.5, 1), 100.0), Link(None, "FAN", (2, 0, 1, 1, 0))])
    rows = [
        [column.strip() for column in line.split("|")[1:-1]]
        for line in capsys.readouterr().out.splitlines()
        if line.startswith("|")
    ]
    assert rows[2] == ["D-Net", "88.0", "100.0", "176.1", "", "44.0", "88.0"]
    assert rows[3] == ["FAN", "50.5", "101.0", "", "50.5", "50.5", ""]
    assert rows[4] == ["sum", "", "201", "176", "50", "95", "88"]
    assert rows[5][2:] == ["1.00", "0.88", "0.25", "0.47", "0.44"]


def test_the_chain_names_every_network_once() -> None:
    names = [link.name for link in links()]
    assert len(set(names)) == len(names)
    assert {"D-Net", "E-Net with L-Net", "ParseNet", "GFPGAN v1.3"} <= set(names)


def test_labels_agree_at_the_same_side_and_less_at_smaller_ones() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = ParseNetConfig(base_channels=4, max_channels=8, num_halvings=2, body_depth=1)
        network = ParseNet(config).eval()
    coarse = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3), dtype=np.uint8)
    faces = coarse.repeat(8, axis=1).repeat(8, axis=2)
    runner = Runner(torch.device("cpu"), torch.float32, 1)
    found = agreement(runner, network, faces, [512, 256, 64])
    assert found[512] == (1, 1, 1)
    assert 1 > found[256][0] > found[64][0] > 0
