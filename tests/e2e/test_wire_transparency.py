"""What the proxy has no business with passes octet by octet: RFC 3261 sections 7.3.1, 16.6 step 1 and 16.7 step 9, with
random header fields. A failing seed is the test's name and replays alone."""

import random
import re

import pytest

from harness import sip
from harness.wire import ask

pytestmark = pytest.mark.viaduct
SEEDS = range(60)
OURS = {"via", "record-route", "max-forwards", "max-breadth", "content-length", "route"}
NAMES = """Accept Accept-Encoding Accept-Language Alert-Info Allow Authentication-Info Authorization Call-Info
Content-Disposition Content-Encoding Content-Language Date Error-Info Event Expires In-Reply-To Min-Expires
MIME-Version Organization P-Asserted-Identity P-Charging-Vector Priority Privacy Proxy-Authenticate RAck Reason
Refer-To Replies Replaces Reply-To Require Retry-After RSeq Server Session-Expires Subject Supported Subscription-State
Unsupported User-Agent Warning WWW-Authenticate X-One x-two X-THREE History-Info Geolocation Identity c e s k o r b u j d
a x y""".split()
PIECES = [
    "a", "0", "token", ",", ";", "=", "q=0.5", '"quoted"', '"a, b; \\" \\\\ c"', "<sip:a@b.test;lr>", "<sip:c@d.test?x=y>",
    "(comment (nested))", "é", "悪", "\t", " ", "  ", "\r\n ", "\r\n\t", "/", ":", "@", "[::1]", "%41", "*", "~", "\\", "'",
]  # fmt: skip


def random_value(rng):
    # Folded lines must not end in nothing but space, which some would cut.
    return "".join(rng.choice(PIECES) for _ in range(rng.randrange(12))).strip() + rng.choice(["", "z"])


def random_lines(rng):
    lines = []
    for _ in range(rng.randrange(1, 25)):
        name = rng.choice(NAMES)
        if rng.random() < 0.2:
            name = "".join(rng.choice((c.upper(), c.lower())) for c in name)
        colon = rng.choice([": ", ":", " : ", "\t:\t", ":  "])
        lines.append((name + colon + random_value(rng)).encode())
    return lines


def with_lines(rng, octets, lines):
    """The octets with each line put somewhere among the header fields, in this order."""
    head, _, body = octets.partition(b"\r\n\r\n")
    fields = re.split(rb"\r\n(?![ \t])", head)
    places = sorted(rng.randrange(1, len(fields) + 1) for _ in lines)
    for n, (place, line) in enumerate(zip(places, lines)):
        fields.insert(place + n, line)
    return b"\r\n".join(fields) + b"\r\n\r\n" + body


def foreign(octets):
    """The header fields that are not ours to touch, and the body."""
    head, _, body = octets.partition(b"\r\n\r\n")
    fields = re.split(rb"\r\n(?![ \t])", head)[1:]
    names = [sip.canonical(re.split(rb"[ \t]*:", field, maxsplit=1)[0].decode()) for field in fields]
    return [field for name, field in zip(names, fields) if name not in OURS], body


@pytest.mark.parametrize("seed", SEEDS)
def test_a_random_request_and_its_random_responses_pass_untouched(bench, seed):
    rng = random.Random(seed)
    ways = [
        {"transport": rng.choice(["udp", "tcp"]), "host": rng.choice(["127.0.0.1", "::1"])} for _ in range(2)
    ]
    side = rng.choice([bench.side, bench.site.stateless])
    if side is bench.site.stateless:
        ways[1]["transport"] = ways[0]["transport"]
    caller, callee = bench.phone(side=side, **ways[0]), bench.phone(bench.user(), **ways[1])
    assert callee.register().status == 200
    method = rng.choice(["INVITE", "MESSAGE", "SUBSCRIBE", "BYE", "XYZZY"])
    body = bytes(rng.randrange(256) for _ in range(rng.randrange(200)))
    request = caller.request(
        method, callee.aor, body=body, content_type=random_value(rng).replace("\r\n", "") or "a/b"
    )
    octets = with_lines(rng, request.octets(), random_lines(rng))
    caller.send(octets)
    arrived = callee.expect(method)
    assert foreign(arrived.raw) == foreign(octets)
    for status in (rng.choice([180, 183, 199]), rng.choice([200, 202, 302, 404, 486, 500, 603])):
        if status < 200 and method != "INVITE":
            continue
        lines = random_lines(rng)
        said = sip.response_to(arrived, status, "Random", to_tag="t", body=body)
        said = with_lines(rng, said.octets(), lines)
        kind, peer = arrived.source
        callee.udp.sendto(said, peer) if kind == "udp" else peer.send(said)
        heard = caller.expect(lambda m: m.status == status)
        assert foreign(heard.raw) == foreign(said)
        if method == "INVITE" and status >= 300:
            caller.send(caller.ack_of(request, heard))


def test_the_proxy_still_answers_after_all_that(bench):
    caller = bench.phone()
    assert ask(caller, caller.request("OPTIONS", f"sip:{bench.domain}")).status == 200
