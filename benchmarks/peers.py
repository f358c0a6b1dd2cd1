"""A hybrid query end to end, beside other frameworks: the same corpus, model and questions, one run, one client.

    python -m benchmarks.peers ../shared/data/scifact [--questions 100]

A peer that is not installed is left out and said so. `bash requirements/peers.sh` makes an environment with all of them
from a lock; then `PYTHONPATH=. .venv-peers/bin/python -m benchmarks.peers SET`. Each runs as its own guide for hybrid
retrieval without a server has it, in this process, on the set's documents whole: what it comes with for want of a
server, in memory or in a file, where each could be pointed at an engine that needs one. BM25 and vectors of the model
that Footnote has, ten results of each leg, fused by its own default.
Footnote is asked over HTTP and in this process. Two columns: from the question's text, which each embeds its own way
(the peers by sentence-transformers, Footnote by ONNX Runtime), and with the question's vector given, so that it is not
only one runtime against another. Peers take turns, three rounds of all questions each. nDCG@10 says that the answers
are worth comparing.
"""

from __future__ import annotations

import argparse
import importlib.util
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import uvloop
from pydantic_core import from_json, to_json

from benchmarks.kept_connections import KeptConnection
from benchmarks.load import serving
from evaluation.measures import percentile, ranking_measures
from evaluation.run import index_of
from evaluation.sets import QuestionSet, read_lines, read_set
from evaluation.settings import EvaluationSettings
from indexer.model import locate
from indexer.progress import Lines
from indexer.settings import IndexerSettings
from service.answer import search
from service.budget import Budgets, Deadline
from service.question import Question
from service.settings import ServiceSettings
from service.wiring import Service

ROUNDS = 3
TOP_K = 10
KEPT_ALIVE_S = 2.0
Vector = npt.NDArray[np.float32]
Ask = Callable[[str, Vector | None], list[str]]
"""The ids of the best documents for a question, whose vector is given or None."""


@dataclass
class Peer:
    """Somebody who is asked, and what was measured: milliseconds from text and from a vector, ids found."""

    name: str
    ask: Ask
    from_text_ms: list[float] = field(default_factory=list)
    from_vector_ms: list[float] = field(default_factory=list)
    found: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Corpus:
    """Documents and the model: texts by id, their vectors, and how a text is embedded by sentence-transformers."""

    texts: Mapping[str, str]
    vectors: Vector
    embed: Callable[[str], Vector]


def footnote_http(index: Path, stack: ExitStack) -> Peer:
    """POST /v1/search."""
    connection = KeptConnection(stack.enter_context(serving(index)))
    stack.callback(connection.close)
    asked_at = 0.0

    def ask(text: str, vector: Vector | None) -> list[str]:
        nonlocal asked_at
        if time.monotonic() - asked_at > KEPT_ALIVE_S:  # the server hangs up on whoever is silent, as others take turns
            connection.close()
        asked_at = time.monotonic()
        body = {"query": text, "top_k": TOP_K, **({} if vector is None else {"vector": vector.tolist()})}
        status, told = connection.post("/v1/search", to_json(body))
        assert status == 200, told
        return [one["document"]["id"] for one in from_json(told)["results"]]

    return Peer("Footnote over HTTP", ask)


def footnote_here(index: Path, stack: ExitStack) -> Peer:
    """The same work without HTTP, on the event loop that the service runs on."""
    service = Service(ServiceSettings(index=index).without_caches())
    stack.callback(service.close)
    service.reload()
    engine = replace(stack.enter_context(service.holder.lease()), budgets=Budgets.lifted())
    loop = uvloop.new_event_loop()
    stack.callback(loop.close)

    def ask(text: str, vector: Vector | None) -> list[str]:
        question = Question("r", text, top_k=TOP_K, vector=vector)
        response = loop.run_until_complete(search(question, engine, Deadline(engine.clock, None)))
        return [one.document.id for one in response.results]

    return Peer("Footnote in process", ask)


def langchain(corpus: Corpus, stack: ExitStack) -> Peer:  # noqa: ARG001  # every peer is begun alike
    """EnsembleRetriever over BM25Retriever and FAISS."""
    from langchain_classic.retrievers import EnsembleRetriever
    from langchain_community.retrievers import BM25Retriever
    from langchain_community.vectorstores import FAISS
    from langchain_core.embeddings import Embeddings

    given: dict[str, Vector] = {}

    class Model(Embeddings):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return [corpus.embed(text).tolist() for text in texts]

        def embed_query(self, text: str) -> list[float]:
            return (given[text] if text in given else corpus.embed(text)).tolist()

    keyed = [{"id": key} for key in corpus.texts]
    pairs = list(zip(corpus.texts.values(), corpus.vectors.tolist(), strict=True))
    dense = FAISS.from_embeddings(pairs, Model(), metadatas=keyed).as_retriever(search_kwargs={"k": TOP_K})
    lexical = BM25Retriever.from_texts(list(corpus.texts.values()), metadatas=keyed)
    lexical.k = TOP_K
    both = EnsembleRetriever(retrievers=[lexical, dense], weights=[0.5, 0.5])

    def ask(text: str, vector: Vector | None) -> list[str]:
        given.clear()
        if vector is not None:
            given[text] = vector
        return [one.metadata["id"] for one in both.invoke(text)[:TOP_K]]

    return Peer("LangChain: EnsembleRetriever", ask)


