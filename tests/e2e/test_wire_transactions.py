"""Transactions and transport over the wire: RFC 3261 sections 17 and 18, RFC 3581, 4320, 6026; with a T1 of 10 ms."""

import time

import pytest

from harness import sip
from harness.phone import answer
from harness.wire import QUICK_T1_S, QUIET, ask, edited

pytestmark = pytest.mark.viaduct
TIMEOUT = 64 * QUICK_T1_S  # Timers B, F, H, J, L, M of the quick site
SOME = 30 * QUICK_T1_S  # some of its retransmissions, half of a time-out


# Client transactions: Timers A, B, E, F.
def test_17_1_1_2_an_invite_is_repeated_until_timer_b_and_then_408(quick):
    fork = quick.fork(1)
    arrived = fork.take(0)
    assert fork.final(4 * TIMEOUT).status == 408
    fork.callee.expect_nothing(QUIET, "CANCEL")
    # Timer A doubles: at 0, 1, 3, 7, 15, 31 and 63 times T1.
    assert 5 <= fork.callee.copies_of(arrived) <= 7


def test_17_1_1_2_no_repetition_after_a_provisional_response(quick):
    fork = quick.fork(1)
    arrived = fork.take(0)
    fork.reply(0, 100)
    fork.callee.settle(arrived)
    fork.callee.expect_nothing(0)
    before = fork.callee.copies_of(arrived)
    fork.callee.expect_nothing(SOME)
    assert fork.callee.copies_of(arrived) == before
    fork.no_final(1.2 * TIMEOUT - SOME)  # Timer B is off, and the time to ring is not over
    fork.reply(0, 486)
    assert fork.final().status == 486


def test_17_1_1_2_no_repetition_over_a_stream_but_timer_b(quick):
    fork = quick.fork(1, caller={"transport": "tcp"}, transport="tcp", uri_params=";transport=tcp")
    arrived = fork.take(0)
    assert arrived.source[0] == "tcp"
    assert fork.final(4 * TIMEOUT).status == 408
    assert fork.callee.copies_of(arrived) == 1


def test_17_1_2_2_a_non_invite_is_repeated_until_timer_f_and_rfc4320_nothing_is_said(quick):
    fork = quick.fork(1, method="MESSAGE")
    arrived = fork.take(0)
    fork.no_final(1.4 * TIMEOUT)
    fork.callee.expect_nothing(0.02)
    copies = fork.callee.copies_of(arrived)
    # Timer E: at 0, 1, 3, 7, and then every 4 T1 (T2): 18 of them.
    assert 12 <= copies <= 20
    fork.callee.expect_nothing(QUIET)
    assert fork.callee.copies_of(arrived) == copies


def test_17_1_2_2_a_provisional_response_to_a_non_invite_slows_it_to_t2(quick):
    fork = quick.fork(1, method="MESSAGE")
    arrived = fork.take(0)
    fork.reply(0, 100)
    fork.callee.settle(arrived)
    fork.callee.expect_nothing(0)
    before = fork.callee.copies_of(arrived)
    fork.callee.expect_nothing(SOME, "CANCEL")
    assert 3 <= fork.callee.copies_of(arrived) - before <= 8
    fork.reply(0, 200)
    assert fork.final().status == 200


def test_17_1_2_2_a_non_invite_over_a_stream_is_sent_once(quick):
    fork = quick.fork(1, method="MESSAGE", transport="tcp", uri_params=";transport=tcp")
    arrived = fork.take(0)
    fork.no_final(SOME)
    assert fork.callee.copies_of(arrived) == 1
    fork.reply(0, 200)
    assert fork.final().status == 200


@pytest.mark.parametrize("others", [(486,), (404, 480), (503,), (603,)])
def test_16_7_6_a_silent_branch_counts_as_408(quick, others):
    fork = quick.fork(*[1] * (1 + len(others)))
    fork.take_all()
    for i, status in enumerate(others, 1):
        fork.reply(i, status)
    heard = fork.final(4 * TIMEOUT).status
    assert heard in (set(others) - {503} | ({408} if others[0] != 603 else set()))


