"""Where a request goes and what is done to it on the way: RFC 3261 sections 16.4 to 16.6, 19.1, RFC 3327, 5393, 5658."""

import re

import pytest

from harness import sip
from harness.env import poll
from harness.phone import Dialog, answer, call, hang_up, ring
from harness.wire import ALIAS, FURTHER_DOMAIN, QUIET, ask, has_final, route

pytestmark = pytest.mark.viaduct


def sent(bench, caller, callee, uri, method="MESSAGE", **kinds):
    """A request as it was sent and as it arrived."""
    request = caller.send(caller.request(method, uri, **kinds))
    return request, callee.expect(method)


def elsewhere(phone, user="x", params=""):
    return f"sip:{user}@{phone.hostport}{params}"


# Section 16.4: our own Route is removed.
OWN_ROUTES = {
    "plain": "<sip:{hp};lr>",
    "udp": "<sip:{hp};transport=udp;lr>",
    "tcp": "<sip:{hp};transport=tcp;lr>",
    "upper": "<SIP:{hp};LR>",
    "lr-on": "<sip:{hp};lr=on>",
    "lr-true": "<sip:{hp};lr=true>",
    "strict": "<sip:{hp}>",
    "user": "<sip:someone@{hp};lr>",
    "header-params": "<sip:{hp};lr>;x=y;z",
    "display": '"Proxy, ours" <sip:{hp};lr>',
    "uri-params": "<sip:{hp};x=1;lr;y=%20>",
    "ipv6": "<sip:{hp6};lr>",
    "ipv6-tcp": "<sip:{hp6};transport=tcp;lr>",
    "stateless-port": "<sip:{hp2};lr>",
    "domain": "<sip:example.test;lr>",
    "second-domain": "<sip:second.test;lr>",
    "alias": "<sip:alias.test;lr>",
    "alias-upper": "<sip:ALIAS.test;lr>",
    "twice": "<sip:{hp};lr>, <sip:{hp};lr>",
    "double-record-route": "<sip:{hp};transport=tcp;lr>, <sip:{hp};transport=udp;lr>",
    "double-families": "<sip:{hp6};lr>,<sip:{hp};lr>",
    "spaces": '  "x"  <sip:{hp};lr>  ;  y = z ',
}


def own_route(bench, text):
    side = bench.side
    return text.format(hp=side.hostport(), hp6=side.hostport("::1"), hp2=bench.site.stateless.hostport())


@pytest.mark.parametrize("text", OWN_ROUTES.values(), ids=OWN_ROUTES)
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_16_4_a_route_that_is_this_proxy_is_removed_and_the_user_found(bench, text, method):
    caller, callee = bench.pair()
    _, arrived = sent(bench, caller, callee, callee.aor, method, routes=[own_route(bench, text)])
    assert arrived.uri == callee.contact and not arrived.lines("Route")


@pytest.mark.parametrize("text", OWN_ROUTES.values(), ids=OWN_ROUTES)
def test_16_4_and_the_next_one_is_followed_untouched(bench, text):
    caller, other = bench.phone(), bench.phone()
    far = f'"N, x" <sip:next@{other.hostport};lr;a=b>;c=d'
    last = "<sip:last.invalid;lr>;e"
    _, arrived = sent(bench, caller, other, "sip:z@far.invalid", routes=[own_route(bench, text), far, last])
    assert arrived.uri == "sip:z@far.invalid"
    assert arrived.all("Route") == [far, last]


@pytest.mark.parametrize("joined", [False, True])
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_16_4_a_route_that_is_not_ours_is_followed_and_stays(bench, joined, transport):
    caller, other = bench.phone(), bench.phone(transport=transport)
    param = ";transport=tcp" if transport == "tcp" else ""
    routes = [f"<sip:{other.hostport}{param};lr>", "<sip:b.invalid;lr>", "<sip:c.invalid>"]
    request, arrived = sent(
        bench, caller, other, "sip:z@far.invalid", routes=[", ".join(routes)] if joined else routes
    )
    assert arrived.all("Route") == routes and arrived.uri == "sip:z@far.invalid"
    assert arrived.source[0] == transport
    other.reply(arrived, 200)
    assert caller.final(request).status == 200


