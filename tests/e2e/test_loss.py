"""Datagrams that are lost between a phone and the proxy: no call is lost that the timers of RFC 3261 can save.

What they cannot save: a client sends an INVITE seven times before Timer B ends (0, 1, 3, 7, 15, 31 and 63 T1), and a BYE eleven times
before Timer F; a UAS sends its 2xx eleven times. With the share p of datagrams lost either way, one copy and the answer to it get through
with (1 - p)^2. So a transaction fails with at most (1 - (1 - p)^2)^7 or ^11:

    p       INVITE      2xx and ACK, BYE
    5 %     8e-8        8e-12
    20 %    8e-4        1e-5
    50 %    0.13        0.04

A hop of the harness knows every datagram it lost, so there each call that failed must have lost all copies of something, one by one. A
kernel does not tell: there the number of failures is held against the probability alone. T1 is 50 ms, so that 64 T1 are three seconds.
"""

import contextlib
import math

import pytest

from harness import proxy as proxies
from harness.lossy import INVITE_COPIES, OTHER_COPIES, Line, Town
from harness.netns import Link, free_network, inside, run, works

pytestmark = pytest.mark.viaduct

CALLS = 20  # of each caller
PROXY_T1_S = 0.06  # a little longer than that of the phones: it must not forget a call before they do
TIMERS = {"t1": "60ms", "t2": "480ms", "t4": "500ms"}
WORST_S = 20
BEHIND = ("alice", "bob")
NEVER = 1e-9
SEED = 3261
WAYS = ("ingress", "egress")
LOSSES = [0.05, 0.2, 0.5]


def hopeless(loss):
    """The probability that the timers cannot save a call: at most that of its three handshakes together."""
    in_vain = 1 - (1 - loss) ** 2
    return min(1, in_vain**INVITE_COPIES + 2 * in_vain**OTHER_COPIES)


def accepted(loss, calls):
    """So many of the calls may fail: more happen less than once in a thousand million runs."""
    p = hopeless(loss)
    share = [math.comb(calls, k) * p**k * (1 - p) ** (calls - k) for k in range(calls + 1)]
    return next(k for k in range(calls + 1) if sum(share[k + 1 :]) < NEVER)


def test_the_bound_is_tight_where_the_loss_is_small():
    assert [accepted(loss, 2 * CALLS) for loss in (0, *LOSSES)] == [0, 1, 4, 26]


@pytest.fixture
def phones(start_proxy, ports):
    """phones(address, link) runs a proxy at that address: alice and bob are at the bad end of the link, carol and dave beside the proxy."""
    made = []

    def make(host="127.0.0.1", link=None):
        listeners = [proxies.Listener("udp", host, ports.take())]
        options = {"register_auth": False, "call_auth": False, "trusted": ("127.0.0.0/8", "10.0.0.0/8")}
        proxy = start_proxy(listeners=listeners, extra={"timers": TIMERS}, **options)
        for user in ("alice", "bob", "carol", "dave"):
            far = link and user in BEHIND
            with inside(link.namespace) if far else contextlib.nullcontext():
                made.append(Line(proxy, user, host=link.there if far else host, listen_tcp=False))
        return made

    yield make
    for line in made:
        line.close()
        if line.hop:
            line.hop.close()


def register(lines):
    for line in lines:
        assert line.register().status == 200


def call_all(lines, name):
    """Alice calls dave, and carol bob; some calls are refused, the others ended by either side."""
    alice, bob, carol, dave = lines
    town = Town(*lines)
    for i in range(CALLS):
        for caller, callee in ((alice, dave), (carol, bob)):
            kinds = {"refuse": i % 3 == 2, "callee_hangs_up": i % 2 == 1}
            town.call(f"{name}-{i}-{caller.user}@e2e.invalid", caller, callee, **kinds)
    town.run(WORST_S)
    return list(town.calls.values())


def in_vain(sent, answers, copies, sender_is_proxy):
    """All copies were sent and no answer came. The proxy's clock is not ours: an answer to its very last copy is not held against it."""
    if len(sent) < copies:
        return False
    deadline = sent[0][0] + (63 * PROXY_T1_S if sender_is_proxy else math.inf)
    return not any(passed for when, passed in answers if when < deadline)


def is_hopeless(call):
    """Whether the hop lost all copies of what was still to come."""
    far = call.caller if call.caller.hop else call.callee
    away, back = ("up", "down") if far is call.caller else ("down", "up")

    def copies(direction, *kinds):
        return far.hop.copies(call.call_id, direction, *kinds)

    finals = copies(back, "200 INVITE", "486 INVITE")
    if call.status not in (200, 486):
        if len(finals) >= OTHER_COPIES and not any(passed for _, passed in finals):
            return True
        sent = copies(away, "INVITE")
        return in_vain(sent, copies(back, "* INVITE"), INVITE_COPIES, away == "down")
    if not call.confirmed:
        acks = copies(away, "ACK")
        got = sum(passed for _, passed in finals) if away == "up" else len(acks)
        return len(finals) >= OTHER_COPIES and len(acks) == got and not any(passed for _, passed in acks)
    away, back = ("up", "down") if far is call.hangs_up else ("down", "up")
    return in_vain(copies(away, "BYE"), copies(back, "* BYE"), OTHER_COPIES, away == "down")


@pytest.mark.parametrize("loss", LOSSES)
def test_a_call_is_lost_only_when_every_copy_of_a_message_is(phones, loss):
    lines = phones()
    for line in lines:
        if line.user in BEHIND:
            line.stand_behind(loss, SEED)
    register(lines)
    calls = call_all(lines, f"loss-{loss}")
    failed = [call for call in calls if not call.good]
    assert not [(call, story(call)) for call in failed if not is_hopeless(call)]
    assert len(failed) <= accepted(loss, len(calls)), failed


def story(call):
    """What the hop saw of a call."""
    records = (call.caller.hop or call.callee.hop).records
    return {key[1:]: copies for key, copies in records.items() if key[0] == call.call_id}


def lose(link, loss):
    """Loses that share of the datagrams of the link either way: by netem, and where the kernel has none, by nftables."""
    netem = ("qdisc", "add", "dev", "{}", "root", "netem", "loss", f"{100 * loss:g}%")
    if works("tc", "-n", link.namespace, *(part.format("eth") for part in netem)):
        run("tc", *(part.format(link.device) for part in netem))
        return
    chance = f"ip protocol udp numgen random mod 1000 < {1000 * loss:g} drop"
    chains = [
        f"add chain netdev lossy {way} {{ type filter hook {way} device eth priority 0; }}; add rule netdev lossy {way} {chance}"
        for way in WAYS
    ]
    if not works("ip", "netns", "exec", link.namespace, "nft", "; ".join(("add table netdev lossy", *chains))):
        pytest.skip("NOT TESTED: this kernel can lose datagrams neither by netem nor by nftables")


@pytest.mark.tools("ip", "tc", "nft")
@pytest.mark.parametrize("loss", LOSSES)
def test_a_link_that_loses_datagrams_in_the_kernel_costs_no_more_calls_than_chance_allows(phones, loss):
    net = free_network(89)
    with Link("loss", net + "1", net + "2") as link:
        lines = phones(link.here, link)
        register(lines)
        lose(link, loss)
        calls = call_all(lines, f"link-{loss}")
        failed = [call for call in calls if not call.good]
        assert len(failed) <= accepted(loss, len(calls)), failed
        assert sum(call.good for call in calls) > 0
