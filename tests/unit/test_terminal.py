"""What comes from files' names and contents cannot steer a terminal."""

from __future__ import annotations

import logging
import sys

import pytest

from retalking.errors import ConfigError, MediaError
from retalking.exit_code import report_mistakes
from retalking.terminal import log_to_terminal, printable


def test_control_characters_are_written_out() -> None:
    odd = "a\x1b[31mb\x00\x07\r\x9b\udcffä\tz\nnext"
    written = "a\\x1b[31mb\\x00\\x07\\x0d\\x9b\\xdcffä\tz"
    assert printable(odd) == f"{written}\\x0anext"
    assert printable(odd, keeps_lines=True) == f"{written}\nnext"


def test_an_error_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> None:
        raise MediaError("\x1b[2J\n.mp4: no such file")

    assert report_mistakes()(main)() == 2
    assert capsys.readouterr().err == "error: \\x1b[2J\\x0a.mp4: no such file\n"


def test_each_wrong_value_of_a_configuration_has_its_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def main() -> None:
        raise ConfigError("fps: 0\ncrf: -1\x1b")

    assert report_mistakes()(main)() == 2
    assert capsys.readouterr().err == "error: fps: 0\ncrf: -1\\x1b\n"


def test_a_warning_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(root, "level", root.level)
    log_to_terminal(logging.WARNING)
    logger = logging.getLogger("retalking.somewhere")
    logger.warning("%s: damaged (%s)", "x\x1b.arrays", "OpenCV(4):\n> Overload\n")
    logger.info("not shown")
    assert capsys.readouterr().err == "WARNING: x\\x1b.arrays: damaged (OpenCV(4): > Overload )\n"
    try:
        raise ValueError("why")
    except ValueError:
        logger.exception("stopped by")
    assert "Traceback" in capsys.readouterr().err
    assert sys.stderr is not None
