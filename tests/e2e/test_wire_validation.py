"""Request validation over the wire: RFC 3261 sections 7, 8.2, 11, 16.3, 18.3 and 20, and what broke others."""

import re

import pytest

from harness import sip
from harness.env import poll
from harness.wire import QUIET, answer_to, ask, edited, has_final

pytestmark = pytest.mark.viaduct
MANDATORY = ("To", "From", "Call-ID", "CSeq")


def own(bench, phone, method="OPTIONS", **kinds):
    return phone.request(method, f"sip:{bench.side.hostport()}", **kinds)


def refused(phone, octets, *statuses):
    response = answer_to(phone, octets)
    assert response is not None, "no answer"
    assert response.status in statuses, response
    return response


# Section 16.3 step 1.
@pytest.mark.parametrize("name", MANDATORY)
@pytest.mark.parametrize("method", ["INVITE", "OPTIONS", "MESSAGE"])
def test_16_3_1_a_request_without_a_mandatory_header_is_400_and_the_phrase_names_it(bench, method, name):
    caller, callee = bench.pair()
    response = refused(caller, caller.request(method, callee.aor).without(name).octets(), 400)
    assert name.lower() in response.reason.lower()
    callee.expect_nothing(0.02)


@pytest.mark.parametrize("name", [*MANDATORY, "Max-Forwards"])
def test_7_3_1_a_header_that_may_occur_once_and_comes_twice_is_400(bench, name):
    caller, callee = bench.pair()
    request = caller.request("MESSAGE", callee.aor)
    refused(caller, request.with_((name, request[name])).octets(), 400)


BROKEN = {
    "cseq-no-number": ("CSeq", "INVITE"),
    "cseq-no-method": ("CSeq", "1"),
    "cseq-other-method": ("CSeq", "1 OPTIONS"),
    "cseq-letters": ("CSeq", "x1 MESSAGE"),
    "cseq-negative": ("CSeq", "-1 MESSAGE"),
    "cseq-too-large": ("CSeq", "4294967296 MESSAGE"),
    "cseq-huge": ("CSeq", "36893488147419103232 MESSAGE"),
    "cseq-empty": ("CSeq", ""),
    "max-forwards-letters": ("Max-Forwards", "many"),
    "max-forwards-negative": ("Max-Forwards", "-1"),
    "max-forwards-empty": ("Max-Forwards", ""),
    "from-open-bracket": ("From", "<sip:a@example.test;tag=1"),
    "from-open-quote": ("From", '"a <sip:a@example.test>;tag=1'),
    "from-no-uri": ("From", "<>;tag=1"),
    "from-empty": ("From", ""),
    "to-open-bracket": ("To", "<sip:a@example.test"),
    "to-open-quote": ("To", '"b <sip:a@example.test>'),
    "to-empty": ("To", ""),
    "call-id-empty": ("Call-ID", ""),
    "route-rubbish": ("Route", "<sip:"),
}


@pytest.mark.parametrize("name, value", BROKEN.values(), ids=BROKEN)
def test_16_3_1_what_the_proxy_works_with_must_be_well_formed(bench, name, value):
    caller, callee = bench.pair()
    request = caller.request("MESSAGE", callee.aor)
    request = request.replaced(name, value) if request[name] else request.with_((name, value))
    refused(caller, request.octets(), 400)
    callee.expect_nothing(0.02)


UNUSED = {
    "date": "Date: yesterday, about noon",
    "expires": "Expires: soon",
    "accept": "Accept: ;;/,,",
    "warning": "Warning: 12 no quotes here",
    "retry-after": "Retry-After: later",
    "subject-8bit": "Subject: \xe9\xff\xfe",
    "content-disposition": "Content-Disposition: ;;;=",
    "content-type": "Content-Type: /",
    "alert-info": "Alert-Info: no brackets , <unclosed",
    "error-info": "Error-Info: <",
    "in-reply-to": "In-Reply-To: ,,,@",
    "mime-version": "MIME-Version: none",
    "organization": "Organization:",
    "priority": "Priority: , ;",
    "reply-to": "Reply-To: <<>>",
    "server": "Server: (unclosed comment",
    "user-agent": 'User-Agent: "open',
    "call-info": "Call-Info: ;purpose",
    "authentication-info": "Authentication-Info: =",
    "www-authenticate": "WWW-Authenticate: Digest realm=",
    "min-expires": "Min-Expires: -1",
    "refer-to": "Refer-To: <sip:",
    "event": "Event: ;;",
    "reason": 'Reason: SIP;cause=;text="',
    "contact-of-message": "Contact: <sip:unclosed",
    "unknown-empty": "X-Nothing:",
    "unknown-odd-name": "!%*_+`'~-.: odd",
    "unknown-colon": "X-Colon: a: b :c",
    "unknown-spaces": "X-Spaces \t :   v",
    "p-asserted": 'P-Asserted-Identity: "x',
    "timestamp": "Timestamp: noon",
    "session-expires": "Session-Expires: x;refresher=",
    "identity": "Identity: not base64 ===",
    "geo": "Geolocation-Error: \\",
}


