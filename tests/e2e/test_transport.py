"""SIP over UDP and TCP: RFC 3261 section 18, RFC 3581, streams and their limits."""

import contextlib
import re
import socket
import time

import pytest

from harness import env, sip
from harness import proxy as proxies
from harness.env import patience, poll
from harness.phone import call, hang_up, refuse


def options(phone, **kinds):
    return phone.request("OPTIONS", f"sip:{phone.proxy.hostport}", **kinds)


# Where responses go.


def test_18_2_1_received_tells_the_source_when_sent_by_is_a_name(new_phone):
    phone = new_phone()
    branch = sip.new_branch()
    request = options(phone, via=f"SIP/2.0/UDP phone.invalid:{phone.port};branch={branch}")
    response = phone.ask(request)
    assert sip.params_of(response["Via"])["received"] == "127.0.0.1"


def test_rfc3581_with_rport_the_response_goes_to_the_source_port(new_phone):
    phone = new_phone()
    branch = sip.new_branch()
    response = phone.ask(options(phone, via=f"SIP/2.0/UDP 127.0.0.1:9;branch={branch};rport"))
    params = sip.params_of(response["Via"])
    assert (params["received"], params["rport"]) == ("127.0.0.1", str(phone.port))


def test_18_2_2_without_rport_the_response_goes_to_the_sent_by_port(new_phone):
    phone, other = new_phone(), new_phone()
    request = options(phone, via=f"SIP/2.0/UDP 127.0.0.1:{other.port};branch={sip.new_branch()}")
    phone.send(request)
    assert other.expect(200).branch == request.branch
    phone.expect_nothing(0.1)


def test_18_2_2_a_via_that_names_a_third_host_makes_no_reflector(new_phone, proxy, phone):
    sender, victim = new_phone(), phone(proxy, "victim", host="127.0.0.9")
    sender.send(options(sender, via=f"SIP/2.0/UDP 127.0.0.9:{victim.port};branch={sip.new_branch()};rport"))
    assert sip.params_of(sender.expect(200)["Via"])["received"] == "127.0.0.1"
    victim.expect_nothing(0.1)


def test_18_2_2_a_response_to_a_closed_connection_goes_to_the_sent_by_port_by_a_new_one(new_phone):
    caller, callee = new_phone(transport="tcp"), new_phone()
    callee.register()
    invite = caller.invite(callee.aor)
    arrived = callee.expect("INVITE")
    caller.stream().close()
    caller.proxy.catch_up()
    callee.reply(arrived, 486)
    refusal = caller.expect(486, branch=invite.branch)
    assert refusal.source[1] is not caller._outgoing
    refusal.source[1].send(caller.ack_of(invite, refusal).octets())


# Streams.


def test_18_3_two_messages_in_one_segment_are_two(new_phone):
    phone = new_phone(transport="tcp")
    one, two = options(phone), options(phone)
    phone.stream().send(one.octets() + two.octets())
    assert {phone.final(one).status, phone.final(two).status} == {200}


def test_18_3_a_message_may_come_octet_by_octet(new_phone):
    phone = new_phone(transport="tcp")
    request = options(phone, body=b"a body")
    phone.stream().sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for octet in request.octets():
        phone.stream().send(bytes([octet]))
    assert phone.final(request).status == 200


def test_18_3_the_body_ends_where_content_length_says_and_may_hold_anything(new_phone):
    phone = new_phone(transport="tcp")
    hidden = options(phone)
    outer, after = options(phone, body=hidden.octets() * 2), options(phone)
    phone.stream().send(outer.octets() + b"\r\n\r\n" + after.octets())
    assert {phone.final(outer).status, phone.final(after).status} == {200}
    phone.expect_nothing(0.2)


def test_rfc5626_3_5_1_a_double_crlf_is_answered_by_a_single_one(new_phone):
    phone = new_phone(transport="tcp")
    phone.stream().send(b"\r\n\r\n")
    deadline = time.monotonic() + patience(3)
    while not phone.stream().reader.pongs and time.monotonic() < deadline:
        phone.pump(0.1)
    assert (phone.stream().reader.pongs, phone.stream().reader.rest) == (1, b"")
    request = options(phone)
    assert phone.ask(request).status == 200


def test_a_keep_alive_over_udp_is_swallowed(new_phone):
    phone = new_phone()
    for ping in (b"\r\n\r\n", b"\r\n", b"\0", b""):
        phone.send(ping)
    phone.expect_nothing(0.1)
    assert phone.ask(options(phone)).status == 200


BAD_LENGTHS = [
    "-1",
    "abc",
    "4294967296",
    "18446744073709551617",
    "9" * 26,
    "0x10",
    "1 0",
    "+3",
    "3\r\nl: 4",
    "",
]