def llama_index(corpus: Corpus, stack: ExitStack) -> Peer:  # noqa: ARG001
    """QueryFusionRetriever (reciprocal_rerank) over BM25Retriever and the default vector store."""
    from llama_index.core import QueryBundle, StorageContext, VectorStoreIndex
    from llama_index.core.embeddings import BaseEmbedding
    from llama_index.core.llms import MockLLM
    from llama_index.core.retrievers import QueryFusionRetriever
    from llama_index.core.schema import TextNode
    from llama_index.retrievers.bm25 import BM25Retriever

    given: dict[str, Vector] = {}

    class Model(BaseEmbedding):
        def _get_query_embedding(self, query: str) -> list[float]:
            return (given[query] if query in given else corpus.embed(query)).tolist()

        def _get_text_embedding(self, text: str) -> list[float]:
            return corpus.embed(text).tolist()

        async def _aget_query_embedding(self, query: str) -> list[float]:
            return self._get_query_embedding(query)

    nodes = [
        TextNode(id_=key, text=text, embedding=vector)
        for (key, text), vector in zip(corpus.texts.items(), corpus.vectors.tolist(), strict=True)
    ]
    index = VectorStoreIndex(nodes, embed_model=Model(), storage_context=StorageContext.from_defaults())
    both = QueryFusionRetriever(
        [
            index.as_retriever(similarity_top_k=TOP_K),
            BM25Retriever.from_defaults(nodes=nodes, similarity_top_k=TOP_K),
        ],
        llm=MockLLM(),
        similarity_top_k=TOP_K,
        num_queries=1,
        mode="reciprocal_rerank",
        use_async=False,
    )

    def ask(text: str, vector: Vector | None) -> list[str]:
        given.clear()
        if vector is not None:
            given[text] = vector
        return [one.node.node_id for one in both.retrieve(QueryBundle(text))]

    return Peer("LlamaIndex: QueryFusionRetriever", ask)


def haystack(corpus: Corpus, stack: ExitStack) -> Peer:  # noqa: ARG001
    """InMemoryDocumentStore: BM25 and embedding retrievers joined by reciprocal rank fusion."""
    from haystack import Document, Pipeline
    from haystack.components.joiners import DocumentJoiner
    from haystack.components.retrievers.in_memory import InMemoryBM25Retriever, InMemoryEmbeddingRetriever
    from haystack.document_stores.in_memory import InMemoryDocumentStore

    store = InMemoryDocumentStore(embedding_similarity_function="cosine")
    store.write_documents(
        [
            Document(id=key, content=text, embedding=vector)
            for (key, text), vector in zip(corpus.texts.items(), corpus.vectors.tolist(), strict=True)
        ]
    )
    pipeline = Pipeline()
    pipeline.add_component("lexical", InMemoryBM25Retriever(store, top_k=TOP_K))
    pipeline.add_component("dense", InMemoryEmbeddingRetriever(store, top_k=TOP_K))
    pipeline.add_component("join", DocumentJoiner(join_mode="reciprocal_rank_fusion", top_k=TOP_K))
    pipeline.connect("lexical", "join")
    pipeline.connect("dense", "join")

    def ask(text: str, vector: Vector | None) -> list[str]:
        embedded = (corpus.embed(text) if vector is None else vector).tolist()
        found = pipeline.run({"lexical": {"query": text}, "dense": {"query_embedding": embedded}})
        return [one.id for one in found["join"]["documents"]]

    return Peer("Haystack: in-memory, RRF", ask)


def txtai(corpus: Corpus, stack: ExitStack) -> Peer:
    """Embeddings with hybrid=True."""
    from txtai import Embeddings

    known = dict(zip(corpus.texts.values(), corpus.vectors, strict=True))
    given: dict[str, Vector] = {}

    def transform(inputs: Sequence[str]) -> Vector:
        found = [
            given[text] if text in given else known[text] if text in known else corpus.embed(text) for text in inputs
        ]
        return np.array(found, np.float32)

    engine: Any = Embeddings(method="external", transform=transform, hybrid=True)
    engine.index(list(corpus.texts.items()))
    stack.callback(engine.close)

    def ask(text: str, vector: Vector | None) -> list[str]:
        given.clear()
        if vector is not None:
            given[text] = vector
        return [str(key) for key, _ in engine.search(text, TOP_K)]

    return Peer("txtai: hybrid", ask)


