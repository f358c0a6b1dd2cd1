"""Embedding a text that is longer than the model reads: all of it counts."""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def embedder():
    from indexer.embed import SentenceTransformerEmbedder
    from indexer.model import locate, read_space

    folder = locate("all-MiniLM-L6-v2")
    return SentenceTransformerEmbedder(folder, read_space("all-MiniLM-L6-v2", folder))


LONG = "Русский язык является одним из восточнославянских языков и государственным языком страны. " * 12


def test_a_long_text_is_cut_into_parts_that_the_model_reads_whole(embedder):
    parts = embedder._parts(LONG)
    assert "".join(parts) == LONG
    assert len(parts) >= 3
    tokens = [len(embedder.model.tokenizer(part)["input_ids"]) for part in parts]
    assert max(tokens) <= 256
    assert min(tokens) > 128
    assert all(part[-1] == " " for part in parts[:-1])


def test_a_long_text_has_the_mean_of_its_parts_vectors(embedder):
    parts = embedder._parts(LONG)
    each = embedder.encode_documents(parts).sum(axis=0)
    (whole, short) = embedder.encode_documents([LONG, "a short text"])
    assert whole == pytest.approx(each / np.linalg.norm(each), abs=1e-4)
    assert short == pytest.approx(embedder.encode_documents(["a short text"])[0], abs=1e-4)


def test_what_stands_at_the_end_of_a_long_text_counts(embedder):
    filler = "lorem ipsum dolor sit amet consectetur " * 60
    whole, bare, asked = embedder.encode_documents([filler + "Penguins live in Antarctica.", filler, "penguins"])
    assert whole @ asked > bare @ asked


@pytest.mark.parametrize("text", ["", "a", "x" * 3_000, "漢" * 600, "😀" * 600])
def test_odd_texts_are_embedded_too(embedder, text):
    (vector,) = embedder.encode_documents([text])
    assert vector.shape == (384,)
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


def test_no_text_gives_no_vector(embedder):
    assert embedder.encode_documents([]).shape[0] == 0
