"""Profiles: which parts a job runs with, by one word."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from retalking.config import load_config
from retalking.errors import ConfigError
from retalking.inference.config import InferenceConfig
from retalking.locations import CHECKPOINTS, CONFIGS
from retalking.weights.catalogue import FACE_ANALYSIS_WEIGHTS, read_catalogue

logger = logging.getLogger(__name__)

PROFILES = ("auto", "official", "lite", "small")


def load_profile(
    profile: str, options: Mapping[str, object], overrides: Sequence[str] = ()
) -> InferenceConfig:
    """Return the configuration of a profile.

    Args:
        profile: ``official``, ``lite``, ``small``, or ``auto`` for the first of these whose files
            are here.
        options: fields of the configuration that differ.
        overrides: ``key=value`` texts of ``--set``; they come last.

    Raises:
        ConfigError: an unknown profile or field, or a value out of range.
    """
    if profile not in PROFILES:
        raise ConfigError(f"--profile: got {profile}, expected {', '.join(PROFILES)}")
    if profile == "auto":
        profile = _choose_profile(options, overrides)
    return load_file(CONFIGS / "inference" / f"{profile}.yaml", options, overrides)


def load_file(
    path: Path, options: Mapping[str, object], overrides: Sequence[str] = ()
) -> InferenceConfig:
    """Return the configuration of a YAML file; see ``load_profile``."""
    values = {
        name: json.dumps(value, default=str, ensure_ascii=False) for name, value in options.items()
    }
    given = [f"{name}={value}" for name, value in values.items()]
    return load_config(InferenceConfig, path, [*given, *overrides])


def _choose_profile(options: Mapping[str, object], overrides: Sequence[str]) -> str:
    official = load_file(CONFIGS / "inference" / "official.yaml", options, overrides)
    missing = missing_files(official)
    if missing:
        shown = ", ".join(missing[:3]) + (" ..." if len(missing) > 3 else "")
        logger.warning("profile lite: the official one lacks %d files (%s)", len(missing), shown)
        return "lite"
    logger.info("profile official: all its files are here")
    return "official"


def missing_files(config: InferenceConfig) -> list[str]:
    """Return the weight files that a configuration names and that are not here."""
    missing = [str(path) for path in config.weight_files() if config.locate(path) is None]
    catalogue, folder = read_catalogue(), config.checkpoints or CHECKPOINTS
    files = [catalogue.named(name) for name in FACE_ANALYSIS_WEIGHTS[config.face_analysis]]
    missing += [file.file for file in files if not file.path(folder).is_file()]
    return missing