def test_16_4_another_port_of_our_host_is_not_this_proxy(bench):
    caller, other = bench.phone(), bench.phone()
    _, arrived = sent(bench, caller, other, "sip:z@far.invalid", routes=[route(other.hostport)])
    assert arrived.all("Route") == [route(other.hostport)]


# Strict routers.
def recorded(bench, caller, callee):
    """The Record-Route that the proxy gives for a call, as a URI, and the dialogs."""
    near, far = call(caller, callee, challenged=False)
    return sip.uri_of(near.routes[0]), near, far


@pytest.mark.parametrize("routes", [1, 2, 3])
@pytest.mark.parametrize("joined", [False, True])
def test_16_4_a_request_uri_that_we_record_routed_is_replaced_by_the_last_route(bench, routes, joined):
    caller, callee = bench.pair()
    uri, near, far = recorded(bench, caller, callee)
    between = [f"<sip:n{i}@{callee.hostport};lr>" for i in range(routes - 1)]
    values = [*between, f"<{near.target}>"]
    bye = near.request("BYE")
    bye = bye.without("Route")
    bye.start = f"BYE {uri} SIP/2.0"
    bye.headers += [("Route", v) for v in ([", ".join(values)] if joined else values)]
    caller.send(bye)
    arrived = callee.expect("BYE")
    assert arrived.uri == near.target and arrived.all("Route") == between
    callee.reply(arrived, 200)
    assert caller.final(bye).status == 200


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("rest", [0, 1, 2])
def test_16_6_6_a_strict_next_hop_gets_its_own_uri_and_ours_last(bench, method, own, rest):
    caller, strict = bench.phone(), bench.phone()
    hop = f"sip:strict@{strict.hostport};x=1"
    others = [f"<sip:r{i}.invalid;lr>" for i in range(rest)]
    routes = [route(bench.side.hostport())] * own + [f"<{hop}>", *others]
    _, arrived = sent(bench, caller, strict, "sip:z@far.invalid;p=q", method, routes=routes)
    assert arrived.uri == hop
    assert arrived.all("Route") == [*others, "<sip:z@far.invalid;p=q>"]


def test_16_6_6_the_cancel_and_ack_of_a_strictly_routed_invite_look_like_it(bench):
    caller, strict = bench.phone(), bench.phone()
    invite, arrived = sent(
        bench,
        caller,
        strict,
        "sip:z@far.invalid",
        "INVITE",
        routes=[f"<sip:s@{strict.hostport}>", "<sip:r.invalid;lr>"],
    )
    strict.reply(arrived, 180)
    caller.expect(180)
    caller.send(caller.cancel_of(invite))
    cancel = strict.expect("CANCEL")
    assert (cancel.uri, cancel.all("Route")) == (arrived.uri, arrived.all("Route"))
    strict.reply(cancel, 200), strict.reply(arrived, 487)
    ack = strict.expect("ACK")
    assert (ack.uri, ack.all("Route")) == (arrived.uri, arrived.all("Route"))
    assert caller.expect(487, branch=invite.branch)


@pytest.mark.parametrize("lr", [";lr", ";lr=on", ";LR", ";lr=0", ";x;lr"])
def test_19_1_1_lr_counts_whatever_its_value(bench, lr):
    caller, other = bench.phone(), bench.phone()
    _, arrived = sent(bench, caller, other, "sip:z@far.invalid", routes=[f"<sip:{other.hostport}{lr}>"])
    assert arrived.uri == "sip:z@far.invalid"


