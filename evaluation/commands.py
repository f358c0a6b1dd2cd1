"""The commands that measure: evaluate SET..., and below it compare, ablate, report and support."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evaluation.command_group import ITSELF, GroupThatRuns
from store.commands import IndexOption, JsonOption

if TYPE_CHECKING:
    from evaluation.settings import EvaluationSettings
    from indexer.settings import IndexerSettings
    from service.settings import ServiceSettings
    from store.calibration import Calibration, Refusing

app = typer.Typer()
evaluating = typer.Typer(
    cls=GroupThatRuns,
    subcommand_metavar="SET... | COMMAND ...",
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(evaluating, name="evaluate")


@app.command("calibrate")
def calibrate_command(
    index: IndexOption = None,
    questions: Annotated[
        str | None,
        typer.Option(
            "--questions",
            metavar="SET",
            help="Your own questions about this index, a BEIR-style folder: refusals are set on those that can be"
            " answered, instead of on questions made of passages.",
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Weigh the legs of the current snapshot again, and set when it refuses, by questions made of its own passages.

    `footnote index`, `import` and `forget` see to it by themselves (FOOTNOTE_CALIBRATE=false: they do not). Both are
    kept in INDEX/calibration; a running service follows. FOOTNOTE_DENSE_WEIGHT and FOOTNOTE_ABSTAIN_BELOW override.

        footnote calibrate --questions my/questions
    """
    from evaluation.calibrated import bring_up_to_date
    from evaluation.calibrated_refusals import Promise
    from evaluation.sets import read_set
    from evaluation.settings import EvaluationSettings
    from indexer.progress import watching
    from store.errors import UsageError
    from store.index import IndexDirectory
    from store.output import emit
    from store.settings import load_settings

    settings = load_settings(EvaluationSettings, index=index)
    promise = Promise(settings.wrong_refusals_max, settings.wrong_refusals_confidence)
    asked = None if questions is None else read_set(questions)
    with watching() as progress:
        done = bring_up_to_date(IndexDirectory(settings.index), progress, again=True, questions=asked, promise=promise)
    if done.calibration is None:
        raise UsageError(
            "this index admits no query encoder, so no question can be embedded to weigh its legs.",
            fix="Set FOOTNOTE_DENSE_WEIGHT, or index with --vectors-model.",
        )
    if json:
        emit(done.calibration.model_dump())
    else:
        typer.echo(told(done.calibration))


def told(calibration: Calibration) -> str:
    """A line for people on each thing that was measured."""
    found = f"dense leg {calibration.dense:.2f}, lexical leg {calibration.lexical:.2f} of 1"
    weight = f"dense weight {calibration.dense_weight:.2f} ({calibration.questions} pseudo-questions: {found})"
    return weight if calibration.refusing is None else f"{weight}\n{_told_refusing(calibration.refusing)}"


def _told_refusing(found: Refusing) -> str:
    from evaluation.thresholds import questions_needed

    promised = f"{found.share_max:.0%} of answerable questions with {found.confidence:.0%} confidence"
    if found.bounded is None:
        needed = questions_needed(found.share_max, found.confidence)
        return (
            f"refuses below the default: {found.answerable} answerable {found.asked} are too few to bound wrong"
            f" refusals by {promised}; it takes {needed}"
        )
    seen = f"{found.refused} of {found.answerable} {found.asked} refused, bound {found.bound:.3f}"
    if found.below is None:
        return (
            f"refuses below the default: wrong refusals are at most {promised} only below {found.bounded:.2f} ({seen}),"
            " but pseudo-questions are harder than people's; `footnote calibrate --questions SET` takes yours"
        )
    whom = "" if found.asked == "questions" else ", which your users' are not: --questions SET takes theirs"
    return (
        f"refuses below {found.below:.2f}: wrong refusals are at most {promised} ({seen}), for questions exchangeable"
        f" with these{whom}"
    )


SetsArgument = Annotated[
    list[str],
    typer.Argument(metavar="SET...", help="BEIR-style folders; SET:zh picks corpus.zh.jsonl.", show_default=False),
]
OutputFolder = Annotated[
    Path | None,
    typer.Option(
        "--output", metavar="FOLDER", help="Keep the run here, one file a set; by default in the evaluation cache."
    ),
]
MeasureOption = Annotated[str, typer.Option("--measure", help="nDCG@10, R@10, R@100 or RR@10.")]
AnyMeasureOption = Annotated[
    str, typer.Option("--measure", help="nDCG@10, R@10, R@100, RR@10; or of answers: citation_recall, token_f1 ...")
]
Permutations = Annotated[int, typer.Option(min=100, max=10_000_000, help="Of the randomisation test.")]
Seed = Annotated[int, typer.Option(min=0, help="Equal runs and an equal seed give an equal p.")]


