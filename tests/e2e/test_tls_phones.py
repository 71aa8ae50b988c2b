"""baresip over TLS: calls with media, and the proxy as its client, which refuses what is not right. Debian's baresip
verifies nobody itself: who does is in test_tls.py."""

import pytest

from harness.baresip import Baresip
from harness.certs import Issuer
from harness.proxy import Listener, loopback_listeners
from harness.realphone import talk

pytestmark = [pytest.mark.viaduct, pytest.mark.tools("baresip")]

DOMAIN = "example.test"


@pytest.fixture
def issuer(folder):
    return Issuer(folder)


@pytest.fixture
def proxy_of(start_proxy, ports, issuer):
    def start(pair):
        tls = {"certificates": [pair.settings], "ca_file": str(issuer.path)}
        listeners = loopback_listeners(ports) + [Listener("tls", "127.0.0.1", ports.take())]
        return start_proxy(listeners=listeners, trusted=("127.0.0.1/32",), extra={"tls": tls})

    return start


@pytest.fixture
def proxy(proxy_of, issuer):
    return proxy_of(issuer.issue("proxy", f"URI:sip:{DOMAIN}", f"DNS:{DOMAIN}", "IP:127.0.0.1"))


@pytest.fixture
def baresip(folder, ports):
    made = []

    def make(user, proxy, issuer, pair=None, **kinds):
        lines = f"sip_cafile {issuer.path}\n"
        if pair:  # one file for both
            both = folder / f"{user}-both.pem"
            both.write_bytes(pair.cert.read_bytes() + pair.key.read_bytes())
            lines += f"sip_certificate {both}\n"
        made.append(Baresip(user, proxy, folder, ports, transport="tls", settings=lines, **kinds))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_two_phones_call_each_other_with_media(proxy, baresip, issuer):
    alice = baresip("alice", proxy, issuer, hertz=440).registered()
    bob = baresip("bob", proxy, issuer, hertz=1000).registered()
    alice.dial("bob")
    bob.rings()
    bob.accept()
    alice.established()
    bob.established()
    talk(alice, bob)
    bob.hang_up()
    alice.closed()
    bob.closed()
    alice.hears(bob)
    bob.hears(alice)


@pytest.mark.parametrize(
    "kind, why, offered",
    [
        ("right", None, None),
        ("wrong", "the certificate is for another name", "offered=other.test"),
        ("expired", "certificate has expired", "offered=localhost"),
        ("strange", "unable to get local issuer certificate", "offered=localhost"),
    ],
)
def test_the_proxy_calls_a_phone_only_if_it_proves_its_name(
    proxy, baresip, issuer, folder, phone, kind, why, offered
):
    by = Issuer(folder, "stranger") if kind == "strange" else issuer
    pair = by.issue(
        "bob",
        "DNS:other.test" if kind == "wrong" else "DNS:localhost",
        **({"days": -1, "since": -5} if kind == "expired" else {}),
    )
    bob = baresip("bob", proxy, issuer, pair)
    caller = phone(proxy, "caller")
    invite = caller.request("INVITE", f"sip:bob@localhost:{bob.tls_port};transport=tls")
    caller.send(invite)
    if why is None:
        assert caller.expect(180, branch=invite.branch)
        bob.rings()
        caller.send(caller.cancel_of(invite))
        assert caller.final(invite).status == 487
    else:
        assert caller.final(invite).status in (408, 500, 503)
        assert proxy.has_line("tls.refused", "wanted=localhost", f'why="{why}"', offered)
