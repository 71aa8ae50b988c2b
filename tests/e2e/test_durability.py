"""Nothing that was answered 200 is lost and nothing is made up: kill -9, a full disk, a damaged store."""

import errno
import os
import random
import resource
import select
import socket
import subprocess
import time

import pytest

from harness import sip
from harness.env import patience, poll, scaled
from harness.phone import bindings, widen

pytestmark = pytest.mark.viaduct

USERS = tuple(f"storm{i}" for i in range(20))
CONTACTS = 40  # that a user may come to have
WINDOW = 64  # requests under way

# Every binding has a Call-ID of its own, whose CSeq grows.
REGISTER = """\
REGISTER sip:{domain} SIP/2.0\r
Via: SIP/2.0/UDP 127.0.0.1:{port};branch={branch};rport\r
Max-Forwards: 70\r
From: <sip:{user}@{domain}>;tag=s\r
To: <sip:{user}@{domain}>\r
Call-ID: of-{contact}\r
CSeq: {serial} REGISTER\r
Contact: <{contact}>;expires={expires}\r
Content-Length: 0\r
\r
"""


class Storm:
    """REGISTERs and removals of random bindings, many under way at once, and what is known of each binding.

    A binding is `certain` when its last update was answered 200; while one is under way, or after one that
    was never answered, either outcome is right.
    """

    def __init__(self, proxy, seed):
        self.proxy = proxy
        self.random = random.Random(seed)
        self.certain = {}  # (user, contact): present or not
        self.waiting = {}  # branch: (user, contact, wanted)
        self.busy = set()  # (user, contact) with an update under way
        self.doubtful = {}  # (user, contact): states that may be found
        self.serial = 0
        self.answered = 0
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        widen(self.sock)
        self.sock.bind(("127.0.0.1", 0))
        self.port = self.sock.getsockname()[1]

    def close(self):
        self.sock.close()

    def send_one(self):
        user = self.random.choice(USERS)
        contact = f"sip:{user}@127.0.0.1:{2000 + self.random.randrange(CONTACTS)}"
        key = user, contact
        if key in self.busy:
            return
        wanted = self.random.random() < 0.7
        self.serial += 1
        branch = f"z9hG4bKstorm{self.serial}"
        request = REGISTER.format(
            user=user,
            domain=self.proxy.domain,
            port=self.port,
            branch=branch,
            contact=contact,
            serial=self.serial,
            expires=3000 if wanted else 0,
        )
        self.sock.sendto(request.encode(), self.proxy.address())
        self.waiting[branch] = (user, contact, wanted)
        self.busy.add(key)

    def take_answers(self, seconds):
        while select.select([self.sock], [], [], seconds)[0]:
            seconds = 0
            try:
                response = sip.Message.parse(self.sock.recv(65535))
            except ConnectionError:
                continue
            if response.status < 200 or response.branch not in self.waiting:
                continue
            user, contact, wanted = self.waiting.pop(response.branch)
            assert response.status == 200, response
            self.certain[user, contact] = wanted
            self.busy.discard((user, contact))
            self.answered += 1

    def blow(self, seconds, answers):
        """Keeps WINDOW requests under way for so long, and until so many more have been answered."""
        until, deadline = time.monotonic() + seconds, time.monotonic() + patience(20)
        answers += self.answered
        while time.monotonic() < until or self.answered < answers:
            assert time.monotonic() < deadline, "hardly a storm"
            for _ in range(WINDOW - len(self.waiting)):
                self.send_one()
            self.take_answers(0.01)

    def strike(self):
        """The proxy is killed while requests are under way; answers that had left are still taken."""
        for _ in range(WINDOW):
            self.send_one()
        time.sleep(self.random.random() * 0.01)
        self.proxy.kill()
        self.take_answers(0.05)
        for user, contact, wanted in self.waiting.values():
            before = self.certain.pop((user, contact), None)
            self.doubtful[user, contact] = {
                before if before is not None else False,
                wanted,
            } | self.doubtful.get((user, contact), set())
        self.waiting.clear()
        self.busy.clear()

    def check(self, phone):
        """What the registrar lists is what was promised; afterwards everything is certain."""
        for user in USERS:
            found = set(phone(self.proxy, user).fetch())
            for contact in found:
                assert (user, contact) in self.certain or (
                    user,
                    contact,
                ) in self.doubtful, f"invented: {contact}"
            for (owner, contact), present in self.certain.items():
                if owner == user:
                    assert (contact in found) == present, f"{contact}: promised {present}"
            for owner, contact in [key for key in self.doubtful if key[0] == user]:
                assert (contact in found) in self.doubtful[owner, contact], contact
                self.certain[owner, contact] = contact in found
        self.doubtful.clear()


@pytest.mark.heavy
def test_kill_9_in_a_storm_of_registers_loses_nothing_promised(start_proxy, phone):
    proxy = start_proxy(
        users=USERS, register_auth=False, extra={"registrar": {"max_contacts": CONTACTS + 10}}
    )
    storm = Storm(proxy, seed=20261)
    try:
        for _ in range(scaled(8, 3)):
            storm.blow(0.4, 200)
            storm.strike()
            proxy.start()
            storm.check(phone)
        assert sum(storm.certain.values()) > 100
    finally:
        storm.close()