def test_16_12_lr_outside_the_brackets_is_no_parameter_of_the_uri(bench):
    caller, other = bench.phone(), bench.phone()
    _, arrived = sent(bench, caller, other, "sip:z@far.invalid", routes=[f"<sip:{other.hostport}>;lr"])
    assert arrived.uri == f"sip:{other.hostport}" and arrived.all("Route") == ["<sip:z@far.invalid>"]


# maddr.
def test_16_4_a_maddr_of_ours_on_this_port_is_stripped(bench):
    caller, callee = bench.pair()
    uri = f"{callee.aor}:{bench.side.port};maddr=127.0.0.1"
    _, arrived = sent(bench, caller, callee, uri)
    assert arrived.uri == callee.contact


def test_16_4_a_maddr_of_ours_on_this_port_and_transport_is_stripped(bench):
    caller, callee = bench.pair({"transport": "tcp"})
    uri = f"{callee.aor}:{bench.side.port};transport=tcp;maddr=127.0.0.1"
    _, arrived = sent(bench, caller, callee, uri)
    assert arrived.uri == callee.contact


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_16_5_a_maddr_that_is_not_ours_is_the_only_target(bench, method):
    caller, other = bench.phone(), bench.phone(host="127.0.0.3")
    uri = f"sip:w0@{bench.domain}:{other.port};maddr=127.0.0.3"
    _, arrived = sent(bench, caller, other, uri, method)
    assert arrived.uri == uri


def test_16_4_a_maddr_of_ours_with_another_port_goes_to_that_port(bench):
    caller, other = bench.phone(), bench.phone()
    uri = f"sip:w0@{bench.domain}:{other.port};maddr=127.0.0.1"
    _, arrived = sent(bench, caller, other, uri)
    assert arrived.uri == uri


# Section 16.5.
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE", "BYE", "FROB"])
@pytest.mark.parametrize("params", ["", ";x=y", ";transport=udp", ";user=phone", ";ttl=1", ";lr", ";a=%41"])
def test_16_5_a_foreign_request_uri_is_not_changed(bench, method, params):
    caller, other = bench.phone(), bench.phone()
    uri = elsewhere(other, "x;y=1", params)
    _, arrived = sent(bench, caller, other, uri, method)
    assert arrived.uri == uri


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_16_6_2_what_has_no_place_in_a_request_uri_is_removed_from_a_foreign_one(bench, method):
    caller, other = bench.phone(), bench.phone()
    _, arrived = sent(bench, caller, other, elsewhere(other, "x", ";a=b;method=INFO;c"), method)
    assert arrived.uri == elsewhere(other, "x", ";a=b;c")


@pytest.mark.parametrize("status", [302, 416])
def test_16_5_a_foreign_request_uri_gets_no_further_targets(bench, status):
    caller, other = bench.phone(), bench.phone()
    request, arrived = sent(bench, caller, other, elsewhere(other), "INVITE")
    other.reply(arrived, status, headers=[("Contact", f"<{elsewhere(other, 'new')}>")])
    response = caller.final(request)
    assert response.status == status and response.lines("Contact")
    other.expect_nothing(0.05, "INVITE")


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE", "OPTIONS", "SUBSCRIBE", "FROB"])
def test_16_5_who_does_not_exist_is_404_and_who_is_not_there_480(bench, method):
    caller, user = bench.phone(), bench.user(known=True)
    assert ask(caller, caller.request(method, f"sip:nobody@{bench.domain}")).status == 404
    assert ask(caller, caller.request(method, f"sip:{user}@{bench.domain}")).status == 480


SPELLED = {
    "params": "sip:{u}@{d};user=phone;x=y",
    "escaped": "sip:%77{rest}@{d}",
    "domain-case": "sip:{u}@{D}",
    "scheme-case": "SIP:{u}@{d}",
    "transport": "sip:{u}@{d};transport=tcp",
    "own-address": "sip:{u}@{hp}",
    "own-ipv6": "sip:{u}@{hp6}",
    "alias": "sip:{u}@alias.test",
}


