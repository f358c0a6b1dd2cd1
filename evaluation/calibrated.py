"""Keeping an index calibrated: measured once, carried over while little changes, measured again when much has."""

from __future__ import annotations

import asyncio
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Literal

from evaluation.calibrated_refusals import Promise, on_pseudo_questions, on_questions
from evaluation.calibration import calibrate
from evaluation.sets import QuestionSet
from indexer.progress import Progress
from service.settings import ServiceSettings
from service.wiring import Service
from store.calibration import Calibration, Refusing, read_calibration, write_calibration
from store.errors import FootnoteError, StoreCorrupt
from store.files import SharedHold
from store.index import IndexDirectory
from store.local import LocalSnapshot, open_query_encoder
from store.manifest import Manifest
from store.passages import PassageReader

CHANGED_MAX = 0.1
"""Up to this share of passages may change before an index is measured again."""

PROMISE = Promise()
ENCODER_THREADS = 2
_SAMPLE = 1_000
_SEED = 11

Outcome = Literal["kept", "carried over", "measured", "no encoder"]


@dataclass(frozen=True, slots=True)
class Calibrated:
    """What became of an index's calibration; None where questions cannot be embedded, so that nothing is measured."""

    outcome: Outcome
    calibration: Calibration | None


def bring_up_to_date(
    index: IndexDirectory,
    progress: Progress,
    *,
    again: bool = False,
    questions: QuestionSet | None = None,
    promise: Promise = PROMISE,
) -> Calibrated:
    """See to it that the current snapshot has a calibration.

    One that is there stays, unless `again`; that of the snapshot it was made from is carried over while at most
    CHANGED_MAX of the passages have changed since measuring.

    Args:
        questions: what the threshold of refusals is set on; None: pseudo-questions.
        promise: what that threshold is to keep.

    Raises IndexMissing, IndexLocked, StoreCorrupt (the snapshot), WriteFailed.
    """
    current = index.require_current()
    known = _readable(index, current.name)
    if known is not None and not again:
        return Calibrated("kept", known)
    with (
        ThreadPoolExecutor(2, thread_name_prefix="calibrate") as executor,
        closing(index.open(executor, current)) as snapshot,
    ):
        carried = None if again else _carried_over(index, snapshot)
        if carried is not None:
            _write(index, carried)
            return Calibrated("carried over", carried)
        with index.lock():  # whether it can be written is better known before minutes of work
            pass
        encoder = open_query_encoder(index.path, snapshot.manifest, threads=ENCODER_THREADS)
        if encoder is None:
            return Calibrated("no encoder", None)
        measured = asyncio.run(calibrate(snapshot, encoder, progress))
        refusing = _refusing(snapshot, index, measured, questions, promise, progress)
        measured = measured.model_copy(update={"refusing": refusing})
    _write(index, measured)
    return Calibrated("measured", measured)


def _refusing(
    snapshot: LocalSnapshot,
    index: IndexDirectory,
    measured: Calibration,
    questions: QuestionSet | None,
    promise: Promise,
    progress: Progress,
) -> Refusing:
    """The threshold of refusals, asked of a service that fuses as was just measured and never reranks."""
    settings = ServiceSettings(
        index=index.path,
        budgets=False,
        dense_weight=measured.dense_weight,
        abstain_below=0.0,
        generator="extractive",
        rerank=False,
        reranker=None,
        encoder_threads=ENCODER_THREADS,
        query_precision="fp32",  # a calibration travels with its index, to whatever processor
    )
    service = Service(settings.without_caches())
    try:
        service.reload()
        with service.holder.lease() as engine:
            if questions is not None:
                return asyncio.run(on_questions(questions, engine, promise, progress))
            return asyncio.run(on_pseudo_questions(snapshot, engine, promise, progress))
    finally:
        service.close()


def _readable(index: IndexDirectory, name: str) -> Calibration | None:
    """What is there; None where it is damaged, or of version 1, which said nothing of refusals: it is made anew."""
    try:
        known = read_calibration(index.calibration, name)
    except StoreCorrupt:
        return None
    return None if known is None or known.refusing is None else known


def _write(index: IndexDirectory, calibration: Calibration) -> None:
    with index.lock():
        write_calibration(index.calibration, calibration, index.disk)


def _carried_over(index: IndexDirectory, snapshot: LocalSnapshot) -> Calibration | None:
    """The parent's calibration for this snapshot; None where there is none, or where too much has changed."""
    parent = snapshot.manifest.parent
    before = None if parent is None else next((one for one in index.listing() if one.folder.name == parent), None)
    if before is None or before.manifest is None or not _ask_alike(before.manifest, snapshot.manifest):
        return None
    known = _readable(index, before.folder.name)
    if known is None:
        return None
    try:
        hold = SharedHold(before.folder / "manifest.json")
        try:
            with closing(PassageReader(before.folder / "passages.sqlite")) as reader:
                share = max(_unknown(snapshot.reader, reader), _unknown(reader, snapshot.reader))
        finally:
            hold.release()
    except (FootnoteError, OSError, sqlite3.Error):  # damaged, or pruned meanwhile: this one is measured
        return None
    changed = round(known.changed + share, 4)
    if changed > CHANGED_MAX:
        return None
    return known.model_copy(update={"snapshot": snapshot.facts.name, "changed": changed})


def _ask_alike(one: Manifest, other: Manifest) -> bool:
    """Whether both legs work alike: the same space, and terms made alike in the same main language."""
    return one.space == other.space and one.analyzer.partition("+")[0] == other.analyzer.partition("+")[0]


def _unknown(drawn_from: PassageReader, asked: PassageReader) -> float:
    """The share of one's passages whose embedded text the other has not, by a sample."""
    hashes = drawn_from.sample_hashes(_SAMPLE, _SEED)
    return 1 - sum(map(asked.known_hashes(hashes).__contains__, hashes)) / max(len(hashes), 1)
