"""Running the service: bind, tell where it listens, serve until stopped."""

from __future__ import annotations

import errno
import gc
import json
import logging
import os
import socket
import sqlite3
import sys

import uvicorn
from fastapi import FastAPI
from pydantic import SecretStr

from service.http.app import create_app
from service.http.connection import Connection, allow_open_files
from service.settings import ServiceSettings
from service.wiring import Service
from store.errors import FootnoteError, UsageError
from store.index import IndexDirectory
from store.settings import load_settings


def run(settings: ServiceSettings) -> None:
    """Serve until SIGINT or SIGTERM. Raises UsageError where the address cannot be had."""
    allow_open_files()
    listener = _bind(settings.host, settings.port)
    port = listener.getsockname()[1]
    if settings.workers > 1:
        service = Service(settings)
        create_app(service)  # what is wrong with the settings is said once here, not by every worker for ever
        service.close()
        _to_environment(settings)
        config = uvicorn.Config(
            "service.http.serve:create_from_environment",
            factory=True,
            workers=settings.workers,
            log_level="warning",
            timeout_graceful_shutdown=10,
            access_log=False,
            proxy_headers=False,
            http=Connection,
            ws="none",
        )
        _announce(settings, port)
        from uvicorn.supervisors import Multiprocess

        Multiprocess(config, sockets=[listener]).run()
        return
    _log(settings)
    service = Service(settings)
    config = uvicorn.Config(
        create_app(service, warm=settle),
        log_level="warning",
        timeout_graceful_shutdown=10,
        access_log=False,
        proxy_headers=False,  # the application itself decides whom to believe (trusted_proxies)
        lifespan="on",
        http=Connection,
        ws="none",
    )
    _AnnouncingServer(config, service, port).run(sockets=[listener])


def create_from_environment() -> FastAPI:
    """The application of one worker process, from the environment its parent set."""
    settings = load_settings(ServiceSettings)
    _log(settings)
    return create_app(Service(settings), warm=settle)


def settle() -> None:
    """Keep the event loop's waits short from now on.

    A full collection looks at every object there is: with all that importing made some 50 ms, in which nothing is
    answered. What is there now stays, so it is looked at no more. And a thread that wants to go on while another
    computes asks for it after a millisecond, not five: the loop asks after each call that may have waited.
    """
    gc.collect()
    gc.freeze()
    gc.collect()  # of nothing: from here on it takes little to make a full collection due, and little time to do it,
    gc.set_threshold(2_000, 10, 10)  # so that what a cancelled request's traceback holds, a snapshot say, goes soon
    sys.setswitchinterval(0.001)


class _AnnouncingServer(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, service: Service, port: int) -> None:
        super().__init__(config)
        self._service = service
        self._port = port

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self.started:
            _announce(self._service.settings, self._port, self._service)


def _log(settings: ServiceSettings) -> None:
    """One line a request on standard error from `log_level` info on."""
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("footnote").setLevel(settings.log_level.upper())


def _announce(settings: ServiceSettings, port: int, service: Service | None = None) -> None:
    """Print the address and a question that can be pasted."""
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::", "") else settings.host  # noqa: S104  # compared, not bound
    base = f"http://{f'[{host}]' if ':' in host else host}:{port}"
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


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(1024)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise UsageError(
                f"port {port} on {host} is in use by another program.",
                fix="Stop that program, or choose another port with --port (0 picks a free one).",
            ) from error
        raise UsageError(f"cannot listen on {host} port {port}: {error.strerror}.") from error
    return listener


def _to_environment(settings: ServiceSettings) -> None:
    """Hand every setting to the worker processes, in place of what the environment said."""
    known = {f"FOOTNOTE_{name.upper()}" for name in ServiceSettings.model_fields}
    for name in [key for key in os.environ if key.upper() in known]:
        del os.environ[name]
    for name, value in settings.model_dump(mode="json", exclude_none=True).items():
        secret = getattr(settings, name)
        if isinstance(secret, SecretStr):  # which would be stars
            os.environ[f"FOOTNOTE_{name.upper()}"] = secret.get_secret_value()
        else:
            os.environ[f"FOOTNOTE_{name.upper()}"] = value if isinstance(value, str) else json.dumps(value)
