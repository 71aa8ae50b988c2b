"""What the proxy does to a request and its responses on the way: RFC 3261 section 16 over the wire."""

import time

import pytest

from harness import sip
from harness.env import patience
from harness.phone import answer, call, cancel, cancelled, confirm, hang_up, refuse, ring


@pytest.fixture
def pair(new_phone):
    """A caller, and a callee who is registered."""
    caller, callee = new_phone(), new_phone()
    assert callee.register().status == 200
    return caller, callee


def test_16_6_what_is_added_and_what_is_not(pair):
    caller, callee = pair
    body = b"v=0\r\n" + bytes(range(256)) + b"\xd0\xb0\r\n\r\nno header: this\r\n"
    invite = caller.invite(
        callee.aor, body=body, max_forwards=33, headers=[("Subject", "tea"), ("X-Mine", "a , b;;")]
    )
    arrived = callee.expect("INVITE")
    assert arrived.uri == callee.contact
    assert arrived["Max-Forwards"] == "32"
    vias = arrived.all("Via")
    assert len(vias) == 2
    assert vias[0].startswith(f"SIP/2.0/UDP {caller.proxy.hostport};")
    assert arrived.branch.startswith("z9hG4bK")
    assert sip.params_of(vias[1])["branch"] == invite.branch
    assert ";lr" in arrived["Record-Route"] and caller.proxy.hostport in arrived["Record-Route"]
    assert arrived.body == body
    for name in ("From", "To", "Call-ID", "CSeq", "Contact", "Subject", "X-Mine", "Content-Type"):
        assert arrived.lines(name) == invite.lines(name)
    refuse(caller, callee, invite, arrived)


UNTOUCHED = [
    b"X-Folded: one\r\n\ttwo\r\n   three",
    b"x-nothing:",
    b"X-Comma: ;;,,;;,;",
    b"X-Utf8: \xd0\x91\xd0\xbe\xd0\xb1",
    b"X-Space  :   around  ",
    b'Warning: 399 a.example "quo\\"te, comma"',
    b"e: gzip",
    b"k: path, gruu",
    b"Subject:",
    b"Date: Sat, 13 Nov 2010 23:29:00 GMT",
    b"Geolocation: <cid:x@y>",
]


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_what_is_not_used_passes_byte_for_byte(new_phone, transport):
    caller, callee = new_phone(transport=transport), new_phone(transport=transport)
    callee.register()
    invite = caller.request("MESSAGE", callee.aor, body=b"\0\r\n\r\n\xff", content_type="application/x")
    challenge = caller.ask(invite)
    octets = caller.authorize(invite, challenge).octets()
    head, _, body = octets.partition(b"\r\n\r\n")
    caller.send(head + b"\r\n" + b"\r\n".join(UNTOUCHED) + b"\r\n\r\n" + body)
    arrived = callee.expect("MESSAGE")
    for line in UNTOUCHED:
        assert b"\r\n" + line + b"\r\n" in arrived.raw, line
    # Their order is kept, too.
    places = [arrived.raw.index(b"\r\n" + line + b"\r\n") for line in UNTOUCHED]
    assert places == sorted(places)
    assert arrived.body == b"\0\r\n\r\n\xff"


def test_7_3_compact_folded_and_odd_spelling_of_what_is_used(start_proxy, phone):
    proxy = start_proxy(call_auth=False)
    caller, bob = phone(proxy, "alice"), phone(proxy, "bob")
    bob.register()
    branch = sip.new_branch()
    raw = (
        f"INVITE {bob.aor} SIP/2.0\r\n"
        f"v:  SIP / 2.0\r\n / UDP {caller.hostport}\r\n\t;branch ={branch}; rport\r\n"
        "v: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bKa,\r\n  SIP/2.0/UDP 192.0.2.2;branch=z9hG4bKb\r\n"
        'f: "A \\"quoted\\" ; name"\r\n  <sip:alice@example.test>  ; tag=folded\r\n'
        f"t : <{bob.aor}>\r\ni:\r\n  odd-call-id{branch}\r\nMAX-forwards:  0012\r\n"
        f"cSeQ: 0007\r\n   INVITE\r\n"
        f"m: <{caller.contact}>\r\nl: 3\r\n\r\nabc"
    )
    caller.send(raw.encode())
    arrived = bob.expect("INVITE")
    assert arrived["Max-Forwards"] == "11"
    assert [sip.params_of(via).get("branch") for via in arrived.all("Via")[1:]] == [
        branch,
        "z9hG4bKa",
        "z9hG4bKb",
    ]
    assert arrived.body == b"abc"
    bob.reply(arrived, 486)
    refusal = caller.expect(486)
    assert [sip.params_of(via).get("branch") for via in refusal.all("Via")] == [
        branch,
        "z9hG4bKa",
        "z9hG4bKb",
    ]
    assert refusal["CSeq"].split() == ["7", "INVITE"] or refusal["CSeq"].split() == ["0007", "INVITE"]


