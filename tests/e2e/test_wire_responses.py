"""Responses, forks and CANCEL over the wire: RFC 3261 sections 9, 16.7 to 16.10, RFC 3326, 4320, 6026."""

import itertools
import re

import pytest

from harness import sip
from harness.env import poll
from harness.phone import Dialog
from harness.wire import QUIET, ask, route

pytestmark = pytest.mark.viaduct


def challenge(realm):
    return f'Digest realm="{realm}", nonce="n-{realm}", algorithm=MD5'


def extra(status, i):
    """What such a response holds."""
    if status in (401, 407):
        return [("WWW-Authenticate" if status == 401 else "Proxy-Authenticate", challenge(f"r{i}"))]
    if status // 100 == 3:
        return [("Contact", f"<sip:moved{i}@far.invalid>")]
    return []


# Section 16.7 step 5: provisional responses.
@pytest.mark.parametrize("status", [101, 180, 181, 182, 183, 189, 199])
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_16_7_5_a_provisional_response_is_forwarded_at_once_and_untouched(bench, status, transport):
    fork = bench.fork(1, caller={"transport": transport}, transport=transport)
    arrived = fork.take(0)
    headers = [("Require", "100rel"), ("RSeq", "1"), ("X-Odd", "a , b"), ("Server", "me")]
    fork.reply(0, status, reason="As You Like It", headers=headers, body=b"v=0\r\n\0")
    heard = fork.hears(status)
    assert heard.reason == "As You Like It" and heard.body == b"v=0\r\n\0"
    assert heard.to_tag == "t0" and heard.all("Record-Route") == arrived.all("Record-Route")
    assert len(heard.all("Via")) == 1
    for name, value in headers:
        assert heard.lines(name) == [value]


def test_16_7_5_no_100_is_forwarded(bench):
    fork = bench.fork(1)
    fork.take(0)
    fork.hears(100)
    fork.reply(0, 100)
    fork.caller.expect_nothing(QUIET, 100)


@pytest.mark.parametrize("count", [2, 5])
def test_16_7_5_each_branch_is_an_early_dialog_of_its_own(bench, count):
    fork = bench.fork(*[1] * count)
    fork.take_all()
    tags = set()
    for i in range(count):
        fork.reply(i, 180)
        tags.add(fork.hears(180).to_tag)
    assert tags == {f"t{i}" for i in range(count)}


def test_16_7_5_a_second_and_third_183_of_one_branch_are_forwarded_too(bench):
    fork = bench.fork(1)
    fork.take(0)
    for number in ("1", "2", "3"):
        fork.reply(0, 183, headers=[("RSeq", number)])
        assert fork.hears(183)["RSeq"] == number


# 2xx.
@pytest.mark.parametrize("status", [200, 202, 204, 299])
def test_16_7_5_a_2xx_is_forwarded_at_once_and_the_others_are_cancelled(bench, status):
    fork = bench.fork(1, 1, 1)
    fork.take_all()
    fork.reply(0, 180), fork.reply(2, 183)
    fork.reply(1, status, headers=[("X-Y", "z")], body=b"sdp")
    heard = fork.hears(status)
    assert heard.to_tag == "t1" and heard.body == b"sdp" and heard["X-Y"] == "z"
    for i in (0, 2):
        cancel = fork.cancelled(i)
        assert "200" in cancel["Reason"] and cancel["Reason"].upper().startswith("SIP")
        assert fork.take(i, "ACK").branch == fork.arrived[i].branch
    fork.caller.expect_nothing(
        QUIET, lambda m: m.status and m.status > 100 and m.status != 180 and m.status != 183
    )


def test_rfc3326_the_cancel_of_a_lost_branch_says_completed_elsewhere(bench):
    fork = bench.fork(1, 1)
    fork.take_all()
    fork.reply(0, 180), fork.hears(180), fork.reply(1, 200)
    reason = fork.take(0, "CANCEL")["Reason"]
    assert re.match(r'SIP\s*;\s*cause=200\s*;\s*text="Call completed elsewhere"$', reason)


@pytest.mark.parametrize("delay", [0, 0.1])
def test_16_7_5_a_2xx_of_another_branch_is_forwarded_after_the_final_response_too(bench, delay):
    fork = bench.fork(1, 1, 1)
    fork.take_all()
    for i in range(3):
        fork.reply(i, 180)
    tags = set()
    for i in range(3):
        fork.reply(i, 200)
        tags.add(fork.hears(200).to_tag)
        fork.callee.pump(delay)
    assert tags == {"t0", "t1", "t2"}


