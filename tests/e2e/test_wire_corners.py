"""Where rules meet: forks over mixed transports, other connections, stray messages, odd but legal text, loops of users."""

import re

import pytest

from harness import sip
from harness.env import poll
from harness.phone import Dialog, answer, call, hang_up, ring
from harness.wire import QUIET, ask, edited, route

pytestmark = pytest.mark.viaduct


def own(bench, phone):
    return phone.request("OPTIONS", f"sip:{bench.side.hostport()}")


def alive(bench):
    phone = bench.phone()
    assert ask(phone, own(bench, phone)).status == 200


# Forks.
WAYS = {
    "udp4": ("127.0.0.1", "udp"),
    "tcp4": ("127.0.0.1", "tcp"),
    "udp6": ("::1", "udp"),
    "tcp6": ("::1", "tcp"),
}


@pytest.mark.parametrize("near", WAYS)
def test_16_6_each_branch_has_the_via_and_record_route_of_its_own_way(bench, near):
    user = bench.user()
    callees = {
        name: bench.phone(user, host=host, transport=transport) for name, (host, transport) in WAYS.items()
    }
    for callee in callees.values():
        assert callee.register().status == 200
    host, transport = WAYS[near]
    caller = bench.phone(host=host, transport=transport)
    invite = caller.send(caller.request("INVITE", callees["udp4"].aor))
    arrived = {name: callee.expect("INVITE") for name, callee in callees.items()}
    for name, each in arrived.items():
        far_host, far_transport = WAYS[name]
        assert each.source[0] == far_transport
        assert each["Via"].startswith(f"SIP/2.0/{far_transport.upper()} {bench.side.hostport(far_host)};")
        assert len(each.all("Record-Route")) == (1 if name == near else 2)
        assert bench.side.hostport(far_host) in each.all("Record-Route")[0]
        assert bench.side.hostport(host) in each.all("Record-Route")[-1]
    assert len({each.branch for each in arrived.values()}) == 4
    for name, callee in callees.items():
        callee.reply(arrived[name], 180)
    near_end, far_end = answer(caller, callees["tcp6"], invite, arrived["tcp6"])
    for name in ("udp4", "tcp4", "udp6"):
        callees[name].reply(callees[name].expect("CANCEL"), 200)
        callees[name].reply(arrived[name], 487)
        callees[name].expect("ACK")
    hang_up(far_end, near_end)


@pytest.mark.parametrize("count", [10])
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_16_6_as_many_branches_as_contacts(bench, count, method):
    fork = bench.fork(*[1] * count, method=method)
    arrived = fork.take_all()
    assert len({each.branch for each in arrived}) == count
    for i in range(count):
        fork.reply(i, 404)
    assert fork.final().status == 404


def test_rfc5393_5_3_3_1_breadth_that_a_branch_gave_back_is_used_again(bench):
    fork = bench.fork(1, 1, 1, headers=[("Max-Breadth", "1")])
    tried = []
    for _ in range(3):
        arrived = fork.callee.expect("INVITE")
        i = int(re.search(r":b(\d)@", arrived.uri).group(1))
        fork.arrived[i] = arrived
        tried.append(i)
        fork.callee.expect_nothing(0.03, "INVITE")
        assert arrived["Max-Breadth"] == "1"
        fork.reply(i, 486)
    assert sorted(tried) == [0, 1, 2] and fork.final().status == 486


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_rfc5393_users_that_point_at_each_other_end_in_an_answer(bench, method):
    one, two = bench.phone(bench.user()), bench.phone(bench.user())
    here = bench.side.hostport()
    one.register(*(f"<sip:{two.user}@{here};n={i}>" for i in range(2)))
    two.register(*(f"<sip:{one.user}@{here};n={i}>" for i in range(2)))
    caller = bench.phone()
    assert ask(caller, caller.request(method, one.aor)).status in (482, 483, 440, 500)
    alive(bench)


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_16_5_a_name_of_ours_that_we_do_not_know_leads_round_to_an_answer(bench, method):
    caller = bench.phone()
    response = ask(caller, caller.request(method, f"sip:nobody-here@localhost:{bench.side.port}"))
    assert 400 <= response.status < 600
    alive(bench)


ODD_VIAS = [
    "{p};branch=z9hG4bKvd00-0-0",
    "{p};branch=",
    "{p}",
    '{p};branch="z9hG4bK;x"',
    "{p};a;b;c=d;branch=z9hG4bKx",
    "{p};branch=z9hG4bK",
]