def test_16_7_6_no_branch_answers_and_it_is_408(quick):
    fork = quick.fork(1, 1, 1)
    fork.take_all()
    assert fork.final(4 * TIMEOUT).status == 408


def test_16_6_7_the_next_of_the_series_after_a_time_out(quick):
    fork = quick.fork(1, 0.5)
    fork.take(0)
    fork.take(1, seconds=4 * TIMEOUT)
    fork.reply(1, 200)
    assert fork.hears(200)


def test_16_6_ring_time_ends_a_group_and_the_next_is_tried(quick):
    fork = quick.fork(1, 1, 0.5)
    fork.take(0), fork.take(1)
    fork.reply(0, 180), fork.reply(1, 183)
    fork.hears(180)
    for i in (0, 1):
        fork.take(i, "CANCEL", seconds=4)
        fork.reply(i, 487)
    fork.take(2)
    fork.reply(2, 200)
    assert fork.hears(200).to_tag == "t2"


def test_9_1_a_cancel_before_any_response_and_a_silent_branch_is_487_or_408(quick):
    fork = quick.fork(1)
    fork.take(0)
    assert fork.caller.ask(fork.caller.cancel_of(fork.sent)).status == 200
    assert fork.final(4 * TIMEOUT).status in (487, 408)
    fork.callee.expect_nothing(QUIET, "CANCEL")


def test_9_1_a_callee_who_never_answers_the_cancel_is_given_up_after_64_t1(quick):
    fork = quick.fork(1)
    fork.take(0)
    fork.reply(0, 180), fork.hears(180)
    assert fork.caller.ask(fork.caller.cancel_of(fork.sent)).status == 200
    fork.take(0, "CANCEL")
    assert fork.final(5 * TIMEOUT).status in (487, 408)


# Server transactions.
@pytest.mark.parametrize("status", [486, 404, 603, 302])
def test_17_2_1_a_refusal_is_repeated_until_its_ack(quick, status):
    fork = quick.fork(1)
    fork.take(0)
    fork.reply(0, status, headers=[("Contact", "<mailto:a@b.invalid>")] if status == 302 else [])
    heard = fork.caller.expect(status)
    assert fork.caller.expect_copies(heard, 3) >= 3
    fork.caller.send(fork.caller.ack_of(fork.sent, heard))
    fork.caller.settle(fork.sent)
    fork.caller.expect_nothing(0)
    before = fork.caller.copies_of(heard)
    fork.caller.expect_nothing(SOME)
    assert fork.caller.copies_of(heard) == before
    fork.take(0, "ACK")
    fork.callee.expect_nothing(0.02, "ACK")


def test_17_2_1_without_an_ack_it_ends_with_timer_h(quick):
    fork = quick.fork(1)
    fork.take(0)
    fork.reply(0, 486)
    heard = fork.caller.expect(486)
    fork.caller.expect_nothing(1.2 * TIMEOUT)
    before = fork.caller.copies_of(heard)
    assert before >= 10  # G: 1, 2, 4 times T1, then every T2
    fork.caller.expect_nothing(SOME)
    assert fork.caller.copies_of(heard) == before


def test_17_2_1_over_a_stream_it_is_sent_once(quick):
    fork = quick.fork(1, caller={"transport": "tcp"})
    fork.take(0)
    fork.reply(0, 486)
    heard = fork.caller.expect(486)
    fork.caller.expect_nothing(SOME)
    assert fork.caller.copies_of(heard) == 1