@evaluating.callback()
def group() -> None:
    """Measure retrieval and answers on question sets, compare runs, and look at them.

    [bold]footnote evaluate SET...[/bold] measures; its options are further below.
    A folder that is called like a command is reached as ./compare.

        footnote evaluate sets/scifact sets/cranfield --output before
        footnote evaluate compare before:lexical before:hybrid
        footnote evaluate ablate sets/scifact --only fusion --only chunk
        footnote evaluate report before --output report.html
    """


@evaluating.command(ITSELF)
def evaluate(
    sets: SetsArgument,
    modes: Annotated[list[str] | None, typer.Option("--mode", help="lexical, dense, hybrid; all by default.")] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--with",
            metavar="NAME=VALUE,...",
            help="Measure every mode under these settings too; may be given again for another configuration.",
        ),
    ] = None,
    answers: Annotated[
        bool | None,
        typer.Option(
            "--answers/--no-answers", help="Answer the questions too; by default where a set says which can be."
        ),
    ] = None,
    sample: Annotated[
        int | None,
        typer.Option("--sample", min=1, metavar="QUESTIONS", help="Ask only so many of each set, drawn by --seed."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The same one draws the same questions.")] = 0,
    generations: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Keep what a chat model writes here, and ask it nothing that stands here. One for each way of asking.",
            show_default=False,
        ),
    ] = None,
    output: OutputFolder = None,
    index: IndexOption = None,
    json: JsonOption = False,
) -> None:
    """Retrieval and answer quality on question sets: nDCG@10, Recall, MRR, refusals, citations, quotes, stage times.

    A set's own corpus is indexed in the evaluation cache, again only if it changed.
    A set without one is asked of --index. Budgets are lifted.

        footnote evaluate sets/scifact sets/xquad:zh
        footnote evaluate sets/scifact --mode hybrid --with passage_tokens=128
        footnote evaluate my/questions --mode hybrid --sample 50
    """
    from evaluation.configurations import MODES, configurations
    from evaluation.generations import Generations
    from evaluation.run import evaluate as run
    from evaluation.runs import new_run_folder
    from evaluation.sets import read_set, sampled
    from evaluation.tables import print_report
    from indexer.progress import watching
    from store.output import emit

    chosen = configurations(modes or MODES, changes or [])
    questions = [read_set(name) for name in sets]
    drawn = None if sample is None else {"questions": sample, "seed": seed}
    if sample is not None:
        questions = [sampled(one, sample, seed) for one in questions]
    settings, indexing, serving = _settings(index)
    written = None if generations is None else Generations(generations)
    folder = new_run_folder(settings.evaluation_cache.expanduser(), output)
    with watching() as progress:
        reports = [
            run(
                *(one, settings, indexing, serving, chosen, folder, progress),
                answers=answers,
                sample=drawn,
                generations=written,
            )
            for one in questions
        ]
    if json:
        emit([report.as_json() for report in reports])
    else:
        for report in reports:
            print_report(report)


@evaluating.command()
def compare(
    baseline: Annotated[
        str,
        typer.Argument(metavar="A", help="A run's folder or file; A:CONFIGURATION, else A:hybrid.", show_default=False),
    ],
    candidate: Annotated[str, typer.Argument(metavar="B", help="The run to compare with it.", show_default=False)],
    measure: AnyMeasureOption = "nDCG@10",
    common: Annotated[
        bool, typer.Option("--common", help="Where sets or questions differ, compare on those that both runs have.")
    ] = False,
    permutations: Permutations = 10_000,
    seed: Seed = 0,
    json: JsonOption = False,
) -> None:
    """Is B better than A? Question by question, with a p adjusted over the sets, and what could have been seen.

    footnote evaluate compare before after
    footnote evaluate compare before:lexical before:hybrid --measure R@100
    """
    from evaluation.comparison import compare_runs
    from evaluation.runs import Run
    from evaluation.tables import print_comparison
    from store.output import emit

    found = compare_runs(
        Run(baseline), Run(candidate), measure=measure, common=common, permutations=permutations, seed=seed
    )
    if json:
        emit(
            {
                "measure": measure,
                "permutations": permutations,
                "seed": seed,
                "sets": [one.as_json() for one in found],
            }
        )
    else:
        print_comparison(found, measure, permutations=permutations)


