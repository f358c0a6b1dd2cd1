"""The command line: what it prints, how it ends, and what it never imports."""

from __future__ import annotations

import inspect
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*arguments, cwd, **environment):
    known = {**os.environ, "FOOTNOTE_EMBEDDING_MODEL": "hash:128", "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run(
        [sys.executable, "-m", "footnote", *map(str, arguments)],
        cwd=cwd, env=known, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with notes, one of them broken, and an index of them."""
    folder = tmp_path_factory.mktemp("cli")
    notes = folder / "notes"
    notes.mkdir()
    (notes / "otter.md").write_text("# Otter\n\nThe otter sleeps five hours a day.\n")
    (notes / "heron.txt").write_text("The heron stands in shallow water and waits for fish.\n")
    made = run("index", "notes", cwd=folder)
    assert made.returncode == 0, made.stderr
    return folder


def test_a_second_run_publishes_nothing(place):
    again = run("index", "notes", "--json", cwd=place)

    assert again.returncode == 0
    assert json.loads(again.stdout)["published"] is False


def test_some_inputs_set_aside_is_exit_code_3_and_names_them(tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "good.txt").write_text("A good text about otters.")
    (tmp_path / "notes" / "bad.txt").write_bytes(b"\x00\x01\x02" * 100)

    done = run("index", "notes", cwd=tmp_path)

    assert done.returncode == 3
    assert "notes/bad.txt" in done.stderr
    assert "1 indexed" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["index", "nowhere"], 1, "nowhere"),
        (["index"], 2, "SOURCE"),
        (["search", "otter", "--index", "missing"], 1, "footnote index"),
        (["search", " "], 2, "empty"),
        (["search", "otter", "--mode", "sparse"], 2, "sparse"),
        (["search", "otter", "--top-k", "0"], 2, "greater than or equal to 1"),
        (["search", "otter", "--filter", "{"], 2, "JSON"),
        (["search", "otter", "--filter", '{"a": {"$near": 1}}'], 2, "$near"),
        (["rollback", "99"], 2, "99"),
        (["diff", "1", "99"], 2, "generation 99 is not kept; kept: 1"),
        (["diff", "1"], 2, "B"),
        (["diff", "one", "two"], 2, "integer"),
        (["export", "notes/otter.md"], 2, "exists and is no archive"),
        (["export", "data/index/a.tar"], 2, "lies in the index itself"),
        (["export", "nowhere/a.tar"], 2, "no folder nowhere"),
        (["export", "a.tar", "--generation", "99"], 2, "kept: 1"),
        (["export", "a.tar", "--index", "missing"], 1, "footnote index"),
        (["import", "missing.tar"], 2, "missing.tar cannot be read"),
        (["import", "notes"], 2, "not a file"),
        (["import", "notes/otter.md"], 1, "expected a footnote archive"),
        (["forget", "notes/otter.md"], 2, "--yes"),
        (["forget", "x", "--index", "missing"], 1, "footnote index"),
        (["evaluate", "nowhere"], 2, "nowhere"),
        (["config", "show", "nonsense"], 2, "nonsense"),
        (["index", "notes", "--embedding-model", "no/such-model"], 2, "no/such-model"),
        (["status", "--index", "notes/otter.md"], 2, "is a file"),
        (["search", "x" * 64_001], 2, "64001 bytes; at most 64000"),
    ],
)
def test_what_is_wrong_is_one_message_and_no_traceback(place, arguments, code, says):
    done = run(*arguments, cwd=place, HF_HUB_OFFLINE="1")

    assert done.returncode == code, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "variables", "code", "says"),
    [
        (["search", "otter", "--mode", "dense"], {"FOOTNOTE_DENSE_BUDGET_MS": "0.0001"}, 1, "dense did not end within"),
        (["index", "notes"], {"FOOTNOTE_LANGUAGE": "klingon"}, 2, "unknown stemming language 'klingon'"),
        (["serve"], {"FOOTNOTE_ALLOWED_HOSTS": "example.com"}, 2, "FOOTNOTE_ALLOWED_HOSTS cannot be read"),
        (["serve", "--workers", "2", "--port", "0"], {"FOOTNOTE_RERANKER": "/nowhere"}, 2, "/nowhere"),
        (["serve"], {"FOOTNOTE_RERANK": "true"}, 2, "no reranker is set"),
        (["serve"], {"FOOTNOTE_ADMIN_TOKEN": ""}, 2, "admin_token"),
    ],
)
def test_what_the_environment_gets_wrong_is_one_message_too(place, arguments, variables, code, says):
    done = run(*arguments, cwd=place, **variables)

    assert done.returncode == code, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_the_environment_gives_what_the_command_line_leaves_open(place):
    done = run("search", "otter", "--json", cwd=place, FOOTNOTE_TOP_K="1")
    assert len(json.loads(done.stdout)["results"]) == 1


def test_an_empty_file_is_exit_code_3(tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("Otters sleep.")
    (tmp_path / "notes" / "b.txt").touch()

    done = run("index", "notes", cwd=tmp_path)

    assert done.returncode == 3
    assert "notes/b.txt: the file is empty" in done.stderr


def test_an_index_below_its_source_is_no_part_of_it(tmp_path):
    (tmp_path / "a.txt").write_text("Otters sleep.")

    outputs = [run("index", ".", cwd=tmp_path).stdout for _ in range(3)]

    assert "generation 1: 1 documents" in outputs[0]
    assert all("nothing changed: still generation 1" in one for one in outputs[1:])


def test_one_of_two_sources_of_one_name_that_went_empty_is_refused(tmp_path):
    for folder in ("s1/docs", "s2/docs"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / f"{folder[:2]}.txt").write_text(f"Otters of {folder}.")
    assert run("index", "s1/docs", "s2/docs", cwd=tmp_path).returncode == 0
    (tmp_path / "s2/docs/s2.txt").unlink()

    done = run("index", "s1/docs", "s2/docs", cwd=tmp_path)

    assert done.returncode == 1
    assert "--allow-empty" in done.stderr
    assert run("index", "s1/docs", "s2/docs", "--allow-empty", cwd=tmp_path).returncode == 0


def test_workers_are_told_what_the_command_line_said():
    from service.http.serve import _to_environment
    from service.settings import ServiceSettings

    patch = pytest.MonkeyPatch()
    patch.setattr(os, "environ", {"FOOTNOTE_INDEX": "other", "FOOTNOTE_PUBLIC_URL": "http://old"})
    try:
        _to_environment(ServiceSettings(index=Path("data/index"), public_url=None))
        assert os.environ["FOOTNOTE_INDEX"] == "data/index"
        assert "FOOTNOTE_PUBLIC_URL" not in os.environ
        assert json.loads(os.environ["FOOTNOTE_ALLOWED_HOSTS"])[0] == "127.0.0.1"
    finally:
        patch.undo()


def test_workers_are_told_secrets_as_they_are():
    from service.http.serve import _to_environment
    from service.settings import ServiceSettings

    given = {
        "index": Path("data/index"),
        "generator": "openai",
        "generator_model": "m",
        "generator_api_key": "key-1",
        "admin_token": "key-2",
        "generator_fallbacks": [{"generator": "scripted", "script": Path("some/file"), "api_key": "key-3"}],
    }
    patch = pytest.MonkeyPatch()
    patch.setattr(os, "environ", {})
    try:
        _to_environment(ServiceSettings(**given))
        told = dict(os.environ)
    finally:
        patch.undo()

    assert (told["FOOTNOTE_GENERATOR_API_KEY"], told["FOOTNOTE_ADMIN_TOKEN"]) == ("key-1", "key-2")
    assert json.loads(told["FOOTNOTE_GENERATOR_FALLBACKS"])[0]["api_key"] == "key-3"
    assert json.loads(told["FOOTNOTE_GENERATOR_FALLBACKS"])[0]["script"] == "some/file"


def test_a_source_that_went_empty_is_refused_and_nothing_is_lost(tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("Otters sleep.")
    run("index", "notes", cwd=tmp_path)
    (tmp_path / "notes" / "a.txt").unlink()

    refused = run("index", "notes", cwd=tmp_path)
    still = run("search", "otters", "--json", cwd=tmp_path)
    allowed = run("index", "notes", "--allow-empty", cwd=tmp_path)

    assert (refused.returncode, allowed.returncode) == (1, 0), allowed.stderr
    assert "--allow-empty" in refused.stderr
    assert len(json.loads(still.stdout)["results"]) == 1


@pytest.mark.parametrize("command", [["status"], ["verify"], ["history"], ["search", "otter"], ["ask", "otter"]])
def test_json_is_json(place, command):
    done = run(*command, "--json", cwd=place)

    assert done.returncode == 0, done.stderr
    assert isinstance(json.loads(done.stdout), dict)


def test_two_generations_are_compared_in_counts_and_lines(tmp_path, jsonl):
    jsonl(tmp_path / "s.jsonl", [{"id": f"d{n:02}", "text": "old"} for n in range(20)])
    run("index", "s.jsonl", cwd=tmp_path)
    jsonl(tmp_path / "s.jsonl", [{"id": f"d{n:02}", "text": "new" if n < 6 else "old"} for n in range(1, 21)])
    run("index", "s.jsonl", cwd=tmp_path)

    told = run("diff", "1", "2", "--lines", "3", cwd=tmp_path)
    listed = json.loads(run("diff", "1", "2", "--json", cwd=tmp_path).stdout)
    same = json.loads(run("diff", "2", "2", "--json", cwd=tmp_path).stdout)

    assert told.returncode == 0, told.stderr
    assert told.stdout.splitlines() == [
        "documents: 1 added, 5 changed, 1 removed, 14 the same",
        " passages: 6 added, 0 changed, 6 removed, 14 the same",
        "- d00  (passages +0 ~0 -1)",
        "~ d01  (text, passages +1 ~0 -1)",
        "~ d02  (text, passages +1 ~0 -1)",
        "  ... and 4 more (--lines N lists more, --json all)",
    ]
    assert len(listed["changes"]) == 7
    assert listed["documents"] == {"added": 1, "changed": 5, "removed": 1, "same": 14}
    assert (same["changes"], same["documents"]["same"]) == ([], 20)


def test_an_archive_carries_a_snapshot_to_another_index_without_embedding_again(place, tmp_path):
    exported = run("export", tmp_path / "a.tar", cwd=place)
    imported = run("import", tmp_path / "a.tar", "--index", tmp_path / "new", cwd=place)
    found = run("search", "heron water", "--index", tmp_path / "new", "--json", cwd=place)
    again = json.loads(run("index", "notes", "--index", tmp_path / "new", "--json", cwd=place).stdout)

    assert (exported.returncode, imported.returncode) == (0, 0), exported.stderr + imported.stderr
    assert "2 documents, 2 passages" in exported.stdout
    assert "current now: 2 documents, 2 passages" in imported.stdout
    assert json.loads(found.stdout)["results"]
    assert (again["published"], again["embedded"]) == (False, 0)


def test_a_forgotten_document_is_set_aside_from_then_on_until_that_is_undone(tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "stay.txt").write_text("Otters sleep five hours a day.")
    (tmp_path / "notes" / "go.txt").write_text("The unmentionable person lives here.")
    run("index", "notes", cwd=tmp_path)
    run("export", "a.tar", cwd=tmp_path)

    done = run("forget", "notes/go.txt", "--yes", cwd=tmp_path)
    again = run("index", "notes", cwd=tmp_path)
    refused = [run(*command, cwd=tmp_path) for command in (["import", "a.tar"], ["rollback", "1"])]
    verified = run("verify", cwd=tmp_path)
    undone = run("forget", "notes/go.txt", "--undo", cwd=tmp_path)
    back = run("index", "notes", cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert "published 000002-" in done.stdout
    assert "removed 1: 000001-" in done.stdout
    assert again.returncode == 3
    assert "notes/go.txt: its document was forgotten" in again.stderr
    assert [one.returncode for one in refused] == [2, 2]
    assert "'notes/go.txt', which was forgotten" in refused[0].stderr
    assert verified.returncode == 0, verified.stdout
    assert "accepted again" in undone.stdout
    assert (back.returncode, "2 documents" in back.stdout) == (0, True)


def test_search_and_ask_tell_people_what_they_found(place):
    found = run("search", "heron water", "--explain", cwd=place)
    asked = run("ask", "How long does the otter sleep?", cwd=place, FOOTNOTE_ABSTAIN_BELOW="0")

    assert "notes/heron.txt" in found.stdout
    assert "fusion" in found.stdout
    assert "The otter sleeps five hours a day [1]." in asked.stdout
    assert "notes/otter.md" in asked.stdout


def test_what_documents_say_commands_no_terminal(tmp_path):
    link = "\x1b]8;;https://evil.example\x1b\\click\x1b]8;;\x1b\\"
    (tmp_path / "a.txt").write_text(f"The otter sleeps five hours a day {link} and \x1b[2Jeats fish.")
    run("index", "a.txt", cwd=tmp_path)
    for command in (["search", "otter"], ["ask", "How long does the otter sleep?"]):
        told = run(*command, cwd=tmp_path, FOOTNOTE_ABSTAIN_BELOW="0")
        assert "otter sleeps" in told.stdout
        assert "\x1b" not in told.stdout


def test_a_damaged_file_is_named_with_what_was_expected(tmp_path):
    (tmp_path / "a.txt").write_text("Otters sleep.")
    run("index", "a.txt", cwd=tmp_path)
    (vectors,) = (tmp_path / "data" / "index" / "snapshots").glob("*/vectors.faiss")
    spoiled = bytearray(vectors.read_bytes())
    spoiled[-1] ^= 1
    vectors.write_bytes(spoiled)

    searched = run("search", "otters", cwd=tmp_path)
    verified = run("verify", cwd=tmp_path)

    assert searched.returncode == verified.returncode == 1
    assert "vectors.faiss is damaged: expected sha256" in searched.stderr
    assert "DAMAGED" in verified.stdout


def test_settings_tell_where_they_came_from_and_secrets_are_masked(tmp_path):
    (tmp_path / "footnote.toml").write_text('port = 8123\nadmin_token = "hunter2"\nprot = 1\n')

    done = run("config", "show", cwd=tmp_path, FOOTNOTE_TOP_K="7")
    rows = json.loads(run("config", "show", "--json", cwd=tmp_path, FOOTNOTE_TOP_K="7").stdout)

    origin = {row["name"]: (row["value"], row["origin"]) for row in rows}
    assert origin["port"] == (8123, "footnote.toml")
    assert origin["top_k"] == (7, "FOOTNOTE_TOP_K")
    assert origin["host"] == ("127.0.0.1", "default")
    assert "hunter2" not in done.stdout


def test_a_name_in_the_settings_file_that_is_none_is_said_by_every_command(place, tmp_path):
    (tmp_path / "footnote.toml").write_text("prot = 1\n[service]\nport = 8123\n")

    done = run("search", "otter", "--index", str(place / "data/index"), cwd=tmp_path)

    assert done.returncode == 0
    assert "footnote.toml: 'prot' is no setting; did you mean 'port'?" in done.stderr
    assert "footnote.toml: 'service' is no setting" in done.stderr


def test_a_settings_file_that_is_no_toml_is_an_error(tmp_path):
    (tmp_path / "footnote.toml").write_text("[service\n")

    done = run("status", cwd=tmp_path)

    assert done.returncode == 2
    assert "footnote.toml cannot be read: " in done.stderr
    assert "Traceback" not in done.stderr


def test_a_bad_setting_names_itself(place):
    done = run("search", "otter", cwd=place, FOOTNOTE_TOP_K="many")

    assert done.returncode == 2
    assert "top_k" in done.stderr
    assert "many" in done.stderr


@pytest.mark.parametrize(
    "line",
    [
        "generator_api_key = 31415926",
        "admin_token = 31415926",
        'generator_fallbacks = [{model = "m", api_key = "31415926"}]',
        'generator_fallbacks = "31415926"',
        "redis_url = 31415926",
        'generator_base_url = ["https://name:31415926@models"]',
    ],
)
def test_what_may_be_secret_is_not_said_of_a_bad_setting(line, tmp_path):
    (tmp_path / "footnote.toml").write_text(f"{line}\n")

    done = run("serve", cwd=tmp_path)

    assert done.returncode == 2
    assert line.split()[0] in done.stderr
    assert "31415926" not in done.stdout + done.stderr


def test_a_port_in_use_is_said_with_a_way_out(place):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = run("serve", "--port", taken.getsockname()[1], cwd=place)

    assert done.returncode == 2
    assert "in use" in done.stderr
    assert "--port" in done.stderr


def test_searching_and_a_run_without_changes_import_no_torch(place):
    code = (
        "import sys; from typer.testing import CliRunner; from footnote.cli import app\n"
        "for arguments in (['search', 'otter'], ['index', 'notes'], ['status']):\n"
        "    result = CliRunner().invoke(app, arguments); assert result.exit_code == 0, result.output\n"
        "heavy = {'torch', 'transformers', 'sentence_transformers', 'langchain_text_splitters'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    environment = {**os.environ, "FOOTNOTE_EMBEDDING_MODEL": "hash:128", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=place,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_help_comes_at_once(place):
    """Within half a second; where the machine is so slow that this says more of it than of us, within 1.2 times what an
    interpreter takes beside it that only imports what typer draws help with. (It takes 0.75 times that. When all rooms
    were imported for it, it took 1.5 times.)
    """
    help_s, control_s = [], []
    for _ in range(3):
        help_s.append(seconds_of("-m", "footnote", "--help", cwd=place))
        control_s.append(seconds_of("-c", "import typer.rich_utils", cwd=place))

    assert min(help_s) < max(0.5, 1.2 * min(control_s))


def seconds_of(*arguments, cwd):
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL, timeout=60, check=True,
    )  # fmt: skip
    return time.perf_counter() - began


def test_help_imports_no_room_and_nothing_that_it_does_not_draw(tmp_path):
    code = (
        "import sys; from footnote.cli import app\n"
        "try: app(['--help'])\n"
        "except SystemExit: pass\n"
        "rooms = {f'{room}.commands' for room in ('indexer', 'service', 'store', 'evaluation', 'training')}\n"
        "print(sorted((rooms | {'footnote.config', 'asyncio', 'rich.markdown', 'rich.traceback'}) & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip

    assert "Usage: " in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_list_of_commands_says_of_each_what_it_says_of_itself():
    import typer.main

    from footnote.cli import app
    from footnote.rooms import COMMANDS

    said = {
        name: " ".join(inspect.cleandoc(command.help).split("\n\n")[0].split())
        for name, command in typer.main.get_command(app).commands.items()
    }

    assert said == {name: says for name, (_, says) in COMMANDS.items()}


def test_every_command_of_a_room_is_listed():
    from importlib import import_module

    import typer.main

    from footnote.rooms import COMMANDS

    there = {
        (name, module): None
        for module in dict.fromkeys(module for module, _ in COMMANDS.values())
        for name in typer.main.get_group(import_module(module).app).commands
    }
    rooms = {path.parent.name for path in ROOT.glob("*/commands.py")}

    assert there.keys() == {(name, module) for name, (module, _) in COMMANDS.items()}
    assert rooms <= {module.split(".")[0] for module, _ in COMMANDS.values()}


def test_a_command_that_is_none_is_answered_with_one_that_is(place):
    done = run("statsu", cwd=place)

    assert done.returncode == 2
    assert "No such command 'statsu'. Did you mean 'status'?" in " ".join(done.stderr.split())


def test_what_help_does_not_draw_is_there_for_whoever_uses_it(tmp_path):
    code = (
        "import sys; from footnote.drawing import import_drawing; import_drawing()\n"
        "from typer import rich_utils\n"
        "drawn = rich_utils._make_rich_text(text='# Title', markup_mode='markdown')\n"
        "import rich.markdown, rich.traceback\n"
        "assert type(drawn) is rich.markdown.Markdown, drawn\n"
        "try: 1 / 0\n"
        "except ZeroDivisionError as error: trace = rich_utils.Traceback.from_exception(type(error), error, None)\n"
        "assert type(trace) is rich.traceback.Traceback, trace"
    )
    subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=60, check=True
    )


def test_version_is_the_package_s():
    import footnote

    assert run("--version", cwd=ROOT).stdout.strip() == footnote.__version__
