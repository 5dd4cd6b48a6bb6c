"""Every flag reaches its field, and every fault is one line with exit code 2."""

from __future__ import annotations

import logging
import runpy
import sys
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from retalking.errors import CancelledError
from retalking.exit_code import EXIT_ERROR, EXIT_INTERRUPTED, EXIT_OK
from retalking.inference import cli, dub
from retalking.inference.cli import build_parser, configure, main
from retalking.inference.config import InferenceConfig
from retalking.inference.dub import review_dub
from retalking.inference.pipeline import DubbingReport
from retalking.inference.profiles import load_file, load_profile
from retalking.timings import Timings
from tests.conftest import REPOSITORY
from tests.media import tone, write_audio, write_video
from tests.unit.inference.flags import FLAGS

JOB = ["--face", "talk.mp4", "--audio", "speech.wav", "--profile", "lite"]


def config_of(
    arguments: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> InferenceConfig:
    """What ``--dry-run`` prints, read back."""
    assert main([*JOB, *arguments, "--dry-run"]) == EXIT_OK
    printed = tmp_path / "printed.yaml"
    printed.write_text(capsys.readouterr().out)
    return load_file(printed, {})


@pytest.fixture(scope="module")
def lite() -> InferenceConfig:
    return load_profile("lite", {})


@pytest.mark.parametrize(("flag", "words", "field", "value"), FLAGS)
def test_every_flag_reaches_its_field(
    flag: str, words: list[str], field: str, value: object, lite: InferenceConfig
) -> None:
    assert getattr(lite, field) != value
    for spelling in {flag, "--" + flag[2:].replace("-", "_")}:
        config = configure(build_parser().parse_args([*JOB, spelling, *words]))
        assert config == lite.model_copy(update={field: value})


@pytest.mark.parametrize("flag", ["--face_det_batch_size=4", "--img_size=384"])
def test_flags_of_upstream_without_a_meaning_here_warn(
    flag: str, lite: InferenceConfig, caplog: pytest.LogCaptureFixture
) -> None:
    assert configure(build_parser().parse_args([*JOB, flag])) == lite
    assert f"{flag.split('=', maxsplit=1)[0]} has no effect here" in caplog.text


def test_no_flag_is_forgotten_here() -> None:
    known = {flag for flag, *_ in FLAGS} | {"--no-silence-gate"}
    actions = {action.dest: set(action.option_strings) for action in build_parser()._actions}
    for field in InferenceConfig.model_fields:
        assert known & actions[field]
        assert {f"--{field}", f"--{field.replace('_', '-')}"} <= actions[field]


def test_no_flags_are_the_profile(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert config_of([], capsys, tmp_path) == load_profile("lite", {})
    assert config_of(["--no-silence-gate"], capsys, tmp_path).silence_gate is False
    assert config_of(["--batch-size", "auto"], capsys, tmp_path).batch_size is None


def test_set_takes_any_key_and_comes_last(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    words = ["--set", "crf=5", "--crf", "9", "--set", "gpen=my gpen.pth"]
    config = config_of(words, capsys, tmp_path)
    assert config.crf == 5
    assert config.gpen == Path("my gpen.pth")


def test_a_config_file_takes_the_place_of_the_profile(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"base: {REPOSITORY}/configs/inference/lite.yaml\ncrf: 11\npreset: slow\n")
    config = config_of(["--config", str(path), "--preset", "fast"], capsys, tmp_path)
    assert (config.crf, config.preset) == (11, "fast")


def test_a_dry_run_prints_yaml_and_touches_nothing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*JOB, "--dry-run"]) == EXIT_OK
    values = yaml.safe_load(capsys.readouterr().out)
    assert set(values) == set(InferenceConfig.model_fields)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    video, speech = tmp_path / "talk.mp4", tmp_path / "speech.wav"
    write_video(video, 3)
    write_audio(speech, tone(0.1))
    return {"face": video, "audio": speech, "outfile": tmp_path / "out.mp4"}


def words_of(files: dict[str, Path]) -> list[str]:
    return [word for name, path in files.items() for word in (f"--{name}", str(path))]


def fake_retalker(monkeypatch: pytest.MonkeyPatch, fault: BaseException | None) -> None:
    """Replace the networks, which this file does not test."""

    class Retalker:
        def __init__(self, config: InferenceConfig) -> None:
            pass

        def __call__(
            self, face: Path, audio: Path, outfile: Path, progress: bool, review: bool
        ) -> DubbingReport:
            if fault is not None:
                raise fault
            return DubbingReport(outfile, 50, 48, float(Fraction(2)), Timings())

    monkeypatch.setattr(cli, "Retalker", Retalker)


@pytest.mark.parametrize("missing", ["face", "audio", "outfile"])
@pytest.mark.parametrize("verbose", [False, True])
def test_a_missing_file_is_one_line(
    missing: str,
    verbose: bool,
    files: dict[str, Path],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Logging is set up once per process, and pytest has done it already.
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    files[missing] = files[missing].parent / "not here" / "file.mp4"
    arguments = [*words_of(files), "--profile", "lite", "--device", "cpu"]
    assert main(arguments + ["--verbose"] * verbose) == EXIT_ERROR
    captured = capsys.readouterr()
    lines = [line for line in captured.err.splitlines() if line.startswith("error:")]
    assert len(lines) == 1
    assert "not here" in lines[0]
    assert captured.out == ""
    assert ("Traceback" in captured.err) == verbose
    assert not (files["face"].parent / "out.mp4").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--crf", "99"], "crf: got 99"),
        (["--set", "codek=x"], "unknown key; closest: codec"),
        (["--config", "nowhere.yaml"], "nowhere.yaml: cannot read the configuration"),
    ],
)
def test_a_bad_option_is_one_line(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*JOB, *words]) == EXIT_ERROR
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert message in line


