"""Running the service: bind, tell where it listens, serve until stopped."""

from __future__ import annotations

import gc
import json
import logging
import os
import socket
import sqlite3
import sys
from pathlib import Path

from pydantic import SecretStr

from service.http.listener import listener_of, notify
from service.http.log import set_up_logging
from service.settings import ServiceSettings
from service.wiring import Service, begin
from store.errors import FootnoteError
from store.index import IndexDirectory


def run(settings: ServiceSettings) -> int:
    """Serve until SIGINT or SIGTERM; the exit code. Raises UsageError where the address cannot be had."""
    set_up_logging(settings)
    listener = listener_of(settings)
    return _supervise(settings, listener) if settings.workers > 1 else _serve(settings, listener)


def _serve(settings: ServiceSettings, listener: socket.socket) -> int:
    service, port = begin(settings), listener.getsockname()[1]
    from service.http.app import create_app  # while the index is opened
    from service.http.connection import allow_open_files
    from service.http.server import DrainingServer, leave, settle

    allow_open_files()
    app = create_app(service, warm=settle)
    DrainingServer(
        app, settings, started=lambda: _serving(settings, port, service), stopping=lambda: notify("STOPPING=1")
    ).run(sockets=[listener])
    leave()
    return 0


def _supervise(settings: ServiceSettings, listener: socket.socket) -> int:
    from service.http.app import create_app
    from service.http.connection import allow_open_files
    from service.http.server import ENDING_S
    from service.http.shared_metrics import VARIABLE, Folder
    from service.http.supervisor import Supervisor

    gc.enable()
    allow_open_files()
    port = listener.getsockname()[1]
    service = Service(settings)
    create_app(service)  # what is wrong with the settings is said once here, not by every worker for ever
    service.close()
    _to_environment(settings)
    folder = Folder()
    try:
        return Supervisor(
            listener,
            settings.workers,
            (settings.drain_grace_ms + settings.drain_limit_ms) / 1000 + ENDING_S,
            {**os.environ, VARIABLE: str(folder.path)},
            serving=lambda: _serving(settings, port, None),
            stopping=lambda: notify("STOPPING=1"),
            ended_at_once=folder.remove,
            died=lambda pid, told_to_end: folder.buried(pid, told_to_end=told_to_end),
        ).run()
    finally:
        folder.remove()


def _serving(settings: ServiceSettings, port: int, service: Service | None) -> None:
    notify("READY=1")
    _announce(settings, port, service)


def _announce(settings: ServiceSettings, port: int, service: Service | None = None) -> None:
    """Print the address and a question that can be pasted."""
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::", "") else settings.host  # noqa: S104  # compared, not bound
    base = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    if settings.log_format == "json":  # where lines are read by machines, this is one of them
        logging.getLogger("footnote.serve").setLevel(logging.INFO)
        logging.getLogger("footnote.serve").info("listens on %s", base)
        return
    lines = [f"Footnote listens on {base}"]
    if service is not None and not service.holder.ready:
        lines.append(f"not ready: {service.last_error or 'no snapshot is open'}")
        lines.append("it becomes ready by itself once an index is there")
    else:
        if service is not None and service.degraded is not None:
            lines.append(service.degraded)
        body = json.dumps({"query": settings.example_question or _example(settings, service)}, ensure_ascii=False)
        quoted = body.replace("'", "'\\''")
        lines.append("ask it:")
        lines.append(f"  curl -s {base}/v1/answer -H 'content-type: application/json' -d '{quoted}'")
        lines.append("stop with Ctrl-C")
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def _example(settings: ServiceSettings, service: Service | None) -> str:
    """A question about some title; of the snapshot that is served, whatever CURRENT says."""
    from store.passages import PassageReader

    reader = None
    try:
        if service is None:
            directory = IndexDirectory(settings.index)
            name = directory.require_current().name
        else:
            with service.holder.lease() as engine:
                directory, name = service.index, engine.snapshot.facts.name
        reader = PassageReader(directory.snapshots / name / "passages.sqlite")
        title = reader.connection.execute(
            "SELECT title FROM documents WHERE title != '' AND access = '[]' ORDER BY length(title) LIMIT 1"
        ).fetchone()
    except (FootnoteError, sqlite3.Error, OSError):
        title = None
    finally:
        if reader is not None:
            reader.close()
    return f"What is {title[0]}?" if title else "What is this about?"


def _to_environment(settings: ServiceSettings) -> None:
    """Hand every setting to the worker processes, in place of what the environment said."""
    known = {f"FOOTNOTE_{name.upper()}" for name in ServiceSettings.model_fields}
    for name in [key for key in os.environ if key.upper() in known]:
        del os.environ[name]
    for name, value in settings.model_dump(exclude_none=True, exclude={"fd"}).items():
        one_word = isinstance(value, str | Path | SecretStr)
        os.environ[f"FOOTNOTE_{name.upper()}"] = _told(value) if one_word else json.dumps(value, default=_told)


def _told(value: object) -> str:
    """What JSON has no word for: paths, and secrets as they are, since a worker needs them."""
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)
