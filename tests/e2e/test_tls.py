"""SIP over TLS: RFC 3261 section 26, RFC 5922, 5923 and 5630, with phones of Python's ssl module."""

import concurrent.futures
import signal
import socket
import ssl
import subprocess
import time

import pytest

from harness import env, sip
from harness import proxy as proxies
from harness.certs import Issuer
from harness.env import patience, poll
from harness.phone import call, hang_up
from harness.proxy import Listener
from harness.tlsphone import TlsPhone
from harness.wire import has_final

pytestmark = pytest.mark.viaduct

DOMAIN = "example.test"


@pytest.fixture
def issuer(folder):
    return Issuer(folder)


@pytest.fixture
def stranger(folder):
    return Issuer(folder, "stranger")


@pytest.fixture
def start_tls(start_proxy, ports, folder, issuer):
    """start_tls(...) runs a proxy with UDP, TCP and TLS; certificates: pairs, by default one for the domain."""

    def start(*certificates, tls=None, listener=None, extra=None, **options):
        shown = certificates or (issuer.issue("proxy", f"URI:sip:{DOMAIN}", f"DNS:{DOMAIN}"),)
        settings = {
            "certificates": [pair.settings for pair in shown],
            "ca_file": str(issuer.path),
            **(tls or {}),
        }
        listeners = proxies.loopback_listeners(ports) + [
            Listener("tls", "127.0.0.1", ports.take(), listener or {})
        ]
        return start_proxy(listeners=listeners, extra={"tls": settings, **(extra or {})}, **options)

    return start


@pytest.fixture
def tls_phone(issuer):
    made = []

    def make(proxy, *args, **kinds):
        made.append(TlsPhone(proxy, *args, **{"issuer": issuer, **kinds}))
        return made[-1]

    yield make
    for each in made:
        each.close()


def options(phone, **kinds):
    return phone.request("OPTIONS", f"sip:{phone.domain}", **kinds)


# Calls.


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_phone_registers_and_is_called_by_the_connection_it_made(start_tls, tls_phone, phone, version):
    proxy = start_tls()
    alice, bob = tls_phone(proxy, "alice"), phone(proxy, "bob")
    alice.client.minimum_version = alice.client.maximum_version = version
    assert alice.register().status == 200
    assert bob.register().status == 200
    dialog = call(bob, alice)
    assert alice.refusals == []
    hang_up(*dialog)


def test_two_phones_on_tls_call_each_other(start_tls, tls_phone):
    proxy = start_tls()
    alice, bob = tls_phone(proxy, "alice"), tls_phone(proxy, "bob")
    assert alice.register().status == bob.register().status == 200
    hang_up(*call(alice, bob))


def test_26_2_2_a_sips_call_goes_over_tls_all_the_way(start_tls, tls_phone):
    proxy = start_tls()
    alice, bob = tls_phone(proxy, "alice"), tls_phone(proxy, "bob")
    contact = f"<sips:bob@{bob.hostport}>"
    request = bob.register_request(contact, expires=600)
    request.start = f"REGISTER sips:{DOMAIN} SIP/2.0"
    assert bob.ask_with_digest(request, uri=f"sips:{DOMAIN}").status == 200
    alice.invite(f"sips:bob@{DOMAIN}", contact=f"<sips:alice@{alice.hostport}>")
    arrived = bob.expect("INVITE")
    assert arrived.uri.startswith("sips:bob@")
    assert arrived.lines("Via")[0].startswith("SIP/2.0/TLS ")
    assert all("<sips:" in value for value in arrived.all("Record-Route"))
    bob.reply(arrived, 486)
    assert alice.expect(lambda m: m.status == 486)


def test_5630_5_3_what_is_asked_for_securely_is_not_sent_to_who_registered_without(start_tls, tls_phone, phone):
    proxy = start_tls()
    alice, bob = tls_phone(proxy, "alice"), phone(proxy, "bob")
    bob.register()
    invite = alice.invite(f"sips:bob@{DOMAIN}", contact=f"<sips:alice@{alice.hostport}>")
    refusal = alice.final(invite)
    assert refusal.status == 480
    assert refusal["Warning"].startswith("380 ")
    bob.expect_nothing(0.2)


