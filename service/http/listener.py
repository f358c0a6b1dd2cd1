"""The socket that is listened on: bound here, or inherited and outliving the process; and what systemd is told."""

from __future__ import annotations

import errno
import os
import socket
from contextlib import suppress

from service.settings import ServiceSettings
from store.errors import UsageError

_FIRST_FD = 3
"""Where systemd puts the first socket of a unit (sd_listen_fds)."""
_BACKLOG = 1024


def listener_of(settings: ServiceSettings) -> socket.socket:
    """The socket of `fd`, else the one that systemd handed over, else one bound to host and port. Raises UsageError."""
    if settings.fd is not None:
        return _inherited(settings.fd, "--fd")
    handed_over = os.environ.pop("LISTEN_FDS", "0")
    for_whom = os.environ.pop("LISTEN_PID", "")
    os.environ.pop("LISTEN_FDNAMES", None)  # none of these is for child processes
    if for_whom == str(os.getpid()) and handed_over.isdecimal() and int(handed_over) > 0:
        if int(handed_over) > 1:
            raise UsageError(
                f"systemd handed over {handed_over} sockets; one is served.", fix="Name one ListenStream in the unit."
            )
        return _inherited(_FIRST_FD, "systemd's socket")
    return _bound(settings.host, settings.port)


def notify(state: str) -> None:
    """Tell the service manager (sd_notify), where one asked to be told: "READY=1", "STOPPING=1"."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as manager:
        manager.connect(address)
        manager.sendall(state.encode())


def _inherited(number: int, name: str) -> socket.socket:
    fix = "Hand over one TCP socket that was bound and listens."
    try:
        listener = socket.socket(fileno=number)
    except OSError as error:
        raise UsageError(f"{name} ({number}) is no socket: {error.strerror}.", fix=fix) from error
    known = listener.family in (socket.AF_INET, socket.AF_INET6) and listener.type == socket.SOCK_STREAM
    if not known or not listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        listener.detach()
        raise UsageError(f"{name} ({number}) is no listening TCP socket.", fix=fix)
    listener.set_inheritable(False)
    listener.settimeout(0)
    return listener


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise UsageError(
                f"port {port} on {host} is in use by another program.",
                fix="Stop that program, or choose another port with --port (0 picks a free one).",
            ) from error
        raise UsageError(f"cannot listen on {host} port {port}: {error.strerror}.") from error
    return listener
