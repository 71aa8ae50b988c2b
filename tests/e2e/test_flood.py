"""One million malformed and mutated datagrams, at a bounded rate, and what is left of the proxy afterwards.

The flood comes from a loopback address of its own, where nothing else listens: whatever the proxy answers to
a damaged Via ends there. Calls to one user are forwarded to a callee who answers with damaged responses.
"""

import dataclasses
import os
import random
import re
import socket
import time

import pytest

from harness import env, mutate
from harness import proxy as proxies
from harness.env import patience, scaled
from harness.phone import Phone, widen

pytestmark = pytest.mark.heavy

DATAGRAMS = 1_000_000
RATE = 20_000  # a second at most; less where the proxy is slower
BATCH = 100
BACKLOG_BYTES = 256 * 1024  # what may wait in the proxy's sockets; looked at every LOOK datagrams
LOOK = 4 * BATCH
SOURCE = "127.77.0.1"
SEED = int(os.environ.get("E2E_SEED", "3261"))

OWN = """\
{method} {uri} SIP/2.0\r
Via: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bKseed{method};rport\r
Max-Forwards: 70\r
Route: <sip:{proxy};lr>\r
From: "A. Caller" <sip:carol@example.test>;tag=88sja8x\r
To: Bob <sip:bob@example.test>\r
Call-ID: 987asjd97y7atg-{method}\r
CSeq: 986759 {method}\r
Contact: <sip:carol@127.0.0.1:5060>;q=0.5;expires=60\r
Authorization: Digest username="carol", realm="example.test", nonce="MTIz", uri="sip:example.test", \
qop=auth, nc=00000001, cnonce="0a4f113b", response="6629fae49393a05397450978507c4ef1", algorithm=MD5\r
Record-Route: <sip:{proxy};lr>\r
Path: <sip:127.0.0.1:5060;lr>\r
Supported: path, outbound\r
Content-Type: application/sdp\r
Content-Length: 5\r
\r
v=0\r
"""
METHODS = [
    "INVITE",
    "ACK",
    "BYE",
    "CANCEL",
    "OPTIONS",
    "REGISTER",
    "MESSAGE",
    "SUBSCRIBE",
    "NOTIFY",
    "REFER",
    "PRACK",
    "UPDATE",
]


class Flood:
    """Sends mutated messages and answers the calls that get through."""

    def __init__(self, proxy, seed):
        self.proxy = proxy
        own = []
        for method in METHODS:
            for uri in ("sip:bob@example.test", f"sip:{proxy.hostport}", "sip:example.test"):
                own.append(OWN.format(method=method, uri=uri, proxy=proxy.hostport).encode())
        # Addresses become the flood's own, so that nothing goes elsewhere; but the proxy's stays what it is.
        keep = proxy.hostport.encode()
        marked = [message.replace(keep, b"PROXY") for message in own]
        messages = [message.replace(b"PROXY", keep) for message in mutate.seeds(marked * 8, SOURCE.encode())]
        self.mutator = mutate.Mutator(messages, seed)
        self.random = random.Random(seed + 1)
        self.socket = self._socket(SOURCE, 0)
        self.callee = self._socket("127.0.0.1", 0)
        self.callee_port = self.callee.getsockname()[1]
        self.sent = self.answers = self.calls = 0
        self.sockets = proxy.sockets()

    @staticmethod
    def _socket(host, port):
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        widen(made)
        made.bind((host, port))
        made.setblocking(False)
        return made

    def close(self):
        self.socket.close()
        self.callee.close()

    def run(self, count):
        """That many datagrams at RATE, and no faster than the proxy reads them."""
        started = time.monotonic()
        address, send, next_ = self.proxy.address(), self.socket.sendto, self.mutator.next
        for done in range(0, count, BATCH):
            for _ in range(min(BATCH, count - done)):
                try:
                    send(next_(), address)
                except ConnectionError:
                    pass  # an ICMP error of an earlier one
            self.sent += min(BATCH, count - done)
            self._take_answers()
            self._answer_calls()
            ahead = started + done / RATE - time.monotonic()
            if ahead > 0:
                time.sleep(ahead)
            while done % LOOK == 0 and self.proxy.alive() and self._backlog() > BACKLOG_BYTES:
                time.sleep(0.002)

    def _backlog(self):
        return self.proxy.udp_backlog(self.sockets)[0]

    def _take_answers(self):
        while True:
            try:
                if self.socket.recv(65535).startswith(b"SIP/2.0 "):
                    self.answers += 1
            except BlockingIOError:
                return
            except ConnectionError:
                continue

    def _answer_calls(self):
        """Most calls get no answer, some a response, half of these a damaged one."""
        while True:
            try:
                request, peer = self.callee.recvfrom(65535)
            except BlockingIOError:
                return
            except ConnectionError:
                continue
            self.calls += 1
            if self.random.random() < 0.5:
                continue
            status = self.random.choice(
                (b"180 R", b"200 OK", b"302 M", b"401 U", b"486 B", b"503 S", b"603 D")
            )
            lines = [
                line for line in request.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:] if ECHOED.match(line)
            ]
            response = b"\r\n".join([b"SIP/2.0 " + status, *lines, b"Content-Length: 0", b"", b""])
            if self.random.random() < 0.5:
                response = mutate.Mutator([response], self.random.getrandbits(32)).next()
            self.callee.sendto(response, peer)


