"""The torture messages of RFC 4475 and RFC 5118 over UDP and TCP, with the verdicts of their EXPECT.tsv.

The proxy serves example.com, and one user of it is registered at a callee who refuses every call. "accept"
thus means: forwarded to the callee, or answered as a well-formed request may be answered here.
"""

import csv
import random
import re
import time

import pytest

from harness import proxy as proxies
from harness import sip
from harness.env import SHARED, patience
from harness.phone import Phone

TORTURE = SHARED / "torture"
pytestmark = pytest.mark.skipif(not TORTURE.exists(), reason=f"{TORTURE} is not there")

REFUSED = 488  # by the callee
# Answers that say something against the message itself.
BLAMING = {400, 413, 414, 415, 416, 420, 482, 483, 493, 500, 501, 505, 513}
USERS = ("user", "j.user", "joe", "watson", "UserB", "caller")


def cases():
    for table in sorted(TORTURE.glob("*/EXPECT.tsv")):
        with open(table, newline="") as file:
            for row in csv.DictReader(file, delimiter="\t"):
                path = table.parent / row["file"]
                fixed = table.parent / "length-fixed" / row["file"]
                yield pytest.param(fixed if fixed.exists() else path, row["expected"], id=path.stem)


def verdict(expected, octets):
    """The answers that are right, as a set of status codes, "accept" and "silence"."""
    if expected.startswith(("drop", "parse ok")):
        return {"silence"}
    # Where a verdict differs for the registrar, that is us.
    if octets.startswith(b"REGISTER sip:example.com ") and "; registrar" in expected:
        expected = expected.partition("; registrar")[2]
    right = {int(status) for status in re.findall(r"\b[3-6]\d\d\b", expected)}
    if "accept" in expected or "200" in expected:
        right.add("accept")
    if octets.startswith(b"OPTIONS ") and 483 in right:
        right.add("accept")  # RFC 3261 section 16.3: the proxy may answer it as the final recipient
    return right


@pytest.fixture(scope="module")
def site(module_folder):
    with proxies.running(
        folder=module_folder, domain="example.com", register_auth=False, call_auth=False, users=USERS
    ) as proxy:
        with Phone(proxy, "user") as callee:
            yield proxy, callee


def fresh(octets, serial):
    """The message with branches, and for RFC 2543 a Call-ID, of its own: many of the files share theirs."""
    octets = re.sub(rb"(branch\s*=\s*z9hG4bK[^\s;,]+)", rb"\1.%d" % serial, octets)
    return re.sub(
        rb"(?im)^((?:Call-ID|i)[ \t]*:[ \t]*(?:\r\n[ \t]+)?)(\S+)", rb"\g<1>%d.\2" % serial, octets, count=1
    )


_serial = iter(range(1, 1 << 30))


def send_udp(proxy, octets):
    """Sends from a loopback address of its own, and from the port to which a response will go."""
    via = re.search(
        rb"(?ims)^(?:via|v)[ \t]*:.*?/.*?/\s*(\w+)\s+(\[[^]]*\]|[^\s:;,]+)(?:\s*:\s*(\d+))?", octets
    )
    port = int(via.group(3)) if via and via.group(3) else {b"TLS": 5061}.get(via and via.group(1), 5060)
    for _ in range(50):
        host = f"127.{random.randrange(80, 250)}.{random.randrange(1, 250)}.{random.randrange(1, 250)}"
        try:
            sender = Phone(proxy, "caller", host=host, port=port, listen_tcp=False)
            break
        except OSError:
            continue
    else:
        raise RuntimeError(f"port {port} is not free at any address")
    sender.send(octets)
    return sender


def outcome(sender, callee, seconds):
    """What becomes of the message: "silence", a status, or "accept"."""
    before = len(callee.inbox)
    deadline = time.monotonic() + patience(seconds)
    while time.monotonic() < deadline:
        sender.pump(0.02)
        callee.pump(0)
        for request in callee.inbox[before:]:
            callee.inbox.remove(request)
            if request.method not in ("ACK", "CANCEL"):
                callee.reply(request, REFUSED)
        finals = [message for message in sender.inbox if message.status and message.status >= 200]
        if finals:
            status = finals[0].status
            return status if status in BLAMING else "accept"
    return "silence"


def settle(callee, proxy):
    """The callee is registered again: some of the messages change the bindings of that user."""
    callee.register("*", expires=0, call_id=sip.new_call_id())
    assert callee.register(call_id=sip.new_call_id()).status == 200
    callee.inbox.clear()


