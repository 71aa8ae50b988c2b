"""SIP over WebSocket: RFC 7118, RFC 6455. The phones are the tests' own; real browsers are test_browser.py's."""

import time

import pytest

from harness import proxy as proxies
from harness import sip
from harness.env import patience, poll, slow_ms
from harness.phone import Phone, answer, call, cancel, hang_up, ring
from harness.ports import Ports
from harness.proxy import Listener, loopback_listeners
from harness.websocket import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Refused, WebPhone, certificate, frame, route_uris

pytestmark = pytest.mark.viaduct

KINDS = ["ws", "wss"]


def web_options(ports, folder, limits=None, **websocket):
    extra = {"websocket": websocket, "tls": certificate(folder), "limits": limits}
    listeners = loopback_listeners(ports) + [Listener(transport, "127.0.0.1", ports.take()) for transport in KINDS]
    return {"listeners": listeners, "extra": {key: value for key, value in extra.items() if value}}


@pytest.fixture
def web_proxy(start_proxy, ports, folder):
    """web_proxy(**settings of websocket:) also listens with ws and wss."""
    return lambda **settings: start_proxy(**web_options(ports, folder, **settings))


@pytest.fixture(scope="module")
def choosy_proxy(module_folder):
    """One proxy for all that it is to refuse."""
    held = Ports()
    made = proxies.make(proxies.Options(**web_options(held, module_folder, path="/sip")), module_folder).set_up().start()
    yield made
    made.stop()
    held.close()


@pytest.fixture
def web_phone():
    made = []

    def make(*args, **kinds):
        made.append(WebPhone(*args, **kinds))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def page_and_phone(web_proxy, web_phone, phone, transport):
    """alice in a browser, bob with a telephone; both are registered."""
    proxy = web_proxy()
    alice, bob = web_phone(proxy, "alice", transport=transport), phone(proxy, "bob")
    alice.register(), bob.register()
    return alice, bob


# Section 5: the transport, and calls by it.


@pytest.mark.parametrize("transport", KINDS)
@pytest.mark.parametrize("kind", [TEXT, BINARY])
def test_7118_4_2_text_and_binary_are_accepted_and_answered_in_kind(web_proxy, web_phone, transport, kind):
    alice = web_phone(web_proxy(), "alice", transport=transport, kind=kind)
    ok = alice.register()
    assert ok.status == 200
    assert list(alice.fetch()) == [alice.contact]
    assert {opcode for opcode, _ in alice.stream().frames} == {kind}


@pytest.mark.parametrize("transport", KINDS)
def test_7118_5_1_the_via_names_the_transport_both_ways(page_and_phone, transport):
    alice, bob = page_and_phone
    _, arrived = ring(bob, alice)
    assert arrived.lines("Via")[0].startswith(f"SIP/2.0/{transport.upper()} 127.0.0.1:{alice.proxy_address()[1]};")
    _, arrived = ring(alice, bob)
    assert arrived.all("Via")[0].startswith("SIP/2.0/UDP ")
    assert arrived.all("Via")[1].startswith(f"SIP/2.0/{transport.upper()} {alice.name};")


@pytest.mark.parametrize("transport", KINDS)
def test_7118_5_a_page_calls_a_phone_and_either_hangs_up(page_and_phone):
    alice, bob = page_and_phone
    near, far = call(alice, bob)
    hang_up(near, far)
    near, far = call(alice, bob)
    hang_up(far, near)


@pytest.mark.parametrize("transport", KINDS)
def test_7118_5_a_phone_calls_a_page_and_either_hangs_up(page_and_phone):
    alice, bob = page_and_phone
    near, far = call(bob, alice)
    hang_up(near, far)
    near, far = call(bob, alice)
    hang_up(far, near)


def test_7118_5_pages_call_each_other_over_both_kinds(web_proxy, web_phone):
    proxy = web_proxy()
    alice, bob = (web_phone(proxy, user, transport=kind) for user, kind in (("alice", KINDS[0]), ("bob", KINDS[-1])))
    alice.register(), bob.register()
    near, far = call(alice, bob)
    hang_up(far, near)


@pytest.mark.parametrize("transport", KINDS)
def test_5658_the_route_names_each_side_and_the_browser_side_by_transport_ws(page_and_phone):
    alice, bob = page_and_phone
    _, arrived = ring(alice, bob)
    far, near = route_uris(arrived)
    assert far[0] == near[0] == "sip"
    assert "transport=ws" in near[3] and "transport=ws" not in far[3]
    assert near[2].endswith(f":{alice.proxy_address()[1]}")


