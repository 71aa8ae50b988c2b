"""Real browsers: JsSIP and SIP.js in Chromium register over WebSocket and call each other and a phone (RFC 7118).

One Chromium and one proxy for all tests; each test has pages, and users, of its own. Between pages the audio is real, with
ICE, DTLS and SRTP from one page to the other; RTP packets are counted at both ends.
"""

import os
import re

import pytest

from harness import browser as browsers, netns
from harness import proxy as proxies
from harness.baresip import Baresip
from harness.browser import LIBRARIES, Browser, Page
from harness.env import poll
from harness.phone import Phone, answer, hang_up
from harness.ports import Ports
from harness.proxy import Listener
from harness.websocket import certificate

pytestmark = pytest.mark.viaduct

TRANSPORTS = ["ws", "wss"]
PAIRS = [("jssip", "sipjs"), ("sipjs", "jssip")]
PACKETS = 20  # 0.4 s of audio
USERS = 40


@pytest.fixture(scope="module")
def address():
    """ICE leaves loopback addresses out (RFC 8445 section 5.1.1.1). A machine that has no other is given one, if we may."""
    if os.geteuid() != 0 or netns.has_address():
        yield
    else:
        net = netns.free_network(94)
        with netns.Link("ice", net + "1", net + "2"):
            yield


@pytest.fixture(scope="module")
def tls(module_folder, address):
    reason = browsers.missing()
    if reason:
        pytest.skip(reason)
    return certificate(module_folder)


@pytest.fixture(scope="module")
def browser(module_folder, tls):
    made = Browser(module_folder, tls["certificates"][0]["cert"])
    yield made
    made.close()


@pytest.fixture(scope="module")
def web_proxy(module_folder, browser, tls):
    held = Ports()
    listeners = proxies.loopback_listeners(held)
    listeners += [Listener(transport, "127.0.0.1", held.take()) for transport in TRANSPORTS]
    users = tuple(f"u{i}" for i in range(USERS))
    extra = {"websocket": {"origins": [browser.origin]}, "tls": tls}
    options = proxies.Options(listeners=listeners, users=users, extra=extra)
    made = proxies.make(options, module_folder).set_up().start()
    made.free_users = list(reversed(users))
    yield made
    made.stop()
    held.close()


@pytest.fixture
def page(browser, web_proxy):
    """page(library, transport) is a page with a registered phone of a user of its own."""
    made = []

    def make(library, transport="ws", **kinds):
        made.append(Page(browser, library, web_proxy, web_proxy.free_users.pop(), transport=transport, **kinds))
        return made[-1]

    yield make
    for each in made:
        each.close()


def establish(caller, callee):
    """A call between two pages, answered."""
    caller.run("call", callee.aor)
    callee.wait("incoming")
    caller.wait("progress")
    callee.run("answer")
    callee.wait("confirmed")
    caller.wait("confirmed")


def talk(*pages):
    """Audio has gone both ways, end to end."""
    for each in pages:
        assert poll(lambda: each.packets()["received"] >= PACKETS, 8), (each.name, each.packets())


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("library", LIBRARIES)
def test_7118_8_1_a_page_registers(page, transport, library):
    page(library, transport).register()


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("libraries", PAIRS, ids="-".join)
def test_7118_8_2_pages_call_each_other_talk_and_either_hangs_up(page, transport, libraries):
    caller, callee = (page(library, transport).register() for library in libraries)
    establish(caller, callee)
    talk(caller, callee)
    caller.run("hangUp")
    callee.wait("ended")
    establish(caller, callee)
    callee.run("hangUp")
    caller.wait("ended")


@pytest.mark.parametrize("libraries", PAIRS, ids="-".join)
def test_a_page_that_was_reloaded_comes_back_and_can_be_called(page, libraries):
    """The WebSocket goes without a word, the instance stays (RFC 5626 section 4.1): no call rings at the old one."""
    caller, callee = (page(library).register() for library in libraries)
    establish(caller, callee)
    callee.reload()
    establish(caller, callee)
    talk(caller, callee)
    callee.run("hangUp")
    caller.wait("ended")


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_phone_calls_a_page_and_a_page_a_phone(page, web_proxy, library):
    """Signalling with a phone that knows nothing of browsers but takes whatever is offered."""
    caller = page(library).register()
    with Phone(web_proxy, web_proxy.free_users.pop()) as bob:
        bob.register()
        caller.run("call", bob.aor)
        invite = bob.expect("INVITE")
        bob.reply(invite, 180, contact=True)
        caller.wait("progress")
        bob.reply(invite, 486)
        bob.expect("ACK")
        ringing = bob.invite(caller.aor, body=b"")
        caller.wait("incoming")
        bob.ask(bob.cancel_of(ringing))
        caller.wait("ended" if library == "sipjs" else "failed Canceled")


@pytest.mark.tools("baresip")
@pytest.mark.parametrize("library", LIBRARIES)
def test_a_page_and_a_baresip_on_udp_call_each_other_and_talk(page, web_proxy, folder, ports, library):
    if not netns.has_address():
        pytest.skip("NOT TESTED: this machine has loopback addresses alone, for which ICE has no candidates, and making one needs root")
    caller = page(library).register()
    desk = Baresip(web_proxy.free_users.pop(), web_proxy, folder, ports, webrtc=True)
    try:
        desk.registered()
        caller.run("call", f"sip:{desk.user}@{web_proxy.domain}")
        desk.rings()
        desk.accept()
        caller.wait("confirmed")
        desk.established()
        talk(caller)
        caller.run("hangUp")
        desk.closed()

        desk.dial(caller.user)
        caller.wait("incoming")
        caller.run("answer")
        caller.wait("confirmed")
        desk.established()
        talk(caller)
        desk.hang_up()
        caller.wait("ended")
    finally:
        desk.close()
    log = desk.log()
    assert re.search(r"REGISTER [^\n]*\nVia: SIP/2\.0/UDP ", log)
    assert log.count("incoming rtp for 'audio' established") == 2  # and so by DTLS-SRTP, both ways


@pytest.mark.parametrize("library", LIBRARIES)
def test_6455_10_2_a_page_of_a_stranger_is_refused(browser, start_proxy, ports, library):
    listeners = [*proxies.loopback_listeners(ports), Listener("ws", "127.0.0.1", ports.take())]
    proxy = start_proxy(listeners=listeners)
    stranger = Page(browser, library, proxy, "alice")
    if library == "jssip":
        stranger.start().wait("disconnected")
    else:
        with pytest.raises(AssertionError, match="WebSocket closed"):
            stranger.start()
    assert proxy.has_line(f'status=403 why="pages of this Origin may not connect" origin={browser.origin}')
    stranger.close()
