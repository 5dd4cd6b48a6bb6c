"""The parts of a profile: every network that a job needs, loaded and placed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

from models import weights
from models.blocks.spectral_norm import fold_spectral_norm
from models.dnet import DNet
from models.enet import ENet
from models.lnet import LNet
from models.weight_files import is_safetensors, read_metadata
from retalking.coefficients.basis import EXPRESSION_BASIS_PATH, ExpressionBasis
from retalking.coefficients.windows import load_expression_templates
from retalking.errors import ConfigError, WeightsError
from retalking.face.detection import CascadeDetector, FaceDetector
from retalking.face.landmarks import LITE_LANDMARKS_PATH, Landmarker, LiteLandmarker
from retalking.files import sha256_of
from retalking.locations import CHECKPOINTS
from retalking.networks.calls import FaceRestorer
from retalking.networks.engines.run import EngineName, choose_engine, run_with
from retalking.networks.options import ENCODER_KEY, FaceAnalysis, PartsOptions
from retalking.networks.runner import Runner, make_runner
from retalking.speech.lip_shapes import ENCODER_PATH, LIP_SHAPES_PATH, LipListener
from retalking.speech.sounds import SoundSpace
from retalking.types import FloatArray
from third_party.face3d import Face3D
from third_party.ganimation import GANimation
from third_party.gfpgan import GFPGAN
from third_party.gpen import GPEN
from third_party.parsenet import ParseNet

Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True)
class Parts:
    """What a job runs with; a part that is off is ``None``.

    Attributes:
        runner: device, precision and batch size of all networks.
        detector: finds faces.
        landmarker: finds 68 landmarks.
        face3d: Deep3DFaceRecon, or ``None`` for coefficients from the landmarks alone.
        expression_basis: of the coefficients from landmarks, or ``None`` with ``face3d``.
        templates: expression ``[64]`` by name.
        dnet: stabilises the expression; ``None`` takes quiet frames as references instead.
        enet: synthesises the lips: E-Net with L-Net inside, or L-Net alone; ``None`` where the
            mouth is made of the speaker's own pixels.
        listener: hears lips; ``None`` where networks paint them.
        reference_enhancer: sharpens the references.
        restorer: restores the mouth.
        parser: finds what to paste back.
        ganimation: changes the upper face.
        analysis_files: weight files that the first pass depends on.
        weight_files: all weight files.
    """

    runner: Runner
    detector: FaceDetector
    landmarker: Landmarker
    face3d: Face3D | None
    expression_basis: ExpressionBasis | None
    templates: Mapping[str, FloatArray]
    dnet: DNet | None
    enet: ENet | LNet | None
    listener: LipListener | None
    reference_enhancer: FaceRestorer | None
    restorer: FaceRestorer | None
    parser: ParseNet | None
    ganimation: GANimation | None
    analysis_files: tuple[Path, ...]
    weight_files: tuple[Path, ...]


def load_parts(config: PartsOptions) -> Parts:
    """Load what a configuration asks for.

    Raises:
        WeightsError: a file is missing or does not fit.
        ConfigError: the device or precision cannot be used.
    """
    runner = make_runner(config.device, config.precision, config.batch_size)
    files = _Loader(config, runner)
    detector, landmarker, analysis_files = load_face_analysis(
        config.face_analysis, config.checkpoints or CHECKPOINTS, runner.device
    )
    restorers: dict[str, FaceRestorer | None] = {"none": None}
    enhancer, restorer = config.active_restorers
    if "gpen" in (enhancer, restorer):
        restorers["gpen"] = files.load(config.gpen, GPEN, "GPEN")
    if "gfpgan" in (enhancer, restorer):
        restorers["gfpgan"] = files.load(config.gfpgan, GFPGAN, "GFPGAN")
    from_pixels = config.uses_face3d
    analysis_files += (files.find(config.face3d) if from_pixels else EXPRESSION_BASIS_PATH,)
    basis = None if from_pixels else ExpressionBasis.from_file()
    painted = config.mouth == "networks"
    parts = Parts(
        runner=runner,
        detector=detector,
        landmarker=landmarker,
        face3d=files.load(config.face3d, Face3D, "face3d") if from_pixels else None,
        expression_basis=basis,
        templates=(
            load_expression_templates(files.find(config.expression_templates))
            if basis is None and painted
            else (basis or ExpressionBasis.from_file()).templates
        ),
        dnet=None if config.used_dnet is None else files.load(config.used_dnet, DNet, "DNet"),
        enet=_load_enet(files, config.enet, config.lnet) if painted else None,
        listener=None if painted else _load_listener(config),
        reference_enhancer=restorers[enhancer],
        restorer=restorers[restorer],
        parser=(
            files.load(config.parsenet, ParseNet, "ParseNet")
            if config.parser == "parsenet"
            else None
        ),
        ganimation=(
            files.load(config.ganimation, GANimation, "GANimation")
            if config.up_face != "original"
            else None
        ),
        analysis_files=analysis_files,
        weight_files=(*analysis_files, *map(files.find, config.weight_files())),
    )
    _choose_programs(parts, config.engine)
    return parts


def _choose_programs(parts: Parts, name: EngineName) -> None:
    """Let an engine compute the networks of the mouth; any but PyTorch reads the host's memory."""
    runner = parts.runner
    engine = choose_engine(name, runner.device)
    runner.holds_pictures &= engine == "torch"
    kinds = (parts.dnet, parts.enet, parts.reference_enhancer, parts.restorer, parts.parser)
    for network in {id(kind): kind for kind in kinds if kind is not None}.values():
        run_with(engine, network, runner)