# Certificates of the proxy.


def test_a_client_that_does_not_believe_the_certificate_is_told_of_in_the_log(start_tls, tls_phone, stranger, issuer):
    proxy = start_tls()
    with pytest.raises(ssl.SSLCertVerificationError):
        tls_phone(proxy, "alice", issuer=stranger).connect()
    assert proxy.has_line("tls.refused", "unknown ca")
    with pytest.raises(ssl.SSLCertVerificationError):
        tls_phone(proxy, "alice", name="other.test").connect()
    proxy = start_tls(issuer.issue("old", f"DNS:{DOMAIN}", days=-1, since=-5))
    assert proxy.has_line("tls.certificate_expires", "days_left=-1")
    with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
        tls_phone(proxy, "alice").connect()
    assert proxy.has_line("tls.refused", "certificate expired")


def test_sni_shows_the_certificate_of_the_name_asked_for(start_tls, tls_phone, issuer):
    proxy = start_tls(
        issuer.issue("one", f"DNS:{DOMAIN}"), issuer.issue("two", "DNS:other.test", "URI:sip:other.test")
    )
    for name in (DOMAIN, "other.test"):
        assert tls_phone(proxy, "alice", name=name).ask(options(tls_phone(proxy, "alice", name=name))).status
    with pytest.raises(ssl.SSLCertVerificationError):
        tls_phone(proxy, "alice", name="third.test").connect()


def test_a_session_is_resumed_by_whichever_worker_takes_the_connection(start_tls, tls_phone):
    proxy = start_tls(workers=3)
    alice = tls_phone(proxy, "alice")
    assert alice.ask(options(alice)).status == 200
    for _ in range(8):
        alice.session = alice.stream().sock.session
        alice.stream().close()
        assert alice.ask(options(alice)).status == 200
        assert alice.stream().sock.session_reused


def test_sighup_reloads_certificates_while_a_call_goes_on(start_tls, tls_phone, issuer, phone):
    pair = issuer.issue("proxy", f"DNS:{DOMAIN}")
    proxy = start_tls(pair)
    alice, bob = tls_phone(proxy, "alice"), phone(proxy, "bob")
    alice.register(), bob.register()
    dialog = call(alice, bob)
    before = alice.stream().sock.getpeercert()["serialNumber"]
    issuer.issue("proxy", f"DNS:{DOMAIN}", "DNS:new.test")
    proxy.process.send(signal.SIGHUP)
    assert proxy.has_line("reload.tls", "days_left=90")
    carol = tls_phone(proxy, "carol", name="new.test")
    assert carol.ask(options(carol)).status == 200
    assert carol.stream().sock.getpeercert()["serialNumber"] != before
    hang_up(*dialog)
    assert alice.stream().sock.getpeercert()["serialNumber"] == before

    pair.cert.write_text("nothing\n")
    proxy.process.send(signal.SIGHUP)
    assert proxy.has_line("reload.tls_failed", "tls.certificates[0].cert", "is no certificate that can be used")
    dave = tls_phone(proxy, "dave", name="new.test")
    assert dave.ask(options(dave)).status == 200


def test_a_certificate_that_expires_soon_is_told_at_the_start(start_tls, issuer):
    proxy = start_tls(issuer.issue("proxy", f"DNS:{DOMAIN}", days=3))
    assert proxy.has_line("tls.certificate_expires", "days_left=3")


def test_older_versions_and_weak_ciphers_are_refused(start_tls):
    proxy = start_tls(tls={"min_version": "1.3"})
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError), socket.create_connection(proxy.address(transport="tls")) as sock:
        context.wrap_socket(sock)


