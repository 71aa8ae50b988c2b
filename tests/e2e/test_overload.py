"""Overload: what has waited for too long and begins something new is refused, and calls in progress go on.

That messages wait is brought about by stopping the process while they come, or by a target of nothing at all.
"""

import itertools
import pathlib
import signal
import socket
import ssl
import time
from contextlib import closing

import pytest

from harness.certs import Issuer
from harness.env import patience, poll, slow_ms
from harness.phone import answer, ring
from harness.proxy import Listener, loopback_listeners
from harness.tlsphone import TlsPhone
from harness.websocket import WebPhone, certificate

WAIT_S = patience(1.5)
LATE = {"overload": {"admission": True, "target": slow_ms(500), "interval": "0s"}}
ALWAYS = {"overload": {"admission": True, "target": "0s", "interval": "0s", "emergency_numbers": ["112", "bob"]}}


def is_stopped(pid):
    """All its threads."""
    states = [stat.read_text().rpartition(")")[2].split()[0] for stat in pathlib.Path(f"/proc/{pid}/task").glob("*/stat")]
    return set(states) == {"T"}


def while_stopped(proxy, *sends):
    """Sends while the proxy cannot read."""
    proxy.process.send(signal.SIGSTOP)
    assert poll(lambda: is_stopped(proxy.process.popen.pid), 5)
    try:
        for send in sends:
            send()
        time.sleep(WAIT_S)
    finally:
        proxy.process.send(signal.SIGCONT)


def test_what_waited_too_long_is_refused_and_calls_in_progress_go_on(start_proxy, phone):
    proxy = start_proxy(call_auth=False, register_auth=False, extra=LATE)
    alice, bob, carol = phone(proxy, "alice"), phone(proxy, "bob"), phone(proxy, "carol")
    assert bob.register().status == 200
    near, _far = answer(alice, bob, *ring(alice, bob, challenged=False))
    refused = carol.request("INVITE", bob.aor)
    bye = near.request("BYE")
    while_stopped(proxy, lambda: carol.send(refused), lambda: alice.send(bye))
    bob.reply(bob.expect("BYE"), 200)
    assert alice.final(bye).status == 200
    response = carol.final(refused)
    assert response.status == 503
    assert 5 <= int(response["Retry-After"]) <= 15
    carol.send(carol.ack_of(refused, response))
    # What comes when nothing waits is taken.
    invite, arrived = ring(carol, bob, challenged=False)
    answer(carol, bob, invite, arrived)
    assert proxy.has_line("overload.begun")


def test_an_emergency_call_is_taken_however_long_it_waited(start_proxy, phone):
    proxy = start_proxy(call_auth=False, register_auth=False, users=("alice", "112"), extra=LATE)
    alice, sos = phone(proxy, "alice"), phone(proxy, "112")
    assert sos.register().status == 200
    invite = alice.request("INVITE", sos.aor)
    while_stopped(proxy, lambda: alice.send(invite))
    arrived = sos.expect("INVITE")
    sos.reply(arrived, 486)
    assert alice.final(invite).status == 486


BRIEF = {"overload": {"admission": True, "target": "1ms", "interval": slow_ms(200)}}


def flood(proxy, sock, until):
    """INVITEs as fast as they go, which is faster than they can be refused; what until() finds."""
    numbers = itertools.count()
    while True:
        for _ in range(500):
            number = next(numbers)
            sock.send(
                (
                    f"INVITE sip:nobody@{proxy.domain} SIP/2.0\r\n"
                    f"Via: SIP/2.0/UDP 127.0.0.1:{sock.getsockname()[1]};branch=z9hG4bK{number}\r\n"
                    f"From: <sip:flood@{proxy.domain}>;tag={number}\r\nTo: <sip:nobody@{proxy.domain}>\r\n"
                    f"Call-ID: flood-{number}\r\nCSeq: 1 INVITE\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
                ).encode()
            )
        if found := until():
            return found


def first_refusal(sock):
    """Of what has come by now."""
    try:
        while not (octets := sock.recv(65535, socket.MSG_DONTWAIT)).startswith(b"SIP/2.0 503 "):
            pass
    except BlockingIOError:
        return None
    return octets.decode()