@pytest.mark.parametrize("spelling", ["same", "crlf", "new-order"])
def test_17_2_1_a_repeated_invite_gets_the_last_provisional_response(bench, spelling):
    fork = bench.fork(1)
    fork.take(0)
    fork.hears(100)
    fork.reply(0, 183)
    heard = fork.hears(183)
    fork.callee.pump(0)
    before = fork.callee.copies_of(fork.arrived[0])  # the proxy's own, where the callee was slow
    again = fork.sent.octets()
    if spelling == "crlf":
        again = b"\r\n\r\n" + again
    if spelling == "new-order":
        again = edited(fork.sent, rb"(Max-Forwards: 70\r\n)(.*?\r\n)", rb"\2\1")
    fork.caller.send(again)
    assert fork.caller.expect_copies(heard, 2) == 2
    fork.callee.expect_nothing(0.05)
    assert fork.caller.copies_of(heard) == 2 and fork.callee.copies_of(fork.arrived[0]) == before


def test_17_2_1_a_repeated_invite_after_the_refusal_gets_it_again(bench):
    fork = bench.fork(1)
    fork.take(0)
    fork.reply(0, 486)
    heard = fork.caller.expect(486)
    fork.take(0, "ACK")
    before = fork.callee.retransmissions  # the proxy's own, where the callee was slow
    fork.caller.send(fork.sent)
    assert fork.caller.expect_copies(heard, 2) >= 2
    fork.callee.expect_nothing(0)
    assert fork.callee.retransmissions == before
    fork.caller.send(fork.caller.ack_of(fork.sent, heard))


@pytest.mark.parametrize("method", ["MESSAGE", "OPTIONS", "BYE"])
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_17_2_2_a_repeated_non_invite_is_absorbed_and_then_answered_again(bench, method, transport):
    fork = bench.fork(1, method=method, caller={"transport": transport})
    arrived = fork.take(0)
    fork.reply(0, 100)
    fork.callee.settle(arrived)
    fork.callee.expect_nothing(0)
    before = fork.callee.copies_of(arrived)  # more than one where the callee was slow
    fork.caller.send(fork.sent)
    fork.caller.expect_nothing(0.1)
    fork.caller.settle(fork.sent)
    fork.callee.expect_nothing(0)
    assert fork.callee.copies_of(arrived) == before
    fork.reply(0, 404)
    heard = fork.final()
    if transport == "tcp":
        return  # Timer J is zero there
    fork.caller.send(fork.sent)
    assert fork.caller.expect_copies(heard, 2) == 2
    fork.callee.expect_nothing(0.02)


def test_17_2_2_after_timer_j_it_is_a_new_request(quick):
    fork = quick.fork(1, method="MESSAGE")
    arrived = fork.take(0)
    fork.reply(0, 200)
    fork.final()
    fork.caller.expect_nothing(1.3 * TIMEOUT)
    fork.caller.send(fork.sent)
    assert fork.take(0).branch != arrived.branch


def test_17_2_3_another_method_with_the_branch_is_another_transaction(bench):
    caller, callee = bench.pair()
    branch = sip.new_branch()
    one = caller.send(caller.request("MESSAGE", callee.aor, branch=branch))
    two = caller.send(caller.request("INFO", callee.aor, branch=branch))
    callee.reply(callee.expect("INFO"), 404), callee.reply(callee.expect("MESSAGE"), 200)
    assert (caller.final(one).status, caller.final(two).status) == (200, 404)


def test_17_2_3_another_sent_by_with_the_branch_is_another_transaction(bench):
    caller, other, callee = bench.phone(), bench.phone(), bench.phone(bench.user())
    callee.register()
    branch = sip.new_branch()
    for phone in (caller, other):
        phone.send(phone.request("MESSAGE", callee.aor, branch=branch, call_id="same" + branch))
    first, second = callee.expect("MESSAGE"), callee.expect("MESSAGE")
    assert first.branch != second.branch
    callee.reply(first, 200), callee.reply(second, 200)
    caller.expect(200), other.expect(200)