@pytest.mark.parametrize("via", ODD_VIAS)
def test_rfc5393_4_2_4_vias_that_look_like_ours_are_no_loop_and_no_error(bench, via):
    fork_user = bench.phone(bench.user())
    fork_user.register(f"<sip:b0@{fork_user.hostport}>", f"<sip:b1@{fork_user.hostport}>")
    caller = bench.phone()
    request = caller.request("MESSAGE", fork_user.aor)
    below = ("Via", "SIP/2.0/UDP " + via.format(p=bench.side.hostport()))
    request.headers.insert(1, below)
    caller.send(request)
    assert fork_user.expect("MESSAGE").lines("Via")[-1] == below[1]


# Other ways for the messages of one transaction.
def test_9_1_a_cancel_by_another_connection_finds_its_invite(bench):
    caller, callee = bench.pair({"transport": "tcp"})
    invite, arrived = ring(caller, callee, challenged=False)
    caller._outgoing = None
    caller.send(caller.cancel_of(invite))
    assert caller.expect(lambda m: m.status and m.cseq[1] == "CANCEL").status == 200
    callee.reply(callee.expect("CANCEL"), 200), callee.reply(arrived, 487)
    assert caller.final(invite).status == 487


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_17_2_3_a_retransmission_from_another_port_is_one(bench, method):
    caller, other, callee = bench.phone(), bench.phone(), bench.phone(bench.user())
    callee.register()
    request = caller.send(caller.request(method, callee.aor))
    arrived = callee.expect(method)
    callee.reply(arrived, 100)
    callee.settle(arrived)
    before = callee.copies_of(arrived)  # more than one where the callee was slow
    other.send(request)
    other.settle(request)
    callee.expect_nothing(QUIET, method)
    assert callee.copies_of(arrived) == before


@pytest.mark.parametrize("status", [180, 200, 486])
def test_18_1_2_a_response_from_another_port_of_the_callee_counts(bench, status):
    fork = bench.fork(1)
    arrived = fork.take(0)
    other = bench.phone()
    response = sip.response_to(arrived, status, to_tag="t")
    other.udp.sendto(response.octets(), arrived.source[1])
    assert fork.hears(status).to_tag == "t"


def test_16_9_a_caller_who_cannot_be_reached_any_more_cancels_nothing(bench):
    caller, callee = bench.pair({"transport": "tcp", "listen_tcp": False})
    caller.send(caller.request("INVITE", callee.aor))
    arrived = callee.expect("INVITE")
    callee.reply(arrived, 180)
    caller.expect(180)
    caller.stream().reset()
    callee.reply(arrived, 183)
    callee.expect_nothing(QUIET, "CANCEL")
    callee.reply(arrived, 486)
    assert callee.expect("ACK")


# Responses from datagrams to streams and back.
@pytest.mark.parametrize("status", [180, 200, 404])
def test_20_14_a_response_gains_its_content_length_on_the_way_to_a_stream(bench, status):
    fork = bench.fork(1, caller={"transport": "tcp"})
    arrived = fork.take(0)
    raw = sip.response_to(arrived, status, to_tag="t", body=b"hello").octets()
    fork.callee.udp.sendto(raw.replace(b"Content-Length: 5\r\n", b""), arrived.source[1])
    heard = fork.hears(status)
    assert heard.lines("Content-Length") == ["5"] and heard.body == b"hello"


def test_18_3_what_follows_a_response_in_a_datagram_never_reaches_a_stream(bench):
    fork = bench.fork(1, caller={"transport": "tcp"})
    arrived = fork.take(0)
    raw = sip.response_to(arrived, 183, to_tag="t", body=b"hello").octets()
    fork.callee.udp.sendto(raw + b"SIP/2.0 200 OK\r\nVia: smuggled\r\n\r\n", arrived.source[1])
    assert fork.hears(183).body == b"hello"
    fork.no_final()
    assert fork.caller.stream().reader.rest == b""


@pytest.mark.parametrize("size", [2000, 30000])
def test_18_1_1_large_responses_go_back_by_udp(bench, size):
    fork = bench.fork(1)
    fork.take(0)
    fork.reply(0, 200, body=b"x" * size)
    assert fork.hears(200).body == b"x" * size


FRAMES = {
    "compact": b"l: 5",
    "upper": b"CONTENT-LENGTH:5",
    "spaces": b"Content-Length \t :  5 ",
    "folded": b"Content-Length:\r\n 5",
    "zeros": b"Content-Length: 0005",
    "compact-upper": b"L : 5",
}