def test_17_2_1_the_caller_hears_100_at_once_and_never_the_callees(pair):
    caller, callee = pair
    started = time.monotonic()
    invite = caller.invite(callee.aor)
    trying = caller.expect(lambda m: m.status == 100 and m.branch == invite.branch)
    assert trying.at - started < patience(1)
    arrived = callee.expect("INVITE")
    callee.reply(arrived, 100)
    caller.expect_nothing(0.2, 100)
    refuse(caller, callee, invite, arrived)


def test_17_2_1_a_repeated_invite_is_not_forwarded_twice(pair):
    caller, callee = pair
    invite, arrived = ring(caller, callee)
    progress = callee.reply(arrived, 183)
    heard = caller.expect(183)
    callee.pump(0)
    before = callee.copies_of(arrived)  # the proxy's own, where the callee was slow
    caller.send(invite)
    assert caller.expect_copies(heard, 2) == 2
    callee.expect_nothing(0.3, "INVITE")
    assert progress.status == heard.status
    assert callee.copies_of(arrived) == before
    assert caller.copies_of(heard) == 2
    refuse(caller, callee, invite, arrived)


def test_16_7_step_5_every_2xx_is_forwarded_also_a_repeated_one(pair):
    caller, callee = pair
    invite = caller.invite(callee.aor)
    arrived = callee.expect("INVITE")
    near, far = answer(caller, callee, invite, arrived)
    ok = near.response
    callee.udp.sendto(far.response.octets(), arrived.source[1])
    assert caller.expect_copies(ok, 2) == 2
    caller.expect_nothing(0.1)
    hang_up(near, far)


def test_17_1_1_3_a_refusal_is_acknowledged_to_the_callee_and_repeated_until_the_caller_acknowledges(pair):
    caller, callee = pair
    invite = caller.invite(callee.aor)
    arrived = callee.expect("INVITE")
    callee.reply(arrived, 486)
    callee.expect("ACK")
    refusal = caller.expect(486)
    assert caller.expect_copies(refusal, 2) >= 2  # Timer G starts at T1, 500 ms
    caller.send(caller.ack_of(invite, refusal))
    caller.settle(invite)
    caller.expect_nothing(0)
    heard = caller.copies_of(refusal)
    caller.expect_nothing(1.3)
    assert caller.copies_of(refusal) == heard
    callee.expect_nothing(0.1)


def fork(new_phone, count):
    """A caller, and one user who is registered at so many phones."""
    caller, first = new_phone(), new_phone()
    callees = [first, *(new_phone(first.user) for _ in range(count - 1))]
    for callee in callees:
        assert callee.register().status == 200
    return caller, callees


def test_16_6_all_contacts_ring_the_first_answer_wins_and_the_others_are_cancelled(new_phone):
    caller, callees = fork(new_phone, 3)
    invite = caller.invite(callees[0].aor)
    arrived = [callee.expect("INVITE") for callee in callees]
    assert len({each.branch for each in arrived}) == 3
    for callee, each in zip(callees, arrived):
        callee.reply(each, 180)
    near, far = answer(caller, callees[1], invite, arrived[1])
    for i in (0, 2):
        reached = callees[i].expect("CANCEL")
        # Section 9.1: the INVITE's Via and Request-URI, one Via only.
        assert reached.all("Via") == arrived[i].all("Via")[:1]
        assert (reached.uri, reached["Call-ID"], reached.cseq[0]) == (
            arrived[i].uri,
            invite.call_id,
            invite.cseq[0],
        )
        callees[i].reply(reached, 200)
        callees[i].reply(arrived[i], 487)
        assert callees[i].expect("ACK").branch == arrived[i].branch
    caller.expect_nothing(0.3, lambda m: m.status and m.status >= 300)
    hang_up(near, far)
    callees[1].expect_nothing(0.1)


