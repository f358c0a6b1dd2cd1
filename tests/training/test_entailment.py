"""An adapter that judges support: what is refused, what is learned from, and what the folder holds afterwards."""

from __future__ import annotations

import gzip
import json
import random
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from typer.testing import CliRunner

from footnote.cli import app
from indexer.progress import Silent
from store.errors import UsageError
from store.files import sha256_file
from training import entailment
from training.entailment import ADAPTER, CARD, HELD, AdapterRequest, Recipe, make_adapter
from training.entailment_pool import Drawn, drawn_sentences, neighbour_pairs
from training.entailment_rows import (
    EntailmentRow,
    held_back,
    label_targets,
    pool_targets,
    refuting_sources,
    softened,
    worth_learning,
)
from training.pair_network import (
    Schedule,
    Targets,
    adapt,
    batches_by_tokens,
    in_eights,
    judged_by,
    learned_weights,
    padded,
    pair_network,
    rate_at,
    tokenised,
    train,
)
from training.rows import TrainingText

COLOURS = ["red", "green", "blue", "yellow", "black", "white", "brown", "purple"]
THINGS = ["cup", "chair", "lamp", "table"]
TEXT = "In room {} there is a {} {} that Ann Lee bought in {}. Nobody knows who left it there, or why it was not sold. "
HIDDEN, LAYERS, RANK = 16, 2, 4
WORDNET = {
    "data.noun": ["00000001 06 n 02 chair 0 seat 0 000 | to sit on", "00000002 06 n 02 cup 0 mug 0 000 | to drink of"],
    "index.noun": ["chair n 1 0 1 1 00000001", "cup n 1 0 1 1 00000002"],
    "data.adj": ["00000001 00 a 02 red 0 scarlet 0 000 | a colour", "00000002 00 a 02 blue 0 azure 0 000 | a colour"],
    "index.adj": ["red a 1 0 1 1 00000001", "blue a 1 0 1 1 00000002"],
    "data.verb": [],
    "index.verb": [],
    "data.adv": [],
    "index.adv": [],
}
QUICK = Schedule(epochs=1, learning_rate=1e-3, weight_decay=0.0, batch_tokens=2048, batch_pairs=32)


def rooms():
    """(claim, evidence, whether it follows) of rooms and what is in them."""
    for number, (colour, thing) in enumerate((c, t) for c in COLOURS for t in THINGS):
        wrong = COLOURS[(COLOURS.index(colour) + 1 + number % 5) % len(COLOURS)]
        evidence = "".join(TEXT.format(number + step, colour, thing, 1900 + number + step) for step in range(3))
        yield f"The {thing} in room {number} is {colour}.", evidence, True
        yield f"The {thing} in room {number} is {wrong}.", evidence, False


