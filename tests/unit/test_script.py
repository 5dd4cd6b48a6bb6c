"""How entry scripts end."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from retalking.script import EXIT_BROKEN_PIPE, run_entry_point

import pytest

from retalking.errors import ConfigError
from retalking.locations import REPOSITORY


def run_without_reader(arguments: list[str]) -> tuple[int, bytes]:
    """Exit code and standard error of a Python program whose reader leaves at once."""
    command = [sys.executable, *arguments]
    with subprocess.Popen(
        command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        complaint = process.stderr.read()
    return process.returncode, complaint


@pytest.mark.parametrize("num_lines", [1, 100_000])
def test_a_reader_that_leaves_is_no_error(num_lines: int) -> None:
    code = (
        "from retalking.script import run_entry_point\n"
        f"run_entry_point(lambda: [print('row') for _ in range({num_lines})] and None)"
    )
    assert run_without_reader(["-c", code]) == (EXIT_BROKEN_PIPE, b"")


def test_the_list_of_weights_may_be_cut_off() -> None:
    arguments = ["-m", "scripts.download_checkpoints", "--list"]
    assert run_without_reader(arguments) == (EXIT_BROKEN_PIPE, b"")


@pytest.mark.parametrize(("returned", "code"), [(0, 0), (2, 2), (130, 130), (None, 0)])
def test_the_exit_code_is_what_main_returns(returned: int | None, code: int) -> None:
    with pytest.raises(SystemExit) as stopped:
        run_entry_point(lambda: returned)
    assert stopped.value.code == code


def test_a_pipe_that_broke_elsewhere_is_an_error() -> None:
    def main() -> int:
        raise BrokenPipeError("a worker is gone")

    with pytest.raises(BrokenPipeError, match="a worker is gone"):
        run_entry_point(main)


def test_a_mistake_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> int:
        raise ConfigError("--fps: got -1, expected more than 0")

    with pytest.raises(SystemExit) as stopped:
        run_entry_point(main)
    assert stopped.value.code == 2
    assert capsys.readouterr().err == "error: --fps: got -1, expected more than 0\n"


@pytest.mark.parametrize("name", ["n" * 300, "loop/x.mp4"])
def test_a_path_that_the_system_refuses_is_one_line(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(SystemExit) as stopped:
        run_entry_point(lambda: bool((tmp_path / name).stat()))
    assert stopped.value.code == 2
    complaint = capsys.readouterr().err
    assert complaint.startswith(f"error: {tmp_path / name}: ")
    assert complaint.count("\n") == 1


def run_shell(redirection: str, code: str) -> subprocess.CompletedProcess[str]:
    """Run Python code with a redirection of the shell."""
    return subprocess.run(
        ["sh", "-c", f'exec "$0" -c "$1" {redirection}', sys.executable, code],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("num_lines", [1, 100_000])
def test_a_full_standard_output_is_said_in_one_line(num_lines: int) -> None:
    code = (
        "from retalking.script import run_entry_point\n"
        f"run_entry_point(lambda: [print('row') for _ in range({num_lines})] and None)"
    )
    done = run_shell("> /dev/full", code)
    assert done.returncode == 2
    assert done.stderr == "error: standard output takes no more: No space left on device\n"


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_closed_streams_hinder_nothing(closed: str, tmp_path: Path) -> None:
    code = f"""
import sys, tqdm
from pathlib import Path
from retalking.script import run_entry_point
def main():
    for _ in tqdm.tqdm(range(3)):
        print("row")
    print("done", file=sys.stderr)
    Path({str(tmp_path / "made")!r}).write_text("made")
run_entry_point(main)
"""
    assert run_shell(closed, code).returncode == 0
    assert (tmp_path / "made").exists()


WAITING = """
import time
from retalking.script import run_entry_point
def main():
    try:
        print("ready", flush=True)
        time.sleep(60)
    finally:
        print("cleaned up", flush=True)
"""


def interrupt(code: str, number: int, before: str = "") -> tuple[int, str, str]:
    """Send a signal to Python code that has said it is ready: exit code, output, complaint."""
    command = ["sh", "-c", f'{before} exec "$0" -c "$1"', sys.executable, code]
    with subprocess.Popen(
        command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        output, complaint = process.communicate()
    return process.returncode, output, complaint


@pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_what_ends_a_program_lets_it_clean_up(name: str) -> None:
    # Tests that nohup started hand its deafness on.
    hearing = f"import signal\nsignal.signal(signal.{name}, signal.default_int_handler)\n"
    if name != "SIGINT":
        hearing = hearing.replace("default_int_handler", "SIG_DFL")
    found = interrupt(hearing + WAITING + "run_entry_point(main)", getattr(signal, name))
    assert found == (130, "cleaned up\n", "interrupted\n")


@pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix")
def test_under_nohup_a_closing_terminal_is_no_reason_to_end() -> None:
    code = WAITING.replace("time.sleep(60)", "time.sleep(0.3)") + "run_entry_point(main)"
    assert interrupt(code, signal.SIGHUP, "trap '' HUP;") == (0, "cleaned up\n", "")


@pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix")
def test_ctrl_c_while_the_program_still_loads_is_one_line() -> None:
    code = "import retalking.script, time\nprint('ready', flush=True)\ntime.sleep(60)"
    assert interrupt(code, signal.SIGINT) == (-signal.SIGINT, "", "interrupted\n")
