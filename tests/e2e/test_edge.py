"""Two proxies in a chain: an edge, where the phones are, and their home, which knows who they are (RFC 3327, RFC 5626). The Contacts of the
phones lead nowhere: whatever reaches them came over their flow."""

import re
import time

import pytest

from harness import kamailio, proxy as proxies
from harness.baresip import Baresip
from harness.env import patience, poll
from harness.phone import call, hang_up
from harness.realphone import talk
from harness.proxy import Options

pytestmark = pytest.mark.viaduct

NOWHERE = "10.255.255.1"
OUTBOUND = ";sipnat=outbound"  # RFC 5626, as baresip is told


def instance(phone, reg_id=1):
    """What a client of RFC 5626 says of itself."""
    transport = "" if phone.transport == "udp" else f";transport={phone.transport}"
    return (
        f"<sip:{phone.user}@{NOWHERE}:5060{transport};ob>;reg-id={reg_id}"
        f';+sip.instance="<urn:uuid:00000000-0000-1000-8000-{abs(hash(phone.user)) % 10**12:012d}>"'
    )


def register(phone, reg_id=1):
    response = phone.register(instance(phone, reg_id), headers=[("Supported", "path, outbound")])
    assert response.status == 200, response
    return response


def edge_of(start_proxy, home, **options):
    home_uri = f"sip:{home.hostport};lr"
    extra = {"edge": {"home": home_uri, "domains": [home.domain]}}
    return start_proxy(domain="edge.test", users=(), extra=extra, **options)


@pytest.fixture
def chain(start_proxy):
    home = start_proxy()
    return home, edge_of(start_proxy, home)


@pytest.fixture
def home_and_edge(chain, phone):
    """alice at home, and bob behind the edge by TCP; both are registered."""
    home, edge = chain
    alice, bob = phone(home, "alice"), phone(edge, "bob", domain=home.domain, transport="tcp")
    alice.register()
    register(bob)
    return alice, bob


@pytest.mark.parametrize("transports", [("udp", "udp"), ("tcp", "tcp"), ("udp", "tcp"), ("tcp", "udp")])
def test_phones_at_the_edge_call_each_other_through_their_home(chain, phone, transports):
    home, edge = chain
    alice = phone(edge, "alice", domain=home.domain, transport=transports[0])
    bob = phone(edge, "bob", domain=home.domain, transport=transports[1])
    for client in (alice, bob):
        assert register(client)["Require"] == "outbound"
    near, far = call(alice, bob, contact=instance(alice).split(";reg-id")[0])
    hang_up(far, near)
    near, far = call(bob, alice, contact=instance(bob).split(";reg-id")[0])
    hang_up(near, far)


def test_a_phone_at_home_and_one_at_the_edge(home_and_edge):
    alice, bob = home_and_edge
    near, far = call(alice, bob)
    hang_up(far, near)
    near, far = call(bob, alice, contact=instance(bob).split(";reg-id")[0])
    hang_up(far, near)


def test_a_closed_connection_is_480_at_once_and_the_phone_comes_back(chain, home_and_edge, phone):
    home, edge = chain
    alice, bob = home_and_edge
    bob.stream().close()
    edge.catch_up()
    began = time.monotonic()
    assert alice.final(alice.invite(bob.aor)).status == 480
    assert time.monotonic() - began < patience(2)
    again = phone(edge, "bob", domain=home.domain, transport="tcp")
    register(again)
    hang_up(*call(alice, again))


def test_two_flows_the_second_takes_over(chain, phone):
    home, edge = chain
    alice = phone(home, "alice")
    alice.register()
    first = phone(edge, "bob", domain=home.domain, transport="tcp")
    second = phone(edge, "bob", domain=home.domain, transport="tcp")
    register(first, 1)
    time.sleep(1.1)
    register(second, 2)
    second.stream().close()
    edge.catch_up()
    hang_up(*call(alice, first))