@pytest.mark.parametrize("line", UNUSED.values(), ids=UNUSED)
def test_16_3_1_what_the_proxy_does_not_use_is_ignored_and_passes_unchanged(bench, line):
    caller, callee = bench.pair()
    octets = line.encode("latin-1")
    caller.send(
        edited(caller.request("MESSAGE", callee.aor), rb"(?=\r\nContent-Length)", lambda m: b"\r\n" + octets)
    )
    callee.pump(0)
    arrived = callee.expect("MESSAGE")
    assert b"\r\n" + octets + b"\r\n" in arrived.raw


ODD_METHODS = [
    "FROBNICATE",
    "invite",
    "Register",
    "INVITES",
    "ACKNOWLEDGE",
    "!%*_+`'~-.",
    "X",
    "M" * 200,
    "CANCELLED",
]


@pytest.mark.parametrize("method", ODD_METHODS)
def test_16_3_1_a_method_the_proxy_does_not_know_is_forwarded_as_non_invite(bench, method):
    caller, callee = bench.pair()
    request = caller.send(caller.request(method, callee.aor))
    arrived = callee.expect(method)
    caller.expect_nothing(0.05, 100)
    callee.reply(arrived, 200)
    assert caller.final(request).status == 200


KNOWN = ("MESSAGE", "SUBSCRIBE", "NOTIFY", "PUBLISH", "REFER", "INFO", "UPDATE", "PRACK", "BYE", "OPTIONS")


@pytest.mark.parametrize("method", KNOWN)
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_16_2_every_method_reaches_a_registered_user(bench, method, transport):
    caller, callee = bench.pair({"transport": transport}, {"transport": transport})
    request = caller.send(caller.request(method, callee.aor))
    callee.reply(callee.expect(method), 202)
    assert caller.final(request).status == 202


# Step 2.
SCHEMES = [
    "foo:bar",
    "http://example.test/",
    "mailto:bob@example.test",
    "urn:service:sos",
    "im:bob@example.test",
]
SCHEMES += ["nobodyKnowsThisScheme:totallyopaquecontent", "x-1+a.b:c"]


@pytest.mark.parametrize("uri", SCHEMES)
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE", "OPTIONS"])
def test_16_3_2_an_unknown_scheme_is_416(bench, uri, method):
    caller = bench.phone()
    assert ask(caller, caller.request(method, uri, to="<sip:bob@example.test>")).status == 416


@pytest.mark.parametrize("uri", ["tel:+15551234", "foo:bar", "mailto:a@b.test"])
def test_8_2_2_1_an_unknown_scheme_in_to_and_from_is_no_reason_to_refuse(bench, uri):
    caller, callee = bench.pair()
    caller.send(caller.request("MESSAGE", callee.aor, to=f"<{uri}>", from_=f"<{uri}>;tag=1"))
    arrived = callee.expect("MESSAGE")
    assert arrived["To"] == f"<{uri}>"


# Step 3.
METHODS_0 = ["INVITE", "MESSAGE", "BYE", "SUBSCRIBE", "FROBNICATE", "INFO"]


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("method", METHODS_0)
def test_16_3_3_max_forwards_0_is_483(bench, method, transport):
    caller, callee = bench.pair({"transport": transport})
    assert ask(caller, caller.request(method, callee.aor, max_forwards=0)).status == 483
    callee.expect_nothing(0.02)


def test_16_3_3_max_forwards_0_of_an_options_is_answered_and_not_forwarded(bench):
    caller, callee = bench.pair()
    assert ask(caller, caller.request("OPTIONS", callee.aor, max_forwards=0)).status in (200, 483)
    callee.expect_nothing(QUIET)


@pytest.mark.parametrize("number", [1, 2, 69, 70, 71, 254, 255])
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_16_6_3_max_forwards_is_one_less(bench, number, method):
    caller, callee = bench.pair()
    caller.send(caller.request(method, callee.aor, max_forwards=number))
    assert callee.expect(method).all("Max-Forwards") == [str(number - 1)]


