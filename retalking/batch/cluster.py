"""Work on a Ray cluster, whose machines see the same files at the same places."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from retalking.errors import ConfigError, RetalkingError
from retalking.locations import REPOSITORY
from retalking.shard import Shard

Result = TypeVar("Result")
_TRIES_AFTER_LOSS = 3


def connect(room: int, address: str | None) -> Any:
    """Join a cluster, or start one here; ``shutdown`` of what is returned leaves it again.

    Args:
        room: processors at least that a cluster which is started here is to offer.
        address: of a cluster, ``auto`` for the one that runs on this machine; ``None`` starts one.

    Returns:
        The module ``ray``.

    Raises:
        ConfigError: Ray is not installed, or there is no cluster at the address.
    """
    try:
        import ray  # noqa: PLC0415 - an extra
    except ImportError:
        raise ConfigError(
            "--engine ray: Ray is not installed; pip install -r requirements-ray.txt"
        ) from None
    # Workers import this checkout, at the same place of every machine.
    paths = [str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {"env_vars": {"PYTHONPATH": os.pathsep.join(paths)}}
    here: dict[str, Any] = {} if address else {"num_cpus": max(room, os.cpu_count() or 1)}
    try:
        ray.init(
            address=address,
            runtime_env=environment,
            log_to_driver=False,
            include_dashboard=None if address else False,
            **here,
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ConfigError(
            f"--address {address}: {error}; if the cluster asks for a token, as Ray's newer "
            "ones do, set RAY_AUTH_MODE=token"
        ) from None
    return ray


def share_out(
    work: Callable[[Shard], Result],
    num_shards: int,
    address: str | None = None,
    processors: int = 1,
    gpus: float = 0.0,
) -> Iterator[Result]:
    """Do every share of some work on a cluster; a share whose machine is lost is begun again.

    Args:
        work: does a share, and may be begun again; it must be picklable.
        num_shards: shares, as many at a time as the cluster has room for.
        address: see ``connect``.
        processors: that each share takes.
        gpus: that each share takes.

    Yields:
        What each share returned, as it comes.

    Raises:
        ConfigError: no Ray, no cluster, or no machine in it that has so much room.
        RetalkingError: what a share raised, or its machine was lost again and again.
    """
    ray = connect(processors, address)
    try:
        wanted = {"CPU": processors, "GPU": gpus}
        machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        if not any(
            all(each.get(name, 0) >= least for name, least in wanted.items()) for each in machines
        ):
            raise ConfigError(
                f"--engine ray: no machine of the cluster has {processors} processors and "
                f"{gpus:g} GPUs; lower --workers or --gpus-per-shard"
            )
        task = ray.remote(num_cpus=processors, num_gpus=gpus, max_retries=_TRIES_AFTER_LOSS)(_do)
        shards = [Shard(number, num_shards) for number in range(1, num_shards + 1)]
        running = [task.remote(work, shard) for shard in shards]
        while running:
            (done,), running = ray.wait(running, num_returns=1)
            try:
                yield ray.get(done)
            except ray.exceptions.RayTaskError as error:
                raise (error.cause if isinstance(error.cause, RetalkingError) else error) from None
            except ray.exceptions.RayError as error:
                raise RetalkingError(f"--engine ray: a share was lost: {error}") from None
    finally:
        ray.shutdown()


def _do(work: Callable[[Shard], Result], shard: Shard) -> Result:
    return work(shard)