def test_the_edge_starts_again_its_connections_are_gone(chain, home_and_edge, phone):
    home, edge = chain
    alice, bob = home_and_edge
    edge.stop()
    edge.start()
    began = time.monotonic()
    assert alice.final(alice.invite(bob.aor)).status == 480
    assert time.monotonic() - began < patience(2)
    again = phone(edge, "bob", domain=home.domain, transport="tcp")
    register(again)
    hang_up(*call(alice, again))


def test_the_edge_starts_again_flows_over_udp_are_as_good_as_before(chain, phone):
    home, edge = chain
    alice, bob = phone(home, "alice"), phone(edge, "bob", domain=home.domain)
    alice.register()
    register(bob)
    edge.stop()
    edge.start()
    hang_up(*call(alice, bob))


def test_the_registrar_starts_again_its_own_connections_are_gone(start_proxy, phone):
    home = start_proxy()
    alice, bob = phone(home, "alice"), phone(home, "bob", transport="tcp")
    alice.register()
    register(bob)
    assert len(bob.fetch()) == 1
    home.stop()
    home.start()
    began = time.monotonic()
    assert alice.final(alice.invite(bob.aor)).status == 480
    assert time.monotonic() - began < patience(2)


def test_old_phones_behind_a_nat_are_reached_by_the_way_they_came(start_proxy, ports, phone):
    listeners = [
        proxies.Listener(l.transport, l.host, l.port, {"nat": {"contacts": "source"}})
        for l in proxies.loopback_listeners(ports)
    ]
    home = start_proxy(listeners=listeners)
    alice, bob = phone(home, "alice"), phone(home, "bob")
    for client in (alice, bob):
        assert client.register(f"<sip:{client.user}@{NOWHERE}:5060>").status == 200
    near, far = call(alice, bob)
    hang_up(far, near)


@pytest.mark.tools("kamailio")
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_kamailio_at_home_viaduct_at_the_edge(start_proxy, start_kamailio, phone, transport):
    home = start_kamailio()
    edge = edge_of(start_proxy, home)
    alice = phone(edge, "alice", domain=home.domain)
    bob = phone(edge, "bob", domain=home.domain, transport=transport)
    for client in (alice, bob):
        response = client.register(f"<sip:{client.user}@{NOWHERE}:5060;ob>", headers=[("Supported", "path")])
        assert response.status == 200, response
    near, far = call(alice, bob, contact=f"<sip:alice@{NOWHERE}:5060;ob>")
    hang_up(far, near)


@pytest.mark.tools("kamailio")
def test_viaduct_at_home_kamailio_at_the_edge(start_proxy, start_kamailio, phone):
    home = start_proxy()
    edge = start_kamailio(home)
    alice, bob = phone(home, "alice"), phone(edge, "bob", domain=home.domain)
    alice.register()
    response = bob.register(f"<sip:bob@{NOWHERE}:5060>", headers=[("Supported", "path")])
    assert response.status == 200 and bob.user not in response["Path"], response
    arrived_by = alice.invite(bob.aor)
    bob.reply(bob.expect("INVITE"), 486)
    bob.expect("ACK")
    assert alice.final(arrived_by).status == 486


@pytest.fixture
def start_kamailio(folder, ports):
    started = []

    def start(home=None):
        (folder / "kamailio").mkdir()
        options = Options(listeners=proxies.loopback_listeners(ports))
        made = kamailio.Kamailio(options, folder / "kamailio")
        made.home = home and home.hostport
        made.set_up()
        started.append(made)
        return made.start()

    yield start
    for made in started:
        made.stop()


@pytest.fixture
def desks(folder, ports):
    """desks(edge, domain, transports, account) are two baresips at the edge, registered, each with a tone of its own. Every INVITE that
    reached them must have come from the edge."""
    made = []

    def make(edge, domain, transports, account=""):
        for user, transport, hertz in zip(("alice", "bob"), transports, (440, 1000)):
            kinds = {"transport": transport, "hertz": hertz, "account": account, "domain": domain}
            made.append(Baresip(user, edge, folder, ports, **kinds))
        return [each.registered() for each in made]

    yield make
    for each in made:
        each.close()
    for each in made:
        senders = set(re.findall(r"INVITE \S+ SIP/2.0\n(?:(?!Via:).*\n)*Via: SIP/2.0/\w+ ([^;]+)", each.log()))
        assert senders == {each.hostport, each.proxy.hostport}, senders