@pytest.mark.parametrize(
    "via", ["SIP/2.0/UDP {hp}", "SIP/2.0/UDP {hp};branch=17.1"], ids=["none", "no-cookie"]
)
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_17_2_3_without_the_cookie_the_rules_of_rfc_2543_match(bench, via, method):
    caller, callee = bench.pair()
    request = caller.request(method, callee.aor, via=via.format(hp=caller.hostport))
    caller.send(request)
    arrived = callee.expect(method)
    callee.reply(arrived, 100)
    callee.settle(arrived)
    callee.expect_nothing(0)
    before = callee.copies_of(arrived)  # more than one where the callee was slow
    caller.send(request)
    caller.settle(request)
    callee.expect_nothing(0.1)
    assert callee.copies_of(arrived) == before
    callee.reply(arrived, 486)
    heard = caller.expect(486)
    if method == "INVITE":
        caller.send(caller.ack_of(request, heard))
        caller.settle(request)
        caller.expect_nothing(0)
        before = caller.copies_of(heard)
        caller.expect_nothing(0.7)
        assert caller.copies_of(heard) == before
    # Another CSeq is another transaction.
    fresh = request.replaced("CSeq", f"2 {method}")
    caller.send(fresh)
    assert callee.expect(method).cseq[0] == 2


def test_17_2_3_a_cancel_without_the_cookie_finds_its_invite(bench):
    caller, callee = bench.pair()
    invite = caller.send(
        caller.request("INVITE", callee.aor, via=f"SIP/2.0/UDP {caller.hostport};branch=old")
    )
    arrived = callee.expect("INVITE")
    callee.reply(arrived, 180)
    caller.expect(180)
    caller.send(caller.cancel_of(invite))
    assert caller.expect(lambda m: m.status and m.cseq[1] == "CANCEL").status == 200
    assert callee.expect("CANCEL").branch == arrived.branch


@pytest.mark.parametrize("status", [486, 302, 603, 401])
def test_17_1_1_3_the_ack_for_a_refusal_is_made_of_the_invite_and_the_response(bench, status):
    callee, caller = bench.phone(bench.user()), bench.phone()
    path = f"<sip:edge@{callee.hostport};lr>"
    callee.register(headers=[("Path", path), ("Supported", "path")])
    caller.send(
        caller.request("INVITE", callee.aor, cseq=4711, headers=[("Proxy-Authorization", "Digest x=y")])
    )
    arrived = callee.expect("INVITE")
    said = callee.reply(arrived, status, to_tag="them")
    ack = callee.expect("ACK")
    assert ack.uri == arrived.uri and ack.all("Via") == arrived.all("Via")[:1]
    assert ack.cseq == (4711, "ACK") and ack["To"] == said["To"]
    assert ack.all("Route") == arrived.all("Route") == [path]
    for name in ("From", "Call-ID"):
        assert ack.lines(name) == arrived.lines(name)
    assert ack.body == b"" and ack.source[0] == arrived.source[0]


def test_17_1_1_3_no_ack_of_ours_for_a_2xx(bench):
    fork = bench.fork(1)
    fork.take(0)
    fork.reply(0, 200)
    fork.hears(200)
    fork.callee.expect_nothing(QUIET)


# RFC 6026.
@pytest.mark.parametrize("late", [180, 200, 404])
def test_rfc6026_8_a_response_that_belongs_to_nothing_is_dropped(quick, late):
    fork = quick.fork(1)
    fork.take(0)
    fork.reply(0, 200)
    fork.hears(200)
    fork.caller.expect_nothing(1.4 * TIMEOUT)  # Timers L and M
    fork.reply(0, late, headers=[("X-Late", "1")])
    fork.caller.expect_nothing(QUIET)