def test_16_7_5_a_2xx_that_crosses_the_cancel_is_forwarded_and_each_ack_finds_its_way(bench):
    fork = bench.fork(1, 1)
    fork.take_all()
    fork.reply(0, 180), fork.reply(1, 180)
    fork.reply(0, 200)
    fork.take(1, "CANCEL")
    fork.reply(1, 200)
    for i in range(2):
        heard = fork.caller.expect(lambda m, i=i: m.status == 200 and m.to_tag == f"t{i}")
        near = Dialog(fork.caller, fork.sent, heard, caller=True)
        fork.caller.send(near.request("ACK"))
        assert f"tag=t{i}" in fork.callee.expect("ACK")["To"]


@pytest.mark.parametrize("times", [2, 4])
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_rfc6026_every_repetition_of_a_2xx_is_forwarded(bench, times, transport):
    fork = bench.fork(1, caller={"transport": transport}, transport=transport)
    fork.take(0)
    ok = fork.reply(0, 200)
    heard = fork.hears(200)
    kind, peer = fork.arrived[0].source
    for _ in range(times - 1):
        fork.callee.udp.sendto(ok.octets(), peer) if kind == "udp" else peer.send(ok.octets())
    assert fork.caller.expect_copies(heard, times) == times
    fork.caller.expect_nothing(QUIET, lambda m: m.status and m.status >= 300)
    assert fork.caller.copies_of(heard) == times


def test_rfc6026_an_invite_repeated_after_its_2xx_is_absorbed(bench):
    fork = bench.fork(1)
    fork.take(0)
    fork.reply(0, 200)
    heard = fork.hears(200)
    fork.callee.pump(0)
    before = fork.callee.retransmissions  # the proxy's own, where the callee was slow
    fork.caller.send(fork.sent)
    fork.callee.expect_nothing(QUIET)
    fork.caller.settle(fork.sent)
    fork.callee.expect_nothing(0)
    fork.caller.expect_nothing(0, lambda m: m.status and m.status >= 300)
    assert fork.caller.copies_of(heard) >= 1 and fork.callee.retransmissions == before


# Non-2xx finals: one, the best, when all have come.
@pytest.mark.parametrize(
    "status",
    [
        300,
        301,
        302,
        305,
        380,
        400,
        403,
        404,
        405,
        410,
        413,
        415,
        420,
        480,
        481,
        482,
        484,
        486,
        488,
        494,
        499,
        500,
        501,
        504,
        580,
        599,
        600,
        603,
        604,
        606,
        699,
    ],
)
def test_16_7_6_the_only_response_is_forwarded_as_it_is(bench, status):
    fork = bench.fork(1)
    fork.take(0)
    headers = [*extra(status, 0), ("Retry-After", "7"), ("X-Y", "z , z"), ("Warning", '399 a "b"')]
    fork.reply(0, status, reason="My Words", headers=headers, body=b"why\0")
    heard = fork.final()
    assert (heard.status, heard.reason, heard.body, heard.to_tag) == (status, "My Words", b"why\0", "t0")
    for name, value in headers:
        assert value in heard.lines(name)
    assert fork.take(0, "ACK").branch == fork.arrived[0].branch


@pytest.mark.parametrize("method", ["MESSAGE", "OPTIONS", "SUBSCRIBE", "FROB"])
@pytest.mark.parametrize("status", [200, 202, 302, 400, 401, 404, 407, 481, 486, 489, 500, 501, 603])
def test_16_7_6_so_is_that_of_a_non_invite(bench, method, status):
    fork = bench.fork(1, method=method)
    fork.take(0)
    fork.reply(0, status, headers=extra(status, 0), body=b"b")
    heard = fork.final()
    assert (heard.status, heard.to_tag, heard.body) == (status, "t0", b"b")


BEST = [
    ((486, 404), {486, 404}),
    ((404, 600), {600}),
    ((600, 200), {200}),
    ((302, 404), {302}),
    ((404, 302), {302}),
    ((500, 302), {302}),
    ((500, 486), {486}),
    ((486, 500), {486}),
    ((503, 486), {486}),
    ((503, 503), {500}),
    ((503, 500), {500}),
    ((503, 504), {504, 500}),
    ((504, 503), {504, 500}),
    ((401, 404), {401}),
    ((404, 401), {401}),
    ((407, 486), {407}),
    ((486, 407), {407}),
    ((415, 404), {415}),
    ((404, 415), {415}),
    ((420, 404), {420}),
    ((404, 420), {420}),
    ((484, 404), {484}),
    ((404, 484), {484}),
    ((401, 407), {401, 407}),
    ((401, 302), {302}),
    ((401, 603), {603}),
    ((603, 401), {603}),
    ((503, 407, 501, 404), {407}),
    ((600, 603), {600, 603}),
    ((480, 500, 603, 302), {603}),
    ((599, 499), {499}),
    ((300, 301), {300, 301}),
    ((503, 302), {302}),
    ((503, 603), {603}),
]