@evaluating.command()
def ablate(
    sets: SetsArgument,
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only", help="leg, fusion, feedback, header, rerank, chunk; all by default. May be given again."
        ),
    ] = None,
    chunks: Annotated[
        list[int] | None,
        typer.Option("--chunk", metavar="TOKENS", help="Longest passages to try.", show_default="64, 128, 254"),
    ] = None,
    weights: Annotated[
        list[float] | None,
        typer.Option("--weight", metavar="SHARE", help="Dense weights to try.", show_default="0.0, 0.1, ... 1.0"),
    ] = None,
    measure: MeasureOption = "nDCG@10",
    output: OutputFolder = None,
    index: IndexOption = None,
    json: JsonOption = False,
) -> None:
    """What each part is worth: legs, fusion, header, reranker, passage length, one changed at a time.

    Everything is compared with hybrid under the settings as they are.
    Header and passage length need indexes of their own, which take their time the first time.

        footnote evaluate ablate sets/scifact sets/cranfield --output ablation
        footnote evaluate ablate sets/scifact --only chunk --chunk 96 --chunk 192
    """
    from evaluation.ablation import CHUNK_TOKENS, DIMENSIONS, WEIGHTS
    from evaluation.ablation import ablate as run
    from evaluation.measures import RANKING
    from evaluation.runs import new_run_folder
    from evaluation.sets import read_set
    from evaluation.significance import PERMUTATIONS
    from evaluation.tables import print_ablations
    from indexer.progress import watching
    from store.errors import UsageError
    from store.output import emit

    if measure not in RANKING:
        raise UsageError(f"unknown measure {measure!r}; known: {', '.join(RANKING)}.")
    questions = [read_set(name) for name in sets]
    settings, indexing, serving = _settings(index)
    folder = new_run_folder(settings.evaluation_cache.expanduser(), output)
    with watching() as progress:
        found = run(
            questions,
            settings,
            indexing,
            serving,
            folder,
            progress,
            wanted=only or DIMENSIONS,
            chunk_tokens=chunks or CHUNK_TOKENS,
            weights=weights or WEIGHTS,
            measure=measure,
        )
    if json:
        emit({"measure": measure, "run": str(folder), "dimensions": [one.as_json() for one in found]})
    else:
        print_ablations(found, measure, folder, permutations=PERMUTATIONS)


@evaluating.command()
def report(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN...", help="Folders or files of runs; RUN:CONFIGURATION for one.", show_default=False
        ),
    ],
    output: Annotated[Path, typer.Option("--output", metavar="FILE", help="The page to write.")] = Path("report.html"),
    baseline: Annotated[
        str | None,
        typer.Option("--baseline", help="What all others are compared with.", show_default="hybrid of the first run"),
    ] = None,
    measure: MeasureOption = "nDCG@10",
) -> None:
    """One page to look at: quality against latency, wins and losses question by question, and what was lost most.

    The page needs no network and no script.

        footnote evaluate report before --baseline lexical --output report.html
        footnote evaluate report before after
    """
    from evaluation.report import write_report
    from evaluation.runs import Run
    from indexer.progress import watching

    with watching() as progress:
        written = write_report([Run(one) for one in runs], output, progress, baseline=baseline, measure=measure)
    typer.echo(f"{written} ({written.stat().st_size / 1e6:.1f} MB)")


@evaluating.command()
def support(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="JSON lines, gzipped or not.", show_default=False)
    ],
    json: JsonOption = False,
) -> None:
    """The support scorer on lines of {"claim", "evidence", "label": true|false}, at its own threshold.

    FOOTNOTE_VERIFIER=none measures what words and hard facts alone decide, a folder another scorer.

        footnote evaluate support claims.jsonl --json
    """
    from evaluation.support import measure_support
    from service.settings import ServiceSettings
    from service.support import SupportCheck
    from service.wiring import support_of
    from store.analyzer import Analyzer
    from store.output import emit
    from store.settings import load_settings

    check = SupportCheck(Analyzer(), support_of(load_settings(ServiceSettings, index=None)))
    measured = {str(name): measure_support(name, check) for name in files}
    if json:
        emit(next(iter(measured.values())) if len(files) == 1 else measured)
        return
    for name, figures in measured.items():
        typer.echo(f"{name}: " + ", ".join(f"{key} {value}" for key, value in figures.items()))


def _settings(index: Path | None) -> tuple[EvaluationSettings, IndexerSettings, ServiceSettings]:
    from evaluation.settings import EvaluationSettings
    from indexer.settings import IndexerSettings
    from service.settings import ServiceSettings
    from store.settings import load_settings

    return (
        load_settings(EvaluationSettings, index=index),
        load_settings(IndexerSettings, index=index),
        load_settings(ServiceSettings, index=index),
    )
