"""A cross-encoder of any make, exported once, scores in the service as it does in sentence-transformers."""

from __future__ import annotations

import pytest

from service.adapters.reranker import OnnxCrossEncoder
from store.errors import UsageError


def test_a_folder_without_an_export_is_refused_with_the_command_that_makes_one(tmp_path):
    with pytest.raises(UsageError, match="export-reranker"):
        OnnxCrossEncoder(tmp_path)


@pytest.mark.model
def test_an_exported_model_agrees_with_the_original(tmp_path):
    import torch
    from sentence_transformers import CrossEncoder
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

    from indexer.encoder import export_cross_encoder
    from indexer.model import locate

    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(locate("all-MiniLM-L6-v2"))
    shape = BertConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        num_labels=1,
    )  # fmt: skip
    BertForSequenceClassification(shape).save_pretrained(tmp_path / "tiny")
    tokenizer.save_pretrained(tmp_path / "tiny")

    difference = export_cross_encoder(str(tmp_path / "tiny"), tmp_path / "exported")
    ours = OnnxCrossEncoder(tmp_path / "exported")
    texts = ["Otters sleep.", "A heron waits for fish in shallow water.", "x"]
    theirs = CrossEncoder(str(tmp_path / "tiny"), device="cpu", activation_fn=torch.nn.Identity())

    assert difference < 1e-4
    assert ours.score("who sleeps", texts) == pytest.approx(
        [float(score) for score in theirs.predict([("who sleeps", text) for text in texts])], abs=1e-4
    )
    with pytest.raises(UsageError, match="exists"):
        export_cross_encoder(str(tmp_path / "tiny"), tmp_path / "exported")


@pytest.mark.model
def test_a_model_without_a_trained_score_is_refused_rather_than_given_random_weights(tmp_path):
    from transformers import BertConfig, BertForSequenceClassification

    from indexer.encoder import export_cross_encoder
    from indexer.model import locate

    shape = BertConfig(
        vocab_size=30, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8, num_labels=3
    )
    BertForSequenceClassification(shape).save_pretrained(tmp_path / "three")

    with pytest.raises(UsageError, match="architecture BertModel"):
        export_cross_encoder(str(locate("all-MiniLM-L6-v2")), tmp_path / "exported")
    with pytest.raises(UsageError, match="3 labels"):
        export_cross_encoder(str(tmp_path / "three"), tmp_path / "exported")
    assert not (tmp_path / "exported").exists()