def test_rfc6026_an_answer_repeated_within_timer_l_is_forwarded(quick):
    fork = quick.fork(1)
    fork.take(0)
    fork.reply(0, 200)
    fork.hears(200)
    fork.caller.expect_nothing(0.4 * TIMEOUT)
    fork.reply(0, 200, headers=[("X-Late", "1")])
    assert fork.hears(200)["X-Late"] == "1"


def test_rfc6026_8_4_a_late_non_invite_response_is_dropped(quick):
    fork = quick.fork(1, method="MESSAGE")
    fork.take(0)
    fork.no_final(1.4 * TIMEOUT)
    fork.reply(0, 200)
    fork.no_final()


def test_rfc4320_4_1_a_slow_non_invite_gets_100_over_udp_only_when_e_has_reached_t2(bench):
    started = time.monotonic()
    fork = bench.fork(1, method="MESSAGE")
    fork.take(0)
    assert fork.hears(100, 8).at - started > 3.4
    fork.reply(0, 200)
    assert fork.final().status == 200


# Redirections, where the configuration says so: sections 8.1.3.4, 16.7 step 4.
def moved(fork, i, *contacts, status=302):
    fork.reply(i, status, headers=[("Contact", c.format(hp=fork.callee.hostport)) for c in contacts])


def test_16_7_4_the_contacts_of_a_3xx_become_targets(quick):
    fork = quick.fork(1)
    first = fork.take(0)
    moved(fork, 0, "<sip:b7@{hp};x=y>;q=0.5", "<sip:b8@{hp}>;q=0.9")
    assert fork.take(0, "ACK").branch == first.branch
    second = fork.take(8)
    assert second.branch != first.branch and second.call_id == first.call_id
    assert len(second.all("Via")) == 2 and second["Max-Forwards"] == first["Max-Forwards"]
    fork.callee.expect_nothing(0.05, "INVITE")
    fork.reply(8, 486)
    assert fork.take(7).uri.endswith(";x=y")
    fork.reply(7, 200)
    assert fork.hears(200).to_tag == "t7"


def test_16_7_4_a_target_is_tried_only_once(quick):
    fork = quick.fork(1)
    fork.take(0)
    moved(fork, 0, "<sip:b0@{hp}>", "<sip:b1@{hp}>", "<SIP:b1@{hp}>")
    fork.take(1)
    fork.callee.expect_nothing(0.05, "INVITE")
    moved(fork, 1, "<sip:b0@{hp}>")
    assert fork.final().status in (302, 408, 480, 404, 500)
    fork.callee.expect_nothing(QUIET, "INVITE")


def test_16_7_4_contacts_that_cannot_be_tried_are_left_for_the_caller(quick):
    fork = quick.fork(1)
    fork.take(0)
    moved(fork, 0, "<mailto:x@y.invalid>, <sip:b1@{hp}>")
    fork.take(1)
    fork.reply(1, 480)
    heard = fork.final()
    assert heard.status == 302 and heard.all("Contact") == ["<mailto:x@y.invalid>"]


def test_16_5_no_recursion_for_a_foreign_request_uri(quick):
    caller, other = quick.phone(), quick.phone()
    invite = caller.send(caller.request("INVITE", f"sip:x@{other.hostport}"))
    other.reply(other.expect("INVITE"), 302, headers=[("Contact", f"<sip:y@{other.hostport}>")])
    assert caller.final(invite).status == 302
    other.expect_nothing(0.1, "INVITE")


# Section 18.
VIA_FORMS = {
    "same": ("{h}:{p}", False, None),
    "name": ("phone.invalid:{p}", True, None),
    "other-address": ("192.0.2.7:{p}", True, None),
    "rport": ("{h}:1;rport", None, True),
    "rport-and-name": ("phone.invalid:1;rport", True, True),
    "rport-default-port": ("{h};rport", None, True),
}


