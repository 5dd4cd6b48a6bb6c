"""Every option has one home, and a cache forgets its entry when what it depends on changes."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from retalking.analysis.options import AnalysisSection, CacheSection
from retalking.config import Section, sections_of
from retalking.errors import ConfigError
from retalking.inference.config import ANALYSIS_SECTIONS, PIXEL_SECTIONS, InferenceConfig
from retalking.inference.profiles import load_profile
from retalking.media.options import EncoderSection
from retalking.trust.options import ProvenanceSection

OTHER: dict[str, Any] = {
    "face_box": (1, 2, 3, 4),
    "box": (1, 2, 3, 4),
    "crop": (1, 2, 3, 4),
    "pads": (1, 2, 3, 4),
}


@pytest.fixture(scope="module")
def lite() -> InferenceConfig:
    return load_profile("lite", {})


@pytest.mark.parametrize(
    "fault", ["fps=1e-9", "max_gap_s=1e308", "max_seconds=1e300", "chunk_size=1000000000000"]
)
def test_values_that_would_exhaust_the_machine_are_refused(fault: str) -> None:
    with pytest.raises(
        ConfigError, match=r"^--set \w+=\S+: \w+: got \S+; Input should be \w+ than"
    ):
        load_profile("lite", {}, [fault])


def test_every_field_belongs_to_exactly_one_section() -> None:
    homes = Counter(
        field for section in sections_of(InferenceConfig) for field in section.model_fields
    )
    assert set(homes) == set(InferenceConfig.model_fields)
    assert set(homes.values()) == {1}


def test_every_section_is_in_the_key_of_the_pixels_or_has_none_of_them() -> None:
    others = {EncoderSection, CacheSection, ProvenanceSection}
    assert {*PIXEL_SECTIONS, *others} == {*sections_of(InferenceConfig)}


def changed(config: InferenceConfig, field: str) -> InferenceConfig:
    """The same but for one value; types do not matter to a key."""
    value = getattr(config, field)
    other = OTHER.get(field, not value if isinstance(value, bool) else f"not {value}")
    return config.model_copy(update={field: other})


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
@pytest.mark.parametrize("section", sections_of(InferenceConfig))
def test_a_key_changes_with_the_sections_it_depends_on_and_no_other(
    section: type[Section], lite: InferenceConfig
) -> None:
    for field in section.model_fields:
        other = changed(lite, field)
        assert (other.analysis_values() != lite.analysis_values()) == (section in ANALYSIS_SECTIONS)
        assert (other.pixel_values() != lite.pixel_values()) == (section in PIXEL_SECTIONS)


def test_a_configuration_is_each_of_its_sections(lite: InferenceConfig) -> None:
    assert all(isinstance(lite, section) for section in sections_of(InferenceConfig))
    with pytest.raises(ValueError, match="only one of face_index, face_box and face_image"):
        AnalysisSection(**{**alone(lite), "face_index": 1, "face_box": (1, 2, 3, 4)})


def alone(config: InferenceConfig) -> dict[str, Any]:
    return {name: getattr(config, name) for name in AnalysisSection.model_fields}
