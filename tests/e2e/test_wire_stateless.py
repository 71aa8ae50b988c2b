"""The stateless proxy over the wire: RFC 3261 sections 16.11, 8.2.7 and 18.1.2."""

import re

import pytest

from harness import sip
from harness.phone import Dialog
from harness.wire import QUIET, ask, route

pytestmark = pytest.mark.viaduct
TRANSPORTS = ["udp", "tcp"]


@pytest.fixture
def ends(bench):
    """ends(transport, host) is a caller who sees the stateless port, and a callee who is registered."""

    def make(transport="udp", host="127.0.0.1"):
        kinds = {"transport": transport, "host": host}
        callee = bench.phone(bench.user(), **kinds)
        assert callee.register().status == 200
        return bench.phone(side=bench.site.stateless, **kinds), callee

    return make


def other_copies(phone, message, expected):
    phone.expect_copies(message, expected)
    phone.pump(0.05)
    return phone.copies_of(message)


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_16_11_a_whole_call(ends, transport, host):
    caller, callee = ends(transport, host)
    invite = caller.send(caller.request("INVITE", callee.aor))
    arrived = callee.expect("INVITE")
    callee.reply(arrived, 180)
    caller.expect(180)
    ok = callee.reply(arrived, 200, contact=True)
    near = Dialog(caller, invite, caller.expect(200), caller=True)
    far = Dialog(callee, arrived, ok, caller=False)
    caller.send(near.request("ACK"))
    assert callee.expect("ACK").uri == callee.contact
    for one, other in ((near, callee), (far, caller)):
        info = one.phone.send(one.request("INFO"))
        got = other.expect("INFO")
        assert not got.lines("Route")
        other.reply(got, 200)
        assert one.phone.final(info).status == 200


def test_16_11_no_100_and_no_other_provisional_response(ends):
    caller, callee = ends()
    caller.send(caller.request("INVITE", callee.aor))
    callee.expect("INVITE")
    caller.expect_nothing(QUIET, lambda m: m.status)


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE", "ACK", "BYE", "FROB"])
def test_16_11_each_retransmission_is_forwarded_and_is_the_same_octet_by_octet(ends, method):
    caller, callee = ends()
    request = caller.send(caller.request(method, callee.aor))
    arrived = callee.expect(method)
    caller.send(request), caller.send(request)
    assert other_copies(callee, arrived, 3) == 3
    assert not [m for m in callee.inbox if m.method == method]


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_16_11_nothing_is_repeated_by_itself(ends, method):
    caller, callee = ends()
    caller.send(caller.request(method, callee.aor))
    arrived = callee.expect(method)
    callee.expect_nothing(0.8)
    assert callee.copies_of(arrived) == 1


@pytest.mark.parametrize(
    "via", [None, "SIP/2.0/UDP {hp};branch=old", "SIP/2.0/UDP {hp}"], ids=["cookie", "no-cookie", "no-branch"]
)
def test_16_11_a_cancel_has_the_branch_of_its_invite(ends, via):
    caller, callee = ends()
    via = via and via.format(hp=caller.hostport)
    invite = caller.send(caller.request("INVITE", callee.aor, via=via))
    arrived = callee.expect("INVITE")
    caller.send(caller.cancel_of(invite))
    cancel = callee.expect("CANCEL")
    assert (cancel.branch, cancel.uri) == (arrived.branch, arrived.uri)
    caller.expect_nothing(0.05, lambda m: m.status)  # it is not answered here
    callee.reply(cancel, 200)
    assert caller.expect(200)


@pytest.mark.parametrize("via", [None, "SIP/2.0/UDP {hp};branch=old"], ids=["cookie", "no-cookie"])
def test_16_11_the_ack_of_a_refusal_has_the_branch_of_its_invite(ends, via):
    caller, callee = ends()
    invite = caller.send(caller.request("INVITE", callee.aor, via=via and via.format(hp=caller.hostport)))
    arrived = callee.expect("INVITE")
    callee.reply(arrived, 486)
    refusal = caller.expect(486)
    callee.expect_nothing(0.05, "ACK")  # the proxy makes none
    caller.send(caller.ack_of(invite, refusal))
    ack = callee.expect("ACK")
    assert ack.branch == arrived.branch and ack["To"] == refusal["To"]


def test_16_11_two_transactions_have_two_branches(ends):
    caller, callee = ends()
    call_id, seen = sip.new_call_id(), set()
    for number in range(1, 11):
        caller.send(caller.request("MESSAGE", callee.aor, call_id=call_id, cseq=number))
        seen.add(callee.expect("MESSAGE").branch)
    assert len(seen) == 10 and all(branch.startswith("z9hG4bK") for branch in seen)