def call_each_other(alice, bob):
    """One call from either side, with both tones heard, ended by the caller and by the callee."""
    for caller, callee, ends in ((alice, bob, alice), (bob, alice, alice)):
        for each in (alice, bob):
            each.forget_recordings()
        caller.dial(callee.user)
        callee.rings()
        callee.accept()
        caller.established()
        callee.established()
        talk(caller, callee)
        ends.hang_up()
        caller.closed()
        callee.closed()
        caller.hears(callee)
        callee.hears(caller)


@pytest.mark.tools("baresip")
@pytest.mark.parametrize("transports", [("udp", "udp"), ("udp", "tcp")], ids="-".join)
def test_baresips_with_outbound_at_the_edge_call_each_other_through_their_home(chain, desks, phone, transports):
    home, edge = chain
    call_each_other(*desks(edge, home.domain, transports, OUTBOUND))
    for user in ("alice", "bob"):
        (binding,) = phone(home, user).fetch().values()
        assert binding["reg-id"] == "1" and binding["+sip.instance"].startswith("<urn:uuid:"), binding


@pytest.mark.tools("baresip")
def test_a_baresip_at_home_and_one_at_the_edge(chain, folder, ports):
    home, edge = chain
    made = []
    try:
        made.append(Baresip("alice", home, folder, ports, hertz=440))
        made.append(Baresip("bob", edge, folder, ports, hertz=1000, domain=home.domain, account=OUTBOUND, transport="tcp"))
        call_each_other(*(each.registered() for each in made))
    finally:
        for each in made:
            each.close()


@pytest.mark.tools("baresip", "kamailio")
def test_baresips_at_viaduct_as_the_edge_of_kamailio(start_proxy, start_kamailio, desks):
    home = start_kamailio()
    call_each_other(*desks(edge_of(start_proxy, home), home.domain, ("udp", "tcp"), OUTBOUND))


@pytest.mark.tools("baresip", "kamailio")
def test_baresips_at_kamailio_as_the_edge_of_viaduct(start_proxy, start_kamailio, desks):
    """baresip without Outbound does not say that it supports Path, and with it asks for what Kamailio does not do: the home is lenient."""
    home = start_proxy(extra={"registrar": {"path": "accept"}})
    call_each_other(*desks(start_kamailio(home), home.domain, ("udp", "udp")))


@pytest.mark.tools("baresip", "kamailio")
def test_5626_6_a_baresip_is_told_that_its_edge_knows_no_outbound(start_proxy, start_kamailio, folder, ports):
    home = start_proxy()
    edge = start_kamailio(home)
    bob = Baresip("bob", edge, folder, ports, domain=home.domain, account=OUTBOUND)
    try:
        assert poll(lambda: "status=439" in home.log(), 8)
        bob.not_registered()
    finally:
        bob.close()
    assert "439 First Hop Lacks Outbound Support" in bob.log()


@pytest.mark.tools("kamailio")
@pytest.mark.parametrize("who_calls", ["home", "edge"])
def test_a_whole_call_between_a_phone_of_viaduct_and_one_behind_kamailio(start_proxy, start_kamailio, phone, who_calls):
    home = start_proxy()
    edge = start_kamailio(home)
    alice, bob = phone(home, "alice"), phone(edge, "bob", domain=home.domain)
    alice.register()
    assert bob.register(headers=[("Supported", "path")]).status == 200
    near, far = call(alice, bob) if who_calls == "home" else call(bob, alice)
    hang_up(far, near)
    near, far = call(alice, bob) if who_calls == "home" else call(bob, alice)
    hang_up(near, far)
