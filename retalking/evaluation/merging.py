"""Join the shards of an evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from retalking.errors import ConfigError
from retalking.evaluation.report import Report, summarise
from retalking.evaluation.result_folder import Problems, ResultFolder, differences
from retalking.evaluation.tally import Tally
from retalking.metrics.metric import Metric
from retalking.shard import Shard


def merge(folders: Sequence[Path], out: Path, metrics: Mapping[str, Metric]) -> Report:
    """Join the tallies of shards and write the report over all of them.

    Args:
        folders: of the shards.
        out: a new folder.
        metrics: those that were measured; tallies of others are left alone.

    Raises:
        ConfigError: the folders are not shards of one evaluation, or ``out`` holds one.
    """
    stores = [ResultFolder(folder) for folder in folders]
    records = [store.read_record() for store in stores]
    target = ResultFolder(out)
    if (out / "evaluation.json").exists():
        raise ConfigError(f"{out}: holds an evaluation already; give another --out")
    for later, record in enumerate(records):
        for earlier in range(later):
            differing = differences(records[earlier], record, ("title", "pairs"))
            if differing:
                raise ConfigError(
                    f"{folders[later]}: is of another evaluation than {folders[earlier]}: "
                    f"{differing[0]}"
                )
    methods = {name: value for record in records for name, value in record.methods.items()}
    measured = {name: value for record in records for name, value in record.metrics.items()}
    left_out = {name: reason for record in records for name, reason in record.left_out.items()}
    unknown = measured.keys() - metrics.keys()
    left_out |= dict.fromkeys(unknown, "measured in the shards, but not loaded here")
    shown = {name: metric for name, metric in metrics.items() if name in measured}
    problems: Problems = {name: {} for name in methods}
    tallies: dict[str, dict[str, Tally]] = {name: {m: Tally() for m in shown} for name in methods}
    for store in stores:
        for name, failed in store.read_problems().items():
            problems[name] |= failed
        for name in methods:
            for metric_name, metric in shown.items():
                part = store.load_tally(name, metric_name)
                tallies[name][metric_name].join(part, metric, store.folder)
    record = records[0].model_copy(
        update={
            "shard": str(Shard()),
            "methods": methods,
            "metrics": measured,
            "left_out": left_out,
        }
    )
    pairs = stores[0].read_pairs()
    target.begin(record, pairs)
    for name, by_metric in tallies.items():
        for metric_name, tally in by_metric.items():
            target.save_tally(name, metric_name, tally)
    target.save_problems(problems)
    report = summarise(record, pairs, shown, tallies, problems)
    report.write(out)
    return report