def lancedb(corpus: Corpus, stack: ExitStack) -> Peer:
    """A table with a full-text index; so few rows are searched without a vector index."""
    import lancedb as lance
    import lancedb.index
    import pyarrow as pa

    folder = stack.enter_context(tempfile.TemporaryDirectory())
    flat = pa.FixedSizeListArray.from_arrays(pa.array(corpus.vectors.ravel()), corpus.vectors.shape[1])
    rows = pa.table({"id": list(corpus.texts), "text": list(corpus.texts.values()), "vector": flat})
    table = lance.connect(folder).create_table("documents", rows)
    table.create_index("text", config=lance.index.FTS())

    def ask(text: str, vector: Vector | None) -> list[str]:
        query = table.search(query_type="hybrid", vector_column_name="vector", fts_columns="text")
        query = query.vector(corpus.embed(text) if vector is None else vector).text(text.replace('"', " "))
        found: list[str] = query.distance_type("cosine").limit(TOP_K).to_arrow()["id"].to_pylist()
        return found

    return Peer("LanceDB: hybrid", ask)


PEERS: Mapping[str, tuple[Callable[[Corpus, ExitStack], Peer], tuple[str, ...]]] = {
    "langchain": (langchain, ("langchain_classic", "langchain_community", "rank_bm25")),
    "llama_index": (llama_index, ("llama_index", "bm25s")),
    "haystack": (haystack, ("haystack",)),
    "txtai": (txtai, ("txtai",)),
    "lancedb": (lancedb, ("lancedb",)),
}
"""How each is begun, and the modules that it needs."""


def corpus_of(folder: Path) -> Corpus:
    """The documents of a set, embedded whole by the model that Footnote has."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(locate(IndexerSettings().embedding_model)), device="cpu")
    rows = list(read_lines(next(folder.glob("corpus.jsonl*"))))
    texts = {row["_id"]: f"{row.get('title', '')} {row['text']}".strip() for row in rows}
    vectors = model.encode(list(texts.values()), batch_size=32, normalize_embeddings=True, show_progress_bar=True)

    def embed(text: str) -> Vector:
        vector: Vector = model.encode([text], normalize_embeddings=True, show_progress_bar=False)[0]
        return vector

    return Corpus(texts, np.ascontiguousarray(vectors, np.float32), embed)


def begun(corpus: Corpus, index: Path, stack: ExitStack) -> Iterator[Peer]:
    """Footnote both ways, and the peers that are installed."""
    yield footnote_http(index, stack)
    yield footnote_here(index, stack)
    for name, (begin, needs) in PEERS.items():
        missing = [module for module in needs if importlib.util.find_spec(module) is None]
        if missing:
            print(f"{name}: {missing[0]} is not installed; left out")
            continue
        yield begin(corpus, stack)


def measure(peers: Sequence[Peer], questions: QuestionSet, count: int, embed: Callable[[str], Vector]) -> None:
    """Three rounds of all questions for each, from text and from a vector."""
    asked = questions.judged[:count]
    vectors = [embed(one.text) for one in asked]
    for number in range(ROUNDS):
        for peer in peers:
            time.sleep(0.5)  # threads of the one before spin on for a while
            for one in asked[:5]:
                peer.ask(one.text, None)
            for one, vector in zip(asked, vectors, strict=True):
                began = time.perf_counter()
                found = peer.ask(one.text, None)
                peer.from_text_ms.append((time.perf_counter() - began) * 1000)
                began = time.perf_counter()
                peer.ask(one.text, vector)
                peer.from_vector_ms.append((time.perf_counter() - began) * 1000)
                if number == 0:
                    peer.found[one.id] = found


def ndcg(peer: Peer, questions: QuestionSet) -> float:
    """nDCG@10 of what a peer found first."""
    runs = {
        key: {one: -float(place) for place, one in enumerate(dict.fromkeys(ids))} for key, ids in peer.found.items()
    }
    qrels = {key: questions.qrels[key] for key in runs}
    return ranking_measures(qrels, runs)[0]["nDCG@10"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", type=Path, help="a BEIR-style folder")
    parser.add_argument("--questions", type=int, default=100)
    given = parser.parse_args()
    questions = read_set(str(given.set))
    index = index_of(questions, EvaluationSettings(), IndexerSettings(), Lines())
    corpus = corpus_of(given.set)
    with ExitStack() as stack:
        peers = list(begun(corpus, index, stack))
        measure(peers, questions, given.questions, corpus.embed)
        head = f"{'':34}{'from text: p50':>15}{'p99':>8}{'from a vector: p50':>20}{'p99':>8}{'nDCG@10':>9}"
        print(f"{len(corpus.texts):,} documents, {given.questions} questions, {ROUNDS} rounds, one client, ms\n{head}")
        for peer in peers:
            text, vector = peer.from_text_ms, peer.from_vector_ms
            print(
                f"{peer.name:34}{percentile(text, 50):>15.2f}{percentile(text, 99):>8.2f}"
                f"{percentile(vector, 50):>20.2f}{percentile(vector, 99):>8.2f}{ndcg(peer, questions):>9.4f}"
            )


if __name__ == "__main__":
    main()
