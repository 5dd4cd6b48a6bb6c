"""Make the results that are missing, and measure what is not measured yet."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from retalking.errors import ConfigError, RetalkingError, WeightsError
from retalking.evaluation.methods import Method, check_names
from retalking.evaluation.pairs import Pair, digest_of
from retalking.evaluation.report import Report, summarise
from retalking.evaluation.result_folder import Problems, Record, ResultFolder
from retalking.evaluation.scoring import Scorer
from retalking.evaluation.tally import Tally, stamp_of
from retalking.inference.pipeline import Retalker
from retalking.metrics.metric import Metric
from retalking.shard import Shard

logger = logging.getLogger(__name__)

_SAVE_EVERY_S = 60.0
_RESULT = "result"


@dataclass(frozen=True)
class Plan:
    """An evaluation.

    Attributes:
        title: of the report.
        pairs: the whole list.
        methods: rows of the table.
        metrics: columns of the table.
        marks: what a metric depends on (hashes of weights), by its name.
        shard: which share of the list to do.
        notes: sentences below the title.
        published: name of the paper's table to print beside.
        left_out: methods and metrics that cannot take part, and why.
    """

    title: str
    pairs: Sequence[Pair]
    methods: Sequence[Method]
    metrics: Mapping[str, Metric]
    marks: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    shard: Shard = field(default_factory=Shard)
    notes: Sequence[str] = ()
    published: str | None = None
    left_out: Mapping[str, str] = field(default_factory=dict)


def evaluate(plan: Plan, folder: Path, progress: bool = False) -> Report:
    """Make and measure everything that the folder does not hold yet, and write the report.

    Args:
        plan: what to do.
        folder: of this evaluation and shard alone; made if needed.
        progress: show bars on stderr.

    Raises:
        ConfigError: the folder holds another evaluation, or methods share a name.
        MediaError: the folder cannot be written.
    """
    check_names(plan.methods)
    store = ResultFolder(folder)
    left_out = dict(plan.left_out)
    pairs = plan.shard.of(plan.pairs)
    record = store.begin(_record(plan), plan.pairs)
    problems: Problems = {method.name: {} for method in plan.methods}
    methods = []
    for method in plan.methods:
        try:
            problems[method.name] = _make_results(method, pairs, store, progress)
            methods.append(method)
        except WeightsError as error:
            left_out[method.label] = str(error)
    tallies = _measure(methods, pairs, plan.metrics, store, problems, progress)
    store.save_problems(problems)
    record = record.model_copy(update={"left_out": left_out})
    store.save_record(record)
    report = summarise(record, pairs, plan.metrics, tallies, problems)
    report.write(folder)
    return report


def _record(plan: Plan) -> Record:
    return Record(
        title=plan.title,
        notes=list(plan.notes),
        published=plan.published,
        pairs=digest_of(plan.pairs),
        shard=str(plan.shard),
        methods={method.name: method.describe() for method in plan.methods},
        metrics={name: dict(plan.marks.get(name, {})) for name in plan.metrics},
        left_out=dict(plan.left_out),
    )


def _make_results(
    method: Method, pairs: Sequence[Pair], store: ResultFolder, progress: bool
) -> dict[str, dict[str, str]]:
    """Dub the pairs that have no result yet, and return why some have none.

    Raises:
        WeightsError: the networks cannot be loaded.
    """
    problems: dict[str, dict[str, str]] = {}
    if method.config is None:
        return problems
    paths = {pair: method.result_path(pair, store.videos) for pair in pairs}
    missing = [pair for pair in pairs if not paths[pair].is_file()]
    if not missing:
        return problems
    retalker = Retalker(method.config)
    (store.videos / method.name).mkdir(parents=True, exist_ok=True)
    for pair in tqdm(missing, desc=method.label, unit="pair", disable=not progress):
        try:
            retalker(pair.video, pair.audio, paths[pair])
        except RetalkingError as error:
            problems[pair.name] = {_RESULT: str(error)}
            logger.warning("%s, pair %s: %s", method.label, pair.name, error)
    return problems


def _measure(
    methods: Sequence[Method],
    pairs: Sequence[Pair],
    metrics: Mapping[str, Metric],
    store: ResultFolder,
    problems: Problems,
    progress: bool,
) -> dict[str, dict[str, Tally]]:
    """Measure the results that are not in the tallies yet; problems are added to."""
    tallies = {
        method.name: {name: store.load_tally(method.name, name) for name in metrics}
        for method in methods
    }
    scorer = Scorer(metrics)
    keeper = _Keeper(store, tallies)
    try:
        # All methods of a pair in turn, so that its video is looked at once.
        for pair in tqdm(pairs, desc="measuring", unit="pair", disable=not progress):
            for method in methods:
                failed = problems[method.name].setdefault(pair.name, {})
                if _RESULT not in failed:
                    failed |= _measure_result(method, pair, scorer, tallies[method.name], store)
                if not failed:
                    del problems[method.name][pair.name]
            keeper.save_now_and_then()
    finally:
        keeper.save()
    return tallies


def _measure_result(
    method: Method, pair: Pair, scorer: Scorer, tallies: Mapping[str, Tally], store: ResultFolder
) -> dict[str, str]:
    """Add one result to the tallies that lack it, and return what failed.

    Raises:
        ConfigError: the result was written anew since it was measured.
    """
    applying = [name for name in tallies if scorer.applies(name, pair)]
    wanted = [name for name in applying if pair.number not in tallies[name].stamps]
    try:
        result = method.find_result(pair, store.videos)
        stamp = stamp_of(result)
        for name in applying:
            if tallies[name].stamps.get(pair.number, stamp) != stamp:
                raise ConfigError(
                    f"{result}: was written anew since {name} measured it; give another --out, or "
                    f"delete {store.folder / 'tallies' / method.name}"
                )
        found = scorer.score(pair, result, method.framing, wanted) if wanted else {}
    except ConfigError:
        raise
    except RetalkingError as error:
        # A merged folder has the tallies of all shards, but not their videos.
        return {_RESULT: str(error)} if wanted else {}
    failed = {}
    for name, outcome in found.items():
        if isinstance(outcome, RetalkingError):
            failed[name] = str(outcome)
        else:
            tallies[name].add(pair.number, stamp, scorer.metrics[name], outcome)
    return failed


class _Keeper:
    """Writes tallies now and then: some take long, and a clip may take no time."""

    def __init__(self, store: ResultFolder, tallies: Mapping[str, Mapping[str, Tally]]) -> None:
        self._store = store
        self._tallies = tallies
        self._sizes = self._count()
        self._last_s = time.monotonic()

    def save_now_and_then(self) -> None:
        """Write what changed, a minute after the last time."""
        if time.monotonic() - self._last_s > _SAVE_EVERY_S:
            self.save()

    def save(self) -> None:
        """Write what changed."""
        sizes = self._count()
        for key, size in sizes.items():
            if size != self._sizes[key]:
                self._store.save_tally(*key, self._tallies[key[0]][key[1]])
        self._sizes, self._last_s = sizes, time.monotonic()

    def _count(self) -> dict[tuple[str, str], int]:
        return {
            (method, metric): len(tally.stamps)
            for method, by_metric in self._tallies.items()
            for metric, tally in by_metric.items()
        }