def test_7118_5_requests_within_a_call_go_both_ways(web_proxy, web_phone, phone):
    proxy = web_proxy()
    alice, bob = web_phone(proxy, "alice"), phone(proxy, "bob", transport="tcp")
    alice.register(), bob.register()
    near, far = call(alice, bob)
    for one, other in ((near, far), (far, near)):
        info = one.request("INFO")
        one.phone.send(info)
        other.phone.reply(other.phone.expect("INFO"), 200)
        assert one.phone.final(info).status == 200
        again = one.request("INVITE")
        one.phone.send(again)
        arrived = other.phone.expect("INVITE")
        other.phone.reply(arrived, 200, contact=True)
        one.phone.expect(200, branch=again.branch)
        one.invite_cseq = again.cseq[0]
        one.phone.send(one.request("ACK"))
        other.phone.expect("ACK")
    hang_up(near, far)


def test_7118_5_a_call_to_a_page_is_refused_and_cancelled(web_proxy, web_phone, phone):
    proxy = web_proxy()
    alice, bob = web_phone(proxy, "alice"), phone(proxy, "bob")
    alice.register(), bob.register()
    cancel(bob, alice, *ring(bob, alice))
    cancel(alice, bob, *ring(alice, bob))


def test_7118_5_no_content_length_is_needed_and_one_is_added_for_tcp(web_proxy, web_phone, phone):
    proxy = web_proxy()
    alice, bob = web_phone(proxy, "alice"), phone(proxy, "bob", transport="tcp")
    alice.register(), bob.register()
    body = b"v=0\r\n"
    invite = alice.invite(bob.aor, body=body)
    head = [f"{name}: {value}" for name, value in alice.again(invite).headers]
    bob.reply(bob.expect("INVITE"), 486)
    alice.final(invite)
    challenge = alice.ask(alice.request("MESSAGE", bob.aor))
    message = alice.authorize(alice.request("MESSAGE", bob.aor, body=body), challenge)
    head = "\r\n".join([message.start, *(f"{name}: {value}" for name, value in message.headers)])
    alice.send(head.encode() + b"\r\n\r\n" + body)
    arrived = bob.expect("MESSAGE")
    assert arrived.body == body and arrived["Content-Length"] == str(len(body))
    bob.reply(arrived, 200)
    assert alice.final(message).status == 200


def test_7118_5_what_follows_the_body_in_a_message_is_no_second_message(web_proxy, web_phone):
    alice = web_phone(web_proxy(), "alice")
    first, second = (alice.request("OPTIONS", f"sip:{alice.domain}") for _ in range(2))
    alice.send(first.octets() + second.octets())
    assert alice.final(first).status == 200
    alice.expect_nothing(0.3)


def test_7118_4_2_what_is_not_utf8_reaches_a_page_as_binary(web_proxy, web_phone, phone):
    proxy = web_proxy()
    alice, bob = web_phone(proxy, "alice"), phone(proxy, "bob")
    alice.register(), bob.register()
    invite = bob.invite(alice.aor, body=b"\xe4\xff")
    assert alice.expect("INVITE").body == b"\xe4\xff"
    assert alice.stream().frames[-1][0] == BINARY
    assert alice.stream().frames[0][0] == TEXT
    bob.ask(bob.cancel_of(invite))


def test_6455_5_4_a_request_may_come_in_fragments_with_a_ping_between(web_proxy, web_phone):
    alice = web_phone(web_proxy(), "alice")
    request = alice.request("OPTIONS", f"sip:{alice.domain}")
    octets, stream = request.octets(), alice.stream()
    stream.send_frame(TEXT, octets[:10], fin=False)
    stream.send_frame(PING, b"still here?")
    stream.send_frame(CONTINUATION, octets[10:100], fin=False)
    stream.send_frame(CONTINUATION, octets[100:])
    assert alice.final(request).status == 200
    assert (PONG, b"still here?") in stream.frames


def test_6455_5_each_octet_by_itself_is_a_request_too(web_proxy, web_phone):
    alice = web_phone(web_proxy(), "alice")
    request = alice.request("OPTIONS", f"sip:{alice.domain}")
    stream = alice.stream()
    for octet in frame(TEXT, request.octets()):
        stream.sock.sendall(bytes([octet]))
    assert alice.final(request).status == 200