@pytest.mark.parametrize("uri", SPELLED.values(), ids=SPELLED)
def test_16_5_the_user_is_found_by_the_canonical_form(bench, uri):
    caller, callee = bench.pair()
    side, user = bench.side, callee.user
    uri = uri.format(
        u=user,
        rest=user[1:],
        d=bench.domain,
        D=bench.domain.upper(),
        hp=side.hostport(),
        hp6=side.hostport("::1"),
    )
    _, arrived = sent(bench, caller, callee, uri)
    assert arrived.uri == callee.contact


def test_19_1_4_the_user_part_is_case_sensitive_and_domains_are_apart(bench):
    caller, callee = bench.pair()
    assert ask(caller, caller.request("MESSAGE", f"sip:{callee.user.upper()}@{bench.domain}")).status == 404
    assert ask(caller, caller.request("MESSAGE", f"sip:{callee.user}@{FURTHER_DOMAIN}")).status == 404
    callee.expect_nothing(0.05)


# Section 16.6.
def test_16_6_1_nothing_is_removed_reordered_or_joined(bench):
    caller, callee = bench.pair()
    headers = [
        ("Record-Route", "<sip:r1.invalid;lr>"),
        ("X-A", "1"),
        ("Accept", "a/b;q=0.1 , c/d"),
        ("Record-Route", "<sip:r2.invalid>"),
        ("X-A", "2, 3"),
        ("Supported", "100rel"),
        ("P-Preferred-Identity", "<sip:a@b>"),
        ("Authorization", 'Digest realm="far.invalid", nonce="1"'),
        ("x-a", "4"),
        ("k", "timer"),
        ("Unsupported", "x"),
    ]
    request, arrived = sent(bench, caller, callee, callee.aor, "INVITE", headers=headers, body=b"v=0\r\n")
    ours = {"via", "record-route", "max-forwards", "max-breadth", "content-length"}
    rest = [field for field in arrived.headers if sip.canonical(field[0]) not in ours]
    assert rest == [field for field in request.headers if sip.canonical(field[0]) not in ours]
    assert arrived.lines("Record-Route")[-2:] == ["<sip:r1.invalid;lr>", "<sip:r2.invalid>"]
    assert len(arrived.lines("Record-Route")) == 3


CONTACTS = {
    "params": ("sip:b@{hp};x=y;ob", "sip:b@{hp};x=y;ob"),
    "method": ("sip:b@{hp};method=INVITE", "sip:b@{hp}"),
    "headers": ("sip:b@{hp}?Subject=x&Priority=urgent", "sip:b@{hp}"),
    "both": ("sip:b@{hp};a;method=REGISTER;c=d?Route=%3Csip:x%3E", "sip:b@{hp};a;c=d"),
    "user-params": ("sip:b;p=1@{hp}", "sip:b;p=1@{hp}"),
    "escapes": ("sip:%62%20c@{hp}", "sip:%62%20c@{hp}"),
    "no-user": ("sip:{hp}", "sip:{hp}"),
    "upper-scheme": ("SIP:b@{hp}", "SIP:b@{hp}"),
}


@pytest.mark.parametrize("contact, uri", CONTACTS.values(), ids=CONTACTS)
def test_16_6_2_the_contact_becomes_the_request_uri_without_what_has_no_place_there(bench, contact, uri):
    callee, caller = bench.phone(bench.user()), bench.phone()
    assert callee.register(f'<{contact.format(hp=callee.hostport)}>;q=0.5;+sip.instance="<x>"').status == 200
    _, arrived = sent(bench, caller, callee, callee.aor)
    assert arrived.uri == uri.format(hp=callee.hostport)


DIALOG_FORMING = ("INVITE", "SUBSCRIBE", "REFER")


