"""How the scripts that prepare stores share their work out: by hand, or over a Ray cluster."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from typing import TypeVar

from retalking.batch.cluster import share_out
from retalking.errors import ConfigError
from retalking.shard import Shard

Result = TypeVar("Result")


def add_engine_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--shard`` and what chooses an engine."""
    group = parser.add_argument_group("sharing out")
    group.add_argument("--shard", default="1/1", help="do the share 2/8; all work on one store")
    group.add_argument("--engine", choices=("local", "ray"), default="local", help="default: local")
    group.add_argument("--shards", type=int, default=4, help="shares for --engine ray")
    group.add_argument("--address", help="of a Ray cluster; without it one is started here")
    group.add_argument("--gpus-per-shard", type=float, default=0.0, help="of a Ray cluster")


def do_shares(
    options: argparse.Namespace, work: Callable[[Shard], Result], processors: int = 1
) -> Iterator[Result]:
    """Do the share that the options name here, or all shares on a cluster, and tell of each.

    Args:
        options: with those of ``add_engine_options``.
        work: does a share; two of them never do the same clip, and one may be begun again.
        processors: that a share takes on a cluster.

    Raises:
        ConfigError: an option does not fit, or there is no such cluster.
    """
    shard = Shard.parse(options.shard)
    if options.engine == "local":
        yield work(shard)
        return
    if shard != Shard():
        raise ConfigError(f"--shard: got {shard}, expected none beside --engine ray; use --shards")
    if options.shards < 1 or options.gpus_per_shard < 0:
        raise ConfigError("--shards, --gpus-per-shard: expected positive numbers")
    shares = share_out(work, options.shards, options.address, processors, options.gpus_per_shard)
    for number, result in enumerate(shares, 1):
        print(f"{number} of {options.shards} shares done", flush=True)
        yield result
