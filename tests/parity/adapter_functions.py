"""The pipeline's pure functions behind the names and conventions of the golden data.

Every function takes and returns a dict of numpy arrays. Where upstream has a fault that Retalking
does not keep (chunk rule, clamp by the width, division of the coordinates), the fault is restated
here, on top of the library, so that the rest of the numbers still proves the library.
"""

from __future__ import annotations

import cv2
import numpy as np
from upstream_pasting import (
    blend_at_512,
    crop_ffhq,
    ellipse,
    finish_frame,
    fit_ffhq,
    paste_gfpgan,
    paste_gpen,
    stretch,
    warp_ffhq,
)

from retalking.coefficients.recon import crop_for_recon, fit_recon_crop, flip_up
from retalking.coefficients.windows import coefficient_windows, crop_scale_ratio, window_indices
from retalking.face.affine import (
    FFHQ_POINTS_512,
    GPEN_POINTS_512,
    fit_similarity,
    invert_affine,
)
from retalking.face.ffhq import ffhq_quad
from retalking.ibug68 import five_points_by_corners
from retalking.media.sound.mel import (
    SAMPLE_RATE_HZ,
    WINDOW_STEPS,
    MelSpectrogram,
    log_mel,
    mel_filters,
)
from retalking.rendering.blending import laplacian_blend
from retalking.types import AudioClip, FaceCoefficients

Arrays = dict[str, np.ndarray]


def fn_mel(inputs: Arrays) -> Arrays:
    filters = mel_filters()
    return {
        "mel": log_mel(AudioClip(inputs["wave"], SAMPLE_RATE_HZ)).mel,
        "mel_short": log_mel(AudioClip(inputs["wave_short"], SAMPLE_RATE_HZ)).mel,
        "mel_basis_rowsum": filters.sum(axis=1),
        "mel_basis": filters,
    }


def fn_chunks(inputs: Arrays) -> Arrays:
    """Windows by time stamp until one no longer fits, which becomes the last 16 columns."""
    starts = {}
    for k, (num_columns, frame_rate_hz) in enumerate(inputs["cases"]):
        mel = MelSpectrogram(np.zeros((80, int(num_columns)), dtype=np.float32))
        last = len(mel) - WINDOW_STEPS
        times_s = np.arange(int(num_columns)) / frame_rate_hz
        fitting = mel.starts(times_s)
        fitting = fitting[fitting <= last]
        starts[f"start_{k}"] = np.append(fitting, last)
    return starts


def _coefficients(rows: np.ndarray) -> FaceCoefficients:
    """Split rows of 257 coefficients and 5 crop parameters (w, h, scale, tx, ty)."""
    return FaceCoefficients(rows[:, 80:144], rows[:, 224:227], rows[:, 254:257], rows[:, 259:262])


def fn_window(inputs: Arrays) -> Arrays:
    rows = inputs["semantic"]
    whole, short = _coefficients(rows), _coefficients(rows[:3])
    shot, short_shot = np.zeros(len(rows), np.int64), np.zeros(3, np.int64)
    outputs = {f"win_{i}": coefficient_windows(whole, [i], shot)[0] for i in (0, 5, 20, 39)}
    return outputs | {
        "win_20_ratio": coefficient_windows(whole, [20], shot, scale_ratio=1.125)[0],
        "win_short": coefficient_windows(short, [1], short_shot)[0],
        "index_20_of_40": window_indices([20], shot)[0],
        "index_0_of_3": window_indices([0], short_shot)[0],
    }


def fn_ratio(inputs: Arrays) -> Arrays:
    targets = _coefficients(inputs["targets"])
    itself = _coefficients(inputs["targets"][7:8])
    return {
        "ratio": np.array([crop_scale_ratio(_coefficients(inputs["source"]), targets)]),
        "ratio_self": np.array([crop_scale_ratio(itself, targets)]),
    }


def fn_align3d(inputs: Arrays) -> Arrays:
    outputs = {}
    for k in range(3):
        image, landmarks = inputs[f"image_{k}"], inputs[f"lm68_{k}"]
        height, width = image.shape[:2]
        crop = fit_recon_crop(landmarks[None], height)[0]
        outputs |= {
            f"trans_params_{k}": np.array([width, height, *crop]),
            f"face_{k}": crop_for_recon(image, crop),
            f"lm5_{k}": five_points_by_corners(flip_up(landmarks, height)),
            f"pos_t_{k}": crop[1:],
            f"pos_s_{k}": np.array(102 / crop[0]),
        }
    return outputs