@pytest.mark.parametrize("form, received, rport", VIA_FORMS.values(), ids=VIA_FORMS)
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("forwarded", [False, True])
def test_18_2_1_and_rfc3581_4_received_and_rport(bench, form, received, rport, host, forwarded):
    caller, callee = bench.phone(host=host), bench.phone(bench.user())
    callee.register()
    h = f"[{host}]" if ":" in host else host
    via = f"SIP/2.0/UDP {form.format(h=h, p=caller.port)};branch={sip.new_branch()}"
    uri = callee.aor if forwarded else f"sip:{bench.domain}"
    caller.send(caller.request("OPTIONS", uri, via=via))
    if forwarded:
        arrived = callee.expect("OPTIONS")
        seen = sip.params_of(arrived.all("Via")[1])
        callee.reply(arrived, 200)
    else:
        seen = None
    response = caller.expect(200)
    for params in (seen, sip.params_of(response["Via"])):
        if params is None:
            continue
        if received is not None:
            assert (params.get("received", "").strip("[]") == host) == received
        if rport:
            assert params["rport"] == str(caller.port) and params["received"].strip("[]") == host
        else:
            assert "rport" not in params


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_18_2_2_without_rport_the_sent_by_port_gets_the_response(bench, host):
    caller, other = bench.phone(host=host), bench.phone(host=host)
    via = f"SIP/2.0/UDP {other.hostport};branch={sip.new_branch()}"
    caller.send(caller.request("OPTIONS", f"sip:{bench.domain}", via=via))
    assert other.expect(200)
    caller.expect_nothing(0.02)


def test_18_2_2_maddr_of_the_via_gets_the_response(bench):
    caller, other = bench.phone(), bench.phone(host="127.0.0.2")
    via = f"SIP/2.0/UDP 127.0.0.1:{other.port};branch={sip.new_branch()};maddr=127.0.0.2"
    caller.send(caller.request("OPTIONS", f"sip:{bench.domain}", via=via))
    assert other.expect(200)


@pytest.mark.parametrize("sent_by", ["phone.invalid", "192.0.2.1:9", "127.0.0.1:1"])
def test_18_2_2_over_a_stream_the_response_comes_by_the_connection(bench, sent_by):
    caller = bench.phone(transport="tcp")
    via = f"SIP/2.0/TCP {sent_by};branch={sip.new_branch()}"
    caller.send(caller.request("OPTIONS", f"sip:{bench.domain}", via=via))
    response = caller.expect(200)
    assert response.source[0] == "tcp"
    assert "received" in sip.params_of(response["Via"]) or sent_by.startswith("127")


def test_18_1_1_a_request_reuses_the_connection_it_came_by_for_the_response_of_the_callee(bench):
    caller, callee = bench.pair({"transport": "tcp"}, {"transport": "tcp"})
    request = caller.send(caller.request("MESSAGE", callee.aor))
    arrived = callee.expect("MESSAGE")
    callee.reply(arrived, 200)
    assert caller.final(request).source[1] is caller.stream()


@pytest.mark.parametrize("cut", [1, 3, 10, 57, 200])
def test_18_3_a_stream_may_be_cut_anywhere(bench, cut):
    caller = bench.phone(transport="tcp")
    requests = [caller.request("OPTIONS", f"sip:{bench.domain}", body=b"x" * i) for i in range(3)]
    octets = b"\r\n".join(request.octets() for request in requests)
    for at in range(0, len(octets), cut):
        caller.stream().send(octets[at : at + cut])
    for request in requests:
        assert caller.final(request).status == 200


@pytest.mark.parametrize("count", [2, 20, 100])
def test_18_3_many_requests_in_one_segment_are_all_answered(bench, count):
    caller = bench.phone(transport="tcp")
    requests = [caller.request("OPTIONS", f"sip:{bench.domain}") for _ in range(count)]
    caller.stream().send(b"".join(request.octets() for request in requests))
    for request in requests:
        assert caller.final(request).status == 200


LENGTHS = ["abc", "-5", "99999999999999999999", "4294967301", "18446744073709551621", "5 5", "+5"]


