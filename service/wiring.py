"""The one place that constructs: from settings to a service that can answer."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from service.adapters.anthropic_messages import open_anthropic
from service.adapters.breaker import Breaker
from service.adapters.chain import Chain
from service.adapters.chat_model import ChatModel
from service.adapters.extractive import Extractive
from service.adapters.generator import Generator
from service.adapters.hedge import Hedge
from service.adapters.openai_chat import open_openai
from service.adapters.provider import NO_LIMIT_MS, Limits
from service.adapters.reranker import OnnxCrossEncoder
from service.adapters.script import open_script
from service.adapters.tail import Tail
from service.caches import identity_of, open_caches, scope_of
from service.engine import Engine
from service.evidence import ABSTAIN_BELOW
from service.holder import EngineHolder
from service.inference import Inference
from service.priority import make_way
from service.ratings import Ratings
from service.rerank import AnytimeReranker
from service.rewrite import Rewriter
from service.settings import Fallback, ServiceSettings
from service.verifier import BUNDLED, CARD, Verifier, open_support, open_verifier
from store.analyzer import Analyzer
from store.calibration import Calibration, calibration_file, read_calibration
from store.embedding import OnnxEncoder, QueryEncoder, quickest_precisions
from store.errors import FootnoteError, StoreCorrupt, UsageError
from store.files import sha256_file
from store.forgotten import refuse_forgotten
from store.fusion import DENSE_WEIGHT
from store.index import Current, IndexDirectory
from store.local import LocalSnapshot, open_query_encoder, read_manifest, verify_files
from store.manifest import Manifest, QueryEncoderEntry
from store.vectors import set_threads

_LOG = logging.getLogger("footnote.service")

Stamp = tuple[int, int, int]


class Service:
    """A wired service: leases engines, notices new snapshots, warms them and swaps them in.

    Args:
        settings: everything it can be told.

    Raises UsageError where it is told to rerank and by what is not, or cannot be.
    """

    def __init__(self, settings: ServiceSettings) -> None:
        self.settings = settings
        self.index = IndexDirectory(settings.index)
        self.holder = EngineHolder()
        self.executor = ThreadPoolExecutor(
            settings.executor_threads, thread_name_prefix="footnote", initializer=set_threads, initargs=(1,)
        )
        self.reloading = ThreadPoolExecutor(
            1, thread_name_prefix="footnote-reload", initializer=set_threads, initargs=(1,)
        )
        self.checking = ThreadPoolExecutor(
            settings.executor_threads, thread_name_prefix="footnote-check", initializer=make_way
        )
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # else their batches take a thread of each core
        self.inference = Inference(threads=settings.inference_threads, kept_max=settings.vector_cache_entries)
        self.caches = open_caches(settings, time.monotonic)
        self.last_error: str | None = None
        self._reranker = _reranker(settings)
        self.models = models = _chat_models(settings)
        self._generator: Generator = Chain([*models, Extractive()]) if models else Extractive()
        self._rewriter = _rewriter(settings, models)
        self.tails = [one.tail for one in models if one.tail is not None]
        self._verifier = verifier_of(settings)
        self._precisions = quickest_precisions() if settings.query_precision is None else (settings.query_precision,)
        self._weights = _weights(settings)
        self.ratings = _ratings(settings)
        self._encoder: tuple[tuple[str, list[QueryEncoderEntry]], QueryEncoder | None] | None = None
        self._opened: tuple[Current, Stamp | None] | None = None
        self.calibration_error: str | None = None
        """What is wrong with the calibration of what is served, for which the defaults hold then."""
        self._guard = threading.Lock()

    def reload(self) -> bool:
        """Open, verify and warm what CURRENT names, then swap it in; False where it is open already, weighed as it is
        calibrated now. Blocking.

        On failure the snapshot that was open goes on serving and the error is raised and kept in `last_error`.
        """
        with self._guard:
            current: Current | None = None
            try:
                current = self.index.require_current()
                found = (current, self.calibration_stamp(current))
                if found == self._opened:
                    if self.holder.generation == current.generation:  # not withdrawn since
                        self.last_error = None
                    return False
                engine, snapshot = self._open(current)
            except (FootnoteError, OSError) as error:
                self.last_error = _what_is_wrong(error, None if current is None else current.generation)
                raise
            self._swap(engine, snapshot)
            self._opened = found
            self.last_error = None
        if not snapshot.fully_verified:
            threading.Thread(target=self._verify, args=(snapshot,), name="footnote-verify", daemon=True).start()
        return True

    @property
    def degraded(self) -> str | None:
        """Why what CURRENT names is not what is served; None while it is, or while nothing is served."""
        generation, error = self.holder.generation, self.last_error
        return None if generation is None or error is None else f"serving generation {generation}: {error}"

    def fall_back(self) -> bool:
        """While nothing is served, serve the newest kept snapshot that verifies: those before the one that CURRENT
        names come first, since later ones were rolled back. Blocking; whether there was one. `degraded` tells.
        """
        with self._guard:
            return not self.holder.ready and self._fall_back()

    def _fall_back(self) -> bool:
        try:
            current = self.index.current()
        except (FootnoteError, OSError):
            current = None
        else:
            if current is None:  # nothing was ever published
                return False
        kept = list(reversed(self.index.published()))
        if current is not None:
            name = current.name
            kept = [path for path in kept if path.name < name] + [path for path in kept if path.name > name]
        for folder in kept:
            try:
                digest = sha256_file(folder / "manifest.json")  # which must agree with the folder's name
                read_manifest(folder)
                engine, snapshot = self._open(Current(folder.name, digest), full=True)
                try:
                    refuse_forgotten(self.index.forgotten_file, folder, folder.name)
                except BaseException:
                    snapshot.close()
                    raise
            except (FootnoteError, OSError) as error:
                _LOG.warning("%s cannot be served either: %s", folder.name, error)
                continue
            self._swap(engine, snapshot)
            _LOG.warning("%s", self.degraded)
            return True
        return False

    def _verify(self, snapshot: LocalSnapshot) -> None:
        """Hash what opening took on trust (a large index); a mismatch withdraws the snapshot, says which file, and
        falls back to a kept one.
        """
        try:
            verify_files(snapshot.folder, snapshot.manifest, full=True)
        except StoreCorrupt as error:
            with self._guard:
                _LOG.error("snapshot withdrawn: %s", error)  # the message says it all
                if self.holder.generation == snapshot.manifest.generation:
                    self.last_error = _what_is_wrong(error, snapshot.manifest.generation)
                    self.holder.swap(None)
                    self.caches.serve(None)
                    self._fall_back()

    def close(self) -> None:
        """Stop serving and release everything."""
        self.holder.swap(None)
        self.inference.close()
        self.checking.shutdown(wait=False)
        self.reloading.shutdown(wait=False)
        self.executor.shutdown(wait=False)  # what was queued still runs: the snapshot is closed there
        if self._reranker is not None:
            self._reranker.close()
        if self.ratings is not None:
            self.ratings.close()

    def _swap(self, engine: Engine, snapshot: LocalSnapshot) -> None:
        self.holder.swap(engine, partial(self._close_later, snapshot))
        self.caches.serve(engine.scope)

    def _close_later(self, snapshot: LocalSnapshot) -> None:
        """Close on the executor: the last lease may end on the event loop, which must not wait for files."""
        try:
            self.executor.submit(snapshot.close)
        except RuntimeError:  # the executor is shut down: the service is closing
            snapshot.close()

    def _open(self, current: Current, *, full: bool = False) -> tuple[Engine, LocalSnapshot]:
        with ThreadPoolExecutor(1, initializer=make_way) as beside:  # as do the threads that its session starts
            opening = beside.submit(self._encoder_of, current)
            snapshot = self.index.open(self.executor, current, full=full)
        try:
            encoder = opening.result()
            _warm(encoder, snapshot)
        except BaseException:
            snapshot.close()
            raise
        settings = self.settings
        calibration = self._calibration(snapshot.facts.name)
        engine = Engine(
            snapshot=snapshot,
            encoder=encoder,
            analyzer=Analyzer.from_name(snapshot.facts.analyzer),
            dense_weight=_dense_weight(settings, calibration),
            dense_feedback=settings.dense_feedback,
            lexical_feedback=settings.lexical_feedback,
            reranker=self._reranker,
            rerank_by_default=settings.rerank,
            rerank_depth=settings.rerank_depth,
            rerank_weight=settings.rerank_weight,
            generator=self._generator,
            stand_in=Extractive(),
            quote_when_withheld=settings.quote_when_withheld,
            verifier=self._verifier,
            rewriter=self._rewriter,
            answer_passages=settings.answer_passages,
            document_passages=settings.document_passages,
            abstain_below=_abstain_below(settings, calibration),
            budgets=settings.stage_budgets(),
            inference=self.inference,
            executor=self.checking,
            clock=time.monotonic,
            scope=scope_of(current.manifest_sha256),
            identity=identity_of(settings, current.manifest_sha256, self._weights | _precision(encoder), _program()),
            searches=self.caches.searches,
            answers=self.caches.answers,
        )
        return engine, snapshot

    def _calibration(self, name: str) -> Calibration | None:
        """What was measured for this snapshot; None where nothing was, where it is damaged, and where all it could
        say is set.
        """
        self.calibration_error = None
        if self.settings.dense_weight is not None and self.settings.abstain_below is not None:
            return None
        try:
            return read_calibration(self.index.calibration, name)
        except StoreCorrupt as error:
            self.calibration_error = f"fusion by the default weight, refusals by the default threshold: {error}"
            _LOG.warning("%s", self.calibration_error)
            return None

    def calibration_stamp(self, current: Current) -> Stamp | None:
        """What tells one calibration file from another; None where there is none."""
        try:
            found = calibration_file(self.index.calibration, current.name).stat()
        except OSError:
            return None
        return (found.st_ino, found.st_mtime_ns, found.st_size)

    def _encoder_of(self, current: Current) -> QueryEncoder | None:
        return self._encoder_for(read_manifest(self.index.snapshots / current.name, current.manifest_sha256))

    def _encoder_for(self, manifest: Manifest) -> QueryEncoder | None:
        """The encoder that this manifest admits: the one that is open if it is that one, else opened anew."""
        admitted = (manifest.space.fingerprint, manifest.query_encoders)
        if self._encoder is None or self._encoder[0] != admitted:
            opened = open_query_encoder(
                Path(self.settings.index),
                manifest,
                threads=self.settings.encoder_threads,
                precisions=self._precisions,
            )
            if isinstance(opened, OnnxEncoder):
                _LOG.info("questions are embedded with %s weights", opened.precision)
            self._encoder = (admitted, opened)
        return self._encoder[1]


def begin(settings: ServiceSettings) -> Service:
    """A service that has begun to open what CURRENT names, on a thread. Most of that is hashing and ONNX Runtime's
    work, beside which the caller can import the web framework.

    The next `reload` waits for it; where it failed, that one tries again and raises.
    """
    service = Service(settings)
    service.reloading.submit(service.reload)
    return service


def _dense_weight(settings: ServiceSettings, calibration: Calibration | None) -> float:
    """As set; else as calibrated; else the default."""
    if settings.dense_weight is not None:
        return settings.dense_weight
    return DENSE_WEIGHT if calibration is None else calibration.dense_weight


def _abstain_below(settings: ServiceSettings, calibration: Calibration | None) -> float:
    """As set; else as calibrated; else the default."""
    if settings.abstain_below is not None:
        return settings.abstain_below
    refusing = None if calibration is None else calibration.refusing
    return ABSTAIN_BELOW if refusing is None or refusing.below is None else refusing.below


def _ratings(settings: ServiceSettings) -> Ratings | None:
    """What keeps ratings, where they are kept; no file is opened before it is needed."""
    path = settings.feedback_file
    if path is None:
        return None
    return Ratings(path, answers_max=settings.feedback_answers_max, ratings_max=settings.feedback_ratings_max)


def _reranker(settings: ServiceSettings) -> AnytimeReranker | None:
    """The reranker that is set, warm."""
    if settings.reranker is None:
        if settings.rerank:
            raise UsageError(
                "rerank is on, but no reranker is set.",
                fix="Export one with `footnote export-reranker` and set FOOTNOTE_RERANKER=FOLDER, or set rerank=false.",
            )
        return None
    model = OnnxCrossEncoder(settings.reranker, threads=settings.encoder_threads * settings.inference_threads)
    reranker = AnytimeReranker(model, time.monotonic, threads=max(settings.executor_threads // 2, 1))
    reranker.warm()
    return reranker


def verifier_of(settings: ServiceSettings) -> Verifier | None:
    """The guardrail's support scorer that is set; None where none is, or where this installation came without one.

    Raises UsageError where a folder that was named holds none, StoreCorrupt where its files are not its card's.
    """
    folder = _verifier_folder(settings)
    if folder == BUNDLED and not BUNDLED.is_dir():
        _LOG.warning("no support scorer came with this installation: words and hard facts alone decide")
        return None
    return None if folder is None else open_verifier(folder)


def support_of(settings: ServiceSettings) -> Verifier | None:
    """As `verifier_of`, but the scorer of texts of any length, by which citations are measured."""
    folder = _verifier_folder(settings)
    if folder is None or (folder == BUNDLED and not BUNDLED.is_dir()):
        return None
    return open_support(folder)


def _verifier_folder(settings: ServiceSettings) -> Path | None:
    if settings.verifier == "none":
        return None
    return BUNDLED if settings.verifier == "bundled" else settings.verifier


def _chat_models(settings: ServiceSettings) -> list[ChatModel]:
    """The chat models that are set, in order. Each has an equal share of the time for the first sentence, so that the
    last one, and sentences of the passages after it, still come in time.
    """
    if settings.generator == "extractive":
        if settings.generator_fallbacks:
            raise UsageError(
                "generator is extractive, for which no chat model can stand in.",
                fix="Make the first of generator_fallbacks the generator.",
            )
        return []
    first = Fallback(
        generator=settings.generator,
        model=settings.generator_model,
        base_url=settings.generator_base_url,
        api_key=settings.generator_api_key,
        grammar=settings.generator_grammar,
        script=settings.generator_script,
    )
    chosen = [first, *settings.generator_fallbacks]
    budget_ms = settings.first_sentence_budget_ms if settings.budgets else None
    share_ms = NO_LIMIT_MS if budget_ms is None else budget_ms / len(chosen)
    total_ms = settings.generator_total_ms or (settings.answer_budget_ms if settings.budgets else None)
    limits = Limits(
        connect_ms=settings.generator_connect_ms,
        first_text_ms=min(settings.generator_first_text_ms or NO_LIMIT_MS, share_ms),
        total_ms=total_ms or NO_LIMIT_MS,
        between_ms=settings.generator_between_ms,
        tokens_max=settings.generator_tokens_max,
        prices=settings.generator_prices,
    )
    return [_chat_model(one, limits, _tail(one.generator, settings)) for one in chosen]


def _tail(provider: str, settings: ServiceSettings) -> Tail:
    return Tail(
        provider,
        Breaker(
            time.monotonic,
            failures_max=settings.generator_breaker_failures,
            open_s=settings.generator_breaker_open_ms / 1000,
        ),
        retries_max=settings.generator_retries,
        retry_share=settings.generator_retry_share,
        hedge=Hedge(settings.generator_hedge_share) if settings.generator_hedge else None,
    )


def _chat_model(chosen: Fallback, limits: Limits, tail: Tail) -> ChatModel:
    if chosen.generator == "scripted":
        if chosen.script is None:
            raise UsageError("generator is scripted, but there is no script.", fix="Set generator_script.")
        return open_script(chosen.script, limits)
    if chosen.model is None:
        raise UsageError(f"generator is {chosen.generator}, but no model is named.", fix="Set generator_model.")
    key = None if chosen.api_key is None else chosen.api_key.get_secret_value()
    opened = open_openai if chosen.generator == "openai" else open_anthropic
    return opened(chosen.model, chosen.base_url, key, limits, chosen.grammar, tail)


def _rewriter(settings: ServiceSettings, models: Sequence[ChatModel]) -> Rewriter | None:
    """The chat model that rewrites questions; a script has only answers."""
    wanted = settings.condense_with_model and settings.generator != "scripted"
    return models[0] if models and wanted else None


def _precision(encoder: QueryEncoder | None) -> dict[str, str]:
    """In which precision questions are embedded here, where there is a choice: another processor may choose another."""
    return {"precision": encoder.precision} if isinstance(encoder, OnnxEncoder) else {}


def _weights(settings: ServiceSettings) -> dict[str, str]:
    """What tells the weights from others that lay in the same folder before; read only where results are kept."""
    if not settings.cache_searches and settings.cache_answers == "none":
        return {}
    found = {}
    if settings.reranker is not None:
        found = {name: sha256_file(settings.reranker / name) for name in ("model.onnx", "tokenizer.json")}
    folder = _verifier_folder(settings)
    if folder is not None and (folder / CARD).is_file():
        found["verifier"] = sha256_file(folder / CARD)
    return found


def _program() -> str:
    """The program's version: another may answer otherwise."""
    try:
        return version("footnote")
    except PackageNotFoundError:
        return "unknown"


def _what_is_wrong(error: Exception, generation: int | None) -> str:
    """For people: which generation, which file, what was expected and found."""
    if isinstance(error, StoreCorrupt) and generation is not None and Path(error.file).name != "CURRENT":
        return f"generation {generation} is damaged: {error}"
    return str(error)


def _warm(encoder: QueryEncoder | None, snapshot: LocalSnapshot) -> None:
    """Run both legs once, so that the first request finds maps and sessions ready."""
    if encoder is not None:
        encoder.encode_queries(["warm up"])
    snapshot.warm()
