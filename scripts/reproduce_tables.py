"""Reproduce the paper's tables, with our figures beside the published ones.

    python scripts/reproduce_tables.py table1 --profile official --corpus hdtf --clips DIR --out OUT
    python scripts/reproduce_tables.py table3 --profile lite --clips FOLDER --limit 3 --out OUT
    python scripts/reproduce_tables.py user_study --profile official --corpus hdtf --clips DIR \\
        --outputs Wav2Lip=DIR --out OUT
    python scripts/reproduce_tables.py user_study --answers ratings-*.json --out OUT

table1: the whole framework. table3: with fewer parts. table4: expression templates. appendix_b:
one reference for all frames or each its own. user_study (table 2): makes a page for rating, or with
--answers averages what people sent back.

The corpora are asked for at their owners. --corpus lrs2 reads mvlrs_v1/main and test.txt (14,000
pairs), hdtf NAME_NUMBER.mp4 (100 pairs of 20 s), folder any videos. The list is drawn from
(corpus, --seed) and kept as OUT/pairs.txt, so that other tools can dub it: see --outputs, and
scripts/evaluate.py for names, shards and merging.

Exit code: 0 everything was measured, 1 something was left out (the report says what), 2 bad input.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from retalking.script import positive, run_entry_point

from datasets.prepare.corpora import list_folder, list_hdtf, list_lrs2
from datasets.prepare.manifest import ClipRow
from retalking.errors import MediaError
from retalking.evaluation.command_line import (
    EXIT_COMPLETE,
    EXIT_LEFT_OUT,
    LITE_NOTE,
    PROFILES,
    add_run_options,
    list_outputs,
    load_config,
    load_metrics,
    run,
    show,
)
from retalking.evaluation.methods import Method
from retalking.evaluation.pairs import Pair, Talk, make_unpaired, read_pairs
from retalking.evaluation.result_folder import write_json
from retalking.evaluation.runner import Plan, evaluate
from retalking.evaluation.user_study.ratings import aggregate
from retalking.evaluation.user_study.study import Sample, write_study
from retalking.evaluation.variants import (
    OURS,
    Variant,
    ablations,
    expression_templates,
    make_methods,
    no_cross_attention_file,
    reenactment_settings,
)
from retalking.inference.config import InferenceConfig
from retalking.shard import Shard

SYNC_METRICS = "lse,expert"
ALL_METRICS = "fid,cpbd,lse,expert,csim,flicker,seam"


@dataclass(frozen=True)
class Table:
    """A table of the paper.

    Attributes:
        title: of the report.
        num_pairs: how many the paper measured, or we where it does not say.
        metrics: columns, by default.
        variants: rows, given the profile and the file of ``--no-cross-attention``.
        published: the paper's figures, or ``None`` where it gives none.
        notes: what a reader must know.
    """

    title: str
    num_pairs: int
    metrics: str
    variants: Callable[[InferenceConfig, Path | None], list[Variant]]
    published: str | None
    notes: tuple[str, ...] = ()


TABLES = {
    "table1": Table(
        "Table 1: comparison with other methods",
        100,
        ALL_METRICS,
        lambda profile, given: [OURS],
        "table1_hdtf",
    ),
    "table3": Table(
        "Table 3: ablation",
        100,
        ALL_METRICS,
        lambda profile, given: ablations(no_cross_attention_file(profile, given)),
        "table3",
        (
            "Without E-Net there is no restoration network either; without D-Net, quiet frames of "
            "the video are the references (our reading: the paper says neither).",
        ),
    ),
    "table4": Table(
        "Table 4: expression templates",
        10,
        SYNC_METRICS,
        lambda profile, given: expression_templates(),
        "table4",
    ),
    "appendix_b": Table(
        "Appendix B: one-shot and video-to-video expression editing",
        10,
        ALL_METRICS,
        lambda profile, given: reenactment_settings(),
        None,
        ("The paper gives no figures for this comparison.",),
    ),
    "user_study": Table("Table 2: user study", 10, "", lambda profile, given: [OURS], None),
}
LRS2_PAIRS, CLIP_SECONDS = 14_000, 20.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table", choices=list(TABLES))
    parser.add_argument("--profile", choices=PROFILES)
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--clips", type=Path, help="the corpus, or any folder of videos")
    source.add_argument("--pairs", type=Path, help="list of VIDEO AUDIO, instead of drawing one")
    source.add_argument("--answers", type=Path, nargs="+", help="of user_study: what came back")
    parser.add_argument("--corpus", choices=["folder", "lrs2", "hdtf"], default="folder")
    parser.add_argument("--limit", type=positive, help="use the first pairs only")
    parser.add_argument("--seed", type=int, default=0, help="of the list; default: 0")
    parser.add_argument(
        "--no-cross-attention",
        type=Path,
        metavar="FILE",
        help="of table3: L-Net trained with fusion=concat; default: lnet_concat.safetensors "
        "beside the profile's L-Net",
    )
    parser.add_argument(
        "--videos",
        choices=["embed", "beside"],
        default="embed",
        help="of user_study: inside the page, or in a folder beside it; default: embed",
    )
    add_run_options(parser, None)
    options = parser.parse_args(arguments)
    study = options.table == "user_study"
    if options.answers and not study:
        parser.error("--answers goes with user_study")
    if not (options.answers or options.clips or options.pairs):
        parser.error("--clips or --pairs is needed" + (", or --answers" if study else ""))
    if not (options.answers or options.profile or (study and options.outputs)):
        parser.error("--profile is needed")
    if options.answers:
        return run(options, lambda: _aggregate(options))
    return run(options, lambda: _make_study(options) if study else _reproduce(options))


def _reproduce(options: argparse.Namespace) -> int:
    return show(evaluate(_plan(options), options.out, progress=True), options.out)


def _make_study(options: argparse.Namespace) -> int:
    plan = _plan(options)
    report = evaluate(plan, options.out, progress=True)
    samples, incomplete = _collect(plan.methods, plan.pairs, options.out / "videos")
    for line in incomplete:
        print(f"left out: {line}")
    page = write_study(samples, options.out / "study", options.videos, options.seed)
    print(f"{page}: {len(samples)} videos to rate; keep key.json to yourself")
    return EXIT_COMPLETE if report.is_complete and not incomplete else EXIT_LEFT_OUT


def _collect(
    methods: Sequence[Method], pairs: Sequence[Pair], videos: Path
) -> tuple[list[Sample], list[str]]:
    """Return the results of the pairs that every method has one of, and why others are out."""
    samples: list[Sample] = []
    incomplete: list[str] = []
    for pair in pairs:
        try:
            found = [Sample(m.label, pair.name, m.find_result(pair, videos)) for m in methods]
        except MediaError as error:
            incomplete.append(f"pair {pair.name}: {error}")
        else:
            samples += found
    return samples, incomplete


def _aggregate(options: argparse.Namespace) -> int:
    folder = options.out / "study"
    result = aggregate(folder / "key.json", options.answers)
    (folder / "result.md").write_text(result.markdown(), encoding="utf-8")
    write_json(folder / "result.json", result.as_json())
    print(result.markdown(), end="")
    return EXIT_LEFT_OUT if result.left_out else EXIT_COMPLETE


def _plan(options: argparse.Namespace) -> Plan:
    table = TABLES[options.table]
    lrs2 = options.corpus == "lrs2"
    if options.seconds is None and not lrs2:
        options.seconds = CLIP_SECONDS
    if options.metrics is None:
        options.metrics = table.metrics
    chosen = load_metrics(options)
    methods: list[Method] = []
    left_out = dict(chosen.left_out)
    if options.profile:
        variants = table.variants(load_config(options, {}), options.no_cross_attention)
        methods, absent = make_methods(variants, lambda changes: load_config(options, changes))
        left_out |= absent
    source = options.pairs or options.clips
    notes = [f"Pairs of {source}, {options.seconds or 'all'} s each.", *table.notes]
    return Plan(
        title=table.title,
        pairs=_list_pairs(options, table),
        methods=[*methods, *list_outputs(options)],
        metrics=chosen.metrics,
        marks=chosen.marks,
        shard=Shard.parse(options.shard),
        notes=[LITE_NOTE, *notes] if options.profile != "official" else notes,
        published="table1_lrs2" if options.table == "table1" and lrs2 else table.published,
        left_out=left_out,
    )


def _list_pairs(options: argparse.Namespace, table: Table) -> Sequence[Pair]:
    if options.pairs:
        return read_pairs(options.pairs)[: options.limit]
    talks = [Talk(row.media, row.identity) for row in _list_talks(options)]
    if options.corpus == "folder":
        wanted = None  # once round the folder, which may be small
    else:
        is_first = options.corpus == "lrs2" and options.table == "table1"
        wanted = LRS2_PAIRS if is_first else table.num_pairs
    return make_unpaired(talks, options.limit or wanted, options.seed)


def _list_talks(options: argparse.Namespace) -> list[ClipRow]:
    if options.corpus == "lrs2":
        return [row for row in list_lrs2(options.clips) if row.split == "test"]
    if options.corpus == "hdtf":
        return list_hdtf(options.clips)
    return list_folder(options.clips, "unknown", val_every=0)


if __name__ == "__main__":
    run_entry_point(main)