def test_a_stream_whose_framing_is_lost_is_answered_and_closed(new_phone):
    phones = [new_phone(transport="tcp") for _ in BAD_LENGTHS]
    for phone, length in zip(phones, BAD_LENGTHS):
        bad = options(phone).octets().replace(b"Content-Length: 0", f"Content-Length: {length}".encode())
        phone.stream().send(bad + options(phone).octets())
    for phone, length in zip(phones, BAD_LENGTHS):
        assert phone.expect(lambda m: m.status).status in (400, 413, 513), length
    for phone in phones:
        phone.expect_end()
        phone.expect_nothing(0.05)  # what followed was not taken for a request


def test_20_14_a_request_without_content_length_on_a_stream_is_400(new_phone):
    phone = new_phone(transport="tcp")
    stream = phone.stream()
    stream.send(options(phone).octets().replace(b"Content-Length: 0\r\n", b""))
    assert phone.expect(lambda m: m.status).status == 400
    phone.expect_end(stream)


def test_rubbish_on_a_stream_closes_it_and_nothing_else(new_phone):
    phone, other = new_phone(transport="tcp"), new_phone(transport="tcp")
    assert other.ask(options(other)).status == 200
    stream = phone.stream()
    stream.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    phone.expect_end(stream)
    assert other.ask(options(other)).status == 200
    assert not other.stream().closed


def test_headers_without_end_do_not_fill_the_memory_and_end_the_connection(start_proxy, phone):
    proxy = start_proxy(extra={"limits": {"input_buffer": "32k", "message": "16k"}})
    flooder, other = phone(proxy, "flooder", transport="tcp"), phone(proxy, "other")
    before = proxy.rss_kb()
    sock = flooder.stream().sock
    sock.sendall(b"OPTIONS sip:x SIP/2.0\r\n")
    deadline = time.monotonic() + patience(8)
    with pytest.raises(OSError):
        while time.monotonic() < deadline:
            sock.sendall(b"X: " + b"a" * 16000 + b"\r\n")
    assert proxy.rss_kb() - before < 4096 or env.sanitized()
    assert other.ask(options(other)).status == 200


# Requests too large for a datagram.


LARGE = [1300, 60_000]