def written(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def network_folder(folder, kind):
    """A network of random weights, the same ones always, with a tokenizer of the rooms' words, as transformers has."""
    import torch
    from transformers import BertConfig, BertModel, MPNetConfig, MPNetModel, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    tokenizer.train_from_iterator(
        (text for room in rooms() for text in room[:2]),
        trainers.WordPieceTrainer(vocab_size=300, special_tokens=special),
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    named = {name: f"[{name[:3].upper()}]" for name in ("pad_token", "unk_token", "cls_token", "sep_token")}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=64, **named).save_pretrained(folder)
    sizes = {
        "vocab_size": tokenizer.get_vocab_size(),
        "hidden_size": HIDDEN,
        "intermediate_size": 2 * HIDDEN,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 2,
        "max_position_embeddings": 128,
        "pad_token_id": 0,
    }
    torch.manual_seed(0)
    network = BertModel(BertConfig(**sizes)) if kind == "bert" else MPNetModel(MPNetConfig(**sizes))
    network.save_pretrained(folder)
    return folder


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Threads that wait for each other cost more than networks this small."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Models, WordNet, rows and texts."""
    folder = tmp_path_factory.mktemp("entailment")
    network_folder(folder / "student", "bert")
    network_folder(folder / "teacher", "mpnet")
    (folder / "wordnet").mkdir()
    for name, lines in WORDNET.items():
        (folder / "wordnet" / name).write_text("".join(f"{line}\n" for line in lines))
    (folder / "rows").mkdir()
    labelled = [(claim, text, "supported" if follows else "refuted") for claim, text, follows in rooms()]
    keys = ("claim", "evidence", "label")
    written(folder / "rows" / "rooms.jsonl", [dict(zip(keys, row, strict=True)) for row in labelled])
    vague = [(row[0].replace("room", "hall"), row[1], row[2].replace("refuted", "neutral")) for row in labelled[:20]]
    written(folder / "rows" / "halls.jsonl", [dict(zip(keys, row, strict=True)) for row in vague])
    (folder / "texts").mkdir()
    texts = [{"query": "q", "positive": {"title": "Rooms", "text": TEXT.format(*one)}} for one in texts_of_rooms()]
    written(folder / "texts" / "more.jsonl", texts)
    return folder


def texts_of_rooms():
    for number, colour in enumerate(COLOURS, 200):
        yield number, colour, "sofa", 1700 + number


@pytest.fixture(scope="module")
def request_(folder):
    recipe = Recipe(
        teaching=replace(QUICK, learning_rate=5e-5), learning=replace(QUICK, epochs=2), rank=RANK, tokens_max=48
    )
    return AdapterRequest(
        [folder / "rows"],
        [folder / "texts"],
        folder / "teacher",
        folder / "wordnet",
        folder / "out",
        str(folder / "student"),
        weights={"halls": 2.0},
        recipe=recipe,
    )


@pytest.fixture(scope="module")
def seen(request_):
    """The pairs that each network was shown while the adapter of `request_` was made, and what was made."""
    shown = []
    patch = pytest.MonkeyPatch()

    def told(folder, pairs, tokens_max):
        shown.append((folder.name, list(pairs)))
        return tokenised(folder, pairs, tokens_max)

    patch.setattr(entailment, "tokenised", told)
    made = make_adapter(request_, Silent())
    patch.undo()
    return shown, made


def row(label="supported", source="s", claim="c"):
    return EntailmentRow(claim, "t", label, source, "e")


@pytest.mark.model
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"output": "wordnet"}, "exists already"),
        ({"teacher": "nowhere"}, "there is no transformer in it"),
        ({"wordnet": "nowhere"}, r"there is no data\.noun"),
        ({"sources": ["nowhere"]}, "there is no such file or folder"),
        ({"embedding_model": "teacher"}, "of type mpnet"),
    ],
)
def test_what_is_missing_is_named_before_anything_trains(folder, request_, monkeypatch, changed, message):
    monkeypatch.setattr(entailment, "train", None)
    there = {
        name: [folder / one for one in value] if isinstance(value, list) else folder / value
        for name, value in changed.items()
    }
    asked = replace(request_, **({"output": folder / "never"} | there))
    with pytest.raises(UsageError, match=message) as caught:
        make_adapter(replace(asked, embedding_model=str(asked.embedding_model)), Silent())
    assert caught.value.fix or "sources" in changed
    assert not (folder / "never").exists()


@pytest.mark.model
def test_a_teacher_without_safe_weights_is_refused(folder, request_, tmp_path):
    (tmp_path / "config.json").write_bytes((folder / "teacher" / "config.json").read_bytes())
    with pytest.raises(UsageError, match=r"no \.safetensors"):
        make_adapter(replace(request_, teacher=tmp_path, output=tmp_path / "out"), Silent())


@pytest.mark.model
@pytest.mark.parametrize("label", ["supported", "neutral"])
def test_a_source_of_one_kind_teaches_nothing_and_is_named(request_, tmp_path, label):
    path = written(tmp_path / "one.jsonl", [{"claim": "A cup.", "evidence": "A red cup.", "label": label}] * 5)
    with pytest.raises(UsageError, match=r"one\.jsonl: needs claims that are supported and claims that are not"):
        make_adapter(replace(request_, sources=[path], weights={}, output=tmp_path / "out"), Silent())


