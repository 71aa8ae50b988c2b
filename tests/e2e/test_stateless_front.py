"""A stateless front before several proxies (RFC 3261 section 16.11): the configuration that README.md shows.

"a stateless proxy must choose the same target for each retransmission": by what stands in the request, under any number of
workers, and after a restart.
"""

import pytest
from harness.env import poll
from harness.proxy import Listener

pytestmark = pytest.mark.viaduct

CALLS = 40
METHODS = ("INVITE", "INVITE", "ACK", "BYE")
CALLER = "<sip:caller@elsewhere.test>;tag=1"


@pytest.fixture
def front(start_proxy, phone, ports):
    members = [ports.take() for _ in range(3)]
    proxy = start_proxy(
        listeners=[Listener("udp", "127.0.0.1", ports.take(), {"mode": "stateless", "name": "front"})],
        workers=2,
        extra={
            "groups": [
                {
                    "name": "proxies",
                    "algorithm": "call_id",
                    "members": [{"uri": f"sip:127.0.0.1:{port}"} for port in members],
                }
            ],
            "routes": [{"name": "all", "match": {"listener": ["front"]}, "group": "proxies", "auth": "none"}],
        },
    )
    gateways = [phone(proxy, f"gateway{port}", port=port, domain="inside.test") for port in members]
    return proxy, gateways, phone(proxy, "caller", domain="elsewhere.test")


def send_calls(caller, call_ids, gateways):
    """Each INVITE twice, as if the network had lost an answer. A few at a time: a socket's buffer is not large."""
    before = all_copies(gateways)
    for n, call_id in enumerate(call_ids):
        if n % 10 == 0:
            wait_for_copies(gateways, before + n * len(METHODS))
        for method in METHODS:
            branch = f"z9hG4bK{call_id}{'INVITE' if method == 'ACK' else method}"
            caller.send(
                caller.request(method, "sip:bob@front.test", from_=CALLER, call_id=call_id, branch=branch)
            )


def all_copies(gateways):
    return sum(gateway.copies_of(message) for gateway in gateways for message in gateway.inbox)


def wait_for_copies(gateways, expected):
    def are_there():
        for gateway in gateways:
            gateway.pump(0.02)
        return all_copies(gateways) >= expected

    poll(are_there, 10, every=0)


def arrivals(gateways, expected):
    """{(call, method): {(number of the gateway, branch, how often)}}, once so many messages have come in."""
    wait_for_copies(gateways, expected)
    found = {}
    for number, gateway in enumerate(gateways):
        for message in gateway.inbox:
            place = (number, message.branch, gateway.copies_of(message))
            found.setdefault((message.call_id, message.method), set()).add(place)
    return found


def test_16_11_all_requests_of_a_call_go_to_one_member_also_after_a_restart(front):
    proxy, gateways, caller = front
    call_ids = [f"call{i}" for i in range(CALLS)]
    send_calls(caller, call_ids, gateways)
    before = arrivals(gateways, CALLS * len(METHODS))
    for call_id in call_ids:
        ((place, branch, copies),) = before[call_id, "INVITE"]
        assert copies == 2, call_id
        assert before[call_id, "ACK"] == {(place, branch, 1)}
        assert {number for number, _, _ in before[call_id, "BYE"]} == {place}
    assert {number for found in before.values() for number, _, _ in found} == {0, 1, 2}

    proxy.stop()
    proxy.start()
    send_calls(caller, call_ids, gateways)
    after = arrivals(gateways, 2 * CALLS * len(METHODS))
    assert after == {key: {(n, b, 2 * c) for n, b, c in found} for key, found in before.items()}
