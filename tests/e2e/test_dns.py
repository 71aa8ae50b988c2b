"""RFC 3263 against a real authoritative server (nsd) with real zones: where requests go, and where next."""

import math
import time

import pytest

from harness import env, sip
from harness.dns import REFUSED, SERVFAIL, Nsd, Relay
from harness.env import patience, poll, slow_ms
from harness.phone import arrives, call, hang_up, refuse
from harness.proxy import loopback_listeners

pytestmark = [pytest.mark.viaduct, pytest.mark.tools("nsd")]

# After so long a TTL of 1 s has passed: times are kept in whole seconds.
EXPIRED_S = 2.2
# A TTL within which a test asks several times.
KEPT_S = math.ceil(patience(2))
# A server that answers does so in this time, however busy the machine is. Where none answers it is waited for in vain.
ANSWERS = slow_ms(2000)


@pytest.fixture
def site(folder, ports, start_proxy, phone):
    return Site(folder, ports, start_proxy, phone)


@pytest.fixture(autouse=True)
def ended(request):
    """Ends the name servers of a test before its folder is looked at."""
    yield
    for server in Site.servers:
        server.stop()
    Site.servers = []


class Site:
    """A proxy whose names come from a server of the test."""

    servers = []

    def __init__(self, folder, ports, start_proxy, phone):
        self.folder, self.ports, self._start, self._phone = folder, ports, start_proxy, phone
        self.nsd = self.relay = self.proxy = None

    def serve(self, zones, *, relay=False, **nsd):
        port = self.ports.take()
        self.nsd = Nsd(self.folder, port, zones, **nsd)
        Site.servers.append(self.nsd)
        if relay:
            port = self.relay_before(port)
        return port

    def relay_before(self, server_port=None):
        port = self.ports.take()
        self.relay = Relay(port, server_port)
        Site.servers.append(self.relay)
        return port

    def start(self, dns_port, *, workers=2, dns=(), **options):
        extra = options.pop("extra", {})
        settings = {"servers": [f"127.0.0.1:{dns_port}"], "hosts": "", "timeout": ANSWERS, **dict(dns)}
        self.proxy = self._start(
            trusted=("127.0.0.1",), workers=workers, extra={"dns": settings, **extra}, **options
        )
        return self.proxy

    def phone(self, user, **kinds):
        return self._phone(self.proxy, user, domain="far.example", **kinds)


def ask(caller, uri, **kinds):
    """A MESSAGE, which is not retransmitted for as long as an INVITE would ring."""
    return caller.send(caller.request("MESSAGE", uri, **kinds))


def lands(caller, callee, uri, **kinds):
    """The request reaches the callee, and his answer the caller."""
    request = ask(caller, uri, **kinds)
    arrived = callee.expect("MESSAGE")
    assert arrived.uri == uri, "the URI is not rewritten with what the DNS says (RFC 3263 section 4)"
    callee.reply(arrived, 200)
    assert caller.final(request).status == 200
    return arrived


# ---- where ----


def test_4_1_naptr_then_srv_then_address(site):
    srv_port, wrong = site.ports.take(), site.ports.take()
    zone = f"""
        @ NAPTR 20 10 "s" "SIP+D2U" "" _sip._udp
        @ NAPTR 10 10 "s" "SIPS+D2T" "" _sips._tcp
        @ NAPTR 15 10 "s" "SIP+D2T" "" _sip._tcp.elsewhere.example.
        @ NAPTR 5 10 "u" "E2U+sip" "!^.*$!sip:info@far.example!" .
        @ NAPTR 6 10 "s" "SIP+D2S" "" _sip._sctp
        _sip._udp SRV 1 1 {wrong} host
        host A 127.0.0.1
    """
    other = f"_sip._tcp SRV 1 1 {srv_port} box\nbox CNAME real\nreal A 127.0.0.1"
    site.start(site.serve({"far.example": zone, "elsewhere.example": other}))
    caller, callee = site.phone("alice"), site.phone("bob", port=srv_port)
    arrived = lands(caller, callee, "sip:bob@far.example")
    assert arrived.source[0] == "tcp", "of the services spoken here SIP+D2T has the lowest order"


def test_4_1_without_naptr_srv_and_4_2_transport_and_port(site):
    udp, tcp, plain = site.ports.take(), site.ports.take(), site.ports.take()
    zone = f"""
        @ A 127.0.0.1
        _sip._udp SRV 1 1 {udp} host
        _sip._tcp SRV 1 1 {tcp} host
        host A 127.0.0.1
    """
    site.start(site.serve({"far.example": zone}))
    caller = site.phone("alice")
    by_udp, by_tcp = site.phone("u", port=udp), site.phone("t", port=tcp)
    by_port = site.phone("p", port=plain)
    assert lands(caller, by_udp, "sip:bob@far.example").source[0] == "udp"
    assert lands(caller, by_tcp, "sip:bob@far.example;transport=tcp").source[0] == "tcp"
    assert lands(caller, by_port, f"sip:bob@far.example:{plain}").source[0] == "udp"
    lands(caller, by_udp, "sip:bob@other.example;maddr=far.example")