def test_alpn_of_something_else_is_refused(start_tls, tls_phone):
    proxy = start_tls()
    browser = tls_phone(proxy, "alice")
    browser.client.set_alpn_protocols(["h2", "http/1.1"])
    with pytest.raises(ssl.SSLError):
        browser.connect()
    browser.client.set_alpn_protocols(["sip/2"])
    assert browser.connect().sock.selected_alpn_protocol() == "sip/2"


# Certificates of clients.


def test_required_client_certificates_keep_out_who_has_none(start_tls, tls_phone, issuer, stranger):
    proxy = start_tls(listener={"client_certificates": "required"})
    good = tls_phone(proxy, "alice", pair=issuer.issue("alice", "URI:sip:carrier.test"))
    assert good.ask(options(good)).status == 200
    for pair, why in (
        (None, "peer did not return a certificate"),
        (stranger.issue("strange", "URI:sip:carrier.test"), "unable to get local issuer certificate"),
        (issuer.issue("old", "URI:sip:carrier.test", days=-1, since=-5), "certificate has expired"),
    ):
        bad = tls_phone(proxy, "alice", pair=pair)
        with pytest.raises((ssl.SSLError, ConnectionError, AssertionError)):
            bad.send(options(bad))
            bad.expect_end(seconds=3)
            raise ConnectionResetError
        assert proxy.has_line("tls.refused", why)


def test_a_trusted_peer_by_name_relays_without_credentials(start_tls, tls_phone, issuer, phone):
    proxy = start_tls(
        listener={"client_certificates": "optional"}, tls={"trusted_peers": ["carrier.test"]}
    )
    bob = phone(proxy, "bob")
    bob.register()
    carrier = tls_phone(proxy, "carrier", pair=issuer.issue("carrier", "URI:sip:carrier.test"))
    other = tls_phone(proxy, "other", pair=issuer.issue("other", "URI:sip:other.test"))
    for peer, status in ((carrier, 200), (other, 407), (tls_phone(proxy, "none"), 407)):
        invite = peer.send(peer.request("INVITE", bob.aor))
        if status == 200:
            bob.reply(bob.expect("INVITE"), 200, contact=True)
        assert peer.final(invite).status == status


# The proxy as a client.


def peer_uri(peer, name, **params):
    return f"sips:{peer.user}@{name}:{peer.port}"


@pytest.fixture
def relay(start_tls, issuer):
    """A proxy that relays to anybody, and finds names of peers in a hosts file of its own."""
    return start_tls(trusted=("127.0.0.1/32",))


def test_5922_7_3_a_server_must_prove_the_domain_of_the_uri(relay, tls_phone, phone, issuer, stranger):
    """localhost is the one name that every machine can resolve."""
    caller = tls_phone(relay, "caller")
    for serial, (pair, why, offered) in enumerate(
        (
            (issuer.issue("right", "URI:sip:localhost"), None, None),
            (issuer.issue("wrong", "DNS:other.test"), "the certificate is for another name", "other.test"),
            (issuer.issue("wild", "DNS:*"), "the certificate is for another name", "*"),
            (issuer.issue("old", "DNS:localhost", days=-1, since=-5), "certificate has expired", "localhost"),
            (
                stranger.issue("strange", "DNS:localhost"),
                "unable to get local issuer certificate",
                "localhost",
            ),
        )
    ):
        peer = tls_phone(relay, f"peer{serial}", pair=pair, serve=True)
        request = caller.request("OPTIONS", peer_uri(peer, "localhost"))
        caller.send(request)
        if why:
            poll(lambda: peer.pump(0.05) or peer.refusals, 5)
            assert caller.final(request).status in (408, 500, 503), why
            assert relay.has_line("tls.refused", "wanted=localhost", f'why="{why}"', f"offered={offered}")
            assert peer.inbox == []
        else:
            peer.reply(peer.expect("OPTIONS"), 200)
            assert caller.final(request).status == 200