@pytest.mark.parametrize("method", DIALOG_FORMING)
@pytest.mark.parametrize("before", [0, 2])
def test_16_6_4_record_route_stands_before_the_others_and_has_lr(bench, method, before):
    caller, callee = bench.pair()
    theirs = [f"<sip:r{i}.invalid;lr>" for i in range(before)]
    _, arrived = sent(
        bench, caller, callee, callee.aor, method, headers=[("Record-Route", r) for r in theirs]
    )
    values = arrived.all("Record-Route")
    assert values[1:] == theirs
    uri = sip.uri_of(values[0])
    assert re.match(r"sips?:", uri) and re.search(r";lr(;|$)", uri) and bench.side.hostport() in uri
    assert "transport=" not in uri


def test_16_6_4_record_route_is_added_although_there_is_a_route(bench):
    caller, callee = bench.pair()
    _, arrived = sent(bench, caller, callee, callee.aor, "INVITE", routes=[route(bench.side.hostport())])
    assert len(arrived.all("Record-Route")) == 1


def test_16_6_8_via_has_the_cookie_the_transport_and_a_sent_by_of_ours(bench):
    for transport in ("udp", "tcp"):
        caller, callee = bench.pair({}, {"transport": transport})
        _, arrived = sent(bench, caller, callee, callee.aor)
        top = arrived["Via"]
        assert top.startswith(f"SIP/2.0/{transport.upper()} {bench.side.hostport()};")
        assert arrived.branch.startswith("z9hG4bK") and re.fullmatch(r"[\w\-.!%*+`'~]+", arrived.branch)


def test_16_6_8_no_two_branches_are_equal(bench):
    caller, callee = bench.pair()
    call_id, seen = sip.new_call_id(), set()
    for number in range(1, 21):
        _, arrived = sent(bench, caller, callee, callee.aor, call_id=call_id, cseq=number)
        seen.add(arrived.branch)
    assert len(seen) == 20


# Loops and spirals: RFC 5393.
def test_rfc5393_4_a_request_that_comes_back_unchanged_is_482(bench):
    fork = bench.fork(1, 1, method="MESSAGE")
    arrived = fork.take(0)
    # Sent back as a proxy would that has bob's address again.
    back = arrived.without("Via", "Max-Forwards")
    back.start = fork.sent.start
    us = fork.callee
    vias = [f"SIP/2.0/UDP {us.hostport};branch={sip.new_branch()}", *arrived.all("Via")]
    back.headers = [*(("Via", via) for via in vias), ("Max-Forwards", "60"), *back.headers]
    us.send(back)
    looped = us.expect(482)
    assert sip.params_of(looped["Via"])["branch"] == sip.params_of(vias[0])["branch"]


@pytest.mark.parametrize("change", ["uri", "route"])
def test_rfc5393_4_a_spiral_passes(bench, change):
    fork = bench.fork(1, 1, method="MESSAGE")
    _, other = bench.pair()
    arrived, us = fork.take(0), fork.callee
    back = arrived.without("Via", "Max-Forwards")
    back.start = f"MESSAGE {other.aor} SIP/2.0" if change == "uri" else fork.sent.start
    vias = [f"SIP/2.0/UDP {us.hostport};branch={sip.new_branch()}", *arrived.all("Via")]
    routes = [route(other.hostport)] if change == "route" else []
    back.headers = [
        *(("Via", via) for via in vias),
        *(("Route", r) for r in routes),
        ("Max-Forwards", "60"),
        *back.headers,
    ]
    us.send(back)
    assert len(other.expect("MESSAGE").all("Via")) == len(vias) + 1


