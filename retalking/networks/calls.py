"""The networks of the second pass as plain functions on the frames of a chunk.

``T`` counts the frames given. Pictures are RGB uint8 ``[T, S, S, 3]``; what a network wants
(colours in [-1, 1], or BGR, see ``lip_calls``) is known here and nowhere else. They become numbers
batch by batch: those of a chunk would take four times the memory, several times over.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from models.dnet import DNet
from models.enet import ENet
from models.lnet import LNet
from retalking.face.affine import FFHQ_POINTS_512, GPEN_POINTS_512
from retalking.face.crops import LIP_PX, STABILISER_PX
from retalking.media.images import to_float, to_pixels
from retalking.networks.lip_calls import enlarge_lips, paint_lips
from retalking.networks.run import Run
from retalking.types import BoolArray, Float64Array, FloatArray, IntArray, UInt8Array
from third_party.ganimation import GANimation, expression_aus
from third_party.gfpgan import GFPGAN
from third_party.gpen import GPEN
from third_party.parsenet import FacePart, ParseNet
from third_party.windows import Window

RESTORED_PX = 512
"""Side of the faces that GFPGAN, GPEN and ParseNet read."""
_GANIMATION_PX = 128
_LNET_PX = 96

FaceRestorer = GFPGAN | GPEN


def template_of(restorer: FaceRestorer | None) -> Float64Array:
    """Return where a restorer (or the parser alone) expects the five points: float64 ``[5, 2]``."""
    return GPEN_POINTS_512 if isinstance(restorer, GPEN) else FFHQ_POINTS_512


@dataclass(frozen=True)
class SpeakingFaces:
    """What L-Net and E-Net make of the faces of a chunk.

    Attributes:
        rgb: uint8 ``[T, 384, 384, 3]``.
        low_res: float32 ``[T, 3, 96, 96]`` in RGB and [0, 1], L-Net's.
    """

    rgb: UInt8Array
    low_res: FloatArray


def edit_expression(run: Run, dnet: DNet, faces: UInt8Array, windows: FloatArray) -> UInt8Array:
    """Give faces the expression and pose of their coefficient windows (D-Net, paper 3.1).

    A D-Net that moves detail instead of painting it takes faces of twice the size as well.

    Args:
        run: runs the network.
        dnet: the network.
        faces: ``[T, 256, 256, 3]`` or ``[T, 512, 512, 3]``.
        windows: float32 ``[T, 73, 26]`` of ``coefficient_windows``.

    Returns:
        Pictures of the same size.
    """
    return edit_pixels(run, dnet, torch.from_numpy(faces), torch.from_numpy(windows)).numpy()


def edit_pixels(run: Run, dnet: DNet, pixels: Tensor, windows: Tensor) -> Tensor:
    """``edit_expression`` of tensors."""

    def edit(pixels: Tensor, window: Tensor) -> Tensor:
        picture = _to_signed(pixels)
        if picture.shape[2] > STABILISER_PX:
            return dnet.edit_fine(picture, window)
        edited = dnet(picture, window).edited
        assert edited is not None
        return edited

    return run(dnet, pixels, windows, forward=edit, finish=_from_signed)


def synthesise_lips(
    run: Run,
    network: ENet | LNet,
    faces: UInt8Array,
    references: UInt8Array,
    mels: FloatArray,
    painted_only: bool = False,
) -> SpeakingFaces:
    """Inpaint the lower half of faces after the audio (L-Net, paper 3.2) and enlarge them (E-Net).

    Args:
        run: runs the network.
        network: E-Net with its L-Net inside, or L-Net alone, whose result is enlarged bicubically.
        faces: ``[T, 384, 384, 3]`` lip crops of the video; their lower half is not read.
        references: ``[T, 384, 384, 3]`` lip crops of the stabilised face.
        mels: float32 ``[T, 1, 80, 16]``.
        painted_only: whether the upper half of the result may be that of ``faces``.
    """
    mel, face, reference = (torch.from_numpy(part) for part in (mels, faces, references))
    rgb, low_res = synthesise_pixels(run, network, mel, face, reference, painted_only)
    return SpeakingFaces(rgb.numpy(), low_res.numpy())


def synthesise_pixels(
    run: Run,
    network: ENet | LNet,
    mels: Tensor,
    faces: Tensor,
    references: Tensor,
    painted_only: bool,
) -> tuple[Tensor, Tensor]:
    """``synthesise_lips`` of tensors."""

    def synthesise(mel: Tensor, *pixels: Tensor) -> tuple[Tensor, Tensor]:
        face, reference = (to_float(part) for part in pixels)
        if not isinstance(network, LNet):
            made = enlarge_lips(network, mel, face, reference, painted_only=painted_only)
            return made.face, made.low_res
        small = (interpolate(rgb, (_LNET_PX, _LNET_PX), mode="area") for rgb in (face, reference))
        low_res = paint_lips(network, mel, *small)
        size = (LIP_PX, LIP_PX)
        return interpolate(low_res, size, mode="bicubic", align_corners=False), low_res

    def finish(picture: Tensor, low_res: Tensor) -> tuple[Tensor, Tensor]:
        return to_pixels(picture), low_res

    rgb, low_res = run.several(network, mels, faces, references, forward=synthesise, finish=finish)
    return rgb, low_res


def change_upper_face(
    run: Run, ganimation: GANimation, faces: UInt8Array, expression: str
) -> UInt8Array:
    """Change the emotion of faces by action units (paper 3.1, the plugin of Pumarola et al.).

    The network works at 128 px. Only the change it makes is enlarged and added, so that the face
    keeps its own detail. (Upstream enlarges the picture, feeds BGR to a network trained on RGB, and
    throws the result away unless another flag is given.)

    Args:
        run: runs the network.
        ganimation: the network.
        faces: ``[T, 384, 384, 3]``.
        expression: one of ``third_party.ganimation.EXPRESSIONS``.

    Returns:
        ``[T, 384, 384, 3]``.
    """
    aus = expression_aus(expression)

    def change(pixels: Tensor) -> Tensor:
        large = _to_signed(pixels)
        small = interpolate(large, (_GANIMATION_PX,) * 2, mode="area")
        changed = ganimation(small, aus.to(small.device).expand(len(small), -1))
        size = large.shape[2:]
        return large + interpolate(changed - small, size, mode="bilinear", align_corners=False)

    return run(ganimation, torch.from_numpy(faces), forward=change, finish=_from_signed).numpy()


def restore_faces(
    run: Run, restorer: FaceRestorer, faces: UInt8Array, window: Window | None = None
) -> UInt8Array:
    """Add the detail of a generative prior to aligned faces (GFPGAN or GPEN; paper 3.4).

    Args:
        run: runs the network.
        restorer: the network.
        faces: ``[T, 512, 512, 3]``, aligned to the restorer's template.
        window: the part that is wanted; the whole if not given.

    Returns:
        ``[T, 512, 512, 3]``; outside the window as given.
    """
    return restore_pixels(run, restorer, torch.from_numpy(faces), window).numpy()


def restore_pixels(
    run: Run, restorer: FaceRestorer, faces: Tensor, window: Window | None
) -> Tensor:
    """``restore_faces`` of tensors."""

    def restore(pixels: Tensor) -> Tensor:
        return restorer(_to_signed(pixels), window=window)

    made = run(restorer, faces, forward=restore, finish=_from_signed)
    return made if window is None else _put_in(faces.clone(), made, window)


def parse_faces(
    run: Run,
    parser: ParseNet,
    faces: UInt8Array,
    side_px: int = RESTORED_PX,
    window: Window | None = None,
) -> UInt8Array:
    """Label the parts of faces.

    Args:
        run: runs the network.
        parser: the network.
        faces: ``[T, 512, 512, 3]``.
        side_px: the faces are shrunk to this for the network, and its scores enlarged.
        window: the part that is wanted; the whole if not given. Not looked at where it would not
            begin and end with pixels of the network.

    Returns:
        uint8 ``[T, 512, 512]``, ``third_party.parsenet.FacePart``; background outside the window.
    """
    return parse_pixels(run, parser, torch.from_numpy(faces), side_px, window).numpy()


def parse_pixels(
    run: Run, parser: ParseNet, faces: Tensor, side_px: int, window: Window | None
) -> Tensor:
    """``parse_faces`` of tensors."""
    if window is not None and faces.shape[1] % side_px:
        window = None
    seen = None if window is None else window.scaled(side_px)

    def label(pixels: Tensor) -> Tensor:
        pictures = _to_signed(pixels)
        if side_px == pictures.shape[2]:
            return parser(pictures, window=seen).argmax(dim=1)
        scores = parser(interpolate(pictures, (side_px, side_px), mode="area"), window=seen)
        part = pictures if window is None else window.of(pictures)
        large = interpolate(scores.float(), part.shape[2:], mode="bilinear", align_corners=False)
        return large.argmax(dim=1)

    def to_bytes(labels: Tensor) -> Tensor:
        return labels.to(torch.uint8)

    made = run(parser, faces, forward=label, finish=to_bytes)
    if window is None:
        return made
    return _put_in(made.new_full(faces.shape[:3], FacePart.BACKGROUND), made, window)


def where_it_fits(
    run: Run,
    fits: BoolArray,
    window: Window,
    apply: Callable[[Run, IntArray, Window | None], Tensor],
) -> Tensor:
    """Compute a part of the pictures that need no more, and all of the others.

    Args:
        run: runs a network.
        fits: bool ``[T]``.
        window: the part.
        apply: given a run, the rows it is for, and the part or ``None``, returns their results.

    Returns:
        ``[T, ...]``, where the results are.
    """
    parts = [(np.flatnonzero(some), part) for some, part in ((fits, window), (~fits, None))]
    made = [(rows, apply(run.only(rows), rows, part)) for rows, part in parts if len(rows)]
    if len(made) == 1:
        return made[0][1]
    order = np.argsort(np.concatenate([rows for rows, _ in made]))
    return torch.cat([pictures for _, pictures in made])[order]


def _put_in(pictures: Tensor, part: Tensor, window: Window) -> Tensor:
    """Put a part ``[T, h, w, ...]`` into pictures ``[T, S, S, ...]``, in place."""
    pictures[:, window.top : window.bottom, window.left : window.right] = part
    return pictures


def _to_signed(pixels: Tensor) -> Tensor:
    return to_float(pixels) * 2 - 1


def _from_signed(pictures: Tensor) -> Tensor:
    return to_pixels((pictures + 1) / 2)
