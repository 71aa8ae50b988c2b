"""Name servers: nsd with the zones of a test, and a relay before it that counts, falls silent, or lies."""

import select
import signal
import socket
import struct
import threading
import time

from .env import patience
from .phone import widen
from .process import Process

TYPES = {"A": 1, "CNAME": 5, "NAPTR": 35, "SRV": 33, "AAAA": 28}
SERVFAIL, REFUSED = 2, 5


def question(octets):
    """Name and type of a query."""
    labels, at = [], 12
    while octets[at]:
        labels.append(octets[at + 1 : at + 1 + octets[at]].decode().lower())
        at += 1 + octets[at]
    number = struct.unpack(">H", octets[at + 1 : at + 3])[0]
    return ".".join(labels), next((name for name, value in TYPES.items() if value == number), str(number))


class Nsd:
    """An authoritative server on a loopback port. zones: {name: records below the SOA}."""

    def __init__(self, folder, port, zones, *, edns=1232, negative_s=1):
        """negative_s: how long it may be kept that a name is not there."""
        self.folder, self.port, self.negative_s = folder / "nsd", port, negative_s
        self.folder.mkdir()
        self.zones = dict(zones)
        self._serial = 0
        lines = [
            "server:",
            f"  ip-address: 127.0.0.1@{port}",
            '  username: ""',
            f'  zonesdir: "{self.folder}"',
            '  database: ""',
            f'  pidfile: "{self.folder}/nsd.pid"',
            f'  xfrdfile: "{self.folder}/xfrd.state"',
            f'  zonelistfile: "{self.folder}/zone.list"',
            "  server-count: 1",
            f"  ipv4-edns-size: {edns}",
            "remote-control:",
            "  control-enable: no",
        ]
        for name in self.zones:
            lines += ["zone:", f"  name: {name}", f"  zonefile: {name}.zone"]
        (self.folder / "nsd.conf").write_text("\n".join(lines) + "\n")
        self._write()
        self.process = Process("nsd", ["nsd", "-d", "-c", self.folder / "nsd.conf"], folder)
        self._wait()

    def _write(self):
        self._serial += 1
        for name, records in self.zones.items():
            if records is None:  # a zone without a file: SERVFAIL
                continue
            head = f"$ORIGIN {name}.\n$TTL 300\n@ 1 SOA ns.{name}. host.{name}. {self._serial} 60 60 60 {self.negative_s}\n@ NS ns\n"
            body = "\n".join(line.strip() for line in records.splitlines())
            (self.folder / f"{name}.zone").write_text(f"{head}ns A 127.0.0.1\n{body}\n")

    def change(self, **zones):
        """Other records, at once; a dot in a name is written _."""
        self.zones.update({name.replace("_", "."): records for name, records in zones.items()})
        self._write()
        self.process.send(signal.SIGHUP)
        self._wait()

    def _wait(self):
        """Until it serves the newest zones: their SOA tells."""
        name = next(name for name, records in self.zones.items() if records is not None)
        labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
        query = struct.pack(">HHHHHH", 77, 0, 1, 0, 0, 0) + labels + b"\0\0\6\0\1"
        deadline = time.monotonic() + patience(10)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(0.2)
            while time.monotonic() < deadline:
                try:
                    sock.connect(("127.0.0.1", self.port))
                    sock.send(query)
                    answer = sock.recv(4096)
                    if struct.pack(">I", self._serial) + struct.pack(">I", 60) in answer:
                        return
                except OSError:
                    pass
                time.sleep(0.05)
        raise AssertionError(f"nsd is not ready\n{self.process.tail()}")

    def stop(self):
        self.process.stop()


class Relay:
    """Stands before a name server. `asked` is every question that came; `silent` the ones that get no answer;
    `rcode` what is answered instead."""

    def __init__(self, port, server_port=None):
        self.port, self.server_port = port, server_port
        self.asked = []
        self.silent = lambda name, kind: False
        self.rcode = None
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        widen(self._udp)
        self._udp.bind(("127.0.0.1", port))
        self._up = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._waiting = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._ended.is_set():
            for sock in select.select([self._udp, self._up], [], [], 0.05)[0]:
                try:
                    octets, peer = sock.recvfrom(65535)
                except OSError:
                    continue
                if sock is self._udp:
                    self._take(octets, peer)
                elif octets[:2] in self._waiting:
                    self._udp.sendto(octets, self._waiting.pop(octets[:2]))

    def _take(self, octets, peer):
        name, kind = question(octets)
        self.asked.append((name, kind))
        if self.silent(name, kind):
            return
        if self.rcode is not None:
            flags = struct.pack(">H", 0x8180 | self.rcode)
            self._udp.sendto(octets[:2] + flags + octets[4:], peer)
        elif self.server_port:
            self._waiting[octets[:2]] = peer
            self._up.sendto(octets, ("127.0.0.1", self.server_port))

    def count(self, name, kind):
        return self.asked.count((name, kind))

    def stop(self):
        self._ended.set()
        self._thread.join()
        self._udp.close()
        self._up.close()