@pytest.mark.parametrize("value", ["256", "300", "99999999999999999999"])
def test_rfc4475_3_1_2_4_max_forwards_out_of_range_is_refused_or_taken_as_absent(bench, value):
    caller, callee = bench.pair()
    request = caller.send(caller.request("MESSAGE", callee.aor, max_forwards=value))
    poll(lambda: callee.pump(0.02) or callee.inbox or has_final(caller), 5, every=0)
    if callee.inbox:
        assert int(callee.expect("MESSAGE")["Max-Forwards"]) in (70, 254, 255)
    else:
        assert caller.final(request).status == 400


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_16_6_3_max_forwards_is_added_as_70(bench, method):
    caller, callee = bench.pair()
    caller.send(caller.request(method, callee.aor).without("Max-Forwards"))
    assert callee.expect(method).all("Max-Forwards") == ["70"]


def test_an_ack_with_max_forwards_0_is_neither_forwarded_nor_answered(bench):
    caller, callee = bench.pair()
    caller.send(caller.request("ACK", callee.aor, max_forwards=0))
    callee.expect_nothing(QUIET)
    caller.expect_nothing(0.02)


def test_9_2_a_cancel_with_max_forwards_0_still_cancels(bench):
    fork = bench.fork(1)
    fork.take(0), fork.reply(0, 180), fork.hears(180)
    cancel = fork.caller.cancel_of(fork.sent).replaced("Max-Forwards", "0")
    assert fork.caller.ask(cancel).status == 200
    fork.cancelled(0)
    assert fork.final().status == 487


# Step 5, and 8.2.2.3.
PROXY_REQUIRE = {
    "one": (["e2e-a"], {"e2e-a"}),
    "list": (["e2e-a,e2e-b ,  e2e-c"], {"e2e-a", "e2e-b", "e2e-c"}),
    "lines": (["e2e-a", "e2e-b"], {"e2e-a", "e2e-b"}),
    "folded": (["e2e-a,\r\n\te2e-b"], {"e2e-a", "e2e-b"}),
    "known-of-others": (["privacy, e2e-b"], None),
}


@pytest.mark.parametrize("values, tags", PROXY_REQUIRE.values(), ids=PROXY_REQUIRE)
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE", "BYE", "FROBNICATE"])
def test_16_3_5_unknown_proxy_require_is_420_with_all_tags_in_unsupported(bench, method, values, tags):
    caller, callee = bench.pair()
    response = ask(caller, caller.request(method, callee.aor, headers=[("Proxy-Require", v) for v in values]))
    assert response.status == 420
    assert set(response.all("Unsupported")) == (tags or {"privacy", "e2e-b"})
    callee.expect_nothing(0.02)


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE", "OPTIONS"])
def test_16_3_5_require_is_the_callees_business(bench, method):
    caller, callee = bench.pair()
    caller.send(caller.request(method, callee.aor, headers=[("Require", "e2e-a, 100rel")]))
    assert callee.expect(method).lines("Require") == ["e2e-a, 100rel"]


def test_8_2_2_3_proxy_require_in_a_cancel_is_ignored(bench):
    fork = bench.fork(1)
    fork.take(0), fork.reply(0, 180), fork.hears(180)
    cancel = fork.caller.cancel_of(fork.sent).with_(("Proxy-Require", "e2e-a"), ("Require", "e2e-b"))
    assert fork.caller.ask(cancel).status == 200
    fork.cancelled(0)
    assert fork.final().status == 487


def test_8_2_2_3_proxy_require_in_the_ack_of_a_refusal_is_ignored(bench):
    caller = bench.phone()
    invite = caller.send(caller.request("INVITE", f"sip:nobody@{bench.domain}"))
    refusal = caller.expect(404)
    caller.send(caller.ack_of(invite, refusal).with_(("Proxy-Require", "e2e-a")))
    caller.settle(invite)
    caller.expect_nothing(0)
    heard = caller.copies_of(refusal)
    caller.expect_nothing(0.7)
    assert caller.copies_of(refusal) == heard


def test_8_2_2_3_options_for_the_proxy_itself_with_require_is_420(bench):
    caller = bench.phone()
    response = ask(caller, own(bench, caller, headers=[("Require", "e2e-a, e2e-b")]))
    assert response.status == 420
    assert set(response.all("Unsupported")) == {"e2e-a", "e2e-b"}