def fn_croper(inputs: Arrays) -> Arrays:
    """Upstream's two nested crops, with the shrink and the clamp by the width."""
    outputs = {}
    for k, (height, width) in enumerate(inputs["frame_hw"]):
        quad = ffhq_quad(inputs[f"lm68_{k}"])
        side = np.linalg.norm(quad[2] - quad[1])
        shrink = max(int(side / 1024), 1)
        h, w = (round(n / shrink) for n in (height, width)) if shrink > 1 else (height, width)
        quad, side = quad / shrink, side / shrink
        border = max(int(np.rint(0.1 * side)), 3)
        left, top = np.maximum(np.floor(quad.min(axis=0)).astype(int) - border, 0)
        right, bottom = np.minimum(np.ceil(quad.max(axis=0)).astype(int) + border, (w, h))
        inner = quad + 0.5 - (left, top)
        lx, ly = np.maximum(inner.min(axis=0), 0)
        rx, ry = np.minimum(inner.max(axis=0), (width, width))
        x1, y1, x2, y2 = (int(n) for n in (lx, ly, rx, ry))
        outputs |= {
            f"crop_{k}": np.array([left, top, right, bottom]),
            f"quad_{k}": np.array([lx, ly, rx, ry]),
            f"box_{k}": np.array(
                [top + y1, min(top + y2, height), left + x1, min(left + x2, width)]
            ),
            f"cropshape_{k}": np.array([min(bottom - top, y2) - y1, min(right - left, x2) - x1]),
        }
    return outputs


def fn_ffhq(inputs: Arrays) -> Arrays:
    outputs = {}
    for k in range(2):
        quad = ffhq_quad(inputs[f"lm68_{k}"])
        corners = np.array([(0, 0), (0, 256), (256, 256), (256, 0)]) - 0.5
        to_crop = fit_similarity(quad, corners)
        cut, covered = warp_ffhq(inputs[f"image_{k}"], to_crop)
        crop = np.where(covered[..., None], cut, 0)
        pasted, inside = warp_ffhq(crop, invert_affine(to_crop))
        linear, shift = to_crop[:, :2], to_crop[:, 2]
        # Pillow counts from the corner of a pixel, OpenCV from its centre.
        edge_shift = shift + 0.5 - linear @ (0.5, 0.5)
        affine = np.concatenate([linear, edge_shift[:, None]], axis=1)
        outputs |= {
            f"quad_{k}": quad,
            f"crop_{k}": crop,
            f"coef_{k}": np.append(affine.ravel(), (0, 0)),
            f"paste_{k}": np.where(inside[..., None], pasted, inputs[f"background_{k}"]),
            f"cxy_{k}": np.stack(
                [quad.mean(axis=0), (quad[2] - quad[1]) / 2, (quad[1] - quad[0]) / 2]
            ),
        }
    return outputs


def fn_ffhqpaste(inputs: Arrays) -> Arrays:
    to_face = fit_ffhq(inputs["points"])
    cropped = crop_ffhq(inputs["image"], to_face)
    return {
        "template": FFHQ_POINTS_512,
        "affine": to_face,
        "inverse": invert_affine(to_face),
        "cropped": cropped,
        "pasted": paste_gfpgan(inputs["image"], 255 - cropped, to_face),
    }


def fn_gpenalign(inputs: Arrays) -> Arrays:
    to_face = fit_similarity(inputs["points"], GPEN_POINTS_512)
    return {
        "reference_5pts": GPEN_POINTS_512,
        "tfm": to_face,
        "scale": np.sqrt(np.linalg.det(to_face[:, :2])),
        "tfm_inv": invert_affine(to_face),
        "face": cv2.warpAffine(inputs["image"], to_face, (512, 512)),
    }


def fn_blend(inputs: Arrays) -> Arrays:
    first, second = inputs["image_a"], inputs["image_b"]
    return {
        f"{kind}_{levels}": laplacian_blend(first, second, inputs[f"mask_{kind}"], levels)
        for kind in ("hard", "soft")
        for levels in (6, 10)
    }


def fn_gpenprocess(inputs: Arrays) -> Arrays:
    """GPEN in the face (a negative here), and its use for the last blend, without GPEN."""
    image = inputs["image_256"]
    face, soft, sharp = paste_gpen(image, inputs["points_256"], lambda crop: 255 - crop)
    once = cv2.convertScaleAbs(image * (1 - soft) + face * soft)
    return {
        "enhanced": cv2.convertScaleAbs(image * (1 - sharp) + once * sharp),
        "poisson": finish_frame(
            inputs["image_a"], inputs["image_b"], inputs["points_frame"], inputs["bbox"]
        ),
    }


def fn_compose(inputs: Arrays) -> Arrays:
    """Prediction into the frame, GFPGAN (a negative here), the mouth from it, the last blend."""
    frame, (y1, y2, x1, x2) = inputs["image"], inputs["coords"]
    box_size = (int(x2 - x1), int(y2 - y1))
    predicted = frame.copy()
    predicted[y1:y2, x1:x2] = cv2.resize(inputs["pred"].astype(np.uint8), box_size)
    to_face = fit_ffhq(inputs["points_gfpgan"])
    restored = paste_gfpgan(predicted, 255 - crop_ffhq(predicted, to_face), to_face)
    # A uint8 picture holds upstream's mask of shares: all below 1 is lost.
    mouth = cv2.resize(255 * ellipse(330, 90, 50).astype(np.uint8), box_size) == 255
    mask = np.zeros(frame.shape, np.uint8)
    mask[y1:y2, x1:x2] = mouth[..., None]
    blended = blend_at_512(restored, predicted, mask[..., 0].astype(np.float32), 10)
    return {
        "mouth_blend_512": blended,
        "mouse_mask": mask,
        "final": finish_frame(
            stretch(blended, frame), frame, inputs["points_gpen"], inputs["coords"]
        ),
    }
