"""Network namespaces for tests: another machine, as far as the network can tell. They need root."""

import contextlib
import ctypes
import fcntl
import os
import pathlib
import socket
import struct
import subprocess

import pytest

CLONE_NEWNET = 0x40000000
_SIOCGIFFLAGS, _SIOCGIFADDR = 0x8913, 0x8915
_IFF_UP, _IFF_LOOPBACK = 0x1, 0x8
_NAMESPACES = "/run/netns"
_DEVICE_NUMBERS = 100000  # a name of a device has 15 characters


def run(*argv):
    subprocess.run([str(part) for part in argv], check=True, capture_output=True, timeout=20)


def works(*argv):
    """Whether the machine can do this."""
    return subprocess.run([str(part) for part in argv], capture_output=True, timeout=20).returncode == 0


@contextlib.contextmanager
def inside(namespace):
    """Sockets made here are of that network namespace, and stay so."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/self/ns/net") as before, open(f"{_NAMESPACES}/{namespace}") as there:
        assert libc.setns(there.fileno(), CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
        try:
            yield
        finally:
            assert libc.setns(before.fileno(), CLONE_NEWNET) == 0


def has_address():
    """Whether this machine has an IPv4 address, on an interface that is up, that is not of the loopback kind."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for _, name in socket.if_nameindex():
            request = struct.pack("256s", name.encode())
            flags = struct.unpack_from("H", fcntl.ioctl(sock, _SIOCGIFFLAGS, request), 16)[0]
            with contextlib.suppress(OSError):  # it has none
                fcntl.ioctl(sock, _SIOCGIFADDR, request)
                if flags & _IFF_UP and not flags & _IFF_LOOPBACK:
                    return True
    return False


def free_network(second):
    """The beginning of a network 10.<second>.<n>.0/24 that no interface here is in: several runs may go on at once, and one that
    was killed leaves its devices behind."""
    taken = pathlib.Path("/proc/net/fib_trie").read_text(encoding="ascii")
    networks = (f"10.{second}.{n % 250}." for n in range(os.getpid(), os.getpid() + 250))
    return next(network for network in networks if f" {network}" not in taken)


def free_device(beginning):
    """A name that no device here has, for the same reason."""
    taken = {name for _, name in socket.if_nameindex()}
    names = (f"{beginning}{n % _DEVICE_NUMBERS}" for n in range(os.getpid(), os.getpid() + 1000))
    return next(name for name in names if name not in taken)


def add(name):
    """A namespace; the test is skipped where there can be none. Its name on this machine."""
    if os.geteuid() != 0:
        pytest.skip("NOT TESTED: network namespaces need root")
    taken = set(os.listdir(_NAMESPACES)) if os.path.isdir(_NAMESPACES) else set()
    names = (f"vd-{name}-{n}" for n in range(os.getpid(), os.getpid() + 1000))
    full = next(each for each in names if each not in taken)
    try:
        run("ip", "netns", "add", full)
    except (OSError, subprocess.CalledProcessError) as failure:
        pytest.skip(f"NOT TESTED: no network namespaces here: {getattr(failure, 'stderr', failure)!r}")
    run("ip", "-n", full, "link", "set", "lo", "up")
    return full


def delete(name):
    subprocess.run(["ip", "netns", "del", name], capture_output=True, timeout=20)


class Link:
    """A namespace at the end of a cable: `here` is our address, `there` its own, on the device "eth"."""

    def __init__(self, name, here, there):
        self.here, self.there = here, there
        self.namespace = add(name)
        self.device = free_device(f"vd{name[:4]}")
        try:
            self._lay()
        except BaseException:
            self.close()
            raise

    def _lay(self):
        run("ip", "link", "add", self.device, "type", "veth", "peer", "name", "eth", "netns", self.namespace)
        run("ip", "addr", "add", f"{self.here}/24", "dev", self.device)
        run("ip", "link", "set", self.device, "up")
        run("ip", "-n", self.namespace, "addr", "add", f"{self.there}/24", "dev", "eth")
        self.mend()

    def cut(self):
        """As if the plug were pulled at the far end: nobody answers any more, not even ARP."""
        run("ip", "-n", self.namespace, "link", "set", "eth", "down")

    def mend(self):
        run("ip", "-n", self.namespace, "link", "set", "eth", "up")
        run("ip", "-n", self.namespace, "route", "add", "default", "via", self.here)
        # Else what is sent now shares the end of the search for a neighbour that began while the cable was out.
        run("ip", "neigh", "flush", "dev", self.device)

    def close(self):
        delete(self.namespace)
        subprocess.run(["ip", "link", "del", self.device], capture_output=True, timeout=20)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