@pytest.mark.parametrize("field", [{"most": {"other": 3}}, {"weights": {"more": 3.0}}, {"never_refuted": ["other"]}])
def test_a_file_that_is_not_there_cannot_be_limited_or_weighed(request_, tmp_path, field):
    with pytest.raises(UsageError, match="no training file called"):
        make_adapter(replace(request_, output=tmp_path / "out", **field), Silent())


@pytest.mark.parametrize(("option", "value"), [("--most", "snli"), ("--weight", "snli=-1"), ("--weight", "snli=0")])
def test_the_command_says_how_a_limit_or_a_weight_is_written(folder, option, value):
    folders = [f"--{name}={folder / name}" for name in ("texts", "teacher", "wordnet")]
    said = CliRunner().invoke(
        app, ["train", "entailment", str(folder / "rows"), *folders, "--output", str(folder / "never"), option, value]
    )
    assert said.exit_code == 2
    assert f"{value!r} is not FILE=" in said.output


@pytest.mark.model
def test_a_failure_while_writing_leaves_nothing(request_, tmp_path, monkeypatch):
    def fails(*_):
        raise OSError("the disk is full")

    monkeypatch.setattr(entailment, "save", fails)
    with pytest.raises(OSError, match="full"):
        entailment._publish(tmp_path / "out", pair_network(request_.teacher, 0), [], {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.model
def test_the_folder_holds_the_adapter_of_every_layer_and_the_head(seen, request_):
    found = load_file(request_.output / ADAPTER)
    inputs = {"output.dense": 2 * HIDDEN}
    outputs = {"intermediate.dense": 2 * HIDDEN}
    maps = [f"attention.self.{name}" for name in ("query", "key", "value")]
    maps += ["attention.output.dense", "intermediate.dense", "output.dense"]
    shapes = {"h.weight": (2, 2 * HIDDEN), "h.bias": (2,)}
    for name in maps:
        for layer in range(LAYERS):
            shapes[f"encoder.layer.{layer}.{name}.A"] = (RANK, inputs.get(name, HIDDEN))
            shapes[f"encoder.layer.{layer}.{name}.B"] = (outputs.get(name, HIDDEN), RANK)
    assert {name: array.shape for name, array in found.items()} == shapes
    assert {array.dtype for array in found.values()} == {np.dtype(np.float16)}
    assert all(np.isfinite(array).all() and array.any() for array in found.values()), "B is zero until it learns"


@pytest.mark.model
def test_rows_held_back_are_shown_to_no_network_that_learns(seen, request_):
    shown, made = seen
    with gzip.open(request_.output / HELD, "rt") as stream:
        held = [json.loads(line) for line in stream]
    assert len(held) == made.held == 4  # of 84
    assert set(held[0]) == {"claim", "text", "supported", "source"}
    pairs = {(one["claim"], one["text"]) for one in held}
    (teacher, taught), (student, learned), (judge, judged) = shown
    assert (teacher, student, judge) == ("teacher", "student", "student")
    assert set(judged) == pairs
    assert not pairs & {*taught, *learned}
    assert made.pool >= made.kept > 0
    assert len(taught) == 84 - 4 + made.pool
    assert len(learned) == 84 - 4 + made.kept


@pytest.mark.model
def test_the_pool_has_rewordings_and_neighbours_of_texts_and_evidence(seen):
    (_, taught), *_ = seen[0]
    pool = taught[80:]
    assert any("sofa" in claim for claim, _ in pool)
    assert any("In room 3 " in text for _, text in pool)
    assert any(text.startswith("Rooms\n") for _, text in pool)
    assert any("mug" in claim or "seat" in claim or "scarlet" in claim for claim, _ in pool)


@pytest.mark.model
def test_the_card_tells_what_it_was_made_of(seen, request_, folder):
    made = seen[1]
    card = json.loads((request_.output / CARD).read_text())
    assert made.rows == {"halls": 20, "rooms": 64}
    assert card["sources"]["rooms"] == {
        "sha256": sha256_file(folder / "rows" / "rooms.jsonl"),
        "rows": 64,
        "weight": 1.0,
        "tells_refuted": True,
    }
    assert card["sources"]["halls"]["weight"] == 2.0
    assert not card["sources"]["halls"]["tells_refuted"]
    assert card["base"]["name"] == request_.embedding_model
    assert card["teacher"] == {
        "name": "teacher",
        "weights_sha256": sha256_file(folder / "teacher" / "model.safetensors"),
    }
    assert card["pool"] == {"pairs": made.pool, "kept": made.kept}
    assert len(card["steps"]["teachers"]) == 2
    assert card["recipe"]["rank"] == RANK
    assert card["held_back"]["auroc"] == made.auroc
    assert set(card["held_back"]["auroc_by_source"]) <= {"halls", "rooms"}
    assert card["sha256"] == {name: sha256_file(request_.output / name) for name in (ADAPTER, HELD)}


@pytest.mark.model
def test_the_same_seed_makes_the_same_adapter(seen, request_, folder):
    again = replace(request_, output=folder / "again")
    make_adapter(again, Silent())
    for name in (ADAPTER, HELD):
        assert (again.output / name).read_bytes() == (request_.output / name).read_bytes()


@pytest.mark.model
def test_texts_without_a_sentence_leave_the_rows_to_learn_from(request_, tmp_path):
    texts = written(tmp_path / "none.jsonl", [{"query": "q", "positive": {"text": "none"}}])
    short = [{"claim": f"c{n}", "evidence": f"e{n}", "label": n % 2 == 0} for n in range(4)]
    recipe = replace(request_.recipe, teachers=1)
    source = written(tmp_path / "short.jsonl", short)
    asked = replace(
        request_, sources=[source], texts=[texts], weights={}, output=tmp_path / "new" / "out", recipe=recipe
    )
    made = make_adapter(asked, Silent())
    assert (made.pool, made.kept, made.held, made.auroc) == (0, 0, 1, None)
    assert json.loads((asked.output / CARD).read_text())["held_back"]["auroc_by_source"] == {"short": None}


@pytest.mark.model
def test_a_network_learns_what_it_is_shown_and_its_base_stays(folder):
    network = pair_network(folder / "student", 0)
    adapt(network, RANK)
    before = {name: value.clone() for name, value in network.named_parameters() if not value.requires_grad}
    pairs = [(f"The cup in room {n} is {'red' if n % 2 else 'blue'}.", "Nobody knows.") for n in range(40)]
    wanted = np.array([[n % 2, 1 - n % 2] for n in range(40)], np.float32)
    tokens = tokenised(folder / "student", pairs, 48)
    schedule = replace(QUICK, epochs=80, learning_rate=1e-2)
    steps = train(network, tokens, Targets(wanted, np.ones_like(wanted)), schedule, 0, Silent())
    judged = judged_by(network, tokens, Silent())
    assert steps == 160
    assert ((judged > 0) == (wanted > 0.5)).all()
    after = dict(network.named_parameters())
    assert all((after[name] == value).all() for name, value in before.items())
    assert not any("embeddings" in name for name in learned_weights(network))


def test_a_source_that_never_refutes_teaches_nothing_of_it():
    rows = [row("supported", "a"), row("refuted", "a"), row("neutral", "b"), row("refuted", "c")]
    refuting = refuting_sources(rows, ["c"])
    assert refuting == {"a"}
    labels = label_targets(rows, refuting, {"b": 3.0})
    assert labels.wanted.tolist() == [[1, 0], [0, 1], [0, 0], [0, 1]]
    assert labels.weights.tolist() == [[1, 0.5], [1, 0.5], [3, 0], [1, 0]]


def test_teachers_have_half_a_say_of_labels_and_all_of_the_rest():
    labels = label_targets([row("supported", "a"), row("neutral", "b")], {"a"}, {"b": 2.0})
    both = softened(labels, np.array([[0.5, 0.25], [0.5, 0.25]], np.float32))
    assert both.wanted.tolist() == [[0.75, 0.125], [0.25, 0.25]]
    assert both.weights.tolist() == [[1, 0.5], [2, 1]]
    pool = pool_targets(np.array([[0.5, 0.25]], np.float32))
    assert pool.wanted.tolist() == [[0.5, 0.25]]
    assert np.allclose(pool.weights, [[0.7, 0.35]])
    assert both.followed_by(pool).wanted.shape == (3, 2)


def test_of_pairs_that_hardly_support_anything_two_fifths_are_kept():
    taught = np.stack([np.tile([0.05, 0.6], 5000), np.zeros(10_000)], axis=1).astype(np.float32)
    kept = worth_learning(taught, np.random.default_rng(0))
    assert (kept % 2).sum() == 5000
    assert 1900 < len(kept) - 5000 < 2100


def test_one_row_in_25_is_held_back_and_a_pair_said_twice_is_on_one_side():
    rows = [row(claim=f"c{n % 100}") for n in range(150)]
    held, learned = held_back(rows, random.Random(0))
    assert (len(held), len(learned)) == (4, 96)
    assert not {one.pair for one in held} & {one.pair for one in learned}


def test_sentences_are_drawn_once_and_with_their_text():
    words = "The {} cat of the old house sleeps for most of the day."
    text = TrainingText("Cats", " ".join(words.format(one) for one in COLOURS) + " No.\n\n- an item\n")
    drawn = drawn_sentences([text, text], random.Random(0), Silent())
    assert 6 <= len({one.sentence for one in drawn}) == len(drawn) <= 8
    for one in drawn:
        assert one.title == "Cats"
        assert one.sentence in one.around
        assert one.around in text.text
        assert one.other in text.text


@pytest.mark.model
def test_neighbours_are_alike_and_never_the_same():
    angles = np.radians([0, 5, 30, 50, 180])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    drawn = [Drawn(f"{n}", "", f"{n}", f"{n}") for n in range(5)]
    pairs = neighbour_pairs(drawn, vectors, random.Random(0), "cpu")
    assert {claim: {text for one, text in pairs if one == claim} for claim in "01234"} == {
        "0": {"2", "3"},
        "1": {"2", "3"},
        "2": {text for one, text in pairs if one == "2"},
        "3": {text for one, text in pairs if one == "3"},
        "4": set(),
    }
    assert all({one, text} != {"0", "1"} for one, text in pairs), "0.996 says the same"
    assert len(pairs) == 8


@pytest.mark.parametrize("dice", [None, np.random.default_rng(1)])
def test_batches_hold_every_position_once_and_no_more_tokens_than_fit(dice):
    lengths = np.array([(37 * n) % 101 + 1 for n in range(500)], np.int64)
    batches = batches_by_tokens(lengths, 256, 16, dice)
    assert sorted(np.concatenate(batches).tolist()) == list(range(500))
    for batch in batches:
        assert 1 <= len(batch) <= 16
        assert len(batch) == 1 or in_eights(lengths[batch]).max() * len(batch) <= 256


def test_a_pair_longer_than_a_batch_stands_alone():
    assert [len(one) for one in batches_by_tokens(np.array([4, 900, 4], np.int64), 16, 8)] == [2, 1]


def test_padding_is_masked():
    some = [(np.array([2, 7, 3], np.int32), np.array([0, 0, 1], np.int8)), (np.ones(9, np.int32), np.ones(9, np.int8))]
    ids, mask, types = padded(some, pad=5)
    assert ids.shape == (2, 16)
    assert ids[0].tolist() == [2, 7, 3] + [5] * 13
    assert mask.sum(axis=1).tolist() == [3, 9]
    assert types[0].tolist() == [0, 0, 1] + [0] * 13


def test_the_rate_rises_then_falls_and_never_is_zero():
    rates = [rate_at(step / 1000) for step in range(1000)]
    assert max(rates) == rates[60] == pytest.approx(0.94)
    assert rates[:60] == sorted(rates[:60])
    assert rates[60:] == sorted(rates[60:], reverse=True)
    assert min(rates) == 0.01
