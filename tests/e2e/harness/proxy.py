"""The proxy under test: its configuration, life and memory."""

import contextlib
import dataclasses
import os
import pathlib
import re
import signal
import socket
import struct
import time

from . import env
from .env import patience, poll
from .ports import Ports
from .process import Process

OPTIONS = (
    "OPTIONS sip:{host}:{port} SIP/2.0\r\n"
    "Via: SIP/2.0/{transport} {our_host}:{our_port};branch=z9hG4bKready{serial};rport\r\n"
    "Max-Forwards: 70\r\nFrom: <sip:ready@{our_host}>;tag=ready\r\nTo: <sip:{host}:{port}>\r\n"
    "Call-ID: ready{serial}@{our_host}\r\nCSeq: {serial} OPTIONS\r\nContent-Length: 0\r\n\r\n"
)


@dataclasses.dataclass(frozen=True)
class Listener:
    transport: str
    host: str
    port: int
    extra: dict = dataclasses.field(default_factory=dict, hash=False)


@dataclasses.dataclass
class Options:
    """What a test may want to be otherwise. extra is merged into the configuration file as it is."""

    listeners: list = dataclasses.field(default_factory=list)
    domain: str = "example.test"
    further_domains: tuple = ()
    register_auth: bool = True
    call_auth: bool = True
    algorithms: tuple = ("MD5", "SHA-256", "SHA-512-256")
    nonce_s: int = 300
    min_expires_s: int = 10
    trusted: tuple = ()
    workers: int = 2
    drain_s: int = 1
    pipe_log: bool = False  # the log is written by the test, so that no limit of the proxy's applies to it
    users: tuple = ("alice", "bob", "carol", "dave")
    extra: dict = dataclasses.field(default_factory=dict)