def filler(size):
    return b"v=0\r\n" + b"a=filler\r\n" * (size // 10)


def arrives_over(caller, callee, body=b""):
    """The transport by which an INVITE reaches the callee, unharmed."""
    invite = caller.invite(callee.aor, body=body)
    arrived = callee.expect("INVITE")
    assert arrived.body == invite.body
    assert arrived.all("Via")[0].startswith(f"SIP/2.0/{arrived.source[0].upper()} ")
    refuse(caller, callee, invite, arrived)
    return arrived.source[0]


@pytest.mark.parametrize("size", LARGE)
def test_18_1_1_a_large_request_goes_over_tcp(new_phone, size):
    caller, callee = new_phone(), new_phone()
    callee.register()
    assert arrives_over(caller, callee, filler(size)) == "tcp"


@pytest.mark.parametrize("size", LARGE)
def test_18_1_1_and_falls_back_to_udp_when_tcp_is_refused(new_phone, size):
    caller, callee = new_phone(), new_phone(listen_tcp=False)
    callee.register()
    assert arrives_over(caller, callee, filler(size)) == "udp"


def test_18_1_1_a_small_request_stays_on_udp(new_phone):
    caller, callee = new_phone(), new_phone()
    callee.register()
    assert arrives_over(caller, callee) == "udp"


# Address families and transports meet.


@pytest.mark.parametrize("callee_transport", ["udp", "tcp"])
@pytest.mark.parametrize("caller_transport", ["udp", "tcp"])
@pytest.mark.parametrize("hosts", [("::1", "::1"), ("::1", "127.0.0.1"), ("127.0.0.1", "::1")], ids="-".join)
def test_calls_between_ipv6_and_ipv4_and_udp_and_tcp(
    dual_stack, phone, hosts, caller_transport, callee_transport
):
    caller = phone(dual_stack, "alice", host=hosts[0], transport=caller_transport)
    callee = phone(dual_stack, "bob", host=hosts[1], transport=callee_transport)
    assert callee.register("*", expires=0).status == 200
    assert callee.register().status == 200
    near, far = call(caller, callee)
    for one, other in ((near, far), (far, near)):
        info = one.request("INFO")
        one.phone.send(info, to=None)
        arrived = other.phone.expect("INFO")
        assert arrived.source[0] == other.phone.transport
        other.phone.reply(arrived, 200)
        assert one.phone.final(info).status == 200
    hang_up(far, near)


@pytest.fixture(scope="module")
def dual_stack(module_folder):
    folder = module_folder / "dual_stack"
    folder.mkdir()
    with proxies.running(folder=folder, hosts=("127.0.0.1", "::1")) as made:
        yield made


# Peers that misbehave.


def test_a_peer_that_does_not_read_harms_nobody_else(start_proxy, phone):
    proxy = start_proxy(extra={"limits": {"output_queue": "64k"}})
    deaf, other = phone(proxy, "deaf"), phone(proxy, "other", transport="tcp")
    assert other.ask(options(other)).status == 200
    before = proxy.rss_kb()
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(proxy.address(transport="tcp"))
    sock.settimeout(patience(5))
    closed = False
    template = options(deaf, via=f"SIP/2.0/TCP {deaf.hostport};branch=z9hG4bKserial00000000;rport").octets()
    for serial in range(60000):
        try:
            sock.sendall(template.replace(b"serial00000000", b"serial%08d" % serial))
        except TimeoutError:
            break  # it is neither read from nor closed
        except OSError:
            closed = True
            break
        if serial % 500 == 0:
            started = time.monotonic()
            assert other.ask(options(other)).status == 200
            assert time.monotonic() - started < patience(1)
    assert other.ask(options(other)).status == 200
    assert closed, "a connection with a full output queue is to be closed"
    assert proxy.rss_kb() - before < 64 * 1024
    sock.close()


def is_served(phone):
    """Whether a new connection of this phone is accepted and answered."""
    stream, request = phone.connect(), options(phone)
    with contextlib.suppress(OSError):
        stream.send(request.octets())

    def ended():
        phone.pump(0.05)
        return stream.closed or phone.inbox

    assert poll(ended, 5)
    return bool(phone.inbox) and phone.final(request).status == 200


@pytest.mark.viaduct
def test_connections_of_one_source_are_limited(start_proxy, phone):
    proxy = start_proxy(extra={"limits": {"connections_per_source": 4}})
    proxy.catch_up()  # with the connection that saw that it was ready
    crowd, other = phone(proxy, "crowd", transport="tcp"), phone(
        proxy, "other", transport="tcp", host="127.0.0.2"
    )
    streams = [crowd.connect() for _ in range(4)]
    for stream in streams:
        request = options(crowd)
        stream.send(request.octets())
        assert crowd.final(request).status == 200
    surplus = crowd.connect()
    try:
        surplus.send(options(crowd).octets())
    except OSError:
        pass
    crowd.expect_end(surplus)
    assert not any(stream.closed for stream in streams)
    assert other.ask(options(other)).status == 200
    streams[0].reset()
    assert poll(lambda: is_served(crowd), 5)


@pytest.mark.viaduct
def test_connections_of_all_sources_are_limited_too(start_proxy, phone):
    proxy = start_proxy(extra={"limits": {"connections": 4}})
    proxy.catch_up()  # with the connection that saw that it was ready
    crowd = [phone(proxy, "crowd", transport="tcp", host=f"127.0.0.{i}") for i in range(2, 6)]
    for each in crowd:
        assert each.ask(options(each)).status == 200
    late = phone(proxy, "late", transport="tcp", host="127.0.0.6")
    surplus = late.connect()
    try:
        surplus.send(options(late).octets())
    except OSError:
        pass
    late.expect_end(surplus)
    crowd[0].stream().reset()
    assert poll(lambda: is_served(late), 5)


def test_many_phones_at_once_on_connections_of_their_own(start_proxy, phone):
    proxy = start_proxy(call_auth=False, register_auth=False)
    phones = [phone(proxy, "alice", transport="tcp") for _ in range(40)]
    requests = [each.send(options(each)) for each in phones]
    assert {each.final(request).status for each, request in zip(phones, requests)} == {200}


def test_a_datagram_larger_than_allowed_is_refused(start_proxy, phone):
    proxy = start_proxy(extra={"limits": {"message": "16k"}})
    user = phone(proxy, "alice")
    user.send(options(user, body=b"x" * 17000, content_type="text/plain"))
    user.pump(0.5)
    assert all(m.status in (400, 413, 513) for m in user.inbox)
    assert user.ask(options(user)).status == 200


def test_a_datagram_shorter_than_its_content_length_is_400_and_longer_is_cut(new_phone):
    phone = new_phone()
    short = options(phone, body=b"12345", content_type="text/plain").octets()
    phone.send(short[:-1])
    assert phone.expect(lambda m: m.status).status == 400
    request = options(phone)
    phone.send(request.octets() + b"surplus")
    assert phone.final(request).status == 200


def test_the_log_of_a_refused_stranger_is_bounded(start_proxy, phone):
    proxy = start_proxy()
    stranger = phone(proxy, "stranger")
    for _ in range(3000):
        stranger.send(b"rubbish\r\n\r\n")
    assert proxy.answers_options()
    assert len(re.findall(r"\n", proxy.log())) < 500
