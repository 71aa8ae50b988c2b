"""Sockets and connections over the wire: which one a message leaves by, and how long one is kept; RFC 3261 section 18,
RFC 3581; and the timers of registrations."""

import time

import pytest

from harness import sip
from harness.env import poll
from harness.phone import bindings
from harness.wire import QUIET, ask, route

pytestmark = pytest.mark.viaduct
HOSTS = ["127.0.0.1", "::1"]


def port_of(message):
    return message.source[1][:2]


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("side", ["stateful", "stateless"])
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_rfc3581_4_a_response_comes_from_where_its_request_went(bench, host, side, method):
    view = getattr(bench.site, side)
    callee = bench.phone(bench.user(), host=host)
    callee.register()
    caller = bench.phone(side=view, host=host)
    request = caller.send(caller.request(method, callee.aor))
    arrived = callee.expect(method)
    callee.reply(arrived, 486)
    assert port_of(caller.expect(486)) == (host, view.port)
    assert request.call_id == arrived.call_id


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("side", ["stateful", "stateless"])
def test_18_1_1_a_request_leaves_by_the_listener_that_its_via_names(bench, host, side):
    view = getattr(bench.site, side)
    callee = bench.phone(bench.user(), host=host)
    callee.register()
    caller = bench.phone(side=view, host=host)
    caller.send(caller.request("MESSAGE", callee.aor))
    arrived = callee.expect("MESSAGE")
    assert port_of(arrived) == (host, view.port)
    assert arrived["Via"].startswith(f"SIP/2.0/UDP {view.hostport(host)};")


@pytest.mark.parametrize("method", ["MESSAGE", "INVITE"])
def test_18_1_1_one_connection_carries_all_requests_to_one_place(bench, method):
    caller, callee = bench.pair({}, {"transport": "tcp"})
    streams = set()
    for _ in range(5):
        request = caller.send(caller.request(method, callee.aor))
        arrived = callee.expect(method)
        streams.add(id(arrived.source[1]))
        callee.reply(arrived, 486)
        assert caller.final(request).status == 486
    assert len(streams) <= 2  # of two workers each may have one


def test_18_a_connection_that_the_callee_closed_is_made_again(bench):
    caller, callee = bench.pair({}, {"transport": "tcp"})
    for _ in range(3):
        request = caller.send(caller.request("MESSAGE", callee.aor))
        arrived = callee.expect("MESSAGE")
        callee.reply(arrived, 200)
        assert caller.final(request).status == 200
        arrived.source[1].close()
        bench.proxy.catch_up()  # what is sent before the proxy has seen the end may be lost


@pytest.mark.parametrize("host", HOSTS)
def test_18_2_1_the_same_address_spelled_otherwise_needs_no_received(bench, host):
    caller = bench.phone(host=host)
    spelled = {"127.0.0.1": "127.0.0.1", "::1": "[0:0:0:0:0:0:0:1]"}[host]
    via = f"SIP/2.0/UDP {spelled}:{caller.port};branch={sip.new_branch()}"
    caller.send(caller.request("OPTIONS", f"sip:{bench.domain}", via=via))
    assert caller.expect(200)["Via"] == via


@pytest.mark.parametrize("via", ["SIP/2.0/UDP", "SIP/2.0/TLS", "SIP/2.0/SCTP", "SIP/2.0/XYZ"])
def test_18_2_2_what_came_by_a_stream_is_answered_there_whatever_its_via_calls_it(bench, via):
    caller = bench.phone(transport="tcp")
    line = f"{via} {caller.hostport};branch={sip.new_branch()};rport"
    caller.send(caller.request("OPTIONS", f"sip:{bench.domain}", via=line))
    response = caller.expect(lambda m: m.status)
    assert response.status in (200, 400)


@pytest.mark.parametrize("count", [30])
def test_18_many_connections_each_get_their_own_answers(bench, count):
    phones = [bench.phone(transport="tcp", listen_tcp=False) for _ in range(count)]
    requests = [phone.send(phone.request("OPTIONS", f"sip:{bench.domain}")) for phone in phones]
    for phone, request in zip(phones, requests):
        response = phone.final(request)
        assert response.status == 200 and response.call_id == request.call_id


