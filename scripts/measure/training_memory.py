"""Print the memory that the paper's recipes take per sample, as a Markdown table.

    python -m scripts.measure.training_memory

Nothing is computed: PyTorch's fake tensors know shapes only. What autograd keeps for the way back
is counted once per storage, in float32, with the perceptual teacher that most of it belongs to;
bfloat16 takes about half. Not counted: what a library needs on the way, and what an allocator
leaves unused. ``fixed`` is weights, gradients, both moments of Adam and the averaged copy. The last
two columns are those with ``compute.checkpointing``: what the blocks get, and the block that keeps
most while it is computed again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from retalking.script import run_entry_point

import torch
import yaml
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks

from losses.perceptual import FeaturePyramid, Vgg19Features
from models.dnet import DNet
from models.enet import ENet
from models.lnet import LNet
from models.syncnet import SyncExpert
from retalking.locations import CONFIGS
from retalking.training.update.checkpointing import checkpoint_blocks

_BYTES_PER_PARAMETER = 4 * 5
_MEL = (1, 80, 16)

_SAMPLES = 2  # batch norm refuses a single value

Call = Callable[[Any, int, int], Tensor]


@dataclass(frozen=True)
class Recipe:
    """A training of the paper.

    Attributes:
        name: of its folder in ``configs``.
        network: builds what is trained.
        call: runs it on so many samples of so many frames and returns what is judged.
        scales: of the perceptual teacher; 0 for none.
    """

    name: str
    network: Callable[[], nn.Module]
    call: Call
    scales: int


def _enet() -> ENet:
    network = ENet()
    network.low_res.requires_grad_(False)  # frozen, as in train_enet.py
    return network


def _enlarge(network: ENet, samples: int, frames: int) -> Tensor:
    count = samples * frames
    faces = torch.empty(count, 3, 384, 384)
    large: Tensor = network(torch.empty(count, *_MEL), faces, faces, "zero").face
    return large


def _paint(network: LNet, samples: int, frames: int) -> Tensor:
    count = samples * frames
    painted: Tensor = network(torch.empty(count, *_MEL), torch.empty(count, 6, 96, 96))
    return painted


def _edit(network: DNet, samples: int, frames: int) -> Tensor:
    count = samples * frames
    edited: Tensor = network(torch.empty(count, 3, 256, 256), torch.empty(count, 73, 27)).edited
    return edited


def _embed(network: SyncExpert, samples: int, frames: int) -> Tensor:
    return torch.cat(network(torch.empty(samples, *_MEL), torch.empty(samples, 3 * frames, 48, 96)))


RECIPES = (
    Recipe("dnet", DNet, _edit, 4),
    Recipe("lnet", LNet, _paint, 3),
    Recipe("enet", _enet, _enlarge, 4),
    Recipe("syncnet", SyncExpert, _embed, 0),
)


def read_sizes(name: str) -> tuple[int, int]:
    """Return samples per batch and frames per sample of a recipe of the paper."""
    recipe = yaml.safe_load((CONFIGS / name / "paper.yaml").read_text(encoding="utf-8"))
    frames = 5 if name == "syncnet" else recipe["data"].get("num_frames", 1)
    return recipe["loop"]["batch_size"], frames


class Memory(NamedTuple):
    """Bytes: what does not depend on the batch, what one sample keeps, and its greatest block."""

    fixed: int
    sample: int
    block: int


def measure(network: nn.Module, call: Call, frames: int, scales: int) -> Memory:
    """Count what a network keeps for the way back.

    Args:
        network: made under ``FakeTensorMode``, which must be on.
        call: see ``Recipe``.
        frames: of a sample.
        scales: see ``Recipe``.
    """
    teacher = FeaturePyramid(Vgg19Features(), scales) if scales else None
    parts = [network] if teacher is None else [network, teacher]
    tensors = [tensor for part in parts for tensor in (*part.parameters(), *part.buffers())]
    owned = {tensor.untyped_storage()._cdata for tensor in tensors}
    kept: dict[int, tuple[int, Tensor]] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in owned:
            kept[storage._cdata] = (storage.nbytes(), tensor)
        return tensor

    blocks = [0]

    def enter(block: nn.Module, _inputs: Any) -> None:
        blocks.append(_total(kept))

    def leave(block: nn.Module, _inputs: Any, _output: Any) -> None:
        blocks[0] = max(blocks[0], _total(kept) - blocks.pop())

    for block in network.modules():
        if isinstance(block, getattr(network, "BLOCKS", ())):
            block.register_forward_pre_hook(enter)
            block.register_forward_hook(leave)
    with saved_tensors_hooks(pack, lambda tensor: tensor):
        output = call(network.train(), _SAMPLES, frames)
        loss = output.sum() if teacher is None else sum(part.sum() for part in teacher(output))
    del loss
    trained = sum(p.numel() for p in network.parameters() if p.requires_grad)
    fixed = _BYTES_PER_PARAMETER * trained
    return Memory(fixed, _total(kept) // _SAMPLES, blocks[0] // _SAMPLES)


def _total(kept: Mapping[int, tuple[int, Tensor]]) -> int:
    return sum(size for size, _ in kept.values())


def main(recipes: Sequence[Recipe] = RECIPES) -> None:
    """Print the table."""
    print("| recipe | samples x frames | fixed | a sample | a batch | checkpointed | a batch |")
    print("|---|---|---:|---:|---:|---:|---:|")
    for recipe in recipes:
        batch, frames = read_sizes(recipe.name)
        with FakeTensorMode():
            whole = measure(recipe.network(), recipe.call, frames, recipe.scales)
            network = recipe.network()
            checkpoint_blocks(network)
            rest = measure(network, recipe.call, frames, recipe.scales).sample + whole.block
        batches = (whole.fixed + batch * sample for sample in (whole.sample, rest))
        figures = zip((whole.sample, rest), batches, strict=True)
        columns = " | ".join(f"{one / 1e9:.2f} | {all_ / 1e9:.1f}" for one, all_ in figures)
        sizes = f"{batch} x {frames} | {whole.fixed / 1e9:.2f}"
        print(f"| {recipe.name}/paper.yaml | {sizes} | {columns} |")
    print("\nGB of float32; compute.accumulate: N divides the samples' part by N.")


if __name__ == "__main__":
    run_entry_point(main)