@pytest.mark.parametrize("line", FRAMES.values(), ids=FRAMES)
def test_18_3_every_spelling_of_content_length_frames_a_stream(bench, line):
    caller, callee = bench.pair({"transport": "tcp"})
    first = caller.request("MESSAGE", callee.aor, body=b"hello", content_type="text/plain")
    second = caller.request("MESSAGE", callee.aor)
    caller.stream().send(first.octets().replace(b"Content-Length: 5", line) + second.octets())
    arrived = {each.call_id: each for each in (callee.expect("MESSAGE"), callee.expect("MESSAGE"))}
    assert arrived[first.call_id].body == b"hello" and arrived[second.call_id].body == b""


# To tags: 16.7 step 6.
@pytest.mark.parametrize("status", [180, 183, 200])
def test_16_7_6_no_to_tag_is_put_into_a_1xx_or_2xx(bench, status):
    fork = bench.fork(1)
    arrived = fork.take(0)
    fork.callee.udp.sendto(sip.response_to(arrived, status).octets(), arrived.source[1])
    assert fork.hears(status)["To"] == fork.sent["To"]


@pytest.mark.parametrize("status", [404, 486, 603])
def test_16_7_6_a_refusal_without_a_to_tag_still_ends_the_call(bench, status):
    fork = bench.fork(1)
    arrived = fork.take(0)
    fork.callee.udp.sendto(sip.response_to(arrived, status).octets(), arrived.source[1])
    assert fork.final().status == status
    assert fork.take(0, "ACK").branch == arrived.branch


@pytest.mark.parametrize("status", [101, 180, 183, 199])
def test_rfc4320_4_1_no_1xx_but_100_is_sent_to_a_non_invite(bench, status):
    fork = bench.fork(1, method="SUBSCRIBE")
    fork.take(0)
    fork.reply(0, status)
    fork.caller.expect_nothing(QUIET, lambda m: m.status and m.status < 200)
    fork.reply(0, 200)
    assert fork.final().status == 200


# Odd but legal.
LEGAL = {
    "no-from-tag": ("From", "<sip:a@b.test>"),
    "from-no-brackets": ("From", "sip:a@b.test;tag=x"),
    "from-utf8": ("From", '"Ďábel 悪魔 \\" \\\\" <sip:a@b.test>;tag=x'),
    "from-upper-tag": ("From", "<sip:a@b.test>;TAG=x"),
    "from-anonymous": ("From", "Anonymous <sip:anonymous@anonymous.invalid>;tag=x"),
    "from-params": ("From", '<sip:a@b.test;p=1?h=2>;tag=x;q="y;z"'),
    "to-empty-display": ("To", '"" <sip:a@b.test>'),
    "to-ipv6": ("To", "<sip:a@[2001:db8::1]:5060>"),
    "to-comma-user": ("To", "<sip:a,b;c=d:e&f$g+h?@b.test>".replace("?", "%3F")),
    "call-id-odd": ("Call-ID", "a(b)<c>:\\\"/[]?{}-.!%*_+`'~@x"),
    "call-id-no-at": ("Call-ID", "1"),
    "cseq-zeros": ("CSeq", "0000000001 MESSAGE"),
    "cseq-zero": ("CSeq", "0 MESSAGE"),
    "cseq-tab": ("CSeq", "5\tMESSAGE"),
    "cseq-largest": ("CSeq", "2147483647 MESSAGE"),
    "subject-utf8": ("Subject", "Ďábel 悪魔"),
    "contact-star": ("Contact", "*"),
    "contact-broken": ("Contact", "<sip:a@b.test"),
}


@pytest.mark.parametrize("name, value", LEGAL.values(), ids=LEGAL)
def test_20_what_is_legal_passes_and_is_answered(bench, name, value):
    caller, callee = bench.pair()
    request = caller.request("MESSAGE", callee.aor)
    request = request.replaced(name, value) if request.lines(name) else request.with_((name, value))
    caller.send(request)
    arrived = callee.expect("MESSAGE")
    assert arrived.lines(name) == [value]
    callee.reply(arrived, 404)
    heard = caller.expect(404)
    if name in ("From", "Call-ID", "CSeq"):
        assert heard.lines(name) == [value]