def test_4_2_a_and_aaaa_and_the_next_address_when_one_fails(site):
    port = site.ports.take()
    zone = "@ A 127.0.0.1\n@ AAAA ::1\nfour A 127.0.0.1\nsix AAAA ::1"
    listeners = loopback_listeners(site.ports, "127.0.0.1", "::1")
    site.start(site.serve({"far.example": zone}), listeners=listeners)
    caller = site.phone("alice")
    four, six = site.phone("four", port=port), site.phone("six", port=port, host="::1")
    lands(caller, four, f"sip:bob@four.far.example:{port}")
    lands(caller, six, f"sip:bob@six.far.example:{port}")
    lands(caller, six, f"sip:bob@far.example:{port}")
    six.close()
    lands(caller, four, f"sip:bob@far.example:{port}")


def test_names_of_the_hosts_file_stand_before_the_dns(site):
    port = site.ports.take()
    hosts = site.folder / "hosts"
    hosts.write_text("127.0.0.1 far.example\n")
    zone = f"@ A 192.0.2.1\n_sip._udp SRV 1 1 {port} host\nhost A 192.0.2.2"
    site.start(site.serve({"far.example": zone}, relay=True), dns={"hosts": str(hosts)})
    lands(site.phone("alice"), site.phone("bob", port=port), f"sip:bob@far.example:{port}")
    assert not site.relay.asked


def test_2782_weights_spread_calls_and_one_call_stays_where_it_is(site):
    first = site.ports.take(2)
    zone = f"_sip._udp SRV 1 75 {first} host\n_sip._udp SRV 1 25 {first + 1} host\nhost A 127.0.0.1"
    site.start(site.serve({"far.example": zone}))
    caller = site.phone("alice")
    servers = [site.phone(f"s{n}", port=first + n) for n in range(2)]
    counts = [0, 0]
    for _ in range(120):
        request = ask(caller, "sip:bob@far.example")
        server, arrived = arrives(servers, "MESSAGE")
        counts[servers.index(server)] += 1
        server.reply(arrived, 200)
        assert caller.final(request).status == 200
    assert 60 < counts[0] < 112, counts

    call_id = sip.new_call_id()
    places = set()
    for cseq in range(1, 11):
        request = ask(caller, "sip:bob@far.example", call_id=call_id, cseq=cseq)
        server, arrived = arrives(servers, "MESSAGE")
        places.add(server)
        server.reply(arrived, 200)
        caller.final(request)
    assert len(places) == 1


# ---- 4.3: and where next ----


def dead_and_alive(site, n_dead, transport="udp"):
    """SRV records of dead servers, each better than the next, and of one that lives, the worst."""
    dead = site.ports.take(n_dead)
    alive = site.ports.take()
    lines = [f"_sip._{transport} SRV {n} 0 {dead + n} h{n}\nh{n} A 127.0.0.1" for n in range(n_dead)]
    lines.append(f"_sip._{transport} SRV {n_dead} 0 {alive} host\nhost A 127.0.0.1")
    return "\n".join(lines), alive


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_4_3_more_than_20_dead_servers_before_the_one_that_lives(site, transport):
    zone, alive = dead_and_alive(site, 45, transport)
    site.start(site.serve({"far.example": zone}, edns=512))
    caller, callee = site.phone("alice"), site.phone("bob", port=alive)
    lands(caller, callee, f"sip:bob@far.example;transport={transport}")


def test_4_3_every_attempt_has_a_branch_of_its_own_and_503_goes_on(site):
    first = site.ports.take(3)
    zone = "\n".join(f"_sip._udp SRV {n} 0 {first + n} host" for n in range(3)) + "\nhost A 127.0.0.1"
    site.start(site.serve({"far.example": zone}))
    caller = site.phone("alice")
    servers = [site.phone(f"s{n}", port=first + n) for n in range(3)]
    invite = caller.invite("sip:bob@far.example", challenged=False)
    branches = []
    for n, server in enumerate(servers):
        arrived = server.expect("INVITE")
        branches.append(arrived.branch)
        if n < 2:
            server.reply(arrived, 503)
            assert server.expect("ACK").branch == arrived.branch, "4.4: the ACK goes where the INVITE went"
    assert len(set(branches)) == 3
    refuse(caller, servers[2], invite, arrived)