def test_18_a_half_closed_connection_still_gets_its_answer(bench):
    import socket

    caller = bench.phone(transport="tcp")
    request = caller.request("OPTIONS", f"sip:{bench.domain}")
    caller.stream().send(request.octets())
    caller.stream().sock.shutdown(socket.SHUT_WR)
    assert caller.final(request).status == 200


@pytest.mark.parametrize("size", [1299, 1300, 1301, 1400])
def test_18_1_1_near_the_mtu_nothing_is_lost(bench, size):
    """Wherever the border is, a callee with UDP and TCP gets the request once, and its Via tells how."""
    caller, callee = bench.pair()
    request = caller.send(caller.request("MESSAGE", callee.aor, body=b"x" * size))
    arrived = callee.expect("MESSAGE")
    assert arrived["Via"].startswith(f"SIP/2.0/{arrived.source[0].upper()} ")
    callee.reply(arrived, 200)
    assert caller.final(request).status == 200
    callee.expect_nothing(0.05)


def test_18_1_1_the_cancel_of_a_large_invite_follows_it_over_tcp(bench):
    caller, callee = bench.pair({"transport": "tcp"})
    invite = caller.send(caller.request("INVITE", callee.aor, body=b"x" * 3000))
    arrived = callee.expect("INVITE")
    assert arrived.source[0] == "tcp"
    callee.reply(arrived, 180)
    caller.expect(180)
    assert caller.ask(caller.cancel_of(invite)).status == 200
    cancel = callee.expect("CANCEL")
    assert cancel.source[0] == "tcp" and cancel.all("Via") == arrived.all("Via")[:1]
    callee.reply(cancel, 200), callee.reply(arrived, 487)
    assert callee.expect("ACK").source[0] == "tcp"
    assert caller.final(invite).status == 487


def test_18_1_1_a_large_invite_to_a_callee_without_tcp_comes_by_udp(bench):
    caller = bench.phone(transport="tcp")
    callee = bench.phone(bench.user(), listen_tcp=False)
    callee.register()
    invite = caller.send(caller.request("INVITE", callee.aor, body=b"x" * 3000))
    arrived = callee.expect("INVITE")
    assert arrived.source[0] == "udp" and arrived["Via"].startswith("SIP/2.0/UDP ")
    callee.reply(arrived, 486)
    assert callee.expect("ACK").branch == arrived.branch
    assert caller.final(invite).status == 486


# Registrations in time.
@pytest.mark.parametrize("value", ["-1", "99999999999999999999", "1e3", "1.5", '"60"', ""])
def test_10_2_1_1_odd_expirations_do_no_harm(bench, value):
    user = bench.phone(bench.user())
    response = ask(user, user.register_request(f"<{user.contact}>;expires={value}"))
    assert response.status in (200, 400, 423)
    for params in bindings(response).values():
        assert 0 < int(params["expires"]) <= 86400


@pytest.mark.parametrize("q", ["1.5", "abc", "-1", "", "0.1234", "1.0000"])
def test_20_10_odd_q_values_do_no_harm(bench, q):
    user, caller = bench.phone(bench.user()), bench.phone()
    response = ask(user, user.register_request(f"<{user.contact}>;q={q}"))
    assert response.status in (200, 400)
    if response.status == 200:
        caller.send(caller.request("MESSAGE", user.aor))
        assert user.expect("MESSAGE")


def test_10_3_8_expires_counts_down(bench):
    user = bench.phone(bench.user())
    user.register(f"<{user.contact}>;expires=100")
    time.sleep(1.1)
    (params,) = user.fetch().values()
    assert 60 <= int(params["expires"]) <= 99


def test_10_a_binding_ends_with_its_time(quick):
    user, caller = quick.phone(quick.user(known=True)), quick.phone()
    assert user.register(f"<{user.contact}>;expires=1").status == 200
    assert poll(lambda: user.fetch() == {}, 4)
    assert ask(caller, caller.request("MESSAGE", user.aor)).status == 480


def test_16_4_routes_of_another_port_of_ours_are_ours(bench):
    caller, callee = bench.pair()
    routes = [
        route(bench.site.stateless.hostport()),
        route(bench.side.hostport("::1")),
        route(bench.side.hostport()),
    ]
    caller.send(caller.request("MESSAGE", callee.aor, routes=routes))
    assert not callee.expect("MESSAGE").lines("Route")
    callee.expect_nothing(QUIET)