@pytest.mark.parametrize(
    "name, value", [LEGAL[key] for key in LEGAL if LEGAL[key][0] in ("From", "To", "Call-ID")]
)
def test_20_and_in_an_invite_that_is_cancelled(bench, name, value):
    caller, callee = bench.pair()
    invite = caller.send(caller.request("INVITE", callee.aor).replaced(name, value))
    arrived = callee.expect("INVITE")
    callee.reply(arrived, 180)
    caller.expect(180)
    caller.send(caller.cancel_of(invite))
    cancel = callee.expect("CANCEL")
    assert cancel.lines(name) == [value]
    callee.reply(cancel, 200), callee.reply(arrived, 487)
    ack = callee.expect("ACK")
    assert name == "To" or ack.lines(name) == [value]
    heard = caller.expect(487)
    caller.send(caller.ack_of(invite, heard))


def test_8_1_1_8_an_invite_without_contact_is_the_callees_business(bench):
    caller, callee = bench.pair()
    caller.send(caller.request("INVITE", callee.aor).without("Contact"))
    assert not callee.expect("INVITE").lines("Contact")


IPV6_FORMS = ["[::1]", "[0:0:0:0:0:0:0:1]", "[0::1]", "[0000:0000::0001]"]


@pytest.mark.parametrize("form", IPV6_FORMS)
@pytest.mark.parametrize("where", ["route", "uri"])
def test_19_1_an_ipv6_address_is_ours_in_every_spelling(bench, form, where):
    caller, callee = bench.pair()
    address = f"{form}:{bench.side.port}"
    if where == "route":
        caller.send(caller.request("MESSAGE", callee.aor, routes=[route(address)]))
    else:
        caller.send(caller.request("MESSAGE", f"sip:{callee.user}@{address}"))
    assert not callee.expect("MESSAGE").lines("Route")


@pytest.mark.parametrize("uri", ["sips:x@127.0.0.1:{p}", "sips:x@127.0.0.1:{p};transport=tcp"])
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_26_2_a_sips_uri_never_goes_out_in_the_clear(bench, uri, method):
    caller, other = bench.phone(), bench.phone()
    caller.send(caller.request(method, uri.format(p=other.port)))
    other.expect_nothing(QUIET, method)


@pytest.mark.parametrize("uri", ["tel:+15551234567", "tel:911;phone-context=b.test"])
def test_19_1_6_a_tel_uri_gets_an_answer(bench, uri):
    caller = bench.phone()
    assert 400 <= ask(caller, caller.request("INVITE", uri)).status < 600


@pytest.mark.parametrize("size, transport", [(9000, "tcp"), (9000, "udp"), (60000, "tcp")])
def test_21_4_12_a_request_uri_that_is_too_long_is_414(bench, size, transport):
    caller = bench.phone(transport=transport)
    octets = edited(own(bench, caller), rb"OPTIONS sip:", b"OPTIONS sip:" + b"u" * size + b"@")
    caller.send(octets)
    assert caller.expect(lambda m: m.status).status in (414, 400, 413, 513)


@pytest.mark.parametrize("size", [100, 2000, 7000])
def test_a_long_request_uri_passes(bench, size):
    caller, other = bench.phone(transport="tcp"), bench.phone(transport="tcp")
    uri = f"sip:{'u' * size}@{other.hostport};transport=tcp"
    caller.send(caller.request("MESSAGE", uri))
    assert other.expect("MESSAGE").uri == uri


def test_7_3_3_a_whole_call_in_compact_form(bench):
    short = {"Via": "v", "From": "f", "To": "t", "Call-ID": "i", "Contact": "m", "Content-Length": "l"}

    def compact(message):
        octets = message.octets()
        for name, letter in short.items():
            octets = re.sub(rb"(?m)^%s:" % name.encode(), letter.encode() + b":", octets)
        return octets

    caller, callee = bench.pair({"transport": "tcp"})
    invite = caller.request("INVITE", callee.aor)
    caller.send(compact(invite))
    arrived = callee.expect("INVITE")
    ok = sip.response_to(arrived, 200, to_tag="t", headers=[("Contact", f"<{callee.contact}>")])
    callee.udp.sendto(compact(ok), arrived.source[1])
    near = Dialog(caller, invite, caller.expect(200), caller=True)
    caller.send(compact(near.request("ACK")))
    assert callee.expect("ACK").uri == callee.contact
    bye = near.request("BYE")
    caller.send(compact(bye))
    callee.reply(callee.expect("BYE"), 200)
    assert caller.final(bye).status == 200