CHANGES = {
    "cseq": ("CSeq", "2 MESSAGE"),
    "from-tag": ("From", "<sip:a@b.test>;tag=other"),
    "call-id": ("Call-ID", "other"),
}


@pytest.mark.parametrize("name, value", CHANGES.values(), ids=CHANGES)
def test_16_11_without_the_cookie_the_branch_depends_on_what_tells_transactions_apart(ends, name, value):
    caller, callee = ends()
    via = f"SIP/2.0/UDP {caller.hostport}"
    request = caller.request("MESSAGE", callee.aor, via=via)
    caller.send(request), caller.send(request.replaced(name, value))
    assert callee.expect("MESSAGE").branch != callee.expect("MESSAGE").branch


@pytest.mark.parametrize("status", [100, 180, 183, 200, 202, 302, 404, 486, 503, 603])
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_16_11_every_response_is_forwarded_as_it_is_and_as_often(ends, status, method):
    caller, callee = ends()
    request = caller.send(caller.request(method, callee.aor))
    arrived = callee.expect(method)
    headers = [("X-Y", "z , z"), ("Contact", "<sip:a@b.test>")]
    said = callee.reply(arrived, status, "My Words", headers=headers, body=b"b\0")
    heard = caller.expect(status)
    assert (heard.reason, heard.body) == ("My Words", b"b\0")
    assert [f for f in heard.headers if f[0] != "Via"] == [f for f in headers_of(said) if f[0] != "Via"]
    assert len(heard.all("Via")) == 1 and sip.params_of(heard["Via"])["branch"] == request.branch
    callee.udp.sendto(said.octets(), arrived.source[1])
    assert other_copies(caller, heard, 2) == 2


def headers_of(message):
    return sip.Message.parse(message.octets()).headers


def test_16_11_any_branch_of_ours_is_followed(bench, ends):
    """A response is forwarded by its Vias, whoever asked."""
    caller, callee = ends()
    vias = [
        f"SIP/2.0/UDP {bench.site.stateless.hostport()};branch={sip.new_branch()}",
        f"SIP/2.0/UDP {caller.hostport};branch=z9hG4bKx;received=127.0.0.1",
    ]
    response = sip.response_to(caller.request("MESSAGE", callee.aor), 200, to_tag="t").without("Via")
    response.headers = [*(("Via", via) for via in vias), *response.headers]
    callee.udp.sendto(response.octets(), bench.site.stateless.address())
    assert caller.expect(200).all("Via") == vias[1:]


@pytest.mark.parametrize("sent_by", ["192.0.2.1:5060", "127.0.0.1:1", "far.invalid", "127.0.0.1"])
def test_16_11_a_response_whose_top_via_is_not_ours_is_dropped(bench, ends, sent_by):
    caller, callee = ends()
    response = sip.response_to(caller.request("MESSAGE", callee.aor), 200, to_tag="t")
    response.headers.insert(0, ("Via", f"SIP/2.0/UDP {sent_by};branch={sip.new_branch()}"))
    callee.udp.sendto(response.octets(), bench.site.stateless.address())
    caller.expect_nothing(QUIET)


@pytest.mark.parametrize(
    "form", ["{name}:{p};received=127.0.0.1", "{name}:1;received=127.0.0.1;rport={p}", "127.0.0.1:{p}"]
)
def test_18_2_2_the_response_goes_where_the_next_via_says(bench, ends, form):
    caller, callee = ends()
    response = sip.response_to(caller.request("MESSAGE", callee.aor), 200, to_tag="t").without("Via")
    vias = [
        f"SIP/2.0/UDP {bench.site.stateless.hostport()};branch={sip.new_branch()}",
        "SIP/2.0/UDP " + form.format(name="phone.invalid", p=caller.port) + ";branch=z9hG4bKx",
    ]
    response.headers = [*(("Via", via) for via in vias), *response.headers]
    callee.udp.sendto(response.octets(), bench.site.stateless.address())
    assert caller.expect(200).all("Via") == vias[1:]


@pytest.mark.parametrize("qs", [(1, 1, 1), (0.1, 0.9), (0.5, 0.5, 0.1), (None, None)])
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_16_11_one_target_and_always_the_same(bench, qs, method):
    fork = bench.fork(*qs, method=method, caller={"side": bench.site.stateless})
    first = fork.callee.expect(method)
    fork.caller.send(fork.sent)
    if method == "INVITE":
        fork.caller.send(fork.caller.cancel_of(fork.sent))
        assert fork.callee.expect("CANCEL").uri == first.uri
    assert other_copies(fork.callee, first, 2) == 2
    assert not [m for m in fork.callee.inbox if m.method == method]
    best = max(1 if q is None else q for q in qs)
    assert qs[int(re.search(r":b(\d)@", first.uri).group(1))] in (best, None)