@pytest.mark.parametrize(
    "statuses, best", BEST, ids=lambda v: "-".join(map(str, v)) if isinstance(v, tuple) else ""
)
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_16_7_6_the_best_response_is_chosen(bench, statuses, best, method):
    fork = bench.fork(*[1] * len(statuses), method=method)
    fork.take_all()
    for i, status in enumerate(statuses):
        fork.reply(i, status, headers=extra(status, i))
    heard = fork.final()
    assert heard.status in best
    fork.no_final(0.05)


@pytest.mark.parametrize("last", [0, 1, 2])
def test_16_7_6_not_before_all_branches_have_ended(bench, last):
    fork = bench.fork(1, 1, 1)
    fork.take_all()
    for i in range(3):
        if i != last:
            fork.reply(i, 404)
    fork.no_final()
    fork.reply(last, 486)
    assert fork.final().status in (404, 486)


@pytest.mark.parametrize(
    "method, first, then", [("MESSAGE", 200, 200), ("MESSAGE", 200, 404), ("OPTIONS", 202, 603)]
)
def test_16_7_5_a_non_invite_gets_exactly_one_final_response(bench, method, first, then):
    fork = bench.fork(1, 1, method=method)
    fork.take_all()
    fork.reply(0, first)
    assert fork.final().status == first
    fork.reply(1, then)
    fork.no_final()


@pytest.mark.parametrize("status", [404, 486, 503, 302, 487])
def test_16_7_5_nothing_but_2xx_is_forwarded_after_a_2xx(bench, status):
    fork = bench.fork(1, 1)
    fork.take_all()
    fork.reply(0, 200)
    fork.hears(200)
    fork.reply(1, status)
    assert fork.take(1, "ACK").branch == fork.arrived[1].branch
    fork.no_final()


@pytest.mark.parametrize("status", [500, 503, 486])
def test_17_1_1_3_a_final_repeated_by_the_callee_is_acknowledged_again_and_not_forwarded_again(bench, status):
    fork = bench.fork(1)
    fork.take(0)
    said = fork.reply(0, status)
    fork.final()
    ack = fork.take(0, "ACK")
    fork.callee.udp.sendto(said.octets(), fork.arrived[0].source[1])
    assert fork.callee.expect_copies(ack, 2) == 2
    fork.no_final()
    fork.callee.pump(0)
    assert fork.callee.copies_of(ack) == 2


# 6xx.
@pytest.mark.parametrize("status", [600, 603, 606])
def test_16_7_5_a_6xx_waits_for_what_it_cancelled(bench, status):
    fork = bench.fork(1, 1, 1)
    fork.take_all()
    fork.reply(1, 180), fork.hears(180)
    fork.reply(0, status)
    fork.take(1, "CANCEL")
    fork.no_final(0.1)
    fork.callee.expect_nothing(0.02, "CANCEL")  # branch 2 has said nothing yet
    fork.reply(1, 487)
    fork.no_final(0.1)
    fork.reply(2, 180)
    fork.take(2, "CANCEL")
    fork.reply(2, 487)
    assert fork.final().status == status


def test_16_7_5_a_2xx_after_a_6xx_is_what_the_caller_hears(bench):
    fork = bench.fork(1, 1)
    fork.take_all()
    fork.reply(1, 180), fork.hears(180)
    fork.reply(0, 603)
    fork.take(1, "CANCEL")
    fork.reply(1, 200)
    assert fork.hears(200).to_tag == "t1"
    fork.caller.expect_nothing(QUIET, lambda m: m.status and m.status >= 300)


@pytest.mark.parametrize(
    "status, goes_on",
    [
        (603, False),
        (600, False),
        (200, False),
        (486, True),
        (404, True),
        (503, True),
        (408, True),
        (480, True),
        (500, True),
    ],
)
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_16_7_5_only_6xx_and_2xx_end_the_series(bench, status, goes_on, method):
    fork = bench.fork(1.0, 0.5, method=method)
    fork.take(0)
    fork.callee.expect_nothing(0.05, method)
    fork.reply(0, status)
    if goes_on:
        fork.take(1)
        fork.no_final(0.05)
        fork.reply(1, 484)
        assert fork.final().status == 484
    else:
        assert fork.final().status == status
        fork.callee.expect_nothing(QUIET, method)


# Order by q: section 16.6.
SERIES = {
    "falling": ((1.0, 0.7, 0.3), [[0], [1], [2]]),
    "rising": ((0.1, 0.5, 0.9), [[2], [1], [0]]),
    "default-is-1": ((0.9, None), [[1], [0]]),
    "groups": ((0.5, 1.0, 0.5, 1.0), [[1, 3], [0, 2]]),
    "mixed": ((0.2, 0.9, 0.2, 0.5), [[1], [3], [0, 2]]),
    "spelled": (("1", "1.000", "0.50", "0.5"), [[0, 1], [2, 3]]),
    "zero": ((0, 1), [[1], [0]]),
    "fine": ((0.123, 0.124), [[1], [0]]),
}


