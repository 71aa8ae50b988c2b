"""Gateway groups: failover between real sockets, gateways that die in mid-call set-up, probes, drain, balance."""

import collections
import math
import time

import pytest
from harness.env import patience, poll, slow_ms
from harness.phone import arrives, confirm, hang_up, serve

pytestmark = pytest.mark.viaduct

NUMBER = "+15551234"


class Gateways:
    """A proxy with a group of so many gateways, a caller, and the gateways themselves."""

    def __init__(self, start_proxy, phone, ports, count=3, members=(), params="", **group):
        numbers = [ports.take() for _ in range(count)]
        listed = [
            {"uri": f"sip:127.0.0.1:{port}{params}", "priority": i, **(members[i] if members else {})}
            for i, port in enumerate(numbers)
        ]
        extra = {
            "groups": [{"name": "carriers", "members": listed, **group}],
            "routes": [{"name": "out", "match": {"user": ["+*"]}, "group": "carriers", "auth": "none"}],
        }
        self.proxy = start_proxy(call_auth=False, extra=extra)
        self.caller = phone(self.proxy, "alice")
        self.all = [phone(self.proxy, f"gw{i + 1}", port=port) for i, port in enumerate(numbers)]
        self.uri = f"sip:{NUMBER}@{self.proxy.domain}"

    def invite(self):
        return self.caller.invite(self.uri, challenged=False)

    def answered_by(self, gateway):
        """A call that this gateway gets and answers; both dialogs."""
        invite = self.invite()
        arrived = gateway.expect("INVITE")
        return confirm(self.caller, gateway, invite, arrived, gateway.reply(arrived, 200, contact=True))

    def told(self, event, gateway):
        return [
            line
            for line in self.proxy.log().splitlines()
            if event in line and f"127.0.0.1:{gateway.port}" in line
        ]


@pytest.fixture
def gateways(start_proxy, phone, ports):
    return lambda **kinds: Gateways(start_proxy, phone, ports, **kinds)


def test_a_gateway_that_dies_in_mid_call_set_up_costs_the_call_some_time_and_nothing_else(gateways):
    site = gateways(progress_timeout=slow_ms(1000), timeout=slow_ms(1000))
    first, second, third = site.all
    invite = site.invite()
    first.reply(first.expect("INVITE"), 100)
    first.close()
    site.all.remove(first)
    arrived = second.expect("INVITE")
    assert arrived.uri == f"sip:{NUMBER}@127.0.0.1:{second.port}"
    second.reply(arrived, 180)
    site.caller.expect(180, branch=invite.branch)
    near, far = confirm(site.caller, second, invite, arrived, second.reply(arrived, 200, contact=True))
    hang_up(near, far)
    third.expect_nothing(0.2)


def test_a_gateway_that_is_not_there_is_passed_over_at_once_and_after_three_calls_for_good(gateways):
    site = gateways()
    dead, alive, _ = site.all
    dead.close()
    for _ in range(4):
        started = time.monotonic()
        hang_up(*site.answered_by(alive))
        assert time.monotonic() - started < patience(2)  # ICMP says it, no timer
    assert poll(lambda: site.told("member.down", dead), 5)
    assert len(site.told("member.down", dead)) == 1
    assert not site.told("member.down", alive)


def test_over_tcp_a_refused_connection_leads_to_the_next_and_probes_share_one_connection(gateways):
    site = gateways(params=";transport=tcp", probe={"interval": slow_ms(250), "timeout": slow_ms(200), "fail": 4})
    dead, alive, third = site.all
    dead.close()
    hang_up(*site.answered_by(alive))
    serve([alive, third], lambda: site.told("member.down", dead))
    hang_up(*site.answered_by(alive))
    first = alive.expect("OPTIONS")
    alive.reply(first, 200)
    second = alive.expect("OPTIONS")
    alive.reply(second, 200)
    assert first.source[0] == "tcp" and first.source[1] is second.source[1]
    assert not site.told("member.down", alive)


