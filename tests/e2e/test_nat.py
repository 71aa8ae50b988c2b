"""A real NAT between phone and proxy, made with nftables in a network namespace. Its mappings die after two silent seconds, and a new one
has another port: whoever keeps his alive is reached, whoever does not is found to be gone at once, and found again when he comes back."""

import contextlib
import pathlib
import socket
import struct
import subprocess
import time

import pytest

from harness import netns, proxy as proxies
from harness.netns import inside, run
from harness.env import patience, poll
from harness.phone import Phone, call, hang_up, is_stun

pytestmark = [pytest.mark.viaduct, pytest.mark.tools("ip", "nft")]

OUT, IN = netns.free_network(88), netns.free_network(77)
OUTSIDE, ROUTER_OUT, ROUTER_IN, INSIDE = OUT + "1", OUT + "2", IN + "1", IN + "2"
MAPPING_S = 2
STUN = bytes.fromhex("000100002112a442") + b"who am I now"


@pytest.fixture
def network():
    """(namespace of the phone, namespace of the router)"""
    if not pathlib.Path("/proc/sys/net/ipv4/ip_forward").exists():
        pytest.skip("NOT TESTED: a NAT needs a kernel that forwards")
    outside = netns.free_device("vdo")
    phone = netns.add("ph")
    try:
        router = netns.add("nat")
    except BaseException:
        netns.delete(phone)
        raise
    try:
        run("ip", "link", "add", outside, "type", "veth", "peer", "name", "out", "netns", router)
        run("ip", "link", "add", "in", "netns", router, "type", "veth", "peer", "name", "eth", "netns", phone)
        run("ip", "addr", "add", f"{OUTSIDE}/24", "dev", outside)
        run("ip", "link", "set", outside, "up")
        for namespace, device, address in ((router, "out", ROUTER_OUT), (router, "in", ROUTER_IN), (phone, "eth", INSIDE)):
            run("ip", "-n", namespace, "addr", "add", f"{address}/24", "dev", device)
            run("ip", "-n", namespace, "link", "set", device, "up")
        run("ip", "-n", phone, "route", "add", "default", "via", ROUTER_IN)
        inner = ("ip", "netns", "exec", router)
        run(*inner, "sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")
        run(*inner, "nft", "add table ip nat; add chain ip nat post { type nat hook postrouting priority 100; };"
            "add rule ip nat post oifname out masquerade random")
        for name in ("udp_timeout", "udp_timeout_stream"):
            run(*inner, "sh", "-c", f"echo {MAPPING_S} >/proc/sys/net/netfilter/nf_conntrack_{name}")
        yield phone, router
    finally:
        for namespace in (phone, router):
            netns.delete(namespace)
        subprocess.run(["ip", "link", "del", outside], capture_output=True, timeout=20)


@pytest.fixture
def nat():
    """What the listeners say of clients behind a NAT."""
    return {}


@pytest.fixture
def world(network, start_proxy, ports, phone, nat):
    """(proxy, alice outside, bob behind the NAT)"""
    port = ports.take()
    extra = {"nat": nat} if nat else {}
    listeners = [proxies.Listener(transport, OUTSIDE, port, extra) for transport in ("udp", "tcp")]
    proxy = start_proxy(listeners=listeners)
    alice = phone(proxy, "alice", host=OUTSIDE)
    alice.register()
    with inside(network[0]):
        bob = Phone(proxy, "bob", host=INSIDE)
    yield proxy, alice, bob
    bob.close()


def register(bob):
    contact = f'<sip:bob@{bob.hostport};ob>;reg-id=1;+sip.instance="<urn:uuid:0001>"'
    response = bob.register(contact, headers=[("Supported", "path, outbound")])
    assert response.status == 200 and response["Require"] == "outbound", response


def mapped_address(bob):
    """What STUN says of the phone's address (RFC 5626 section 8)."""
    bob.udp.sendto(STUN, bob.proxy_address())
    bob.udp.settimeout(patience(5))
    answer = b""
    try:
        while not is_stun(answer):  # a repeated request may come in between
            answer = bob.udp.recv(2000)
    finally:
        bob.udp.settimeout(None)
    kind, length, cookie = struct.unpack_from("!HHI", answer)
    assert (kind, length, cookie) == (0x0101, 12, 0x2112A442)
    port, ip = struct.unpack_from("!HI", answer, 26)
    return socket.inet_ntoa(struct.pack("!I", ip ^ cookie)), port ^ cookie >> 16


def test_a_mapping_that_is_kept_alive_by_stun(world):
    _, alice, bob = world
    register(bob)
    seen = {mapped_address(bob)}
    for _ in range(4 * MAPPING_S):
        time.sleep(0.5)
        seen.add(mapped_address(bob))
    assert len(seen) == 1 and seen.pop()[0] == ROUTER_OUT
    near, far = call(alice, bob)
    hang_up(far, near)


def test_a_mapping_that_dies_and_comes_back(world):
    _, alice, bob = world
    register(bob)
    hang_up(*call(alice, bob))
    before = mapped_address(bob)
    time.sleep(2 * MAPPING_S + 1)
    began = time.monotonic()
    assert alice.final(alice.invite(bob.aor)).status == 480
    assert time.monotonic() - began < patience(3), "the NAT says at once that the port is closed"
    register(bob)
    assert mapped_address(bob) != before
    near, far = call(alice, bob)
    hang_up(near, far)


def pinged(kind):
    settings = {"contacts": "source", "ping": kind, "interval": "1s", "failures": 3}
    return pytest.mark.parametrize("nat", [settings], ids=[kind])


def answer_pings(phone, seconds):
    """How many came."""
    end, count = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        phone.pump(0.1)
        for ping in [message for message in phone.inbox if message.method == "OPTIONS"]:
            phone.inbox.remove(ping)
            phone.reply(ping, 200)
            count += 1
    return count


@pinged("options")
def test_who_knows_no_outbound_is_kept_by_options_and_gone_when_silent(world):
    proxy, alice, bob = world
    assert bob.register().status == 200
    alice.register()
    pings = answer_pings(bob, 4 * MAPPING_S)
    assert 6 <= pings <= 10, "one a second"
    hang_up(*call(alice, bob))
    answer_pings(alice, 0.1)
    with Phone(proxy, "bob", host=OUTSIDE) as asking:
        assert poll(lambda: asking.fetch() == {}, 10, every=0.2), "three were left unanswered"
    bob.inbox.clear()
    assert alice.final(alice.invite(bob.aor)).status == 480
    bob.expect_nothing(0.5, "INVITE")
    assert bob.register().status == 200
    hang_up(*call(alice, bob))


@pinged("crlf")
def test_who_knows_no_outbound_is_kept_by_crlf(world):
    _, alice, bob = world
    assert bob.register().status == 200
    before = mapped_address(bob)
    time.sleep(4 * MAPPING_S)
    hang_up(*call(alice, bob))
    bob.udp.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            bob.udp.recv(2000)
    bob.udp.setblocking(True)
    assert mapped_address(bob) == before