@pytest.mark.parametrize("qs, groups", SERIES.values(), ids=SERIES)
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_16_6_contacts_are_tried_by_q_equals_in_parallel(bench, qs, groups, method):
    fork = bench.fork(*qs, method=method)
    for group in groups:
        for i in group:
            fork.take(i)
        fork.callee.expect_nothing(0.03, method)
        for i in group:
            fork.reply(i, 486)
    assert fork.final().status == 486
    assert len(fork.arrived) == len(qs)


def test_16_7_6_the_best_of_the_whole_series_is_forwarded(bench):
    fork = bench.fork(1.0, 0.8, 0.6, 0.4)
    for i, status in enumerate((503, 407, 501, 404)):
        fork.take(i)
        fork.reply(i, status, headers=extra(status, i))
    assert fork.final().status == 407


# Step 7.
@pytest.mark.parametrize(
    "statuses",
    [(401, 401), (407, 407), (401, 407), (407, 401), (401, 407, 404), (407, 401, 407), (500, 401, 407)],
)
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_16_7_7_all_challenges_are_in_the_response_unchanged(bench, statuses, method):
    fork = bench.fork(*[1] * len(statuses), method=method)
    fork.take_all()
    offered = {"WWW-Authenticate": [], "Proxy-Authenticate": []}
    for i, status in enumerate(statuses):
        headers = extra(status, i)
        if headers:
            headers.append((headers[0][0], f'Digest nonce="x,{i}" ,realm="second {i}", qop="auth,auth-int"'))
        for name, value in headers:
            offered[name].append(value)
        fork.reply(i, status, headers=headers)
    heard = fork.final()
    assert heard.status in (401, 407)
    for name, values in offered.items():
        assert sorted(heard.lines(name)) == sorted(values)


def test_16_7_7_challenges_of_branches_in_series_are_collected_too(bench):
    fork = bench.fork(1, 0.5)
    for i in range(2):
        fork.take(i)
        fork.reply(i, 407, headers=extra(407, i))
    assert len(fork.final().lines("Proxy-Authenticate")) == 2


def test_22_3_a_401_with_both_kinds_of_challenge_keeps_both(bench):
    fork = bench.fork(1)
    fork.take(0)
    fork.reply(0, 401, headers=extra(401, 0) + extra(407, 1))
    heard = fork.final()
    assert heard.lines("WWW-Authenticate") and heard.lines("Proxy-Authenticate")


# Step 3: the Via of a response.
def test_16_7_3_a_response_without_any_other_via_goes_nowhere(bench):
    fork = bench.fork(1)
    arrived = fork.take(0)
    alone = sip.response_to(arrived, 200, to_tag="t").without("Via")
    alone.headers.insert(0, ("Via", arrived.all("Via")[0]))
    fork.callee.udp.sendto(alone.octets(), arrived.source[1])
    fork.no_final()


STRANGE = {
    "other-sent-by": lambda top: top.replace("127.0.0.1:", "192.0.2.1:"),
    "other-port": lambda top: re.sub(r":(\d+);", ":1;", top),
    "other-branch": lambda top: re.sub(r"branch=[^;]+", "branch=z9hG4bKother", top),
    "longer-branch": lambda top: re.sub(r"(branch=[^;]+)", r"\1x", top),
    "no-branch": lambda top: re.sub(r";branch=[^;]+", "", top),
    "other-transport": lambda top: top.replace("/UDP ", "/TCP "),
}


@pytest.mark.parametrize("change", list(STRANGE)[:5])
@pytest.mark.parametrize("status", [180, 200, 404])
def test_16_7_3_a_response_whose_top_via_is_not_that_of_a_branch_is_dropped(bench, change, status):
    fork = bench.fork(1)
    arrived = fork.take(0)
    vias = arrived.all("Via")
    strange = sip.response_to(arrived, status, to_tag="t").without("Via")
    strange.headers = [
        ("Via", STRANGE[change](vias[0])),
        *(("Via", via) for via in vias[1:]),
        *strange.headers,
    ]
    fork.callee.udp.sendto(strange.octets(), arrived.source[1])
    fork.caller.expect_nothing(QUIET)


@pytest.mark.parametrize("cseq", ["1 OPTIONS", "1 ACK", "1 CANCEL", "1 invite"])
def test_17_1_3_a_response_with_another_method_in_cseq_matches_no_branch(bench, cseq):
    fork = bench.fork(1)
    arrived = fork.take(0)
    other = sip.response_to(arrived, 200, to_tag="t").replaced("CSeq", cseq)
    fork.callee.udp.sendto(other.octets(), arrived.source[1])
    fork.caller.expect_nothing(QUIET)