@pytest.mark.parametrize("length", LENGTHS)
def test_18_3_a_stream_with_a_broken_content_length_is_closed_and_smuggles_nothing(bench, length):
    caller, callee = bench.pair({"transport": "tcp"})
    hidden = caller.request("MESSAGE", callee.aor)
    request = caller.request("OPTIONS", f"sip:{bench.domain}", headers=[("Content-Length", length)])
    caller.stream().send(request.octets() + b"hello" + hidden.octets())
    callee.expect_nothing(QUIET)
    caller.expect_end()


def test_18_3_two_content_lengths_that_differ_are_refused(bench):
    caller, callee = bench.pair({"transport": "tcp"})
    hidden = caller.request("MESSAGE", callee.aor).octets()
    lengths = [("Content-Length", "0"), ("l", str(len(hidden)))]
    caller.stream().send(caller.request("OPTIONS", f"sip:{bench.domain}", headers=lengths).octets() + hidden)
    callee.expect_nothing(QUIET)
    caller.expect_end()


def test_18_4_a_connection_that_ends_in_a_message_harms_nobody(bench):
    caller = bench.phone(transport="tcp")
    caller.stream().send(caller.request("OPTIONS", f"sip:{bench.domain}").octets()[:-20])
    caller.stream().close()
    assert ask(caller, caller.request("OPTIONS", f"sip:{bench.domain}")).status == 200


@pytest.mark.parametrize("what", ["\r\n\r\n", "\r\n\r\n\r\n\r\n"])
def test_rfc5626_4_4_1_ping_and_pong_on_a_stream(bench, what):
    caller = bench.phone(transport="tcp")
    caller.stream().send(what.encode())
    request = caller.request("OPTIONS", f"sip:{bench.domain}")
    assert ask(caller, request).status == 200
    assert caller.stream().reader.pongs >= 1


def test_18_1_2_a_response_to_another_port_of_the_proxy_still_finds_its_branch_or_goes_nowhere(bench):
    fork = bench.fork(1)
    arrived = fork.take(0)
    response = sip.response_to(arrived, 486, to_tag="t")
    fork.callee.udp.sendto(response.octets(), ("127.0.0.1", bench.site.stateless.port))
    fork.callee.pump(0.05)
    fork.reply(0, 480)
    assert fork.final().status in (486, 480)


@pytest.mark.parametrize("size", [60000, 64000])
def test_18_1_1_datagrams_up_to_the_largest_are_taken(bench, size):
    caller, callee = bench.pair({}, {"transport": "tcp"})
    caller.send(caller.request("MESSAGE", callee.aor, body=b"x" * size))
    assert callee.expect("MESSAGE").body == b"x" * size


def test_an_icmp_error_ends_a_branch_early_and_no_other(bench):
    gone = bench.phone()
    gone.close()
    callee, caller = bench.phone(bench.user()), bench.phone()
    callee.register(f"<sip:g@127.0.0.1:{gone.port}>", f"<sip:b0@{callee.hostport}>")
    invite = caller.send(caller.request("INVITE", callee.aor))
    arrived = callee.expect("INVITE")
    callee.reply(arrived, 180)
    caller.expect(180)
    answer(caller, callee, invite, arrived)


def test_many_calls_at_once_stay_apart(bench):
    caller, callee = bench.pair()
    invites = [caller.send(caller.request("INVITE", callee.aor)) for _ in range(50)]
    arrived = {}
    for _ in invites:
        each = callee.expect("INVITE")
        arrived[each.call_id] = each
    for i, invite in enumerate(invites):
        callee.reply(arrived[invite.call_id], 400 + i % 4, to_tag=f"n{i}")
    for i, invite in enumerate(invites):
        heard = caller.final(invite)
        assert heard.call_id == invite.call_id
        assert heard.to_tag == f"n{i}" and heard.status == 400 + i % 4