ECHOED = re.compile(rb"(?i)(via|v|from|f|to|t|call-id|i|cseq|record-route)[ \t]*:|[ \t]")


@dataclasses.dataclass
class Aftermath:
    """What was seen of one flood."""

    proxy: object
    flood: Flood
    rss_start_kb: int
    rss_rested_kb: int  # after most of it and the time that timers take to run out
    rss_end_kb: int  # after the rest of it
    dropped: int
    user: Phone
    idle: object  # a stream that carried one request and then nothing for IDLE_S and more
    lively: object  # another, with keep-alives


IDLE_S, TIMER_D_S = 32, 32


@pytest.fixture(scope="module")
def aftermath(module_folder):
    count = scaled(DATAGRAMS, 2000)
    extra = {
        "timers": {"t1": "10ms", "t2": "40ms", "t4": "50ms", "d": f"{TIMER_D_S}s"},
        "limits": {"connection_idle": f"{IDLE_S}s"},
    }
    with proxies.running(folder=module_folder, call_auth=False, extra=extra) as proxy:
        flood = Flood(proxy, SEED)
        bob = Phone(proxy, "bob")
        assert bob.register(f"<sip:bob@127.0.0.1:{flood.callee_port}>", expires=3600).status == 200
        start = proxy.rss_kb()
        flood.run(count * 9 // 10)
        user = Phone(proxy, "alice", transport="tcp")
        idle, lively = user.connect(), user.connect()
        for stream in (idle, lively):
            stream.send(user.request("OPTIONS", f"sip:{proxy.hostport}").octets())
        rest = time.monotonic()
        while time.monotonic() - rest < TIMER_D_S + 3 or not (idle.closed or time.monotonic() - rest > patience(60)):
            lively.send(b"\r\n\r\n")
            time.sleep(1)
            user.pump(0)
        rested = proxy.rss_kb()
        flood.run(count - count * 9 // 10)
        yield Aftermath(
            proxy,
            flood,
            start,
            rested,
            proxy.rss_kb(),
            proxy.udp_backlog(flood.sockets)[1],
            user,
            idle,
            lively,
        )
        for each in (flood, bob, user):
            each.close()


def test_the_proxy_lives_and_answers_options_on_every_listener(aftermath):
    assert aftermath.proxy.alive(), aftermath.proxy.process.tail(60)
    for listener in aftermath.proxy.options.listeners:
        assert aftermath.proxy.answers_options(listener)


def test_the_flood_was_read_answered_and_forwarded(aftermath):
    flood = aftermath.flood
    assert aftermath.dropped < flood.sent / 1000
    assert flood.answers > flood.sent / 50
    assert flood.calls > flood.sent / 1000


def test_a_call_still_goes_through(aftermath):
    with Phone(aftermath.proxy, "alice") as alice, Phone(aftermath.proxy, "carol") as carol:
        assert carol.register().status == 200
        invite = alice.invite(carol.aor, challenged=False)
        carol.reply(carol.expect("INVITE"), 486)
        assert alice.final(invite).status == 486


def test_memory_is_back_where_it_was(aftermath):
    if env.sanitized():
        pytest.skip("a sanitizer keeps freed memory")
    # What the pools took for the busiest moment may stay theirs, but the rest of the flood must fit into it.
    assert aftermath.rss_rested_kb - aftermath.rss_start_kb < 24 * 1024, aftermath
    assert aftermath.rss_end_kb - aftermath.rss_rested_kb < 1024, aftermath


def test_the_log_stays_small(aftermath):
    assert len(aftermath.proxy.log()) < 4 << 20


def test_an_idle_connection_is_closed_and_a_kept_alive_one_is_not(aftermath):
    user, lively = aftermath.user, aftermath.lively
    assert aftermath.idle.closed
    assert not lively.closed
    request = user.request("OPTIONS", f"sip:{aftermath.proxy.hostport}")
    lively.send(request.octets())
    assert user.final(request).status == 200