# Stray and forged.
def test_a_via_that_is_the_proxy_itself_makes_no_storm(bench):
    caller = bench.phone()
    for vias in (1, 5, 20):
        via = f"SIP/2.0/UDP {bench.side.hostport()};branch={sip.new_branch()}"
        request = caller.request("OPTIONS", f"sip:{bench.domain}", via=via)
        request.headers = [("Via", via)] * (vias - 1) + request.headers
        caller.send(request)
        stateless = f"SIP/2.0/UDP {bench.site.stateless.hostport()};branch={sip.new_branch()}"
        request = caller.request("OPTIONS", f"sip:{bench.domain}", via=stateless)
        request.headers = [("Via", stateless)] * (vias - 1) + request.headers
        caller.send(request, bench.site.stateless.address())
    caller.expect_nothing(0.1)
    alive(bench)


@pytest.mark.parametrize("status", [100, 180, 200, 404, 603])
@pytest.mark.parametrize("method", ["INVITE", "REGISTER", "ACK", "CANCEL"])
def test_rfc6026_stray_responses_are_dropped(bench, status, method):
    caller, victim = bench.phone(), bench.phone()
    response = sip.response_to(victim.request(method, "sip:x@y.test"), status, to_tag="t")
    response.headers.insert(0, ("Via", f"SIP/2.0/UDP {bench.side.hostport()};branch={sip.new_branch()}"))
    caller.send(response)
    victim.expect_nothing(0.1)


def test_22_proxy_authorization_of_other_realms_is_left_alone(bench):
    caller, callee = bench.pair()
    headers = [("Proxy-Authorization", f'Digest realm="r{i}", username="u"') for i in range(2)]
    caller.send(caller.request("MESSAGE", callee.aor, headers=headers))
    assert callee.expect("MESSAGE").lines("Proxy-Authorization") == [value for _, value in headers]


# In dialogs.
def test_17_every_repetition_of_the_ack_of_a_2xx_is_forwarded(bench):
    caller, callee = bench.pair()
    invite, arrived = ring(caller, callee, challenged=False)
    callee.reply(arrived, 200, contact=True)
    near = Dialog(caller, invite, caller.expect(200), caller=True)
    ack = near.request("ACK")
    for _ in range(3):
        caller.send(ack)
    first = callee.expect("ACK")

    def acks():
        callee.pump(0.02)
        return callee.copies_of(first) + len([m for m in callee.inbox if m.method == "ACK"])

    assert poll(lambda: acks() >= 3, 5, every=0) and acks() == 3


def test_rfc3262_prack_and_update_in_an_early_dialog(bench):
    caller, callee = bench.pair()
    invite = caller.send(caller.request("INVITE", callee.aor, headers=[("Supported", "100rel")]))
    arrived = callee.expect("INVITE")
    callee.reply(arrived, 183, contact=True, headers=[("Require", "100rel"), ("RSeq", "1")])
    early = Dialog(caller, invite, caller.expect(183), caller=True)
    for method in ("PRACK", "UPDATE"):
        request = caller.send(early.request(method))
        got = callee.expect(method)
        assert got.uri == callee.contact and not got.lines("Route")
        callee.reply(got, 200)
        assert caller.final(request).status == 200


@pytest.mark.parametrize("who", ["caller", "callee"])
def test_12_a_re_invite_that_is_refused_and_one_that_is_cancelled_leave_the_call(bench, who):
    caller, callee = bench.pair()
    near, far = call(caller, callee, challenged=False)
    one, other = (near, callee) if who == "caller" else (far, caller)
    for cancelled in (False, True):
        again = one.phone.send(one.request("INVITE"))
        arrived = other.expect("INVITE")
        if cancelled:
            other.reply(arrived, 180)
            one.phone.expect(180, branch=again.branch)
            assert one.phone.ask(one.phone.cancel_of(again)).status == 200
            cancel = other.expect("CANCEL")
            assert cancel.all("Via") == arrived.all("Via")[:1]
            other.reply(cancel, 200)
        other.reply(arrived, 487 if cancelled else 488)
        assert one.phone.final(again).status == (487 if cancelled else 488)
        assert other.expect("ACK").branch == arrived.branch
    hang_up(near, far)


def test_two_proxies_in_one_process_a_call_from_the_stateless_to_the_stateful_port(bench):
    callee, caller = bench.phone(bench.user()), bench.phone(side=bench.site.stateless)
    callee.register()
    routes = [route(bench.site.stateless.hostport()), route(bench.side.hostport())]
    invite = caller.send(caller.request("INVITE", callee.aor, routes=routes))
    arrived = callee.expect("INVITE")
    ok = callee.reply(arrived, 200, contact=True)
    near = Dialog(caller, invite, caller.expect(200), caller=True)
    caller.send(near.request("ACK"))
    callee.expect("ACK")
    hang_up(Dialog(callee, arrived, ok, caller=False), near)