# Version and start line.
@pytest.mark.parametrize("version", ["SIP/3.0", "SIP/1.0", "SIP/2.1", "SIP/7.0", "SIP/20.0"])
@pytest.mark.parametrize("method", ["INVITE", "OPTIONS"])
def test_21_5_6_another_version_is_505(bench, version, method):
    caller = bench.phone()
    refused(caller, edited(own(bench, caller, method), rb" SIP/2\.0\r\n", b" %s\r\n" % version.encode()), 505)


@pytest.mark.parametrize("version", ["sip/2.0", "Sip/2.0"])
def test_7_1_the_version_is_not_case_sensitive(bench, version):
    caller = bench.phone()
    refused(caller, edited(own(bench, caller), rb" SIP/2\.0\r\n", b" %s\r\n" % version.encode()), 200)


@pytest.mark.parametrize("way", ["udp", "tcp"])
def test_7_1_and_is_sent_on_in_upper_case(bench, way):
    caller, callee = bench.pair({"transport": way}, {"transport": way})
    caller.send(edited(caller.request("MESSAGE", callee.aor), rb" SIP/2\.0\r\n", b" sip/2.0\r\n"))
    callee.expect("MESSAGE")  # which the phone takes in upper case alone


START_LINES = {
    "uri-in-brackets": "OPTIONS <sip:example.test> SIP/2.0",
    "two-spaces": "OPTIONS  sip:example.test SIP/2.0",
    "space-in-uri": "OPTIONS sip:example.test; lr SIP/2.0",
    "trailing-space": "OPTIONS sip:example.test SIP/2.0 ",
    "no-host": "OPTIONS sip:bob@ SIP/2.0",
    "empty-uri": "OPTIONS sip: SIP/2.0",
    "bad-port": "OPTIONS sip:bob@example.test:port SIP/2.0",
    "port-too-large": "OPTIONS sip:bob@example.test:65536 SIP/2.0",
    "open-ipv6": "OPTIONS sip:bob@[::1 SIP/2.0",
    "bad-escape": "OPTIONS sip:bo%zzb@example.test SIP/2.0",
    "cut-escape": "OPTIONS sip:bob%4@example.test SIP/2.0",
}


@pytest.mark.parametrize("line", START_LINES.values(), ids=START_LINES)
def test_16_3_1_a_broken_request_line_is_400(bench, line):
    caller = bench.phone()
    request = own(bench, caller, to="<sip:x@example.test>")
    request.start = line
    refused(caller, request.octets(), 400)


@pytest.mark.parametrize(
    "line", ["HTTP/1.1 200 OK", "GET / HTTP/1.1", "", " ", "OPTIONS", "SIP/2.0", "\0\0\0\0"]
)
def test_rubbish_in_the_first_line_does_no_harm(bench, line):
    caller = bench.phone()
    request = own(bench, caller)
    request.start = line
    caller.send(request.octets())
    assert ask(caller, own(bench, caller)).status == 200


# Header syntax: sections 7.3.1, 7.3.3.
COMPACT = {"From": "f", "To": "t", "Via": "v", "Call-ID": "i", "Content-Length": "l", "Content-Type": "c"}


@pytest.mark.parametrize("name", COMPACT)
@pytest.mark.parametrize("upper", [False, True])
def test_7_3_3_compact_names_are_the_same_in_either_case(bench, name, upper):
    caller, callee = bench.pair()
    short = COMPACT[name].upper() if upper else COMPACT[name]
    request = caller.request("MESSAGE", callee.aor, body=b"hello", content_type="text/plain")
    caller.send(edited(request, rb"\r\n" + name.encode() + rb": ", b"\r\n" + short.encode() + b": "))
    arrived = callee.expect("MESSAGE")
    assert arrived.body == b"hello" and len(arrived.all("Via")) == 2
    callee.reply(arrived, 200)
    assert caller.final(request).status == 200


SPELLINGS = {
    "space-before-colon": lambda name, value: f"{name} : {value}",
    "tab-before-colon": lambda name, value: f"{name}\t:\t{value}",
    "no-space": lambda name, value: f"{name}:{value}",
    "upper": lambda name, value: f"{name.upper()}: {value}",
    "lower": lambda name, value: f"{name.lower()}: {value}",
    "folded": lambda name, value: f"{name}:\r\n {value}",
    "folded-twice": lambda name, value: f"{name}:\r\n\t\r\n  {value}",
    "trailing-space": lambda name, value: f"{name}: {value}   \t",
}