@pytest.mark.parametrize(
    "statuses, best",
    [
        ((486, 404, 500), {404, 486}),
        ((503, 503), {500}),
        ((486, 401), {401}),
        ((302, 486), {302}),
        ((500, 404), {404}),
    ],
)
def test_16_7_step_6_the_best_of_the_refusals_is_forwarded_when_all_have_come(new_phone, statuses, best):
    caller, callees = fork(new_phone, len(statuses))
    invite = caller.invite(callees[0].aor)
    arrived = [callee.expect("INVITE") for callee in callees]
    for callee, each, status in zip(callees, arrived, statuses):
        caller.expect_nothing(0.05, lambda m: m.status and m.status >= 200)
        headers = [("WWW-Authenticate", 'Digest realm="r", nonce="n"')] if status == 401 else []
        callee.reply(each, status, headers=headers)
    assert caller.final(invite).status in best


def test_16_7_step_5_a_6xx_cancels_the_rest_and_wins(new_phone):
    caller, callees = fork(new_phone, 2)
    invite = caller.invite(callees[0].aor)
    arrived = [callee.expect("INVITE") for callee in callees]
    callees[1].reply(arrived[1], 180)
    callees[0].reply(arrived[0], 603)
    callees[1].reply(callees[1].expect("CANCEL"), 200)
    callees[1].reply(arrived[1], 487)
    assert caller.final(invite).status == 603


def test_16_7_step_7_challenges_of_several_branches_are_put_together(new_phone):
    caller, callees = fork(new_phone, 2)
    invite = caller.invite(callees[0].aor)
    offers = [f'Digest realm="r{i}", nonce="n{i}"' for i in range(2)]
    for i, callee in enumerate(callees):
        callee.reply(callee.expect("INVITE"), 401, headers=[("WWW-Authenticate", offers[i])])
    assert sorted(caller.final(invite).lines("WWW-Authenticate")) == offers


def test_16_10_a_cancelled_call(pair):
    caller, callee = pair
    cancel(caller, callee, *ring(caller, callee))


def test_9_1_a_cancel_waits_for_the_first_provisional_response(pair):
    caller, callee = pair
    invite = caller.invite(callee.aor)
    arrived = callee.expect("INVITE")
    assert caller.ask(caller.cancel_of(invite)).status == 200
    callee.expect_nothing(0.3, "CANCEL")
    callee.reply(arrived, 180)
    cancelled(caller, callee, invite, arrived)


def test_9_1_an_answer_that_crosses_the_cancel_reaches_the_caller(pair):
    caller, callee = pair
    invite, arrived = ring(caller, callee)
    assert caller.ask(caller.cancel_of(invite)).status == 200
    crossing = callee.reply(arrived, 200, contact=True)
    callee.reply(callee.expect("CANCEL"), 200)
    hang_up(*confirm(caller, callee, invite, arrived, crossing))


def test_16_10_a_cancel_that_matches_nothing_is_answered_and_makes_no_call(pair):
    caller, callee = pair
    invite = caller.request("INVITE", callee.aor)
    caller.send(caller.cancel_of(invite))
    # Forwarded statelessly, or 481 by ourselves (section 9.2); the callee has no such call either.
    assert caller.final_by_either(caller.cancel_of(invite), callee, 481).status == 481


def test_a_repeated_cancel_gets_the_same_200(pair):
    caller, callee = pair
    invite, arrived = ring(caller, callee)
    request = caller.cancel_of(invite)
    ok = caller.ask(request)
    caller.send(request)
    assert caller.expect_copies(ok, 2) == 2
    caller.expect_nothing(0.1, lambda m: m.status and m.status >= 300)
    cancelled(caller, callee, invite, arrived)


def test_16_3_max_forwards_0_is_483_and_options_is_answered(new_phone):
    caller = new_phone()
    response = caller.ask(caller.request("MESSAGE", f"sip:nobody@{caller.domain}", max_forwards=0))
    assert response.status == 483
    assert caller.ask(caller.request("OPTIONS", f"sip:{caller.domain}", max_forwards=0)).status in (200, 483)


