"""Loopback ports that no other test, in this process or another, holds at the same time.

Ports have four digits: sipsak cuts a five-digit port of a Request-URI. A port is held by a lock on a file
named after it, and is given out only if UDP and TCP can be bound to it on every loopback address.
"""

import fcntl
import os
import pathlib
import random
import socket
import tempfile

FIRST, LAST = 2000, 9900
_DIR = pathlib.Path(tempfile.gettempdir()) / f"viaduct-e2e-ports-{os.getuid()}"
_random = random.Random(os.getpid() ^ int.from_bytes(os.urandom(4), "big"))


def _bindable(port):
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
            try:
                with socket.socket(family, kind) as sock:
                    if kind == socket.SOCK_STREAM:
                        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    sock.bind((host, port))
            except OSError:
                return False
    return True


def is_bound(port, transport):
    """Whether some socket of this machine takes what is sent to this port: bound for UDP, listening for TCP."""
    for name in (transport, transport + "6"):
        for row in open(f"/proc/net/{name}").readlines()[1:]:
            local, state = (row.split()[i] for i in (1, 3))
            if int(local.rsplit(":", 1)[1], 16) == port and (transport == "udp" or state == "0A"):
                return True
    return False


class Ports:
    """The ports of one test. close() gives them back."""

    def __init__(self):
        self._locks = []

    def take(self, count=1):
        """The first of `count` neighbouring free ports."""
        _DIR.mkdir(exist_ok=True)
        for _ in range(2000):
            first = _random.randrange(FIRST, LAST - count)
            locks = self._lock(range(first, first + count))
            if locks is None:
                continue
            if all(_bindable(port) for port in range(first, first + count)):
                self._locks += locks
                return first
            for lock in locks:
                lock.close()
        raise RuntimeError("no free loopback ports")

    @staticmethod
    def _lock(ports):
        locks = []
        for port in ports:
            lock = open(_DIR / str(port), "w")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                lock.close()
                for held in locks:
                    held.close()
                return None
            locks.append(lock)
        return locks

    def close(self):
        for lock in self._locks:
            lock.close()
        self._locks = []