@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS)
@pytest.mark.parametrize("name", ["Via", "From", "To", "Call-ID", "CSeq", "Max-Forwards", "Route"])
def test_7_3_1_white_space_case_and_folding_change_nothing(bench, name, spell):
    caller, callee = bench.pair()
    request = caller.request("MESSAGE", callee.aor, routes=[f"<sip:{bench.side.hostport()};lr>"])
    line = spell(name, request[name]).encode()
    caller.send(edited(request, rb"(?m)^%s: [^\r]*" % name.encode(), lambda m: line))
    arrived = callee.expect("MESSAGE")
    assert arrived["Max-Forwards"] == "69" and arrived["Route"] is None
    callee.reply(arrived, 200)
    assert caller.final(request).status == 200


VIAS = {
    "no-cookie": "{p} {s};branch=1234;rport",
    "no-branch": "{p} {s};rport",
    "spaces": "SIP  /  2.0  /  UDP   {s} ; branch = {b} ; rport",
    "quoted-param": '{p} {s};branch={b};rport;x="a;b,c\\"d"',
    "unknown-params": "{p} {s};a;b=c;branch={b};rport;d=[::1]",
    "ttl": "{p} {s};ttl=16;branch={b};rport",
    "name": "{p} phone.invalid;branch={b};rport",
    "name-port": "{p} phone.invalid:5999;branch={b};rport",
    "ipv6": "{p} [2001:db8::9]:5060;branch={b};rport",
    "upper-params": "{p} {s};BRANCH={b};RPORT",
    "long-branch": "{p} {s};branch={b}" + "x" * 500 + ";rport",
    "branch-odd": "{p} {s};branch={b}-.!%*_+`'~;rport",
    "received-forged": "{p} {s};branch={b};rport;received=192.0.2.99",
}


@pytest.mark.parametrize("via", VIAS.values(), ids=VIAS)
def test_20_42_a_via_of_any_legal_form_works_and_comes_back(bench, via):
    caller, callee = bench.pair()
    line = via.format(p="SIP/2.0/UDP", s=caller.hostport, b=sip.new_branch())
    request = caller.request("MESSAGE", callee.aor, via=line)
    caller.send(request)
    arrived = callee.expect("MESSAGE")
    assert len(arrived.all("Via")) == 2
    callee.reply(arrived, 200)
    response = caller.expect(200)
    assert len(response.all("Via")) == 1
    for part in re.findall(r"\b(?:ttl|x|d)=[^;]+", line):
        assert part in response["Via"].replace(" ", "")


@pytest.mark.parametrize("count", [1, 10, 60])
@pytest.mark.parametrize("joined", [False, True])
def test_7_3_1_vias_in_one_line_or_many_come_back_in_order(bench, count, joined):
    caller, callee = bench.pair()
    below = [f'SIP/2.0/TCP 192.0.2.{i};branch=z9hG4bKb{i};x="a,{i}"' for i in range(1, count + 1)]
    request = caller.request("MESSAGE", callee.aor)
    vias = [request["Via"], *below]
    lines = [", ".join(vias)] if joined else vias
    request = request.without("Via")
    request.headers = [*(("Via", line) for line in lines), *request.headers]
    caller.send(request)
    callee.reply(callee.expect("MESSAGE"), 200)
    response = caller.expect(200)
    branches = [sip.params_of(via)["branch"] for via in response.all("Via")]
    assert branches == [request.branch, *(f"z9hG4bKb{i}" for i in range(1, count + 1))]