def test_a_gateway_that_is_silent_is_passed_over_after_timeout(gateways):
    site = gateways(timeout=slow_ms(700))
    silent, alive, _ = site.all
    hang_up(*site.answered_by(alive))
    arrived = silent.expect("INVITE")
    # It wakes up: it gets the CANCEL that waited for it (RFC 3261 section 9.1).
    silent.reply(arrived, 180)
    cancel = silent.expect("CANCEL")
    assert cancel.branch == arrived.branch
    silent.reply(cancel, 200)
    silent.reply(arrived, 487)
    silent.expect("ACK")


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504])
def test_listed_answers_lead_to_the_next(gateways, status):
    site = gateways()
    first, second, _ = site.all
    invite = site.invite()
    refused = first.expect("INVITE")
    first.reply(refused, status)
    assert first.expect("ACK").branch == refused.branch
    arrived = second.expect("INVITE")
    assert arrived.call_id == refused.call_id and arrived.branch != refused.branch
    hang_up(*confirm(site.caller, second, invite, arrived, second.reply(arrived, 200, contact=True)))


def test_other_answers_are_the_callers(gateways):
    site = gateways()
    first, second, _ = site.all
    invite = site.invite()
    first.reply(first.expect("INVITE"), 486)
    assert site.caller.final(invite).status == 486
    second.expect_nothing(0.3)


def test_when_all_fail_the_caller_gets_500_and_never_503(gateways):
    site = gateways()
    invite = site.invite()
    for gateway in site.all:
        gateway.reply(gateway.expect("INVITE"), 503)
    assert site.caller.final(invite).status == 500


def test_retry_after_is_honoured(gateways):
    site = gateways()
    first, second, _ = site.all
    invite = site.invite()
    rest_s = math.ceil(patience(2))
    first.reply(first.expect("INVITE"), 503, headers=[("Retry-After", str(rest_s))])
    first.expect("ACK")
    arrived = second.expect("INVITE")
    hang_up(*confirm(site.caller, second, invite, arrived, second.reply(arrived, 200, contact=True)))
    hang_up(*site.answered_by(second))
    time.sleep(rest_s + 0.1)
    hang_up(*site.answered_by(first))
    assert poll(lambda: site.told("member.up", first), 5)
    assert len(site.told("member.down", first)) == len(site.told("member.up", first)) == 1


def test_probes_take_a_gateway_down_before_a_call_has_to_find_out_and_bring_it_back(gateways):
    # Four in a row may only the first one miss: the others are not served while the test does something else.
    site = gateways(probe={"interval": slow_ms(250), "timeout": slow_ms(200), "pass": 2, "fail": 4})
    first, second, third = site.all
    probe = first.expect("OPTIONS")
    assert probe["Max-Forwards"] == "70" and len(probe.all("Via")) == 1
    serve([second, third], lambda: site.told("member.down", first))
    invite = site.invite()
    calls = []
    serve([second, third], lambda: calls.extend(second.taken("INVITE")) or calls)
    ok = second.reply(calls[0], 200, contact=True)
    near, far = confirm(site.caller, second, invite, calls[0], ok)
    first.pump(0)
    assert not first.taken("INVITE")
    first.inbox.clear()
    serve(site.all, lambda: site.told("member.up", first))
    hang_up(near, far)
    invite = site.invite()
    serve(site.all, lambda: first.taken("INVITE"))
    assert [len(site.told("member.down", gateway)) for gateway in site.all] == [1, 0, 0]
    assert len(site.told("member.up", first)) == 1
    site.caller.ask(site.caller.cancel_of(invite))


def test_a_drained_gateway_gets_no_new_calls(gateways):
    site = gateways(members=({"drain": True}, {}, {}))
    hang_up(*site.answered_by(site.all[1]))
    site.all[0].expect_nothing(0.2)


def test_least_calls_counts_from_invite_to_bye_over_all_workers(gateways):
    site = gateways(algorithm="least_calls")
    calls = collections.defaultdict(list)

    def place():
        invite = site.invite()
        gateway, arrived = arrives(site.all)
        ok = gateway.reply(arrived, 200, contact=True)
        calls[gateway].append(confirm(site.caller, gateway, invite, arrived, ok))
        return gateway

    for _ in range(12):  # the workers see half of them each
        place()
    assert [len(calls[gateway]) for gateway in site.all] == [4, 4, 4]
    chosen = site.all[1]
    for near, far in calls.pop(chosen):
        hang_up(near, far)
    assert [place() for _ in range(4)] == [chosen] * 4


def test_a_hash_sends_the_same_user_to_the_same_gateway(gateways):
    site = gateways(algorithm="user")
    first = None
    for _ in range(6):
        invite = site.invite()
        seen, arrived = arrives(site.all)
        seen.reply(arrived, 486)
        assert site.caller.final(invite).status == 486
        first = first or seen
        assert seen is first