def test_5626_3_5_1_a_double_crlf_is_answered_with_one(web_proxy, web_phone):
    alice = web_phone(web_proxy(), "alice")
    alice.stream().send(b"\r\n\r\n")
    assert poll(lambda: alice.pump(0.1) or alice.stream().frames, 5)
    assert alice.stream().frames == [(TEXT, b"\r\n")]


# .invalid, and connections that are gone.


def test_7118_b_1_a_call_to_a_host_that_does_not_exist_is_not_looked_up(web_proxy, web_phone):
    alice = web_phone(web_proxy(), "alice")
    alice.register()
    start = time.monotonic()
    invite = alice.invite("sip:x@0123456789ab.invalid;transport=ws")
    assert alice.final(invite).status >= 400
    assert time.monotonic() - start < patience(1)


def test_7118_5_a_page_that_was_closed_cannot_be_called_and_one_that_came_back_can(web_proxy, web_phone, phone):
    proxy = web_proxy()
    bob, gone, back = phone(proxy, "bob"), web_phone(proxy, "alice"), web_phone(proxy, "alice")
    instance = ';+sip.instance="<urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>";reg-id=1'
    bob.register()
    assert gone.register(f"<{gone.contact}>{instance}").status == 200
    gone.stream().reset()
    start = time.monotonic()
    assert bob.final(bob.invite(gone.aor)).status in (430, 480, 500, 503)
    assert time.monotonic() - start < patience(3)
    assert back.register(f"<{back.contact}>{instance}").status == 200
    near, far = call(bob, back)
    hang_up(near, far)


def test_18_2_2_the_answer_to_a_page_that_is_gone_is_not_sent_elsewhere(web_proxy, web_phone, phone):
    proxy = web_proxy()
    alice, bob = web_phone(proxy, "alice"), phone(proxy, "bob")
    alice.register(), bob.register()
    _, arrived = ring(alice, bob)
    alice.stream().reset()
    bob.reply(arrived, 486)
    bob.expect("ACK")
    assert proxy.alive()


# Idle pages.


def test_7118_6_a_page_that_says_nothing_is_pinged_and_lives_on(web_proxy, web_phone, phone):
    proxy = web_proxy(ping_interval="300ms", ping_timeout=slow_ms(400))
    alice, bob = web_phone(proxy, "alice"), phone(proxy, "bob")
    alice.register(), bob.register()
    assert poll(lambda: alice.pump(0.1) or alice.stream().count(PING) >= 3, 5)
    alice.expect_nothing(0.3)
    hang_up(*call(bob, alice))


def test_7118_6_a_page_that_does_not_answer_a_ping_is_gone(web_proxy, web_phone):
    alice = web_phone(web_proxy(ping_interval="300ms", ping_timeout="300ms"), "alice")
    alice.stream().answers_pings = False
    alice.expect_end()
    assert alice._outgoing.count(PING) == 1


# Limits.


def test_6455_7_4_1_a_message_over_the_limit_ends_it_with_1009(web_proxy, web_phone):
    alice = web_phone(web_proxy(), "alice")
    request = alice.request("OPTIONS", f"sip:{alice.domain}", body=b"x" * 65536)
    alice.send(request)
    alice.expect_end()
    assert alice._outgoing.close_code == 1009


@pytest.mark.parametrize(
    "octets, code",
    [
        (frame(TEXT, b"x", masked=False), 1002),
        (frame(TEXT, b"x", bits=0x40), 1002),
        (frame(3, b"x"), 1002),
        (frame(TEXT, b"\xff"), 1007),
        (frame(CLOSE, (1000).to_bytes(2, "big")), 1000),
        (frame(CLOSE), 1005),
    ],
    ids=["unmasked", "rsv1", "opcode-3", "no-utf-8", "close", "close-without-code"],
)
def test_6455_7_a_broken_rule_ends_it_with_its_code(web_proxy, web_phone, octets, code):
    alice = web_phone(web_proxy(), "alice")
    alice.stream().sock.sendall(octets)
    alice.expect_end()
    assert alice._outgoing.close_code == code


def test_6455_octets_that_are_no_sip_are_dropped_and_the_page_lives_on(web_proxy, web_phone):
    alice = web_phone(web_proxy(), "alice")
    alice.stream().send(b"no SIP at all")
    alice.stream().send_frame(BINARY, b"\0\1\2")
    alice.stream().send_frame(TEXT, b"")
    assert alice.ask(alice.request("OPTIONS", f"sip:{alice.domain}")).status == 200