def test_4_3_the_last_503_is_the_answer(site):
    port = site.ports.take()
    site.start(site.serve({"far.example": f"_sip._udp SRV 1 0 {port} host\nhost A 127.0.0.1"}))
    caller, server = site.phone("alice"), site.phone("s", port=port)
    request = ask(caller, "sip:bob@far.example")
    server.reply(server.expect("MESSAGE"), 503)
    assert caller.final(request).status == 500, "RFC 3261 section 16.7 step 6: not as 503"


def test_4_4_cancel_and_ack_go_to_the_server_of_their_invite(site):
    first = site.ports.take(4)
    zone = "\n".join(f"_sip._udp SRV 1 1 {first + n} host" for n in range(4)) + "\nhost A 127.0.0.1"
    site.start(site.serve({"far.example": zone}))
    caller = site.phone("alice")
    servers = [site.phone(f"s{n}", port=first + n) for n in range(4)]
    for _ in range(6):
        invite = caller.invite("sip:bob@far.example", challenged=False)
        callee, arrived = arrives(servers)
        callee.reply(arrived, 180)
        caller.expect(180, branch=invite.branch)
        assert caller.ask(caller.cancel_of(invite)).status == 200
        assert callee.expect("CANCEL").branch == arrived.branch
        refuse(caller, callee, invite, arrived, 487)


def test_a_call_to_a_domain_and_its_end(site):
    port = site.ports.take()
    site.start(site.serve({"far.example": f"_sip._udp SRV 1 0 {port} host\nhost A 127.0.0.1"}))
    caller, callee = site.phone("alice"), site.phone("bob", port=port)
    hang_up(*call(caller, callee, "sip:bob@far.example", challenged=False))


# ---- health ----


def test_a_server_that_failed_is_tried_last_and_no_longer_first(site):
    first = site.ports.take(2)
    zone = f"_sip._udp SRV 1 0 {first} host\n_sip._udp SRV 2 0 {first + 1} host\nhost A 127.0.0.1"
    site.start(site.serve({"far.example": zone}))
    caller, second = site.phone("alice"), site.phone("s1", port=first + 1)
    lands(caller, second, "sip:bob@far.example")
    better = site.phone("s0", port=first)
    lands(caller, second, "sip:bob@far.example")
    better.expect_nothing(0.1)
    # It is not left out.
    second.close()
    lands(caller, better, "sip:bob@far.example")
    # And an answer makes it good again.
    lands(caller, better, "sip:bob@far.example")


def test_21_5_4_who_says_retry_after_is_left_alone_so_long(site):
    first = site.ports.take(2)
    zone = f"_sip._udp SRV 1 0 {first} host\n_sip._udp SRV 2 0 {first + 1} host\nhost A 127.0.0.1"
    site.start(site.serve({"far.example": zone}))
    caller = site.phone("alice")
    busy, other = site.phone("s0", port=first), site.phone("s1", port=first + 1)
    request = ask(caller, "sip:bob@far.example")
    busy.reply(busy.expect("MESSAGE"), 503, headers=[("Retry-After", f"{KEPT_S} (busy);duration=5")])
    other.reply(other.expect("MESSAGE"), 200)
    assert caller.final(request).status == 200
    lands(caller, other, "sip:bob@far.example")
    busy.expect_nothing(0.1)
    time.sleep(KEPT_S)
    lands(caller, busy, "sip:bob@far.example")


# ---- name servers that do not do what they should ----


def refused(caller, uri, seconds=8):
    return caller.final(ask(caller, uri), seconds).status


def test_names_that_are_not_there(site):
    port = site.ports.take()
    zone = f"""
        host A 127.0.0.1
        empty TXT "nothing to call"
        loop CNAME pool
        pool CNAME loop
        dangling CNAME nowhere
        _sip._udp.gone SRV 0 0 0 .
        gone A 127.0.0.1
        _sip._udp.lost SRV 1 1 {port} nowhere
        _sip._udp.odd SRV 1 1 {port} 127.0.0.1
        group A 224.0.0.1
    """
    site.start(site.serve({"far.example": zone, "broken.example": None}))
    caller = site.phone("alice")
    for name in ("nowhere", "empty", "loop", "dangling", "gone", "lost", "odd", "group"):
        assert refused(caller, f"sip:bob@{name}.far.example") == 500, name
    assert refused(caller, f"sip:bob@host.far.example:{port}") == 500
    assert refused(caller, "sip:bob@broken.example") == 500, "SERVFAIL"
    assert refused(caller, "sip:bob@not-served.example") == 500, "REFUSED: a lame server"
    bob = site.phone("bob", port=port)
    lands(caller, bob, f"sip:bob@host.far.example:{port}")


@pytest.mark.parametrize("length", [1, 5, 8])
def test_chains_of_aliases(site, length):
    port = site.ports.take()
    chain = "\n".join(f"c{n} CNAME c{n + 1}" for n in range(length))
    site.start(site.serve({"far.example": f"{chain}\nc{length} A 127.0.0.1"}))
    lands(site.phone("alice"), site.phone("bob", port=port), f"sip:bob@c0.far.example:{port}")


