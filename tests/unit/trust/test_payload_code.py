"""The code of the marks: every payload is found, and nothing is found without the key."""

from __future__ import annotations

import numpy as np
import pytest

from retalking.trust.payload_code import PayloadCode, best_payload, log10_tail, payload_of

KEY = b"a key of the tests"


@pytest.mark.parametrize("user", [0, 1, 0x8000, 0xBEEF, 65535])
def test_a_payload_is_read_from_signs_in_noise(user: int) -> None:
    code = PayloadCode(KEY, "test", 600)
    values = code.signs(user) + np.random.default_rng(user).normal(0, 2, 600)
    scores = code.scores(values) ** 2 / np.square(values).sum()
    found, log10_p = best_payload(scores, 1, 1)
    assert found == user
    assert log10_p < -10


def test_scores_are_the_sums_with_the_signs_of_each_payload() -> None:
    code = PayloadCode(KEY, "test", 40)
    values = np.random.default_rng(0).normal(size=40)
    scores = code.scores(values)
    for user in (0, 3, 70, 65535):
        assert scores[user] == pytest.approx(float(values @ code.signs(user)))


def test_another_key_and_another_use_have_other_signs() -> None:
    signs = PayloadCode(KEY, "test", 2000).signs(5)
    for other in (PayloadCode(b"other", "test", 2000), PayloadCode(KEY, "sound", 2000)):
        assert abs(float(signs @ other.signs(5))) < 5 * np.sqrt(2000)


def test_signs_never_change() -> None:
    """Marks of today are read by the detectors of tomorrow."""
    signs = PayloadCode(b"fixed", "picture", 16).signs(0x1234)
    assert "".join("+" if sign > 0 else "-" for sign in signs) == "+---+++-++-+----"


def test_noise_is_found_as_seldom_as_promised() -> None:
    rng = np.random.default_rng(1)
    code = PayloadCode(KEY, "test", 300)
    found = []
    for _ in range(400):
        cosine, sine = rng.standard_t(3, (2, 150))
        power = np.square(cosine).sum() + np.square(sine).sum()
        along = code.scores(np.concatenate([cosine, sine]))
        across = code.scores(np.concatenate([-sine, cosine]))
        found.append(best_payload((along**2 + across**2) / power, 1, 1)[1])
    assert np.mean(np.array(found) < -1) <= 0.16  # 0.1 and three standard errors
    assert min(found) > -4.5


def test_the_tail_of_several_windows_is_that_of_chi_squared() -> None:
    # scipy.stats.chi2.logsf(score, 2 * windows) / log(10)
    assert log10_tail(30.0, 1) == pytest.approx(-6.514417, abs=1e-5)
    assert log10_tail(60.0, 4) == pytest.approx(-9.332, abs=1e-3)
    assert log10_tail(0.0, 3) == pytest.approx(0.0, abs=1e-6)


def test_the_payload_begins_with_the_project() -> None:
    assert f"{payload_of(0xABCD):08X}" == "5E13ABCD"


def test_a_payload_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match="expected 0 to 65535"):
        PayloadCode(KEY, "test", 4).signs(65536)