def test_a_page_that_does_not_read_is_cut_off_and_nobody_waits_for_it(web_proxy, web_phone, phone):
    proxy = web_proxy(limits={"output_queue": "64k"}, ping_interval="0s")
    alice, bob = web_phone(proxy, "alice"), phone(proxy, "bob", transport="tcp")
    alice.register(), bob.register()
    lazy, closed = alice.stream(), False
    challenge = bob.ask(bob.request("MESSAGE", alice.aor))
    for count in range(1, 600):
        message = bob.request("MESSAGE", alice.aor, body=b"x" * 60000)
        bob.send(bob.authorize(message, challenge, nc=count))
        bob.pump(0)
        closed = "peer does not read" in proxy.log()
        if closed:
            break
    assert closed
    assert phone(proxy, "carol").register().status == 200
    lazy.close()


# The opening handshake.


@pytest.mark.parametrize("transport", KINDS)
@pytest.mark.parametrize(
    "request_, status",
    [
        ({"protocol": None}, 400),
        ({"protocol": "chat"}, 400),
        ({"method": "POST"}, 405),
        ({"version": "HTTP/1.0"}, 505),
        ({"path": "/other"}, 404),
        ({"fields": {"Host": None}}, 400),
        ({"fields": {"Upgrade": None}}, 426),
        ({"fields": {"Connection": "close"}}, 400),
        ({"fields": {"Sec-WebSocket-Key": "short"}}, 400),
        ({"fields": {"Sec-WebSocket-Version": "8"}}, 426),
        ({"fields": {"Padding": "x" * 9000}}, 431),
    ],
    ids=lambda value: "" if isinstance(value, int) else "-".join(map(str, value)),
)
def test_6455_4_2_1_a_bad_handshake_is_refused_and_closed(choosy_proxy, web_phone, transport, request_, status):
    alice = web_phone(choosy_proxy, "alice", transport=transport, path="/sip")
    with pytest.raises(Refused) as refused:
        alice.connect(**request_)
    assert refused.value.status == status
    assert refused.value.fields["connection"] == "close" or status == 426
    if status == 426:
        assert refused.value.fields["sec-websocket-version"] == "13"
    assert alice.connect().answer.status == 101


def test_6455_10_2_pages_of_the_domain_may_connect_and_those_of_strangers_not(web_proxy, web_phone):
    proxy = web_proxy()
    alice = web_phone(proxy, "alice")
    for origin in ("https://example.test", "http://example.test:8080", "https://www.example.test"):
        assert alice.connect(origin=origin).answer.status == 101
    for origin in ("https://evil.test", "https://example.test.evil.test", "https://notexample.test", "null"):
        with pytest.raises(Refused) as refused:
            alice.connect(origin=origin)
        assert refused.value.status == 403
    assert proxy.has_line("origin=https://evil.test")


def test_6455_10_2_the_list_of_origins_takes_the_place_of_the_domains(web_proxy, web_phone):
    alice = web_phone(web_proxy(origins=["https://phone.other.test:8443"]), "alice")
    assert alice.connect(origin="https://phone.other.test:8443").answer.status == 101
    assert alice.connect(origin=None).answer.status == 101
    with pytest.raises(Refused):
        alice.connect(origin="https://example.test")


def test_the_handshake_has_its_time(web_proxy, web_phone):
    alice = web_phone(web_proxy(limits={"connect_timeout": "500ms"}), "alice")
    start = time.monotonic()
    sock = alice.open_socket()
    sock.sendall(b"GET / HTTP/1.1\r\nHost: example.test\r\n")
    sock.settimeout(patience(5))
    assert sock.recv(10) == b""
    assert 0.4 < time.monotonic() - start < patience(3)
    sock.close()


# A user with a phone and a page.


def test_16_6_a_call_rings_at_the_page_and_at_the_phone(web_proxy, web_phone, phone):
    proxy = web_proxy()
    page, desk, caller = web_phone(proxy, "alice"), phone(proxy, "alice"), phone(proxy, "bob")
    page.register(), desk.register(), caller.register()
    invite = caller.invite(page.aor)
    at_page, at_desk = page.expect("INVITE"), desk.expect("INVITE")
    page.reply(at_page, 180), desk.reply(at_desk, 180)
    answer(caller, page, invite, at_page)
    cancelled = desk.expect("CANCEL")
    desk.reply(cancelled, 200), desk.reply(at_desk, 487)
    desk.expect("ACK")
    assert sip.uri_of(page.contact)
