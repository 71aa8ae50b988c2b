"""sipsak, which sends what phones do not."""

import pytest

from harness.env import scaled
from harness.process import run

pytestmark = pytest.mark.tools("sipsak")


def sipsak(folder, name, *args, seconds=20):
    # The host's own name need not be resolvable.
    return run(name, ["sipsak", "-H", "127.0.0.1", *args], folder, seconds)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_options_is_answered_200(proxy, folder, transport):
    child = sipsak(folder, "options", "-vv", "-E", transport, "-s", f"sip:{proxy.hostport}")
    assert child.popen.returncode == 0, child.tail()


def register(proxy, folder, transport, password):
    """sipsak answers the first challenge of a response, and knows MD5 and SHA-256."""
    where = ("-p", proxy.hostport, "-E", transport, "-s", f"sip:alice@{proxy.domain}")
    who = ("-C", "sip:alice@127.0.0.1:7999", "-u", "alice", "-a", password, "-x", "60")
    return sipsak(folder, "register", "-U", "-i", *where, *who, "-vv")


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_register_with_digest(start_proxy, folder, transport):
    child = register(start_proxy(), folder, transport, "secret")
    assert child.popen.returncode == 0, child.tail()


def test_register_with_a_wrong_password_is_refused(start_proxy, folder):
    child = register(start_proxy(), folder, "udp", "wrong")
    assert child.popen.returncode != 0, child.tail()


def test_random_mutations_do_no_harm(proxy, folder):
    """-R sends OPTIONS with ever more random characters in it."""
    sipsak(folder, "random", "-R", "-t", str(scaled(200, 20)), "-s", f"sip:{proxy.hostport}", seconds=60)
    assert proxy.answers_options()


def test_a_flood_of_options_is_survived(proxy, folder):
    sipsak(folder, "flood", "-F", "-e", str(scaled(2000, 100)), "-s", f"sip:{proxy.hostport}", seconds=60)
    assert proxy.answers_options()