def ack_of(refusal, proxy):
    """Section 17.1.1.3."""
    lines = refusal.split("\r\n")
    kept = [line for name in ("Via", "From", "To", "Call-ID") for line in lines if line.startswith(name + ":")]
    head = [f"ACK sip:nobody@{proxy.domain} SIP/2.0", *kept, "CSeq: 1 ACK", "Max-Forwards: 70", "Content-Length: 0"]
    return ("\r\n".join(head) + "\r\n\r\n").encode()


@pytest.mark.parametrize("workers", [1, 2])
def test_the_kernel_drops_the_acks_of_refused_calls_and_no_others(start_proxy, phone, workers):
    proxy = start_proxy(call_auth=False, register_auth=False, workers=workers, extra=BRIEF)
    alice, bob = phone(proxy, "alice"), phone(proxy, "bob")
    assert bob.register().status == 200
    inodes = proxy.sockets()
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as sock:
        sock.connect(proxy.address())
        refusal = flood(proxy, sock, lambda: first_refusal(sock))
        assert poll(lambda: proxy.udp_backlog(inodes)[0] == 0, 10)
        _, dropped = proxy.udp_backlog(inodes)
        for _ in range(20):
            sock.send(ack_of(refusal, proxy))
        assert proxy.udp_backlog(inodes)[1] == dropped + 20
    # Overload has not ended, but nothing waits.
    invite, arrived = ring(alice, bob, challenged=False)
    answer(alice, bob, invite, arrived)
    assert "overload.ended" not in proxy.log()
    assert proxy.udp_backlog(inodes)[1] == dropped + 20


def refused(alice):
    """Each new request; the ACK of an INVITE is no new one."""
    for method in ("MESSAGE", "INVITE", "MESSAGE"):
        request = alice.request(method, alice.aor)
        response = alice.ask(request)
        assert response.status == 503, response
        if method == "INVITE":
            alice.send(alice.ack_of(request, response))


@pytest.fixture
def refusing(start_proxy, ports, folder):
    listeners = loopback_listeners(ports) + [Listener(kind, "127.0.0.1", ports.take()) for kind in ("tls", "ws", "wss")]
    proxy = start_proxy(
        autostart=False,
        call_auth=False,
        trusted=("127.0.0.2/32",),
        workers=1,
        listeners=listeners,
        extra={**ALWAYS, "tls": certificate(folder)},
    )
    proxy.process = proxy.spawn()  # an OPTIONS would not say that it is ready
    assert proxy.has_line("start.ready", seconds=10)
    return proxy


@pytest.mark.parametrize("over", ["udp", "tcp"])
def test_with_a_target_of_nothing_all_that_is_new_is_refused_over_any_transport(refusing, phone, over):
    refused(phone(refusing, "alice", transport=over))


def test_all_that_is_new_is_refused_over_tls(refusing, folder):
    with closing(TlsPhone(refusing, "alice", issuer=Issuer(folder))) as alice:
        alice.client.check_hostname, alice.client.verify_mode = False, ssl.CERT_NONE
        refused(alice)


@pytest.mark.parametrize("over", ["ws", "wss"])
def test_all_that_is_new_is_refused_over_websocket(refusing, over):
    with closing(WebPhone(refusing, "alice", transport=over)) as alice:
        refused(alice)


def test_7339_who_asks_is_told_how_much_less_to_send(start_proxy, phone):
    proxy = start_proxy(call_auth=False, register_auth=False)
    alice, bob = phone(proxy, "alice"), phone(proxy, "bob")
    assert bob.register().status == 200
    request = alice.request("MESSAGE", bob.aor)
    via = request.lines("Via")[0]
    request = request.replaced("Via", f'{via};oc;oc-algo="loss"')
    alice.send(request)
    arrived = bob.expect("MESSAGE")
    ours, theirs = arrived.lines("Via")[0], arrived.lines("Via")[-1]
    assert ours.endswith(';oc;oc-algo="loss"')
    assert "oc" not in theirs.split("branch=")[1].split(";")[1:]
    bob.reply(arrived, 200)
    top = alice.final(request).lines("Via")[0]
    assert ';oc=0;oc-algo="loss";oc-validity=0;oc-seq=' in top
