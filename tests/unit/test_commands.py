"""All commands under one name, and what shells complete of them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from scripts.__main__ import main


def complete(script: Path, *words: str) -> list[str]:
    """Ask bash what it would offer for the last word."""
    quoted = " ".join(f"'{word}'" for word in words)
    asked = (
        f"source '{script}'; COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; "
        "_retalking_complete; printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    done = subprocess.run(["bash", "-c", asked], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_bash_completes_commands_flags_and_choices(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if shutil.which("bash") is None:
        pytest.skip("no bash here")
    assert main(["completion", "bash"]) == 0
    script = tmp_path / "complete.bash"
    script.write_text(capsys.readouterr().out)
    assert complete(script, "retalking", "do") == ["doctor", "download"]
    assert complete(script, "retalking", "dub", "--prof") == ["--profile"]
    assert complete(script, "retalking", "dub", "--profile", "") == [
        *("auto", "official", "lite", "small")
    ]
    assert complete(script, "retalking", "dub", "--no-sil") == ["--no-silence-gate"]
    assert complete(script, "retalking", "batch", "--eng") == ["--engine"]
    assert complete(script, "retalking", "batch", "--engine", "r") == ["ray"]
    assert complete(script, "retalking", "completion", "")[:3] == ["bash", "zsh", "fish"]
    assert complete(script, "retalking", "dub", "--face", "ta") == []  # files are the shell's


@pytest.mark.parametrize(
    ("shell", "line"),
    [
        ("zsh", "bashcompinit"),
        ("fish", "complete -c retalking -n '__fish_seen_subcommand_from batch' -l engine -xa"),
    ],
)
def test_other_shells_have_theirs(
    shell: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["completion", shell]) == 0
    assert line in capsys.readouterr().out


def test_commands_are_listed_and_handed_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert "doctor" in capsys.readouterr().out
    assert main([]) == main(["dubb"]) == 2
    assert "error: dubb: no such command, expected dub, batch" in capsys.readouterr().err
    assert main(["dub", "--face", "gone.mp4", "--audio", "a.wav", "--profile", "lite"]) == 2
    assert "gone.mp4: no such file" in capsys.readouterr().err