def test_a_server_that_never_answers_is_not_waited_for(site):
    site.start(site.relay_before(), dns={"timeout": "300ms"})
    site.relay.silent = lambda name, kind: True
    caller = site.phone("alice")
    began = time.monotonic()
    request = ask(caller, "sip:bob@far.example")
    # Meanwhile everything else goes on.
    assert site.proxy.answers_options()
    assert caller.final(request).status == 500
    assert 0.8 < time.monotonic() - began < patience(4), "three steps, each 300 ms"


def test_a_server_that_knows_no_naptr_and_is_silent_about_it(site):
    port = site.ports.take()
    zone = f"_sip._udp SRV 1 1 {port} host\nhost A 127.0.0.1"
    site.start(site.serve({"far.example": zone}, relay=True), dns={"timeout": slow_ms(300)})
    site.relay.silent = lambda name, kind: kind == "NAPTR"
    lands(site.phone("alice"), site.phone("bob", port=port), "sip:bob@far.example")


@pytest.mark.parametrize("rcode", [SERVFAIL, REFUSED])
def test_a_server_that_is_broken(site, rcode):
    site.start(site.relay_before(), dns={"timeout": "500ms"})
    site.relay.rcode = rcode
    assert refused(site.phone("alice"), "sip:bob@far.example") == 500


# ---- cache ----


def test_answers_are_kept_for_their_ttl_and_not_longer(site):
    port = site.ports.take()
    site.start(site.serve({"far.example": f"host {KEPT_S} A 127.0.0.1"}, relay=True), workers=1)
    caller, bob = site.phone("alice"), site.phone("bob", port=port)
    for _ in range(5):
        lands(caller, bob, f"sip:bob@host.far.example:{port}")
    assert site.relay.count("host.far.example", "A") == 1
    site.nsd.change(far_example=f"host {KEPT_S} A 127.0.0.2")
    time.sleep(KEPT_S + 1.2)
    assert refused(caller, f"sip:bob@host.far.example:{port}") == 500, "nobody is at the new address"
    assert site.relay.count("host.far.example", "A") == 2


def test_that_a_name_is_not_there_is_kept_too(site):
    port = site.ports.take()
    site.start(site.serve({"far.example": ""}, relay=True, negative_s=KEPT_S), workers=1)
    caller, bob = site.phone("alice"), site.phone("bob", port=port)
    for _ in range(3):
        assert refused(caller, f"sip:bob@new.far.example:{port}") == 500
    assert site.relay.count("new.far.example", "A") == 1
    site.nsd.change(far_example="new A 127.0.0.1")
    time.sleep(KEPT_S + 1.2)
    lands(caller, bob, f"sip:bob@new.far.example:{port}")


def test_while_no_server_answers_what_has_expired_is_used(site):
    port = site.ports.take()
    site.start(
        site.serve({"far.example": f"_sip._udp 1 SRV 1 1 {port} host\nhost 1 A 127.0.0.1"}, relay=True),
        workers=1,
        dns={"timeout": "1s"},
    )
    caller, bob = site.phone("alice"), site.phone("bob", port=port)
    lands(caller, bob, "sip:bob@far.example;transport=udp")
    site.relay.silent = lambda name, kind: True
    time.sleep(EXPIRED_S)
    lands(caller, bob, "sip:bob@far.example;transport=udp")
    assert poll(lambda: len(site.relay.asked) > 2, 5), "and it goes on asking"


def test_without_serve_stale_what_has_expired_is_gone(site):
    port = site.ports.take()
    site.start(
        site.serve({"far.example": "host 1 A 127.0.0.1"}, relay=True),
        workers=1,
        dns={"timeout": slow_ms(500), "serve_stale": "0s"},
    )
    caller, bob = site.phone("alice"), site.phone("bob", port=port)
    lands(caller, bob, f"sip:bob@host.far.example:{port}")
    site.relay.silent = lambda name, kind: True
    time.sleep(EXPIRED_S)
    assert refused(caller, f"sip:bob@host.far.example:{port}") == 500


# ---- a flood ----


def test_questions_that_nobody_answers_do_not_pile_up(site):
    site.start(site.relay_before(), dns={"timeout": "500ms"})
    site.relay.silent = lambda name, kind: True
    caller = site.phone("alice")
    before = site.proxy.rss_kb()
    requests = []
    for n in range(500):
        requests.append(ask(caller, f"sip:bob@n{n}.far.example"))
        if n % 50 == 49:
            caller.settle(requests[-1])  # a socket's buffer is not large
    for request in requests:
        assert caller.final(request, 20).status == 500
    assert site.proxy.answers_options()
    assert env.sanitized() or site.proxy.rss_kb() - before < 60000