FORMS = {
    "compact": lambda raw: raw.replace(b"Via:", b"v:")
    .replace(b"From:", b"f:")
    .replace(b"To:", b"t:")
    .replace(b"Call-ID:", b"i:"),
    "lower": lambda raw: re.sub(rb"(?m)^([A-Z][\w-]+):", lambda m: m.group(0).lower(), raw),
    "joined-vias": lambda raw: re.sub(rb"\r\nVia: ", b", ", raw[raw.index(b"Via") + 3 :]).join(
        [raw[: raw.index(b"Via") + 3], b""]
    ),
    "folded": lambda raw: raw.replace(b"Via: ", b"Via:\r\n  "),
    "empty-reason": lambda raw: re.sub(rb"SIP/2\.0 (\d+) [^\r]*", rb"SIP/2.0 \1 ", raw),
    "utf8-reason": lambda raw: re.sub(rb"(SIP/2\.0 \d+ )[^\r]*", '\\1Не слышу \\\\ "'.encode(), raw),
    "spaces": lambda raw: raw.replace(b": ", b" \t:  "),
    "crlf-first": lambda raw: b"\r\n\r\n" + raw,
    "lower-version": lambda raw: raw.replace(b"SIP/2.0 ", b"sip/2.0 ", 1),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("status", [183, 200, 486])
def test_7_3_responses_of_every_legal_form_are_understood(bench, form, status):
    fork = bench.fork(1)
    arrived = fork.take(0)
    raw = sip.response_to(
        arrived, status, "Fine", to_tag="t", headers=[("Contact", "<sip:x@y.invalid>")]
    ).octets()
    fork.callee.udp.sendto(form(raw), arrived.source[1])
    heard = fork.hears(status)
    assert heard.to_tag == "t" and len(heard.all("Via")) == 1


@pytest.mark.parametrize(
    "line",
    [
        "SIP/2.0 700 No",
        "SIP/2.0 099 No",
        "SIP/2.0 0 No",
        "SIP/2.0 1000 No",
        "SIP/2.0 2OO No",
        "SIP/3.0 200 OK",
        "SIP/2.0 -20 No",
    ],
)
def test_7_2_a_response_with_a_broken_status_line_is_dropped(bench, line):
    fork = bench.fork(1)
    arrived = fork.take(0)
    raw = sip.response_to(arrived, 200, to_tag="t").octets()
    fork.callee.udp.sendto(re.sub(rb"^[^\r]*", line.encode(), raw), arrived.source[1])
    fork.caller.expect_nothing(QUIET)


def test_18_3_a_response_cut_short_is_discarded(bench):
    fork = bench.fork(1)
    arrived = fork.take(0)
    cut = sip.response_to(arrived, 200, to_tag="t", headers=[("Content-Length", "100")], body=b"short")
    fork.callee.udp.sendto(cut.octets(), arrived.source[1])
    fork.no_final()


def test_16_7_9_received_stays_in_the_via_of_the_caller(bench):
    callee, caller = bench.phone(bench.user()), bench.phone()
    callee.register()
    via = f"SIP/2.0/UDP phone.invalid:9;branch={sip.new_branch()};rport"
    request = caller.send(caller.request("MESSAGE", callee.aor, via=via))
    arrived = callee.expect("MESSAGE")
    assert sip.params_of(arrived.all("Via")[1])["received"] == "127.0.0.1"
    callee.reply(arrived, 200)
    params = sip.params_of(caller.final(request)["Via"])
    assert params["received"] == "127.0.0.1" and params["rport"] == str(caller.port)


def test_16_7_6_a_to_tag_of_the_request_is_never_changed(bench):
    caller, callee = bench.pair()
    request = caller.send(caller.request("MESSAGE", callee.aor, to=f"<{callee.aor}>;tag=theirs"))
    callee.reply(callee.expect("MESSAGE"), 481)
    assert caller.final(request).to_tag == "theirs"


# CANCEL: sections 9 and 16.10.
def ringing(bench, *qs, **kinds):
    fork = bench.fork(*qs, **kinds)
    fork.take_all()
    for i in range(fork.count):
        fork.reply(i, 180)
        fork.hears(180)
    return fork


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("count", [1, 3])
def test_16_10_cancel_is_answered_200_and_each_branch_gets_its_own(bench, transport, host, count):
    kinds = {"transport": transport, "host": host}
    fork = ringing(bench, *[1] * count, caller=kinds, **kinds)
    cancel = fork.caller.cancel_of(fork.sent)
    assert fork.caller.ask(cancel).status == 200
    for i in range(count):
        reached = fork.cancelled(i)
        arrived = fork.arrived[i]
        # Section 9.1: the very Via of the INVITE, alone; the same Request-URI, Call-ID, To, From, number.
        assert reached.all("Via") == arrived.all("Via")[:1]
        assert reached.uri == arrived.uri and reached.cseq == (arrived.cseq[0], "CANCEL")
        for name in ("Call-ID", "To", "From"):
            assert reached.lines(name) == arrived.lines(name)
        assert reached.all("Route") == arrived.all("Route") and reached.body == b""
        assert int(reached["Max-Forwards"]) > 0
        assert not reached.lines("Require") and not reached.lines("Proxy-Require")
        assert fork.take(i, "ACK").uri == arrived.uri
    heard = fork.final()
    assert heard.status == 487
    fork.callee.expect_nothing(0.05)


def test_9_1_cancel_has_the_routes_of_the_invite(bench):
    callee, caller = bench.phone(bench.user()), bench.phone()
    path = f"<sip:edge@{callee.hostport};lr>"
    callee.register(headers=[("Path", path), ("Supported", "path")])
    invite = caller.send(caller.request("INVITE", callee.aor, routes=[route(bench.side.hostport())]))
    callee.reply(callee.expect("INVITE"), 180)
    caller.expect(180)
    assert caller.ask(caller.cancel_of(invite)).status == 200
    assert callee.expect("CANCEL").all("Route") == [path]


def test_9_1_no_cancel_before_a_provisional_response_and_then_at_once(bench):
    fork = bench.fork(1, 1)
    fork.take_all()
    fork.reply(0, 180), fork.hears(180)
    assert fork.caller.ask(fork.caller.cancel_of(fork.sent)).status == 200
    fork.cancelled(0)
    fork.callee.expect_nothing(QUIET, "CANCEL")
    fork.reply(1, 100)
    fork.cancelled(1)
    assert fork.final().status == 487


def test_9_1_a_final_response_instead_of_a_provisional_needs_no_cancel(bench):
    fork = bench.fork(1)
    fork.take(0)
    assert fork.caller.ask(fork.caller.cancel_of(fork.sent)).status == 200
    fork.reply(0, 486)
    assert fork.final().status in (486, 487)
    fork.take(0, "ACK")
    fork.callee.expect_nothing(QUIET, "CANCEL")


def test_16_10_branches_that_have_ended_get_no_cancel(bench):
    fork = ringing(bench, 1, 1, 1)
    fork.reply(0, 486), fork.reply(1, 503)
    fork.take(0, "ACK"), fork.take(1, "ACK")
    assert fork.caller.ask(fork.caller.cancel_of(fork.sent)).status == 200
    fork.cancelled(2)
    fork.callee.expect_nothing(QUIET, "CANCEL")
    assert fork.final().status in (486, 487)


def test_16_10_no_new_branch_after_a_cancel(bench):
    fork = bench.fork(1, 0.5)
    fork.take(0)
    fork.reply(0, 180), fork.hears(180)
    assert fork.caller.ask(fork.caller.cancel_of(fork.sent)).status == 200
    fork.cancelled(0)
    assert fork.final().status == 487
    fork.callee.expect_nothing(QUIET, "INVITE")


@pytest.mark.parametrize("status", [200, 202])
def test_9_1_a_2xx_that_crosses_the_cancel_wins(bench, status):
    fork = ringing(bench, 1)
    assert fork.caller.ask(fork.caller.cancel_of(fork.sent)).status == 200
    fork.take(0, "CANCEL")
    fork.reply(0, status)
    assert fork.hears(status)
    fork.caller.expect_nothing(0.05, lambda m: m.status and m.status >= 300)


@pytest.mark.parametrize("status", [603, 600, 302, 480])
def test_16_10_whatever_the_cancelled_branch_says_is_forwarded(bench, status):
    fork = ringing(bench, 1)
    assert fork.caller.ask(fork.caller.cancel_of(fork.sent)).status == 200
    fork.callee.reply(fork.take(0, "CANCEL"), 200)
    fork.reply(0, status, headers=extra(status, 0))
    assert fork.final().status == status


def test_9_2_a_repeated_cancel_gets_the_same_200_and_is_sent_on_once(bench):
    fork = ringing(bench, 1)
    cancel = fork.caller.cancel_of(fork.sent)
    ok = fork.caller.ask(cancel)
    fork.caller.send(cancel), fork.caller.send(cancel)
    reached = fork.cancelled(0)
    assert fork.caller.expect_copies(ok, 3) == 3
    fork.callee.pump(0.1)
    assert fork.callee.copies_of(reached) == 1
    assert fork.final().status == 487


def test_9_2_the_200_of_a_cancel_has_the_to_tag_of_what_we_say_to_the_invite_ourselves(bench):
    caller = bench.phone()
    invite = caller.send(caller.request("INVITE", f"sip:nobody@{bench.domain}"))
    refusal = caller.expect(404)
    ok = caller.ask(caller.cancel_of(invite))
    assert ok.status == 200 and ok.to_tag == refusal.to_tag
    caller.send(caller.ack_of(invite, refusal))


@pytest.mark.parametrize("status", [486, 603, 302])
def test_9_2_a_cancel_after_the_final_response_is_answered_200_and_does_nothing(bench, status):
    fork = bench.fork(1)
    fork.take(0)
    fork.reply(0, status, headers=extra(status, 0))
    assert fork.final().status == status
    fork.take(0, "ACK")
    assert fork.caller.ask(fork.caller.cancel_of(fork.sent)).status in (200, 481)
    fork.callee.expect_nothing(QUIET)


def test_9_2_a_cancel_after_a_2xx_does_nothing_to_the_call(bench):
    fork = bench.fork(1)
    fork.take(0)
    fork.reply(0, 200)
    fork.hears(200)
    assert fork.caller.ask(fork.caller.cancel_of(fork.sent)).status in (200, 481)
    fork.callee.expect_nothing(QUIET)


@pytest.mark.parametrize("change", ["branch", "sent-by"])
def test_9_2_a_cancel_with_another_branch_or_sent_by_cancels_nothing(bench, change):
    fork = ringing(bench, 1)
    cancel = fork.caller.cancel_of(fork.sent)
    via = fork.sent.lines("Via")[0]
    other = (
        via.replace(fork.sent.branch, sip.new_branch())
        if change == "branch"
        else via.replace("127.0.0.1", "phone.invalid")
    )
    fork.caller.send(cancel.replaced("Via", other))

    def ended():
        fork.callee.pump(0.02)
        for request in fork.callee.inbox:  # forwarded statelessly, as section 16.10 has it
            assert request.method == "CANCEL" and request.branch != fork.arrived[0].branch
            fork.callee.reply(request, 481)
        fork.callee.inbox.clear()
        fork.caller.pump(0)
        return [m for m in fork.caller.inbox if m.cseq[1] == "CANCEL"]

    assert poll(ended, 5, every=0)
    assert fork.caller.expect(lambda m: m.status and m.cseq[1] == "CANCEL").status == 481
    fork.reply(0, 486)
    assert fork.final().status == 486


@pytest.mark.parametrize("method", ["MESSAGE", "OPTIONS"])
def test_9_2_a_cancel_of_a_non_invite_does_nothing(bench, method):
    fork = bench.fork(1, method=method)
    fork.take(0)
    cancel = fork.caller.cancel_of(fork.sent)
    assert fork.caller.ask(cancel).status in (200, 481)
    fork.callee.expect_nothing(QUIET, "CANCEL")
    fork.reply(0, 200)
    assert fork.final().status == 200


@pytest.mark.parametrize("uri", ["sip:nobody@{d}", "sip:{u}@{d}", "sip:{hp}"])
def test_16_10_a_cancel_that_matches_nothing_is_481_or_goes_on(bench, uri):
    caller, callee = bench.pair()
    uri = uri.format(d=bench.domain, u=callee.user, hp=bench.side.hostport())
    invite = caller.request("INVITE", uri)
    caller.send(caller.cancel_of(invite))
    assert caller.final_by_either(caller.cancel_of(invite), callee, 481).status in (481, 404)


REASONS = [
    'SIP ;cause=600 ;text="Busy Everywhere"',
    'Q.850 ;cause=16 ;text="Terminated"',
    "preemption ;cause=1;x=y",
]


@pytest.mark.parametrize(
    "reasons",
    [REASONS[:1], REASONS[1:2], REASONS, [", ".join(REASONS)]],
    ids=["sip", "q850", "lines", "list"],
)
def test_rfc3326_the_reason_of_a_cancel_goes_with_it(bench, reasons):
    fork = ringing(bench, 1, 1)
    cancel = fork.caller.cancel_of(fork.sent).with_(*(("Reason", reason) for reason in reasons))
    assert fork.caller.ask(cancel).status == 200
    for i in range(2):
        got = [part for line in fork.cancelled(i).lines("Reason") for part in sip.split_commas(line)]
        assert got == [part for line in reasons for part in sip.split_commas(line)]
    assert fork.final().status == 487


def test_rfc3326_without_a_reason_none_is_invented_for_a_callers_cancel(bench):
    fork = ringing(bench, 1)
    assert fork.caller.ask(fork.caller.cancel_of(fork.sent)).status == 200
    assert not any("200" in reason for reason in fork.cancelled(0).lines("Reason"))


def test_17_a_cancel_that_is_not_answered_is_repeated_until_it_is(bench):
    fork = ringing(bench, 1)
    assert fork.caller.ask(fork.caller.cancel_of(fork.sent)).status == 200
    reached = fork.take(0, "CANCEL")
    assert fork.callee.expect_copies(reached, 2) >= 2
    fork.callee.expect_nothing(0)
    fork.callee.reply(reached, 200)
    fork.reply(0, 487)
    assert fork.final().status == 487


def test_16_10_a_481_to_our_cancel_does_not_end_the_branch(bench):
    fork = ringing(bench, 1)
    assert fork.caller.ask(fork.caller.cancel_of(fork.sent)).status == 200
    fork.callee.reply(fork.take(0, "CANCEL"), 481)
    fork.no_final(0.1)
    fork.reply(0, 487)
    assert fork.final().status == 487


@pytest.mark.parametrize(
    "order", list(itertools.permutations(["cancel-200", "invite-487", "late-183"])), ids="-".join
)
def test_16_10_what_a_cancelled_branch_says_may_come_in_any_order(bench, order):
    fork = ringing(bench, 1)
    assert fork.caller.ask(fork.caller.cancel_of(fork.sent)).status == 200
    reached = fork.take(0, "CANCEL")
    for step in order:
        if step == "cancel-200":
            fork.callee.reply(reached, 200)
        else:
            fork.reply(0, int(step[-3:]))
    assert fork.final().status == 487
    assert fork.take(0, "ACK").branch == fork.arrived[0].branch


def test_16_10_a_cancel_and_a_2xx_of_another_branch_in_one_breath(bench):
    fork = ringing(bench, 1, 1)
    fork.caller.send(fork.caller.cancel_of(fork.sent))
    fork.reply(1, 200)
    assert fork.caller.expect(lambda m: m.status == 200 and m.cseq[1] == "INVITE").to_tag == "t1"
    fork.cancelled(0)
    fork.caller.expect_nothing(QUIET, lambda m: m.status and m.status >= 300)


# 3xx without recursion.
@pytest.mark.parametrize(
    "contacts",
    [["<sip:a@far.invalid>"], ["<sip:a@far.invalid>;q=0.3, <sip:b@far.invalid>", "<mailto:c@d.invalid>"]],
)
def test_16_7_4_a_redirection_passes_with_its_contacts(bench, contacts):
    fork = bench.fork(1)
    fork.take(0)
    fork.reply(0, 302, headers=[("Contact", contact) for contact in contacts])
    assert fork.final().lines("Contact") == contacts


# RFC 4320.
@pytest.mark.parametrize("method", ["MESSAGE", "OPTIONS", "BYE", "FROB"])
def test_rfc4320_4_1_no_provisional_response_to_a_non_invite(bench, method):
    fork = bench.fork(1, method=method)
    fork.take(0)
    fork.caller.expect_nothing(QUIET, lambda m: m.status)
    fork.reply(0, 200)
    assert fork.final().status == 200


@pytest.mark.parametrize("status", [100, 180, 183])
def test_rfc4320_4_1_a_provisional_response_of_the_callee_to_a_non_invite(bench, status):
    fork = bench.fork(1, method="MESSAGE")
    fork.take(0)
    fork.reply(0, status)
    fork.caller.expect_nothing(QUIET, 100)
    fork.reply(0, 200)
    assert fork.final().status == 200


def test_rfc4320_4_2_a_408_is_not_sent_to_a_non_invite(bench):
    fork = bench.fork(1, method="MESSAGE")
    fork.take(0)
    fork.reply(0, 408)
    fork.no_final()


def test_rfc4320_4_2_but_the_other_responses_of_the_fork_are(bench):
    fork = bench.fork(1, 1, method="MESSAGE")
    fork.take_all()
    fork.reply(0, 408), fork.reply(1, 404)
    assert fork.final().status == 404


def test_a_408_to_an_invite_passes(bench):
    fork = bench.fork(1)
    fork.take(0)
    fork.reply(0, 408)
    assert fork.final().status == 408


# Section 16.9.
@pytest.mark.parametrize(
    "others, best", [((486,), {486}), ((603,), {603}), ((200,), {200}), ((503,), {500}), ((401,), {401})]
)
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_16_9_a_contact_that_is_gone_counts_as_503_beside_the_others(bench, others, best, transport):
    gone = bench.phone()
    gone.close()
    callee, caller = bench.phone(bench.user()), bench.phone()
    param = ";transport=tcp" if transport == "tcp" else ""
    contacts = [f"<sip:gone@127.0.0.1:{gone.port}{param}>"] + [
        f"<sip:b{i}@{callee.hostport}>" for i in range(len(others))
    ]
    assert callee.register(*contacts).status == 200
    invite = caller.send(caller.request("INVITE", callee.aor))
    for status in others:
        callee.reply(callee.expect("INVITE"), status, contact=status == 200, headers=extra(status, 0))
    heard = caller.final(invite)
    assert heard.status in best


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_16_9_the_next_contact_of_the_series_is_tried_at_once(bench, method, transport):
    gone = bench.phone()
    gone.close()
    callee, caller = bench.phone(bench.user()), bench.phone()
    param = ";transport=tcp" if transport == "tcp" else ""
    callee.register(f"<sip:gone@127.0.0.1:{gone.port}{param}>;q=1", f"<sip:b0@{callee.hostport}>;q=0.1")
    request = caller.send(caller.request(method, callee.aor))
    callee.reply(callee.expect(method, 3), 200, contact=method == "INVITE")
    assert caller.final(request).status == 200


def test_stray_responses_and_requests_leave_the_proxy_able_to_answer(bench):
    caller = bench.phone()
    assert ask(caller, caller.request("OPTIONS", f"sip:{bench.side.hostport()}")).status == 200