@dataclass(frozen=True)
class _Loader:
    """Finds weight files and places their networks."""

    config: PartsOptions
    runner: Runner

    def find(self, path: Path) -> Path:
        """Look where the configuration says."""
        found = self.config.locate(path)
        if found is None:
            folder = self.config.checkpoints or CHECKPOINTS
            raise WeightsError(
                f"{folder / path}: no such weight file; run python "
                "scripts/download_checkpoints.py, name another file, or use --profile lite"
            )
        return found

    def load(
        self,
        path: Path,
        network_class: type[Network],
        official_name: str,
        lnet_path: Path | None = None,
    ) -> Network:
        """Load one network of our own format or of an official one."""
        network = weights.load_any(self.find(path), network_class, official_name, lnet_path)
        fold_spectral_norm(network)
        self.runner.place(network)
        return network


def load_face_analysis(
    kind: FaceAnalysis, checkpoints: Path, device: torch.device
) -> tuple[FaceDetector, Landmarker, tuple[Path, ...]]:
    """Load what finds faces and landmarks, and name the files it comes from.

    Args:
        kind: see ``FaceNetworksSection``.
        checkpoints: folder of weight files, for all but ``lite``.
        device: where the networks run.

    Raises:
        WeightsError: a file is missing or does not fit.
    """
    if kind == "lite":
        landmarker = LiteLandmarker.from_file(device=device)
        return CascadeDetector(landmarker), landmarker, (LITE_LANDMARKS_PATH,)
    # Importing the package takes seconds, which the lite analysis can do without.
    from retalking.face import face_alignment_package as package  # noqa: PLC0415

    paths = package.weight_paths(kind, checkpoints)
    detector = package.NetworkDetector.from_file(kind, paths[0], device)
    return detector, package.FanLandmarker.from_package(device), paths


def _load_listener(config: PartsOptions) -> LipListener:
    """Load what hears lips; a speaker's own network only if it listens to this encoder."""
    path, sounds = config.lip_shapes, config.sounds
    if path != LIP_SHAPES_PATH:
        _check_encoder(path, read_metadata(path).get(ENCODER_KEY))
    listener = LipListener.from_files(shapes=path)
    if sounds is not None:
        listener = dataclasses.replace(listener, sounds=_load_sounds(sounds))
    return listener


def _load_sounds(path: Path) -> SoundSpace:
    """Load where a speaker's sounds lie, as this encoder hears them."""
    try:
        space = SoundSpace.read(path)
    except (OSError, ValueError, KeyError) as error:
        raise WeightsError(
            f"{path}: cannot be read ({error}); run scripts/personalise.py again"
        ) from None
    _check_encoder(path, space.encoder)
    return space


def _check_encoder(path: Path, encoder: str | None) -> None:
    if encoder != sha256_of(ENCODER_PATH):
        raise WeightsError(
            f"{path}: was fitted to another speech encoder than the one of this version; run "
            "scripts/personalise.py again"
        )


def _load_enet(files: _Loader, enet_path: Path | None, lnet_path: Path | None) -> ENet | LNet:
    """E-Net with the L-Net of ``lnet_path`` inside or the one its file brings, or L-Net alone."""
    if enet_path is None:
        if lnet_path is None:
            raise ConfigError("enet and lnet: both are null, expected at least one file")
        return files.load(lnet_path, LNet, "LNet")
    if lnet_path is None or not is_safetensors(files.find(enet_path)):
        official_lnet = None if lnet_path is None else files.find(lnet_path)
        return files.load(enet_path, ENet, "ENet", official_lnet)
    enet = files.load(enet_path, ENet, "ENet")
    lnet = files.load(lnet_path, LNet, "LNet")
    if lnet.config != enet.config.lnet:
        raise WeightsError(
            f"{lnet_path}: its L-Net has other widths than the one inside {enet_path}; "
            "name files that were trained together"
        )
    enet.low_res = lnet
    return enet