def test_16_3_an_unknown_proxy_require_is_420_with_the_tags_listed(new_phone):
    caller = new_phone()
    headers = [("Proxy-Require", "e2e-frob"), ("Proxy-Require", "e2e-nitz"), ("Require", "e2e-mine")]
    response = caller.ask(caller.request("INVITE", f"sip:nobody@{caller.domain}", headers=headers))
    assert response.status == 420
    assert set(response.all("Unsupported")) == {"e2e-frob", "e2e-nitz"}


def test_16_3_an_unknown_scheme_is_416(new_phone):
    caller = new_phone()
    assert (
        caller.ask(caller.request("INVITE", "nobodyKnowsThisScheme:totallyopaque", to="<sip:x@y>")).status
        == 416
    )


def test_16_3_another_version_is_505(new_phone):
    caller = new_phone()
    request = caller.request("OPTIONS", f"sip:{caller.domain}")
    caller.send(request.octets().replace(b" SIP/2.0\r\n", b" SIP/3.0\r\n", 1))
    assert caller.expect(lambda m: m.status).status == 505


def test_an_unknown_method_is_forwarded(pair):
    caller, callee = pair
    request = caller.request("FROBNICATE", callee.aor)
    challenge = caller.ask(request)
    request = caller.authorize(request, challenge) if challenge.status == 407 else request
    caller.send(request)
    callee.reply(callee.expect("FROBNICATE"), 501)
    assert caller.final(request).status == 501


def test_16_7_step_3_a_response_that_is_not_ours_is_dropped(pair):
    caller, callee = pair
    invite = caller.invite(callee.aor)
    arrived = callee.expect("INVITE")
    stray = sip.response_to(arrived, 200, to_tag="stray")
    for via in ("SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bKelse", arrived.all("Via")[0] + "x"):
        forged = stray.without("Via")
        forged.headers = [("Via", via), ("Via", arrived.all("Via")[1]), *forged.headers]
        callee.send(forged.octets())
    caller.expect_nothing(0.3)
    refuse(caller, callee, invite, arrived)


def test_a_re_invite_of_the_callee_and_a_cancelled_one_of_the_caller(pair):
    caller, callee = pair
    near, far = call(caller, callee)
    again = callee.send(far.request("INVITE"))
    arrived = caller.expect("INVITE")
    caller.reply(arrived, 200, contact=True)
    assert callee.final(again).status == 200
    far.invite_cseq = again.cseq[0]
    callee.send(far.request("ACK"))
    caller.expect("ACK")
    third = caller.send(near.request("INVITE"))
    arrived = callee.expect("INVITE")
    callee.reply(arrived, 180)
    caller.expect(180, branch=third.branch)
    cancel(caller, callee, third, arrived)
    hang_up(near, far)


def test_16_9_a_callee_whose_port_is_closed_is_a_503_of_that_branch(start_proxy, phone):
    proxy = start_proxy()
    caller, bob = phone(proxy, "alice"), phone(proxy, "bob")
    bob.register()
    bob.close()
    started = time.monotonic()
    response = caller.final(caller.invite(bob.aor))
    # Sections 16.9 and 16.7 step 6: treated as a 503, and a 503 is passed on as a 500.
    assert response.status == 500
    assert time.monotonic() - started < patience(4)


def test_q_decides_the_order_of_contacts(new_phone):
    caller, first, second = new_phone(), new_phone(), None
    second = new_phone(first.user)
    assert first.register(f"<{first.contact}>;q=0.5").status == 200
    assert second.register(f"<{second.contact}>;q=1.0").status == 200
    invite = caller.invite(first.aor)
    arrived = second.expect("INVITE")
    first.expect_nothing(0.2)
    second.reply(arrived, 486)
    later = first.expect("INVITE")
    first.reply(later, 480)
    assert caller.final(invite).status in (480, 486)


def test_16_6_step_4_no_record_route_is_added_to_a_request_that_makes_no_dialog(pair):
    caller, callee = pair
    request = caller.request("MESSAGE", callee.aor)
    request = caller.authorize(request, caller.ask(request))
    caller.send(request)
    arrived = callee.expect("MESSAGE")
    assert arrived["Record-Route"] is None
    callee.reply(arrived, 202)
    assert caller.final(request).status == 202
