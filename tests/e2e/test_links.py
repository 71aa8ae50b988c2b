"""The cable of a gateway is pulled while a call is set up: nothing says so, no ICMP, no reset. Each gateway is in a network namespace of its
own. The call goes to the next member of the group within the time of the configuration, and the gateway is used again when it is back."""

import time

import pytest

from harness.env import patience, slow_ms
from harness.netns import Link, free_network, inside
from harness.phone import confirm, hang_up, serve
from harness.proxy import loopback_listeners

pytestmark = [pytest.mark.viaduct, pytest.mark.tools("ip")]

NUMBER = "+15551234"
PORT = 5060
TIMEOUT_S, PROGRESS_S = patience(1), patience(2)
PROBE = {"interval": slow_ms(300), "timeout": slow_ms(250), "pass": 2, "fail": 4}


class Site:
    """A proxy whose group has two gateways, each at the end of a link, and a caller beside the proxy."""

    def __init__(self, start_proxy, phone, ports, links, transport, **group):
        suffix = "" if transport == "udp" else f";transport={transport}"
        members = [{"uri": f"sip:{link.there}:{PORT}{suffix}", "priority": i} for i, link in enumerate(links)]
        timeouts = {"timeout": slow_ms(1000), "progress_timeout": slow_ms(2000)}
        extra = {
            "groups": [{"name": "carriers", "members": members, **timeouts, **group}],
            "routes": [{"name": "out", "match": {"user": ["+*"]}, "group": "carriers", "auth": "none"}],
            "limits": {"connect_timeout": slow_ms(1000)},
        }
        self.links = links
        listeners = loopback_listeners(ports, "127.0.0.1", *(link.here for link in links))
        self.proxy = start_proxy(listeners=listeners, call_auth=False, extra=extra)
        self.caller = phone(self.proxy, "alice")
        self.gateways = []
        for i, link in enumerate(links):
            with inside(link.namespace):
                self.gateways.append(phone(self.proxy, f"gw{i + 1}", host=link.there, port=PORT))

    def invite(self):
        return self.caller.invite(f"sip:{NUMBER}@{self.proxy.domain}", challenged=False)

    def accept(self, gateway, invite, arrived):
        hang_up(*confirm(self.caller, gateway, invite, arrived, gateway.reply(arrived, 200, contact=True)))

    def told(self, event, link):
        return [line for line in self.proxy.log().splitlines() if event in line and f"{link.there}:{PORT}" in line]


@pytest.fixture
def site(start_proxy, phone, ports):
    """site(**group) with the first gateway at the link that is going to be cut."""
    made = []

    def make(transport="udp", **group):
        for i in (1, 2):
            net = free_network(90 + i)
            made.append(Link(f"gw{i}", net + "1", net + "2"))
        return Site(start_proxy, phone, ports, made, transport, **group)

    yield make
    for link in made:
        link.close()


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_link_that_is_cut_when_the_invite_has_arrived(site, transport):
    here = site(transport)
    (cut, _), (first, second) = here.links, here.gateways
    invite = here.invite()
    refused = first.expect("INVITE")
    cut.cut()
    began = time.monotonic()
    arrived = second.expect("INVITE", TIMEOUT_S + 5)
    assert time.monotonic() - began < TIMEOUT_S + patience(1.5)
    assert arrived.call_id == refused.call_id and arrived.branch != refused.branch
    here.accept(second, invite, arrived)


def test_18_1_1_each_network_is_addressed_from_our_address_in_it(site):
    here = site()
    invite = here.invite()
    for link, gateway in zip(here.links, here.gateways):
        arrived = gateway.expect("INVITE")
        assert arrived["Via"].startswith(f"SIP/2.0/UDP {link.here}:")
        gateway.reply(arrived, 503)
        assert gateway.expect("ACK")["Via"] == arrived["Via"]
    assert here.caller.final(invite).status in (500, 503)


def test_a_link_that_is_cut_before_the_invite(site):
    here = site()
    (cut, _), (first, second) = here.links, here.gateways
    cut.cut()
    began = time.monotonic()
    invite = here.invite()
    arrived = second.expect("INVITE", TIMEOUT_S + 5)
    assert time.monotonic() - began < TIMEOUT_S + patience(1.5)
    here.accept(second, invite, arrived)
    first.expect_nothing(0.1, "INVITE")


def test_a_link_that_is_cut_after_100_costs_the_progress_timeout(site):
    here = site()
    (cut, _), (first, second) = here.links, here.gateways
    began = time.monotonic()
    invite = here.invite()
    first.reply(first.expect("INVITE"), 100)
    time.sleep(0.1)  # for the 100, of which nobody hears
    cut.cut()
    arrived = second.expect("INVITE", PROGRESS_S + 5)
    assert TIMEOUT_S < time.monotonic() - began < PROGRESS_S + patience(1.5)
    here.accept(second, invite, arrived)


def test_a_gateway_that_is_back_is_used_again(site):
    here = site(probe=PROBE)
    (cut, _), (first, second) = here.links, here.gateways
    cut.cut()
    serve([second], lambda: here.told("member.down", cut))
    invite = here.invite()
    calls = []
    serve([second], lambda: calls.extend(second.taken("INVITE")) or calls)
    second.reply(calls[0], 486)
    assert here.caller.final(invite).status == 486
    cut.mend()
    serve(here.gateways, lambda: here.told("member.up", cut))
    invite = here.invite()
    serve(here.gateways, lambda: calls.extend(first.taken("INVITE")) or calls[1:])
    first.reply(calls[1], 486)
    assert here.caller.final(invite).status == 486
    assert len(here.told("member.down", cut)) == len(here.told("member.up", cut)) == 1


def test_without_probes_a_link_that_was_cut_and_mended_between_two_calls_is_forgiven(site):
    here = site()
    (cut, _), (first, second) = here.links, here.gateways
    cut.cut()
    invite = here.invite()
    here.accept(second, invite, second.expect("INVITE", TIMEOUT_S + 5))
    cut.mend()
    invite = here.invite()
    # The INVITE of the call before may still reach it: its transaction is not over, the CANCEL waits (RFC 3261 section 9.1).
    arrived = first.expect(lambda message: message.status is None and message.call_id == invite.call_id)
    here.accept(first, invite, arrived)