def test_rfc5393_4_a_spiral_through_the_proxy_itself_reaches_its_end(bench):
    """carol's contact is bob's address at this proxy."""
    caller, bob = bench.pair()
    carol = bench.phone(bench.user())
    assert carol.register(f"<sip:{bob.user}@{bench.side.hostport()}>").status == 200
    invite = caller.send(caller.request("INVITE", carol.aor))
    arrived = bob.expect("INVITE")
    vias = arrived.all("Via")
    assert len(vias) == 3 and arrived["Max-Forwards"] == "68"
    assert sip.params_of(vias[0])["branch"] != sip.params_of(vias[1])["branch"]
    bob.reply(arrived, 180)
    caller.expect(180, branch=invite.branch)
    ok = bob.reply(arrived, 200, contact=True)
    near = Dialog(caller, invite, caller.expect(200), caller=True)
    caller.send(near.request("ACK"))
    bob.expect("ACK")
    hang_up(near, Dialog(bob, arrived, ok, caller=False))


def test_rfc5393_4_a_contact_that_is_the_users_own_address_is_482_and_no_storm(bench):
    user = bench.phone(bench.user())
    assert user.register(f"<sip:{user.user}@{bench.side.hostport()}>").status == 200
    caller = bench.phone()
    assert ask(caller, caller.request("INVITE", user.aor)).status in (482, 483)


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_rfc5393_5_max_breadth_is_added_as_60_and_kept_on_one_branch(bench, method):
    caller, callee = bench.pair()
    _, arrived = sent(bench, caller, callee, callee.aor, method)
    assert arrived.all("Max-Breadth") == ["60"]


@pytest.mark.parametrize("given, forwarded", [(1, "1"), (7, "7"), (60, "60"), (61, "60"), (5000, "60")])
def test_rfc5393_5_max_breadth_is_not_decremented_and_cut_at_60(bench, given, forwarded):
    caller, callee = bench.pair()
    _, arrived = sent(bench, caller, callee, callee.aor, headers=[("Max-Breadth", str(given))])
    assert arrived.all("Max-Breadth") == [forwarded]


@pytest.mark.parametrize("given", [2, 3, 7, 60])
def test_rfc5393_5_parallel_branches_share_the_breadth(bench, given):
    fork = bench.fork(1, 1, headers=[("Max-Breadth", str(given))])
    shares = [int(arrived["Max-Breadth"]) for arrived in fork.take_all()]
    assert all(share >= 1 for share in shares) and sum(shares) <= given
    assert sum(shares) == given


def test_rfc5393_5_max_breadth_1_is_no_parallel_fork(bench):
    fork = bench.fork(1, 1, headers=[("Max-Breadth", "1")])
    poll(lambda: fork.callee.pump(0.02) or fork.callee.inbox or has_final(fork.caller), 5, every=0)
    if not fork.callee.inbox:
        assert fork.final().status == 440
        return
    fork.callee.pump(QUIET)
    assert len(fork.callee.inbox) == 1  # the other only after the final response of this one
    first = 0 if ":b0@" in fork.callee.inbox[0].uri else 1
    fork.take(first)
    fork.reply(first, 486)
    fork.take(1 - first)
    fork.reply(1 - first, 486)
    assert fork.final().status == 486


# RFC 5658.
@pytest.mark.parametrize("near, far", [("udp", "tcp"), ("tcp", "udp")])
@pytest.mark.parametrize(
    "hosts", [("127.0.0.1", "127.0.0.1"), ("::1", "127.0.0.1"), ("127.0.0.1", "::1"), ("::1", "::1")]
)
def test_rfc5658_two_record_routes_where_the_transport_changes(bench, near, far, hosts):
    caller, callee = bench.pair({"transport": near, "host": hosts[0]}, {"transport": far, "host": hosts[1]})
    there, back = call(caller, callee, challenged=False)
    assert len(there.routes) == 2
    ours = [bench.side.hostport(host) for host in hosts]
    assert ours[0] in there.routes[0] and ours[1] in there.routes[1]
    assert (";transport=tcp" in there.routes[0]) == (near == "tcp")
    assert (";transport=tcp" in there.routes[1]) == (far == "tcp")
    for one, other in ((there, back), (back, there)):
        info = one.phone.send(one.request("INFO"))
        arrived = other.phone.expect("INFO")
        assert not arrived.lines("Route") and arrived.source[0] == other.phone.transport
        other.phone.reply(arrived, 200)
        assert one.phone.final(info).status == 200
    hang_up(back, there)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("hosts", [("::1", "127.0.0.1"), ("127.0.0.1", "::1")])
