"""The same rules under other settings: an advertised address, no Record-Route, other numbers of workers, no Server."""

import pytest

from harness import proxy as proxies
from harness import sip
from harness.phone import call, cancel, hang_up, ring
from harness.wire import ask, route

pytestmark = pytest.mark.viaduct
OPEN = {
    "register_auth": False,
    "call_auth": False,
    "trusted": ("127.0.0.0/8", "::1/128"),
    "users": ("alice", "bob"),
}


@pytest.fixture
def opened(start_proxy, phone):
    """opened(**options) is a caller, and a callee who is registered, at a proxy that asks nobody for credentials."""

    def make(transports=("udp", "udp"), **options):
        proxy = start_proxy(**OPEN, **options)
        caller = phone(proxy, "alice", transport=transports[0])
        callee = phone(proxy, "bob", transport=transports[1])
        assert callee.register().status == 200
        return proxy, caller, callee

    return make


@pytest.fixture
def advertised(opened, ports):
    def make(name, **kinds):
        port = ports.take()
        listeners = [proxies.Listener(t, "127.0.0.1", port, {"advertise": name}) for t in ("udp", "tcp")]
        return opened(listeners=listeners, **kinds)

    return make


@pytest.mark.parametrize(
    "name", ["proxy.example.net", "proxy.example.net:5099", "198.51.100.7:5099", "[2001:db8::7]:5099"]
)
def test_18_1_1_what_is_advertised_stands_in_via_and_record_route_and_is_recognized(advertised, name):
    proxy, caller, callee = advertised(name)
    name = name if name[-1].isdigit() else f"{name}:{proxy.port}"
    caller.send(caller.request("INVITE", callee.aor, routes=[route(name)]))
    arrived = callee.expect("INVITE")
    assert arrived["Via"].startswith(f"SIP/2.0/UDP {name};") and not arrived.lines("Route")
    assert f"@{name};" in arrived["Record-Route"] or f":{name};" in arrived["Record-Route"]
    callee.reply(arrived, 486)
    assert caller.expect(486)
    near, far = call(caller, callee, challenged=False)
    hang_up(far, near)
    # Its address is still its own.
    caller.send(caller.request("MESSAGE", callee.aor, routes=[route(proxy.hostport)]))
    assert not callee.expect("MESSAGE").lines("Route")


def test_rfc5658_two_advertised_record_routes(advertised):
    _, caller, callee = advertised("proxy.example.net:5099", transports=("udp", "tcp"))
    near, far = call(caller, callee, challenged=False)
    assert len(near.routes) == 2 and all("proxy.example.net:5099" in value for value in near.routes)
    hang_up(near, far)


def test_16_6_4_without_record_route_the_dialog_goes_past_the_proxy(opened):
    _, caller, callee = opened(extra={"proxy": {"record_route": False}})
    invite, arrived = ring(caller, callee, challenged=False)
    assert not arrived.lines("Record-Route")
    cancel(caller, callee, invite, arrived)


@pytest.mark.parametrize("workers", [1, 2, 4, 7])
def test_any_number_of_workers_serves_calls_of_many_phones(opened, phone, workers):
    proxy, caller, callee = opened(workers=workers)
    callers = [caller, *(phone(proxy, "alice", transport=t) for t in ("udp", "tcp") * 4)]
    for one in callers:
        near, far = call(one, callee, challenged=False)
        near.phone.send(near.request("MESSAGE"))
        callee.reply(callee.expect("MESSAGE"), 200)
        hang_up(far, near)
        cancel(one, callee, *ring(one, callee, challenged=False))


@pytest.mark.parametrize("workers", [1, 4])
def test_forks_and_retransmissions_find_their_worker(opened, phone, workers):
    proxy, caller, callee = opened(workers=workers)
    callee.register(*(f"<sip:b{i}@{callee.hostport}>" for i in range(5)), f"<{callee.contact}>;expires=0")
    for _ in range(5):
        invite = caller.send(caller.request("INVITE", callee.aor))
        arrived = [callee.expect("INVITE") for _ in range(5)]
        others = [phone(proxy, "anonymous") for _ in range(3)]
        for other in others:  # the same request by other sockets
            other.send(invite)
        for each in arrived:
            other = others[0]
            other.udp.sendto(sip.response_to(each, 486, to_tag="t").octets(), each.source[1])
        assert caller.final(invite).status == 486
        callee.expect_nothing(0.05, "INVITE")


@pytest.mark.parametrize("name", ["", "Another/1.0"])
def test_20_35_the_server_header(opened, name):
    proxy, caller, _ = opened(extra={"proxy": {"server_name": name}})
    response = ask(caller, caller.request("OPTIONS", f"sip:{proxy.domain}"))
    assert response.status == 200 and response.lines("Server") == ([name] if name else [])
