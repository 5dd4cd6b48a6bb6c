"""All commands under one name: ``retalking COMMAND``, or ``python -m scripts COMMAND``."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from retalking.script import run_entry_point

from retalking.exit_code import EXIT_ERROR

COMMANDS = {
    "dub": ("retalking.inference.cli", "give a video another speech (inference.py)"),
    "batch": ("scripts.batch", "dub many videos"),
    "web": ("scripts.web", "a page in the browser"),
    "verify": ("scripts.verify", "say whether a video was made here"),
    "doctor": ("scripts.doctor", "say what works here, and what is in the way"),
    "download": ("scripts.download_checkpoints", "fetch the weights of others"),
    "completion": ("scripts.completion", "print a script that lets a shell complete all this"),
}
_USAGE = """usage: retalking COMMAND ...

{commands}

retalking COMMAND --help says what each takes. Completion for this shell:
  eval "$(retalking completion bash)"      or zsh; fish: retalking completion fish | source
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Hand a command line on to its command, and return the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    name = words[0] if words else "--help"
    if name in ("-h", "--help"):
        listed = "\n".join(f"  {name:12}{about}" for name, (_, about) in COMMANDS.items())
        print(_USAGE.format(commands=listed), end="")
        return 0 if words else EXIT_ERROR
    if name not in COMMANDS:
        print(f"error: {name}: no such command, expected {', '.join(COMMANDS)}", file=sys.stderr)
        return EXIT_ERROR
    code: int = importlib.import_module(COMMANDS[name][0]).main(words[1:])
    return code


def command() -> None:
    """Run as the installed program ``retalking``."""
    run_entry_point(main)


if __name__ == "__main__":
    command()