def test_5923_a_connection_is_reused_for_its_name_and_for_no_other(relay, tls_phone, issuer):
    caller = tls_phone(relay, "caller")
    peer = tls_phone(relay, "peer", pair=issuer.issue("peer", "URI:sip:localhost"), serve=True)
    streams = []
    for _ in range(3):
        request = caller.send(caller.request("OPTIONS", peer_uri(peer, "localhost")))
        arrived = peer.expect("OPTIONS")
        streams.append(arrived.source[1])
        peer.reply(arrived, 200)
        assert caller.final(request).status == 200
    assert len(set(map(id, streams))) == 1
    # The same address by another name: the certificate does not have it.
    request = caller.send(caller.request("OPTIONS", peer_uri(peer, "127.0.0.1")))
    poll(lambda: peer.pump(0.05) or has_final(caller), 5)
    assert caller.final(request).status in (408, 500, 503)
    assert peer.inbox == []


def test_5923_8_1_a_connection_serves_every_name_that_its_server_proved(start_tls, tls_phone, issuer, folder):
    hosts = folder / "hosts"
    hosts.write_text("127.0.0.1 one.test two.test three.test\n")
    proxy = start_tls(trusted=("127.0.0.1/32",), extra={"dns": {"hosts": str(hosts)}})
    caller = tls_phone(proxy, "caller")
    peer = tls_phone(proxy, "peer", pair=issuer.issue("peer", "URI:sip:one.test", "URI:sip:two.test"), serve=True)
    streams = []
    for name in ("one.test", "two.test", "one.test"):
        request = caller.send(caller.request("OPTIONS", peer_uri(peer, name)))
        arrived = peer.expect("OPTIONS")
        streams.append(arrived.source[1])
        peer.reply(arrived, 200)
        assert caller.final(request).status == 200
    assert streams[0] is streams[1] is streams[2]


def test_5923_8_2_an_accepted_connection_serves_the_name_its_client_proved(
    start_tls, tls_phone, issuer
):
    proxy = start_tls(trusted=("127.0.0.1/32",), listener={"client_certificates": "optional"})
    caller = tls_phone(proxy, "caller")
    peer = tls_phone(proxy, "peer", pair=issuer.issue("peer", "URI:sip:localhost"), serve=True)
    via = f"SIP/2.0/TLS {peer.hostport};branch={sip.new_branch()};rport"
    assert peer.ask(options(peer, via=f"{via};alias")).status == 200
    request = caller.send(caller.request("OPTIONS", peer_uri(peer, "localhost")))
    arrived = peer.expect("OPTIONS")
    assert arrived.source[1] is peer._outgoing
    peer.reply(arrived, 200)
    assert caller.final(request).status == 200


def test_5923_9_2_without_a_certificate_or_alias_a_new_connection_is_made(start_tls, tls_phone, issuer):
    proxy = start_tls(trusted=("127.0.0.1/32",), listener={"client_certificates": "optional"})
    caller = tls_phone(proxy, "caller")
    pair = issuer.issue("peer", "URI:sip:localhost")
    for shows, alias in ((False, ";alias"), (True, "")):
        peer = tls_phone(proxy, "peer", pair=pair, serve=True)
        if not shows:
            peer.client = ssl.create_default_context(cafile=str(issuer.path))
        via = f"SIP/2.0/TLS {peer.hostport};branch={sip.new_branch()};rport{alias}"
        assert peer.ask(options(peer, via=via)).status == 200
        request = caller.send(caller.request("OPTIONS", peer_uri(peer, "localhost")))
        arrived = peer.expect("OPTIONS")
        assert arrived.source[1] is not peer._outgoing
        peer.reply(arrived, 200)
        assert caller.final(request).status == 200


def test_transport_tls_in_a_uri_is_understood_though_deprecated(relay, tls_phone, issuer):
    caller = tls_phone(relay, "caller")
    peer = tls_phone(relay, "peer", pair=issuer.issue("peer", "URI:sip:localhost"), serve=True)
    request = caller.send(caller.request("OPTIONS", f"sip:peer@localhost:{peer.port};transport=tls"))
    peer.reply(peer.expect("OPTIONS"), 200)
    assert caller.final(request).status == 200