def test_rfc5658_two_record_routes_where_the_family_changes(bench, transport, hosts):
    caller, callee = bench.pair(
        {"transport": transport, "host": hosts[0]}, {"transport": transport, "host": hosts[1]}
    )
    there, back = call(caller, callee, challenged=False)
    assert [bench.side.hostport(host) in value for host, value in zip(hosts, there.routes)] == [True, True]
    hang_up(there, back)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_12_a_whole_call_with_requests_from_both_sides(bench, transport, host):
    caller, callee = bench.pair(
        {"transport": transport, "host": host}, {"transport": transport, "host": host}
    )
    there, back = call(caller, callee, challenged=False)
    for one, other in ((there, back), (back, there)):
        for method in ("INFO", "UPDATE", "MESSAGE", "REFER", "NOTIFY", "X-MINE"):
            request = one.phone.send(one.request(method, body=b"x"))
            arrived = other.phone.expect(method)
            assert not arrived.lines("Route") and arrived.uri == one.target
            other.phone.reply(arrived, 200)
            assert one.phone.final(request).status == 200
        again = one.phone.send(one.request("INVITE"))
        arrived = other.phone.expect("INVITE")
        ok = other.phone.reply(arrived, 200, contact=True)
        assert one.phone.expect(200, branch=again.branch)
        one.invite_cseq = again.cseq[0]
        one.phone.send(one.request("ACK"))
        assert other.phone.expect("ACK").uri == one.target and ok
    hang_up(back, there)


def test_16_12_the_ack_of_a_2xx_has_a_branch_of_its_own_and_goes_by_its_route(bench):
    caller, callee = bench.pair()
    invite, arrived = ring(caller, callee, challenged=False)
    callee.reply(arrived, 200, contact=True)
    near = Dialog(caller, invite, caller.expect(200), caller=True)
    acks = []
    for _ in range(2):
        caller.send(near.request("ACK"))
        acks.append(callee.expect("ACK"))
    assert len({arrived.branch, acks[0].branch, acks[1].branch}) == 3
    assert all(not ack.lines("Route") and len(ack.all("Via")) == 2 for ack in acks)
    assert all(ack["Max-Forwards"] == "69" for ack in acks)


def test_16_4_a_dialog_that_went_another_way_keeps_its_foreign_routes(bench):
    """In-dialog request: ours first, then a proxy behind us."""
    caller, behind = bench.phone(), bench.phone()
    _, arrived = sent(
        bench,
        caller,
        behind,
        "sip:bob@phone.invalid",
        "BYE",
        to="<sip:bob@b.test>;tag=1",
        routes=[route(bench.side.hostport()), route(behind.hostport), "<sip:c.invalid;lr>"],
    )
    assert arrived.all("Route") == [route(behind.hostport), "<sip:c.invalid;lr>"]


# RFC 3327.
@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("supported", ["Supported", "k"])
def test_rfc3327_5_3_path_becomes_the_route(bench, transport, supported):
    callee, edge, caller = bench.phone(bench.user()), bench.phone(transport=transport), bench.phone()
    param = ";transport=tcp" if transport == "tcp" else ""
    path = [f"<sip:edge@{edge.hostport}{param};lr>;x", "<sip:inner.invalid;lr>"]
    answer_ = callee.register(headers=[*(("Path", p) for p in path), (supported, "path")])
    assert answer_.status == 200 and answer_.all("Path") == path
    theirs = [route(bench.side.hostport())]
    _, arrived = sent(bench, caller, edge, callee.aor, "INVITE", routes=theirs)
    assert arrived.uri == callee.contact and arrived.all("Route") == path
    assert arrived.source[0] == transport