@pytest.mark.parametrize(
    "words",
    [
        ["--face", "a"],
        [*JOB, "--crf", "many"],
        [*JOB, "--pads", "1", "2"],
        [*JOB, "--profile", "best"],
        [*JOB, "--batch-size", "few"],
        [*JOB, "--no-such-flag"],
        [*JOB, "--devic", "cpu"],
    ],
)
def test_a_bad_command_line_exits_with_2(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == EXIT_ERROR
    assert "inference.py: error:" in capsys.readouterr().err


def test_success_prints_what_was_done(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_retalker(monkeypatch, None)
    assert main([*JOB, "--outfile", "out.mp4"]) == EXIT_OK
    out = capsys.readouterr().out.splitlines()
    assert out[0].split() == ["stage", "seconds", "frames", "ms/frame"]
    assert out[-1] == "out.mp4: 50 frames, 2.00 s, 48 edited"


def test_ctrl_c_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_retalker(monkeypatch, KeyboardInterrupt())
    assert main(JOB) == EXIT_INTERRUPTED == 130
    assert capsys.readouterr().err == "interrupted: no output was written\n"


@pytest.mark.parametrize("kind", [CancelledError, KeyboardInterrupt])
def test_who_stops_the_review_is_told_that_the_result_stays(
    kind: type[BaseException],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise kind

    monkeypatch.setattr(dub, "review_result", stop)
    parts = SimpleNamespace(listener=None)
    made = SimpleNamespace(plan=(), scene=None, speech=SimpleNamespace(path=None))
    with pytest.raises(kind, match=r"^(cancelled|interrupted): out.mp4 was written, its report"):
        review_dub(made, Path("out.mp4"), parts, load_profile("lite", {}))  # type: ignore[arg-type]
    fake_retalker(monkeypatch, KeyboardInterrupt("interrupted: out.mp4 was written"))
    assert main(JOB) == EXIT_INTERRUPTED
    assert capsys.readouterr().err == "interrupted: out.mp4 was written\n"


def test_a_fault_of_the_program_is_not_dressed_up(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_retalker(monkeypatch, ZeroDivisionError("a bug"))
    with pytest.raises(ZeroDivisionError):
        main(JOB)


def test_help_names_every_setting_s_flag() -> None:
    text = build_parser().format_help()
    for flag, *_ in FLAGS:
        assert flag in text


def test_the_script_hands_the_exit_code_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["inference.py", *JOB, "--crf", "99"])
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(str(REPOSITORY / "inference.py"), run_name="__main__")
    assert caught.value.code == EXIT_ERROR
    assert capsys.readouterr().err.startswith("error: ")
