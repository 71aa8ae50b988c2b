"""Static routes in the configuration file: where they lead, who may take them, what `viaduct check` says of them."""

import subprocess

import pytest
from harness import env
from harness.proxy import Listener

pytestmark = pytest.mark.viaduct

STRANGER = "<sip:stranger@elsewhere.test>;tag=1"


@pytest.fixture
def site(start_proxy, phone, ports):
    """site(routes, ...) starts a proxy and a gateway; routes is a function from the gateway's address to a list."""

    def start(routes, **options):
        port = ports.take()
        settings = {"routes": routes(f"127.0.0.1:{port}"), **options.pop("extra", {})}
        proxy = start_proxy(extra=settings, **options)
        return proxy, phone(proxy, "gateway", port=port, domain="carrier.test")

    return start


def pstn(gateway):
    return [
        {
            "name": "pstn",
            "match": {"user": ["00[1-9]*"]},
            "uri": [f"sip:{gateway}"],
            "rewrite": {"prefix": "00", "add": "+"},
        }
    ]


def test_a_user_calls_a_number_by_the_gateway(site, phone):
    proxy, gateway = site(pstn)
    alice = phone(proxy, "alice")
    invite = alice.invite(f"sip:004930@{proxy.domain}")
    arrived = gateway.expect("INVITE")
    assert arrived.uri == f"sip:+4930@{gateway.hostport}"
    gateway.reply(arrived, 486)
    assert alice.final(invite).status == 486


def test_a_stranger_does_not(site, phone):
    proxy, gateway = site(pstn)
    stranger = phone(proxy, "stranger", domain="elsewhere.test")
    invite = stranger.request("INVITE", f"sip:004930@{proxy.domain}", from_=STRANGER)
    assert stranger.ask(invite).status == 407
    gateway.expect_nothing(0.2)


def test_a_route_names_a_listener_and_the_log_the_route(site, phone, ports):
    outside, inside = ports.take(), ports.take()
    listeners = [
        Listener("udp", "127.0.0.1", outside, {"name": "outside"}),
        Listener("udp", "127.0.0.1", inside, {"name": "inside"}),
    ]
    proxy, gateway = site(
        lambda gw: [
            {"name": "in-only", "match": {"listener": ["inside"]}, "uri": [f"sip:{gw}"], "auth": "none"},
            {"name": "no-talk", "match": {"method": ["MESSAGE"]}, "reject": 488, "reason": "No talk"},
        ],
        listeners=listeners,
        extra={"log": {"level": "debug"}},
    )
    pbx = phone(proxy, "pbx", domain="elsewhere.test")
    message = pbx.request("MESSAGE", f"sip:123@{proxy.domain}", from_=STRANGER)
    pbx.send(message, ("127.0.0.1", inside))
    gateway.reply(gateway.expect("MESSAGE"), 200)
    assert pbx.final(message).status == 200
    refused = pbx.ask(pbx.request("MESSAGE", f"sip:123@{proxy.domain}", from_=STRANGER))
    assert (refused.status, refused.reason) == (488, "No talk")
    assert proxy.has_line("in-only") and proxy.has_line("rejected by the route no-talk")


def test_16_11_a_stateless_route_on_a_listener_that_is_not(site, phone):
    proxy, gateway = site(
        lambda gw: [
            {
                "name": "front",
                "match": {"domain": ["front.test"], "source": ["127.0.0.1"]},
                "uri": [f"sip:{gw}"],
                "auth": "none",
                "stateless": True,
            }
        ]
    )
    caller = phone(proxy, "caller", domain="elsewhere.test")
    invite = caller.send(caller.request("INVITE", "sip:bob@front.test", from_=STRANGER))
    arrived = gateway.expect("INVITE")
    assert arrived.uri == "sip:bob@front.test"
    caller.send(invite)
    assert gateway.expect_copies(arrived, 2) == 2
    caller.expect_nothing(0.2, 100)
    cancel = caller.send(caller.cancel_of(invite))
    reached = gateway.expect("CANCEL")
    assert reached.branch == arrived.branch
    gateway.reply(reached, 200)
    assert caller.final(cancel).status == 200
    gateway.reply(arrived, 487)
    assert caller.final(invite).status == 487


def test_rfc3325_the_identity_of_a_user_goes_to_who_is_trusted(site, phone):
    proxy, gateway = site(lambda gw: [{**pstn(gw)[0], "identity": "trusted"}])
    alice = phone(proxy, "alice")
    claims = [("P-Asserted-Identity", "<sip:king@example.test>"), ("Privacy", "id")]
    request = alice.request("MESSAGE", f"sip:004930@{proxy.domain}", headers=claims)
    alice.send(request)
    challenge = alice.final(request)
    assert challenge.status == 407
    again = alice.authorize(request, challenge)
    alice.send(again)
    arrived = gateway.expect("MESSAGE")
    assert arrived.all("P-Asserted-Identity") == [f"<sip:alice@{proxy.domain}>"]
    gateway.reply(arrived, 200)
    assert alice.final(again).status == 200


# What `viaduct check` says.

BASE = """listeners:
  - { name: out, transport: udp, address: "127.0.0.1:5060" }
domains: [ { name: example.test } ]
store: { path: "%s" }
routes:
"""


def check(tmp_path, routes):
    config = tmp_path / "c.yaml"
    config.write_text(BASE % (tmp_path / "store.db") + routes)
    done = subprocess.run(
        [env.VIADUCT, "check", str(config)], capture_output=True, text=True, timeout=env.patience(20)
    )
    return done.returncode, done.stderr.replace(str(config), "c.yaml")


def test_check_names_what_is_never_reached_with_its_line(tmp_path):
    status, said = check(tmp_path, "- { name: all, reject: 403 }\n- { name: more, match: { user: [ x ] } }\n")
    assert status == 78
    assert said.startswith("c.yaml:6: routes[0].match: is empty, so the routes after this one are never reached")


def test_check_warns_of_an_open_relay_and_takes_the_file(tmp_path):
    status, said = check(tmp_path, '- { name: out, auth: none, uri: [ "sip:192.0.2.9" ] }\n')
    assert status == 0
    assert said.startswith("c.yaml:6: routes[0].auth: warning: opens a relay")


def test_check_knows_no_such_group_and_no_way_back_to_itself(tmp_path):
    status, said = check(
        tmp_path,
        '- { name: a, match: { user: [ "1" ] }, group: nobody }\n'
        '- { name: b, match: { user: [ "2" ] }, uri: [ "sip:2@example.test" ] }\n',
    )
    assert status == 78
    assert "c.yaml:6: routes[0].group: no group has the name" in said
    assert "c.yaml:7: routes[1].uri[0]:" in said and "leads back to this route" in said