# Validation as in 16.3, answered without state: 8.2.7.
REFUSALS = {
    "483": (483, lambda c: c.request("INVITE", "sip:w0@example.test", max_forwards=0)),
    "420": (420, lambda c: c.request("INVITE", "sip:w0@example.test", headers=[("Proxy-Require", "x")])),
    "416": (416, lambda c: c.request("INVITE", "foo:bar", to="<sip:x@y.test>")),
    "404": (404, lambda c: c.request("INVITE", "sip:nobody@example.test")),
    "400": (400, lambda c: c.request("INVITE", "sip:w0@example.test").replaced("CSeq", "1 OPTIONS")),
    "480": (480, lambda c: c.request("MESSAGE", "sip:w0@example.test")),
}


@pytest.mark.parametrize("status, make", REFUSALS.values(), ids=REFUSALS)
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_16_11_requests_are_validated_and_the_to_tag_is_computed(bench, status, make, transport):
    caller = bench.phone(side=bench.site.stateless, transport=transport)
    request = caller.send(make(caller))
    heard = caller.expect(status)
    assert heard.to_tag
    caller.send(request)
    assert other_copies(caller, heard, 2) == 2  # the same again, To tag and all
    caller.send(caller.ack_of(request, heard))
    caller.expect_nothing(0.05)


def test_8_2_7_a_stateless_uas_does_not_repeat_its_responses(bench):
    caller = bench.phone(side=bench.site.stateless)
    caller.send(caller.request("INVITE", f"sip:nobody@{bench.domain}"))
    heard = caller.expect(404)
    caller.expect_nothing(0.8)
    assert caller.copies_of(heard) == 1


def test_8_2_7_the_ack_of_a_response_of_ours_is_not_forwarded(bench, ends):
    caller, callee = ends()
    invite = caller.send(caller.request("INVITE", callee.aor, max_forwards=0))
    heard = caller.expect(483)
    caller.send(caller.ack_of(invite, heard))
    callee.expect_nothing(QUIET)


def test_11_options_for_the_proxy_is_answered(bench):
    caller = bench.phone(side=bench.site.stateless)
    assert ask(caller, caller.request("OPTIONS", f"sip:{bench.site.stateless.hostport()}")).status == 200


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_16_11_the_steps_of_16_6_are_those_of_a_stateful_proxy(bench, ends, method):
    caller, other = bench.phone(side=bench.site.stateless), bench.phone()
    routes = [route(bench.site.stateless.hostport()), f"<sip:s@{other.hostport}>", "<sip:r.invalid;lr>"]
    caller.send(caller.request(method, "sip:z@far.invalid", routes=routes, max_forwards=9, body=b"b"))
    arrived = other.expect(method)
    assert arrived.uri == f"sip:s@{other.hostport}" and arrived["Max-Forwards"] == "8"
    assert arrived.all("Route") == ["<sip:r.invalid;lr>", "<sip:z@far.invalid>"] and arrived.body == b"b"
    assert arrived["Via"].startswith(f"SIP/2.0/UDP {bench.site.stateless.hostport()};")
    assert bool(arrived.lines("Record-Route")) == (method == "INVITE")


def test_16_11_max_forwards_is_added(ends):
    caller, callee = ends()
    caller.send(caller.request("MESSAGE", callee.aor).without("Max-Forwards"))
    assert callee.expect("MESSAGE")["Max-Forwards"] == "70"


def test_16_11_received_and_rport_are_added(ends):
    caller, callee = ends()
    via = f"SIP/2.0/UDP phone.invalid:1;branch={sip.new_branch()};rport"
    caller.send(caller.request("MESSAGE", callee.aor, via=via))
    arrived = callee.expect("MESSAGE")
    params = sip.params_of(arrived.all("Via")[1])
    assert params["received"] == "127.0.0.1" and params["rport"] == str(caller.port)
    callee.reply(arrived, 200)
    assert caller.expect(200)


def test_16_11_a_request_that_cannot_be_delivered_is_not_answered_by_a_guess(bench):
    """Without a transaction nobody waits for the error; the client's own timer ends it. A 5xx would be legal too."""
    caller, gone = bench.phone(side=bench.site.stateless), bench.phone()
    gone.close()
    caller.send(caller.request("MESSAGE", f"sip:x@127.0.0.1:{gone.port}"))
    caller.pump(QUIET)
    assert all(m.status >= 500 for m in caller.inbox)
    assert ask(caller, caller.request("OPTIONS", f"sip:{bench.domain}")).status == 200