class Proxy:
    """Common to every proxy these tests can start."""

    name = "proxy"

    def __init__(self, options, folder):
        self.options = options
        self.folder = folder
        self.domain = options.domain
        self.process = None
        self.ended = False  # by the test itself
        self._serial = 0

    # To be filled in.
    def prepare(self):
        """Writes the configuration."""

    def spawn(self):
        """Starts the process."""

    # Life.
    def set_up(self):
        """Writes the configuration and makes the users."""
        self.prepare()
        self.add_users()
        return self

    def add_users(self):
        for user in self.options.users:
            self.add_user(user)

    def start(self):
        self.process = self.spawn()
        self.ended = False
        self.wait_ready()
        return self

    def wait_ready(self, seconds=10):
        deadline = time.monotonic() + patience(seconds)
        for listener in self.options.listeners:
            while not self._answers(listener):
                if not self.process.alive() or time.monotonic() > deadline:
                    raise AssertionError(f"{self.name} is not ready on {listener}\n{self.process.tail()}")
                time.sleep(0.02)

    def alive(self):
        return self.process.alive()

    def kill(self):
        """SIGKILL: what a power cut looks like to the process."""
        self.ended = True
        self.process.kill()

    # Addresses.
    def listener(self, family=socket.AF_INET, transport="udp"):
        for listener in self.options.listeners:
            if listener.transport == transport and (family == socket.AF_INET6) == (":" in listener.host):
                return listener
        raise LookupError(f"no {transport} listener in that address family")

    def address(self, family=socket.AF_INET, transport="udp"):
        listener = self.listener(family, transport)
        return listener.host, listener.port

    @property
    def port(self):
        return self.listener().port

    @property
    def hostport(self):
        host, port = self.address()
        return f"{host}:{port}"

    # Looking at it.
    def answers_options(self, listener=None, seconds=5):
        """Whether an OPTIONS to the proxy itself is answered 200 in time, if need be at the second try: a kernel may throw
        a datagram away. Of a listener that wants more than plain octets, whether it takes connections."""
        return poll(lambda: self._answers(listener or self.options.listeners[0]), seconds)

    def _answers(self, listener, seconds=1.0):
        """Whether it answers one OPTIONS."""
        self._serial += 1
        stream = listener.transport != "udp"
        family = socket.AF_INET6 if ":" in listener.host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM if stream else socket.SOCK_DGRAM) as sock:
            sock.settimeout(seconds)
            try:
                sock.connect((listener.host, listener.port))
                if stream:  # ends by a reset, so that nothing of it is left at the proxy
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                if listener.transport not in ("udp", "tcp"):
                    return True
                our_host, our_port = sock.getsockname()[:2]
                fields = {
                    "host": _bracketed(listener.host),
                    "port": listener.port,
                    "transport": listener.transport.upper(),
                    "our_host": _bracketed(our_host),
                    "our_port": our_port,
                    "serial": self._serial,
                }
                sock.sendall(OPTIONS.format(**fields).encode())
                return sock.recv(4096).startswith(b"SIP/2.0 200")
            except OSError:
                return False

    def catch_up(self):
        """Each of its workers has seen what has happened up to now: a connection that was closed, say. One of these many
        requests is its own, by the Call-ID or by the port."""
        assert all([self.answers_options() for _ in range(16)])

    def rss_kb(self):
        """Resident memory of the process in KiB."""
        with open(f"/proc/{self.process.pid}/status") as status:
            return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1))

    def sockets(self):
        """The inodes of its sockets."""
        inodes = set()
        for fd in pathlib.Path(f"/proc/{self.process.pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                inodes.add(os.readlink(fd).removeprefix("socket:[").removesuffix("]"))
        return inodes

    def udp_backlog(self, inodes):
        """Octets that wait in these sockets, and datagrams that were thrown away because it was too slow."""
        rows = [line.split() for name in ("udp", "udp6") for line in open(f"/proc/net/{name}")]
        ours = [row for row in rows if len(row) > 12 and row[9] in inodes]
        return sum(int(row[4].partition(":")[2], 16) for row in ours), sum(int(row[-1]) for row in ours)

    def log(self):
        """What it has said, in whole lines."""
        said = self.process.err()
        return said[: said.rfind("\n") + 1] if self.process.alive() else said

    def has_line(self, *parts, seconds=5):
        """Whether the log gets a line with all of these: most are written after the answer has been sent."""
        return poll(lambda: any(all(part in line for part in parts) for line in self.log().splitlines()), seconds)


def _bracketed(host):
    return f"[{host}]" if ":" in host else host


class Viaduct(Proxy):
    name = "viaduct"

    @property
    def store(self):
        return self.folder / "store" / "viaduct.db"

    @property
    def config(self):
        return self.folder / "viaduct.yaml"

    def prepare(self):
        self.store.parent.mkdir(exist_ok=True)
        self.config.write_text(yaml_text(self.settings()))

    def settings(self):
        """The configuration as a tree; options.extra is laid over it."""
        options = self.options
        needed = {True: "required", False: "none"}
        tree = {
            "workers": options.workers,
            "listeners": [
                {"transport": l.transport, "address": f"{_bracketed(l.host)}:{l.port}", **l.extra}
                for l in options.listeners
            ],
            "domains": [
                {
                    "name": name,
                    "auth": {"register": needed[options.register_auth], "calls": needed[options.call_auth]},
                }
                for name in (options.domain, *options.further_domains)
            ],
            "store": {"path": str(self.store)},
            "registrar": {"min_expires": f"{options.min_expires_s}s"},
            "auth": {"algorithms": list(options.algorithms), "nonce_lifetime": f"{options.nonce_s}s"},
            "stop": {"grace": f"{options.drain_s}s"},
            # A busy machine is no overload: whoever wants new requests to be refused when the proxy is late says so.
            "overload": {"admission": False},
            # No test asks the name servers of the machine it runs on.
            "dns": {"servers": ["127.0.0.1:9"], "timeout": "200ms"},
        }
        if options.trusted:
            tree["trusted"] = list(options.trusted)
        return merged(tree, options.extra)

    def spawn(self):
        argv = [env.VIADUCT, "run", "--config", self.config]
        return Process(
            self.name, argv, self.folder, pipe_errors=self.options.pipe_log, preexec=_survive_sigxfsz
        )

    _stores = {}  # the store with just these users, once made

    def add_users(self):
        """Making a user costs a commit; the same users are wanted again and again."""
        key = self.domain, tuple(self.options.users)
        if key not in self._stores:
            super().add_users()
            self._stores[key] = self.store.read_bytes() if self.options.users else b""
        elif self.options.users:
            self.store.write_bytes(self._stores[key])

    def add_user(self, user, password="secret"):
        argv = [
            env.VIADUCT,
            "user",
            "add",
            f"{user}@{self.domain}",
            "--store",
            self.store,
            "--password-stdin",
        ]
        child = Process("user-add", argv, self.folder, stdin=True)
        child.say(password)
        child.popen.stdin.close()
        assert child.wait(10) == 0, child.tail()

    def stop(self, seconds=10):
        """SIGTERM; it must end by itself, with status 0, and say nothing of a sanitizer."""
        self.ended = True
        assert (
            self.process.alive()
        ), f"{self.name} died, status {self.process.popen.returncode}\n{self.process.tail(60)}"
        self.process.send(signal.SIGTERM)
        status = self.process.wait(seconds + self.options.drain_s)
        assert status == 0, f"exit status {status}\n{self.process.tail(60)}"
        assert not re.search(r"Sanitizer|runtime error:", self.log()), self.process.tail(80)


def _survive_sigxfsz():
    """As started by a service manager that ignores it: a file too large is an error of write()."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)


def merged(tree, over):
    """A tree of mappings with another laid over it."""
    result = dict(tree)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if both else value
    return result


def yaml_text(value, indent=0):
    """Mappings, lists and scalars as block YAML; strings always quoted."""
    pad = "  " * indent
    lines = []
    items = value.items() if isinstance(value, dict) else [("-", item) for item in value]
    for key, item in items:
        lead = f"{pad}-" if key == "-" else f"{pad}{key}:"
        if isinstance(item, dict) and item and key == "-":
            body = yaml_text(item, indent + 1)
            lines.append(f"{pad}- {body.lstrip()}".rstrip("\n"))
        elif isinstance(item, (dict, list, tuple)):
            lines.append(f"{lead}\n{yaml_text(item, indent + 1)}".rstrip("\n") if item else f"{lead} []")
        elif isinstance(item, bool):
            lines.append(f"{lead} {str(item).lower()}")
        elif isinstance(item, (int, float)):
            lines.append(f"{lead} {item}")
        else:
            lines.append(f'{lead} "{item}"')
    return "\n".join(lines) + "\n"


def loopback_listeners(held, *hosts):
    """UDP and TCP on one port of each loopback address."""
    port = held.take()
    return [
        Listener(transport, host, port) for host in hosts or ("127.0.0.1",) for transport in ("udp", "tcp")
    ]


@contextlib.contextmanager
def running(**options):
    """A proxy for more than one test, with its own ports; at the end it must live and end with status 0."""
    held = Ports()
    folder = options.pop("folder")
    hosts = options.pop("hosts", ("127.0.0.1",))
    made = make(Options(listeners=loopback_listeners(held, *hosts), **options), folder).set_up()
    try:
        made.start()
        yield made
        made.stop()
    finally:
        if made.process:
            made.process.kill()
        held.close()


def make(options, folder):
    """The proxy that the environment names."""
    if env.SUT == "kamailio":
        from .kamailio import Kamailio

        return Kamailio(options, folder)
    return Viaduct(options, folder)