@pytest.mark.parametrize("path, expected", cases())
def test_over_udp(site, path, expected):
    proxy, callee = site
    settle(callee, proxy)
    octets = path.read_bytes()
    right = verdict(expected, octets)
    with send_udp(proxy, fresh(octets, next(_serial))) as sender:
        seen = outcome(sender, callee, 0.3 if right == {"silence"} else 3)
        assert seen in right, sender.inbox
    assert proxy.answers_options()


# On a stream, the framing decides first.
NEVER_ENDS = {"clerr", "baddn"}  # waits for the octets that are missing
FRAMING_LOST = {"ncl", "mcl01", "inv2543"}  # inv2543 has no Content-Length, which a stream needs
SURPLUS = {"dblreq": len(b"C\r\n\r\n")}  # octets after its second request, which no stream can frame


@pytest.mark.parametrize("path, expected", cases())
def test_over_tcp(site, path, expected):
    proxy, callee = site
    settle(callee, proxy)
    octets = path.read_bytes()
    octets = octets[: len(octets) - SURPLUS.get(path.stem, 0)]
    right = verdict(expected, octets)
    if path.stem in NEVER_ENDS:
        right = {"silence"}
    elif path.stem in FRAMING_LOST or not re.search(rb"(?im)^(content-length|l)[ \t]*:", octets):
        right = {400}
    with Phone(proxy, "caller", transport="tcp") as sender:
        sender.stream().send(fresh(octets, next(_serial)))
        seen = outcome(sender, callee, 0.3 if right == {"silence"} else 3)
        assert seen in right, sender.inbox
        if path.stem in FRAMING_LOST:
            sender.expect_end()
    assert proxy.answers_options(proxy.listener(transport="tcp"))


def test_dblreq_over_udp_is_one_request_and_its_tail_goes_nowhere(site):
    proxy, callee = site
    octets = (TORTURE / "rfc4475" / "dblreq.dat").read_bytes()
    with send_udp(proxy, fresh(octets, next(_serial))) as sender:
        first = sender.expect(lambda m: m.status)
        assert first.cseq[1] == "REGISTER"
        sender.expect_nothing(0.3)
    callee.expect_nothing(0.1, "INVITE")


def test_dblreq_over_tcp_is_two_requests(site):
    proxy, _ = site
    octets = (TORTURE / "rfc4475" / "dblreq.dat").read_bytes()
    with Phone(proxy, "caller", transport="tcp") as sender:
        sender.stream().send(fresh(octets[: -SURPLUS["dblreq"]], next(_serial)))
        methods = {sender.expect(lambda m: m.status and m.status >= 200).cseq[1] for _ in range(2)}
    assert methods == {"REGISTER", "INVITE"}


@pytest.mark.parametrize("name, with_parameter", [("cparam01", False), ("cparam02", True)])
def test_3_3_12_and_13_a_parameter_belongs_to_the_uri_only_in_angle_brackets(site, name, with_parameter):
    proxy, _ = site
    octets = (TORTURE / "rfc4475" / f"{name}.dat").read_bytes()
    with Phone(proxy, "watson") as watson:
        assert watson.register("*", expires=0).status == 200
        with send_udp(proxy, fresh(octets, next(_serial))) as sender:
            assert sender.expect(lambda m: m.status).status == 200
        suffix = ";unknownparam" if with_parameter else ""
        assert list(watson.fetch()) == [f"sip:+19725552222@gw1.example.net{suffix}"]


def test_3_3_10_a_response_whose_next_via_is_broadcast_is_dropped_even_when_the_top_one_is_ours(site):
    proxy, _ = site
    octets = (TORTURE / "rfc4475" / "bcast.dat").read_bytes()
    with Phone(proxy, "sender") as sender:
        sender.send(octets.replace(b"192.0.2.198", proxy.hostport.encode()))
        sender.expect_nothing(0.2)
    assert proxy.answers_options()


def test_stray_files_of_the_archives_do_no_harm(site):
    proxy, _ = site
    paths = [*TORTURE.glob("*/not-in-text/*"), *TORTURE.glob("*/archive-exact/*")]
    with Phone(proxy, "sender", listen_tcp=False) as sender:
        for path in paths:
            sender.send(path.read_bytes())
    for path in paths:
        with Phone(proxy, "sender", transport="tcp") as sender:
            sender.stream().send(path.read_bytes())
    assert proxy.answers_options()
