"""Print a script that lets a shell complete the commands of ``retalking``.

eval "$(retalking completion bash)"
eval "$(retalking completion zsh)"
retalking completion fish | source
"""

from __future__ import annotations

import argparse
import importlib
import shlex
from collections.abc import Mapping, Sequence

from retalking.script import run_entry_point

from scripts.__main__ import COMMANDS

SHELLS = ("bash", "zsh", "fish")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    shell = build_parser().parse_args(arguments).shell
    parsers = {name: _parser_of(module) for name, (module, _) in COMMANDS.items()}
    print(completion_script("retalking", parsers, shell), end="")
    return 0


def build_parser() -> argparse.ArgumentParser:
    """Return the parser."""
    parser = argparse.ArgumentParser(
        prog="retalking completion",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("shell", choices=SHELLS)
    return parser


def _parser_of(module: str) -> argparse.ArgumentParser:
    """Return a command's parser; of a command that shows none, files are completed."""
    build = getattr(importlib.import_module(module), "build_parser", argparse.ArgumentParser)
    parser: argparse.ArgumentParser = build()
    return parser


def completion_script(
    program: str, parsers: Mapping[str, argparse.ArgumentParser], shell: str
) -> str:
    """Return what a shell reads to complete a program's commands.

    Args:
        program: what users type.
        parsers: of its commands, by their names.
        shell: one of ``SHELLS``.
    """
    if shell == "fish":
        return _fish(program, parsers)
    head = "autoload -U +X bashcompinit && bashcompinit\n" if shell == "zsh" else ""
    return head + _bash(program, parsers)


def _actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    return [action for action in parser._actions if action.help is not argparse.SUPPRESS]


def _flags(action: argparse.Action) -> list[str]:
    """Return the spellings worth offering: with hyphens, not with underscores as well."""
    return [flag for flag in action.option_strings if flag.startswith("--") and "_" not in flag]


def _bash(program: str, parsers: Mapping[str, argparse.ArgumentParser]) -> str:
    name = f"_{program}_complete"
    lines = [
        f"{name}() {{",
        '  local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} words=""',
        '  if [ "$COMP_CWORD" -eq 1 ]; then',
        f"    words={shlex.quote(' '.join(parsers))}",
        "  else",
        '    case "${COMP_WORDS[1]} $before" in',
    ]
    for command, parser in parsers.items():
        for action in _actions(parser):
            if action.choices and action.option_strings:
                labels = " | ".join(f'"{command} {flag}"' for flag in action.option_strings)
                words = shlex.quote(" ".join(map(str, action.choices)))
                lines.append(f"      {labels}) words={words} ;;")
    lines += ["    esac", '    if [ -z "$words" ]; then case "${COMP_WORDS[1]}" in']
    for command, parser in parsers.items():
        flags = [flag for action in _actions(parser) for flag in _flags(action)]
        plain = [
            str(choice)
            for action in _actions(parser)
            if not action.option_strings
            for choice in action.choices or ()
        ]
        lines.append(f"      {command}) words={shlex.quote(' '.join([*plain, *flags]))} ;;")
    lines += [
        "    esac; fi",
        "  fi",
        '  COMPREPLY=($(compgen -W "$words" -- "$current"))',
        "}",
        f"complete -o default -F {name} {program}",
    ]
    return "\n".join(lines) + "\n"


def _fish(program: str, parsers: Mapping[str, argparse.ArgumentParser]) -> str:
    lines = [f"complete -c {program} -n __fish_use_subcommand -xa {shlex.quote(' '.join(parsers))}"]
    for command, parser in parsers.items():
        condition = f"-n '__fish_seen_subcommand_from {command}'"
        for action in _actions(parser):
            choices = " ".join(map(str, action.choices)) if action.choices else ""
            if not action.option_strings:
                if choices:
                    lines.append(f"complete -c {program} {condition} -xa {shlex.quote(choices)}")
                continue
            takes = (
                f" -xa {shlex.quote(choices)}" if choices else " -r" if action.nargs != 0 else ""
            )
            about = " ".join((action.help or "").replace("%%", "%").split())
            for flag in _flags(action):
                text = f"complete -c {program} {condition} -l {flag[2:]}{takes}"
                lines.append(f"{text} -d {shlex.quote(about)}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    run_entry_point(main)
