"""Settings of loaders that forgive nothing unless told so."""

from __future__ import annotations

from retalking.training.settings import LoaderSettings, ToleranceSettings


def loader_settings(batch_size: int, num_workers: int, **tolerance: float) -> LoaderSettings:
    none = dict.fromkeys(ToleranceSettings.model_fields, 0.0) | {"loader_timeout_s": 60.0}
    return LoaderSettings(
        batch_size=batch_size,
        num_workers=num_workers,
        tolerance=ToleranceSettings.model_validate(none | tolerance),
    )