def test_rfc3327_each_branch_has_the_path_of_its_own_binding(bench):
    callee, caller = bench.phone(bench.user()), bench.phone()
    for i in range(3):
        path = [("Path", f"<sip:p{i}@{callee.hostport};lr>"), ("Supported", "path")] if i else []
        assert callee.register(f"<sip:b{i}@{callee.hostport}>", headers=path).status == 200
    caller.send(caller.request("INVITE", callee.aor))
    for i in range(3):
        arrived = callee.expect(lambda m, i=i: m.method == "INVITE" and f":b{i}@" in m.uri)
        assert arrived.all("Route") == ([f"<sip:p{i}@{callee.hostport};lr>"] if i else [])


def test_rfc3327_a_strict_path_is_treated_by_16_6_6(bench):
    callee, caller = bench.phone(bench.user()), bench.phone()
    path = [("Path", f"<sip:edge@{callee.hostport}>"), ("Supported", "path")]
    assert callee.register(headers=path).status == 200
    _, arrived = sent(bench, caller, callee, callee.aor)
    assert arrived.uri == f"sip:edge@{callee.hostport}" and arrived.all("Route") == [f"<{callee.contact}>"]


def test_rfc3327_path_without_supported_is_420_or_ignored_in_the_route(bench):
    callee = bench.phone(bench.user())
    response = callee.register(headers=[("Path", f"<sip:edge@{callee.hostport};lr>")])
    if response.status == 420:
        assert "path" in response.all("Unsupported") or "path" in response.all("Require")
    else:
        assert response.status == 200 and not response.lines("Path")


# Section 16.6 step 7: where it goes.
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_16_6_7_address_port_and_transport_of_the_uri(bench, host, transport):
    caller, other = bench.phone(), bench.phone(transport=transport, host=host)
    _, arrived = sent(bench, caller, other, other.contact)
    assert arrived.source[0] == transport
    assert arrived["Via"].startswith(f"SIP/2.0/{transport.upper()} {bench.side.hostport(host)};")


@pytest.mark.parametrize("value", ["TCP", "Tcp"])
def test_19_1_1_the_transport_parameter_is_not_case_sensitive(bench, value):
    caller, other = bench.phone(), bench.phone()
    _, arrived = sent(bench, caller, other, elsewhere(other, "x", f";transport={value}"))
    assert arrived.source[0] == "tcp"


@pytest.mark.parametrize(
    "uri",
    [
        "sip:x@nowhere.invalid",
        "sip:x@127.0.0.1:{closed};transport=tcp",
        "sip:x@127.0.0.1:{closed};transport=sctp",
    ],
)
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_16_9_what_cannot_be_sent_is_answered_with_an_error(bench, uri, method):
    caller, gone = bench.phone(), bench.phone()
    gone.close()
    response = ask(caller, caller.request(method, uri.format(closed=gone.port)))
    assert 400 <= response.status < 600 and response.status not in (503, 400)
    assert method == "INVITE" or response.status != 408


def test_16_6_7_the_mtu_moves_a_large_request_to_tcp_and_says_so_in_via(bench):
    caller, callee = bench.pair({"transport": "tcp"})
    _, arrived = sent(bench, caller, callee, callee.aor, body=b"x" * 1400)
    assert arrived.source[0] == "tcp" and arrived["Via"].startswith("SIP/2.0/TCP ")


def test_alias_and_domains_of_this_file_are_what_the_site_has(bench):
    caller = bench.phone()
    for name in (ALIAS, FURTHER_DOMAIN):
        assert ask(caller, caller.request("OPTIONS", f"sip:{name}")).status == 200


def test_16_6_retransmissions_downstream_carry_the_same_branch(bench):
    caller, callee = bench.pair()
    invite = caller.send(caller.request("INVITE", callee.aor))
    arrived = callee.expect("INVITE")
    assert callee.expect_copies(arrived, 2) >= 2
    callee.expect_nothing(0)
    answer(caller, callee, invite, arrived)
