"""How entry scripts end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from retalking.script import EXIT_BROKEN_PIPE, run_entry_point

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


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


@pytest.mark.parametrize(("returned", "code"), [(0, 0), (2, 2), (130, 130), (None, None)])
def test_the_exit_code_is_what_main_returns(returned: int | None, code: int | None) -> None:
    with pytest.raises(SystemExit) as stopped:
        run_entry_point(lambda: returned)
    assert stopped.value.code == code


def test_a_pipe_that_broke_elsewhere_is_an_error() -> None:
    def main() -> int:
        raise BrokenPipeError("a worker is gone")

    with pytest.raises(BrokenPipeError, match="a worker is gone"):
        run_entry_point(main)
