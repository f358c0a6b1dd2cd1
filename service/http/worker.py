"""The program of one worker process: serves on the socket that its parent listens on, and ends when its parent does."""

from __future__ import annotations

import gc
import logging
import os
import signal
import socket
import sys
import threading

from service.http.log import set_up_logging
from service.settings import ServiceSettings
from service.wiring import begin
from store.errors import FootnoteError
from store.settings import load_settings

log = logging.getLogger("footnote.serve")

STARTED = b"1"


def main() -> None:
    """Serve.

    The three arguments are numbers of inherited file descriptors: the socket; a pipe whose other end is closed when the
    parent is gone; a pipe on which to tell that requests are answered.
    """
    gc.disable()  # until the service has settled: hardly anything that starting makes is garbage
    listener_fd, parent_fd, status_fd = map(int, sys.argv[1:])
    listener = socket.socket(fileno=listener_fd)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD])
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the parent's to act on
    threading.Thread(target=_end_with_parent, args=(parent_fd,), name="footnote-parent", daemon=True).start()
    settings = load_settings(ServiceSettings)
    set_up_logging(settings)

    def started() -> None:
        os.write(status_fd, STARTED)
        os.close(status_fd)

    try:
        service = begin(settings)
        from service.http.app import create_app  # while the index is opened
        from service.http.server import DrainingServer, leave, settle

        server = DrainingServer(create_app(service, warm=settle), settings, started=started)
    except FootnoteError as error:
        log.error("%s", error)  # noqa: TRY400  # it says what is wrong and what to do
        sys.exit(1)
    except Exception:
        log.exception("this worker cannot start")
        sys.exit(1)
    server.run(sockets=[listener])
    leave()


def _end_with_parent(fd: int) -> None:
    os.read(fd, 1)  # nothing is ever written: it returns at the other end's close
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