BODIES = {
    "nul": b"\0" * 10,
    "all-octets": bytes(range(256)),
    "looks-like-sip": b"\r\n\r\nINVITE sip:x@y SIP/2.0\r\nVia: z\r\n\r\n",
    "crlf": b"\r\n",
    "no-final-newline": b"v=0\r\na=",
    "multipart-broken": b"--x\r\n\r\n--",
    "utf8-cut": b"\xd0\xb0\xd0",
    "large": b"x" * 20000,
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
@pytest.mark.parametrize("way", ["udp-udp", "tcp-tcp", "udp-tcp", "tcp-udp"])
def test_16_6_1_and_16_7_9_bodies_pass_untouched_both_ways(bench, body, way):
    near, far = way.split("-")
    caller, callee = bench.pair({"transport": near}, {"transport": far})
    request = caller.request("MESSAGE", callee.aor, body=body, content_type="multipart/mixed;boundary=x")
    caller.send(request)
    arrived = callee.expect("MESSAGE")
    assert arrived.body == body
    callee.reply(arrived, 200, body=body)
    assert caller.final(request).body == body


# Section 18.3.
@pytest.mark.parametrize(
    "length", ["99999", "-1", "abc", "", "4294967296", "18446744073709551617", "1 2", "0x10"]
)
def test_18_3_a_wrong_content_length_of_a_datagram_is_400(bench, length):
    caller, callee = bench.pair()
    request = caller.request("MESSAGE", callee.aor, body=b"hello", headers=[("Content-Length", length)])
    refused(caller, request.octets(), 400)
    callee.expect_nothing(0.02)


def test_18_3_what_follows_the_body_in_a_datagram_is_discarded(bench):
    caller, callee = bench.pair()
    request = caller.request("MESSAGE", callee.aor, body=b"hello")
    caller.send(request.octets() + b"OPTIONS sip:extra SIP/2.0\r\n\r\n")
    assert callee.expect("MESSAGE").raw.endswith(b"\r\n\r\nhello")


def test_18_3_without_content_length_a_datagram_is_body_to_its_end(bench):
    caller, callee = bench.pair()
    request = caller.request("MESSAGE", callee.aor, body=b"hello").octets()
    caller.send(request.replace(b"Content-Length: 5\r\n", b""))
    arrived = callee.expect("MESSAGE")
    assert arrived.raw.endswith(b"\r\n\r\nhello")


@pytest.mark.parametrize("count", [1, 2, 5])
def test_7_5_empty_lines_before_a_request_are_ignored(bench, count):
    caller = bench.phone()
    assert ask(caller, b"\r\n" * count + own(bench, caller).octets()).status == 200


@pytest.mark.parametrize("body", [b"hello", b"x" * 30000])
def test_20_14_a_body_gains_its_content_length_on_the_way_to_a_stream(bench, body):
    caller, callee = bench.pair({}, {"transport": "tcp"})
    octets = caller.request("MESSAGE", callee.aor, body=body).octets()
    caller.send(re.sub(rb"Content-Length: \d+\r\n", b"", octets))
    arrived = callee.expect("MESSAGE")
    assert arrived.lines("Content-Length") == [str(len(body))] and arrived.body == body


# Sizes.
@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("count", [20, 100, 200])
def test_many_unknown_headers_pass_in_order(bench, count, transport):
    caller, callee = bench.pair({"transport": transport}, {"transport": transport})
    headers = [(f"X-H{i % 7}", f"value {i}") for i in range(count)]
    caller.send(caller.request("MESSAGE", callee.aor, headers=headers))
    arrived = callee.expect("MESSAGE")
    assert [field for field in arrived.headers if field[0].startswith("X-H")] == headers


@pytest.mark.parametrize("size", [100, 1000, 4097, 8192, 15000])
def test_long_header_lines_pass(bench, size):
    caller, callee = bench.pair({"transport": "tcp"}, {"transport": "tcp"})
    caller.send(caller.request("MESSAGE", callee.aor, headers=[("X-Long", "v" * size)]))
    assert callee.expect("MESSAGE").lines("X-Long") == ["v" * size]


LONG = {
    "tag": ("From", "<sip:a@example.test>;tag=" + "t" * 3000),
    "call-id": ("Call-ID", "c" * 3000),
    "display": ("To", '"' + "d" * 3000 + '" <sip:b@example.test>'),
    "to-user": ("To", "<sip:" + "u" * 3000 + "@example.test>"),
    "contact": ("Contact", "<sip:" + "u" * 3000 + "@example.test>"),
}


@pytest.mark.parametrize("name, value", LONG.values(), ids=LONG)
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_long_values_of_what_is_used_pass(bench, name, value, method):
    caller, callee = bench.pair({"transport": "tcp"}, {"transport": "tcp"})
    request = caller.request(method, callee.aor, contact="<sip:a@b.test>")
    caller.send(request.replaced(name, value))
    arrived = callee.expect(method)
    assert arrived.lines(name) == [value]


@pytest.mark.parametrize("headers", [300, 2000])
def test_too_many_headers_are_refused_or_dropped_and_do_no_harm(bench, headers):
    caller, callee = bench.pair()
    request = caller.request("MESSAGE", callee.aor, headers=[("X", "y")] * headers)
    response = answer_to(caller, request.octets(), 1)
    assert response is None or 400 <= response.status < 600
    assert ask(caller, own(bench, caller)).status == 200


TINY = [
    b"",
    b"\0",
    b"\r\n",
    b"\r\n\r\n",
    b"\r\n\r\n\r\n\r\n",
    b"A",
    b" ",
    b"SIP/2.0",
    b"INVITE",
    b"INVITE ",
    b":\r\n\r\n",
]
TINY += [
    b"SIP/2.0 200 OK\r\n\r\n",
    b"OPTIONS sip:a SIP/2.0\r\n\r\n",
    b"\xff" * 20,
    b"\x00\x01\x00\x00\x21\x12\xa4\x42" + b"a" * 12,
]


@pytest.mark.parametrize("octets", TINY, ids=repr)
def test_tiny_datagrams_do_no_harm(bench, octets):
    caller = bench.phone()
    caller.send(octets)
    assert ask(caller, own(bench, caller)).status == 200


# Section 11, and the responses of the proxy itself: 8.2.6.
@pytest.mark.parametrize(
    "uri", ["sip:{hp}", "sip:example.test", "sip:second.test", "sip:EXAMPLE.TEST", "sip:alias.test"]
)
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_11_2_options_for_the_proxy_lists_what_it_can_do(bench, uri, transport):
    caller = bench.phone(transport=transport)
    response = ask(caller, caller.request("OPTIONS", uri.format(hp=bench.side.hostport())))
    assert response.status == 200
    for name in ("Accept", "Accept-Encoding", "Accept-Language", "Supported"):
        assert response.lines(name), name
    assert not response.lines("Allow") and response.body == b"" and response.to_tag


def test_8_2_6_2_a_response_of_the_proxy_copies_what_identifies_the_request(bench):
    caller = bench.phone()
    request = caller.request(
        "INVITE", f"sip:nobody@{bench.domain}", from_='"A, \\"B\\"" <sip:a@b.test;x=y>;tag=q;z'
    )
    request = request.with_(
        ("Via", "SIP/2.0/TCP 192.0.2.1;branch=z9hG4bKx"), ("Record-Route", "<sip:r.test;lr>")
    )
    response = ask(caller, request)
    assert response.status == 404
    for name in ("From", "Call-ID", "CSeq"):
        assert response.lines(name) == request.lines(name)
    assert response["To"].startswith(request["To"]) and response.to_tag
    assert response.all("Via")[1] == "SIP/2.0/TCP 192.0.2.1;branch=z9hG4bKx"


REFUSALS = {
    "404": ("sip:nobody@example.test", 404, {}),
    "483": ("sip:w0@example.test", 483, {"max_forwards": 0}),
}
REFUSALS["420"] = ("sip:w0@example.test", 420, {"headers": [("Proxy-Require", "x")]})
REFUSALS["416"] = ("foo:bar", 416, {})


@pytest.mark.parametrize("uri, status, kinds", REFUSALS.values(), ids=REFUSALS)
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_8_2_6_2_a_to_tag_is_added_where_there_was_none_and_kept_where_there_was_one(
    bench, uri, status, kinds, method
):
    caller = bench.phone()
    without = ask(caller, caller.request(method, uri, to="<sip:x@y.test>", **kinds))
    assert without.status == status and len(without.to_tag) >= 8
    another = ask(caller, caller.request(method, uri, to="<sip:x@y.test>", **kinds))
    assert another.to_tag != without.to_tag
    present = ask(caller, caller.request(method, uri, to="<sip:x@y.test>;tag=theirs", **kinds))
    assert present["To"] == "<sip:x@y.test>;tag=theirs"


@pytest.mark.parametrize("value", ["54", "54.21", "0.5 1.2", ".7"])
def test_8_2_6_1_timestamp_is_copied_into_100(bench, value):
    caller, callee = bench.pair()
    invite = caller.send(caller.request("INVITE", callee.aor, headers=[("Timestamp", value)]))
    trying = caller.expect(100, branch=invite.branch)
    assert trying["Timestamp"].split()[0] == value.split()[0]
    assert callee.expect("INVITE")["Timestamp"] == value


def test_16_2_100_has_the_via_and_no_more_than_the_request_allows(bench):
    caller, callee = bench.pair()
    invite = caller.send(caller.request("INVITE", callee.aor))
    trying = caller.expect(100, branch=invite.branch)
    assert sip.params_of(trying["Via"])["branch"] == invite.branch
    for name in ("From", "Call-ID", "CSeq"):
        assert trying.lines(name) == invite.lines(name)
    assert not trying.lines("Require") and not trying.lines("Contact")


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_16_3_merged_requests_are_no_error_for_a_proxy(bench, method):
    caller, callee = bench.pair()
    first = caller.request(method, callee.aor)
    second = first.replaced("Via", first["Via"].replace(first.branch, sip.new_branch()))
    caller.send(first), caller.send(second)
    arrived = [callee.expect(method), callee.expect(method)]
    assert arrived[0].branch != arrived[1].branch and arrived[0].call_id == arrived[1].call_id


# ACK is never answered: section 17.1.1.3.
ACKS = {
    "unknown-user": "sip:nobody@{d}",
    "no-binding": "sip:w0@{d}",
    "proxy": "sip:{hp}",
    "scheme": "foo:bar",
}


@pytest.mark.parametrize("uri", ACKS.values(), ids=ACKS)
@pytest.mark.parametrize(
    "headers", [(), (("Proxy-Require", "x"),), (("Require", "x"),)], ids=["plain", "proxy-require", "require"]
)
def test_17_1_1_3_an_ack_is_never_answered(bench, uri, headers):
    caller = bench.phone()
    uri = uri.format(d=bench.domain, hp=bench.side.hostport())
    caller.send(caller.request("ACK", uri, to="<sip:x@y.test>;tag=1", headers=headers))
    caller.expect_nothing(0.05)
    assert ask(caller, own(bench, caller)).status == 200
    caller.expect_nothing(0)


BAD_ACKS = [
    (rb"CSeq: 1 ACK", b"CSeq: 1 INVITE"),
    (rb"(?m)^To: .*\r\n", b""),
    (rb"(?m)^Call-ID: .*\r\n", b""),
    (rb" SIP/2\.0\r\n", b" SIP/9.0\r\n"),
]


@pytest.mark.parametrize("pattern, replacement", BAD_ACKS)
def test_a_broken_ack_is_not_answered_either(bench, pattern, replacement):
    caller = bench.phone()
    caller.send(edited(caller.request("ACK", f"sip:w0@{bench.domain}"), pattern, replacement))
    caller.expect_nothing(0.1)


def test_a_response_without_a_via_of_ours_or_with_rubbish_is_never_answered(bench):
    caller = bench.phone()
    for octets in (
        b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKx\r\nCSeq: 1 INVITE\r\n\r\n",
        b"SIP/2.0 999 Odd\r\n\r\n",
        b"SIP/3.0 200 OK\r\nVia: x\r\n\r\n",
        b"SIP/2.0 20 OK\r\n\r\n",
    ):
        caller.send(octets)
    caller.expect_nothing(QUIET)


# What broke others (advisories).
ADVISORIES = {
    "two-tos-one-empty-tag": "To: <sip:x@y.test>;tag=",
    "to-tag-without-value": "To: <sip:x@y.test>;tag",
    "via-binary": "Via: SIP/2.0/UD~PTo :::]",
    "branch-empty": "Via: SIP/2.0/UDP 192.0.2.1;branch=",
    "auth-empty": "Authorization: Digest",
    "auth-no-fields": "Authorization: Digest ,,,",
    "auth-half": 'Authorization: Digest username="',
    "contact-none": "Contact: None",
    "contact-comma-user": "Contact: sip:a,b@c.test",
    "uri-percent-end": "Contact: <sip:a%>",
    "bare-cr": "X-Cr: a\rb",
    "nul-in-header": "X-Nul: a\0b",
    "no-colon": "this line has none",
    "only-colon": ":",
    "header-4k": "X: " + "y" * 5000,
    "long-name": "X" * 5000 + ": y",
    "rr-many": "Record-Route: " + ", ".join(["<sip:p;lr>"] * 100),
    "route-many": "Route: " + ", ".join(["<sip:p.invalid;lr>"] * 100),
    "contact-port": "Contact: <sip:a@b.test:123456789>",
    "proxy-auth-basic": "Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
}


@pytest.mark.parametrize("line", ADVISORIES.values(), ids=ADVISORIES)
@pytest.mark.parametrize("method", ["INVITE", "REGISTER", "OPTIONS"])
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_inputs_that_broke_others_do_no_harm(bench, line, method, transport):
    caller, callee = bench.pair({"transport": transport})
    uri = f"sip:{bench.domain}" if method == "REGISTER" else callee.aor
    octets = edited(
        caller.request(method, uri), rb"(?=\r\nContent-Length)", lambda m: b"\r\n" + line.encode("latin-1")
    )
    caller.send(octets)
    caller.pump(0.02)
    other = bench.phone(transport=transport)
    assert ask(other, own(bench, other)).status == 200