# Hostile clients.


def test_handshakes_that_do_not_go_on_are_bounded_in_number_and_time(start_tls, tls_phone):
    proxy = start_tls(tls={"handshakes": 5, "handshake_timeout": "500ms"})
    idle = [socket.create_connection(proxy.address(transport="tls")) for _ in range(20)]
    for sock in idle:
        sock.settimeout(patience(5))
        sock.sendall(b"\x16\x03\x01")
    begun = time.monotonic()
    for sock in idle:
        try:
            assert sock.recv(1) == b""
        except ConnectionError:
            pass
        sock.close()
    assert time.monotonic() - begun < patience(3)
    assert proxy.has_line("connection.refused", "tls.handshakes reached")
    alice = tls_phone(proxy, "alice")
    assert alice.ask(options(alice)).status == 200


def test_handshakes_of_a_second_are_bounded_and_nobody_is_turned_away(start_tls, tls_phone):
    proxy = start_tls(tls={"handshakes_per_second": 5}, workers=1)
    begun = time.monotonic()
    phones = [tls_phone(proxy, f"phone{i}") for i in range(10)]
    with concurrent.futures.ThreadPoolExecutor(len(phones)) as pool:  # all at once, however slow each of them is
        assert set(pool.map(lambda phone: phone.ask(options(phone)).status, phones)) == {200}
    assert time.monotonic() - begun > 1.5  # nine times 200 ms
    assert proxy.has_line("connection.clients_wait", "tls.handshakes_per_second reached")


def test_garbage_on_the_tls_port_harms_nobody(start_tls, tls_phone):
    proxy = start_tls()
    alice = tls_phone(proxy, "alice")
    assert alice.ask(options(alice)).status == 200
    for octets in (b"OPTIONS sip:a SIP/2.0\r\n\r\n", b"\x16\x03\x03\xff\xff" + bytes(70000), b"\x80" * 100):
        with socket.create_connection(proxy.address(transport="tls")) as sock:
            sock.settimeout(patience(5))
            try:
                sock.sendall(octets)
                while sock.recv(4096):
                    pass
            except ConnectionError:
                pass
    assert alice.ask(options(alice)).status == 200


# What `viaduct check` says.


def check(proxy):
    done = subprocess.run([env.VIADUCT, "check", proxy.config], capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


def test_check_names_file_line_key_and_remedy(start_tls, issuer, folder):
    old = issuer.issue("old", f"DNS:{DOMAIN}", days=-1, since=-5)
    mixed = issuer.issue("mixed", f"DNS:{DOMAIN}")
    mixed.key = old.key
    missing = issuer.issue("missing", f"DNS:{DOMAIN}")
    missing.key.unlink()
    proxy = start_tls(old, mixed, missing, autostart=False)
    status, said = check(proxy)
    assert status == 78
    lines = said.splitlines()
    assert len(lines) == 3
    for line, key, what in zip(
        lines,
        ("certificates[0].cert", "certificates[1].key", "certificates[2].key"),
        ("has expired; renew it", "is not the key of the certificate", "cannot be read: No such file"),
    ):
        assert line.startswith(f"{proxy.config}:") and f": tls.{key}: " in line and what in line


def test_check_warns_of_a_domain_that_no_certificate_has(start_tls, issuer):
    proxy = start_tls(issuer.issue("proxy", "DNS:other.test"), autostart=False)
    status, said = check(proxy)
    assert status == 0
    assert "warning" in said and f'the domain "{DOMAIN}"' in said


def test_a_key_that_cannot_be_used_ends_the_start_with_a_reason(start_tls, issuer):
    pair = issuer.issue("proxy", f"DNS:{DOMAIN}")
    pair.key.write_text("nothing\n")
    proxy = start_tls(pair, autostart=False)
    process = proxy.spawn()
    assert process.wait(10) == 78
    assert "start.tls_failed" in process.err() and "tls.certificates[0].key" in process.err()
