"""Commands that publish a snapshot, followed by weighing its legs: the indexer and the store know nothing of that."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from evaluation.settings import EvaluationSettings

COMMANDS = ("index", "import", "forget")
DONE_WITH_QUARANTINE = 3


def then_calibrated(command: Callable[..., Any]) -> Callable[..., Any]:
    """The command, and once it did its work the calibration of what is current then."""

    @wraps(command)
    def both(**given: Any) -> None:
        ending: typer.Exit | None = None
        settings = _settings(given["index"])
        try:
            command(**given)
        except typer.Exit as error:
            if error.exit_code not in (0, DONE_WITH_QUARANTINE):
                raise
            ending = error
        if settings.calibrate:
            _calibrate(settings, quiet=given.get("json", False))
        if ending is not None:
            raise ending

    return both


def _settings(index: Path | None) -> EvaluationSettings:
    """Read before the command works, so that a setting that is wrong is told before anything is published."""
    from evaluation.settings import EvaluationSettings
    from store.settings import load_settings

    return load_settings(EvaluationSettings, index=index)


def _calibrate(settings: EvaluationSettings, *, quiet: bool) -> None:
    """Weigh the legs and set when to refuse; what keeps that from being done is told, and undoes nothing: the index is
    published.
    """
    from evaluation.calibrated import bring_up_to_date
    from evaluation.calibrated_refusals import Promise
    from evaluation.commands import told
    from indexer.progress import watching
    from store.errors import FootnoteError
    from store.index import IndexDirectory

    promise = Promise(settings.wrong_refusals_max, settings.wrong_refusals_confidence)
    try:
        with watching() as progress:
            done = bring_up_to_date(IndexDirectory(settings.index), progress, promise=promise)
    except FootnoteError as error:
        typer.echo(f"WARNING: the legs were not weighed, the default weight holds: {error}", err=True)
        return
    except KeyboardInterrupt:
        typer.echo("footnote: stopped while weighing the legs; the index is published.", err=True)
        raise typer.Exit(130) from None
    if done.outcome == "measured" and done.calibration is not None and not quiet:
        typer.echo(told(done.calibration))