def test_a_registration_with_digest_survives_kill_9_right_after_its_200(start_proxy, phone):
    proxy = start_proxy()
    for port in range(2000, 2006):
        alice = phone(proxy, "alice")
        contact = f"sip:alice@127.0.0.1:{port}"
        assert alice.register(f"<{contact}>", expires=600).status == 200
        proxy.kill()
        proxy.start()
        assert contact in alice.fetch()


class FileSizeLimit:
    """Every write to a file fails, as on a full disk, for the one process."""

    def __init__(self, proxy):
        self.proxy = proxy

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def _limit(self, soft):
        _, hard = resource.prlimit(self.proxy.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self.proxy.process.pid, resource.RLIMIT_FSIZE, (soft, hard))

    def fill(self):
        self._limit(0)

    def empty(self):
        self._limit(resource.RLIM_INFINITY)


class SmallDisk:
    """The store lies on a disk of its own, and somebody else fills it."""

    def __init__(self, proxy):
        self.proxy = proxy
        self.folder = proxy.store.parent

    def __enter__(self):
        saved = self.proxy.store.read_bytes()
        mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "viaduct-e2e", self.folder]
        made = subprocess.run(mount, capture_output=True)
        if made.returncode:
            pytest.skip(f"may not mount: {made.stderr.decode().strip()}")
        self.proxy.store.write_bytes(saved)
        return self

    def __exit__(self, *_):
        subprocess.run(["umount", "-l", self.folder], check=True)

    def fill(self):
        with open(self.folder / "filler", "wb", buffering=0) as filler:
            for size in (65536, 4096, 512, 1):
                try:
                    while filler.write(b"x" * size):
                        pass
                except OSError as full:
                    assert full.errno == errno.ENOSPC

    def empty(self):
        os.unlink(self.folder / "filler")


@pytest.mark.parametrize("kind", [FileSizeLimit, SmallDisk])
def test_a_full_disk_answers_500_says_so_in_the_log_and_recovers(start_proxy, phone, kind):
    proxy = start_proxy(autostart=False, pipe_log=True, extra={"registrar": {"max_contacts": 64}})
    with kind(proxy) as disk:
        try:
            proxy.start()
            full_disk(proxy, phone, disk)
            proxy.stop()
        finally:
            proxy.kill()


def full_disk(proxy, phone, disk):
    alice, bob = phone(proxy, "alice"), phone(proxy, "bob")
    assert alice.register().status == 200
    disk.fill()
    logged = len(proxy.log())
    # A little may still fit into what the store already holds of the disk.
    refused = None
    for port in range(2000, 2060):
        refused = bob.register(
            f"<sip:bob@127.0.0.1:{port}>", f"<sip:bob@127.0.0.1:1999;x={'y' * 800}>", expires=600
        )
        if refused.status != 200:
            break
    assert refused.status == 500
    assert poll(lambda: "storage" in proxy.log()[logged:], 5), "nothing in the log"
    kept = bob.fetch()
    assert f"sip:bob@127.0.0.1:{port}" not in kept
    # The process goes on: look-ups, calls.
    assert set(alice.fetch()) == {alice.contact}
    invite = bob.invite(alice.aor)
    alice.reply(alice.expect("INVITE"), 486)
    assert bob.final(invite).status == 486
    disk.empty()
    deadline = time.monotonic() + patience(10)
    while (again := bob.register(f"<sip:bob@127.0.0.1:{port}>", expires=600)).status != 200:
        assert again.status == 500 and time.monotonic() < deadline, again
        time.sleep(0.2)
    expected = {**kept, **bindings(again)}
    proxy.kill()
    proxy.start()
    assert set(bob.fetch()) == set(expected)
    assert set(alice.fetch()) == {alice.contact}


def test_a_store_that_cannot_be_opened_is_an_error_at_start_and_not_a_crash(start_proxy):
    proxy = start_proxy(autostart=False)
    for path in (proxy.store, *proxy.store.parent.glob("viaduct.db-*")):
        path.unlink(missing_ok=True)
    proxy.store.mkdir()
    proxy.process = proxy.spawn()
    proxy.ended = True
    status = proxy.process.wait(10)
    assert 64 <= status <= 78, status  # sysexits
    assert "store.path" in proxy.log()


def test_a_damaged_store_is_an_error_at_start_and_not_a_crash(start_proxy):
    proxy = start_proxy(autostart=False)
    for path in proxy.store.parent.glob("viaduct.db-*"):
        path.unlink()
    proxy.store.write_bytes(b"This is no database. " * 500)
    proxy.process = proxy.spawn()
    proxy.ended = True
    status = proxy.process.wait(10)
    assert 64 <= status <= 78, status
    assert str(proxy.store) in proxy.log()
