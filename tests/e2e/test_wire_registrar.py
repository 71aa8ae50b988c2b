"""The registrar over the wire: RFC 3261 section 10.3 step by step, 10.2, 19.1.4, 20.10, 20.19, RFC 3327."""

import re

import pytest

from harness import sip
from harness.phone import bindings
from harness.wire import ALIAS, FURTHER_DOMAIN, ask, edited, route

pytestmark = pytest.mark.viaduct
MIN_EXPIRES, MAX_EXPIRES, DEFAULT_EXPIRES, MAX_CONTACTS = 10, 86400, 3600, 10


@pytest.fixture
def user(bench):
    """A phone of a user who has no bindings."""
    return bench.phone(bench.user())


def contact(user, name="c", params=""):
    return f"<sip:{name}@{user.hostport}{params}>"


def names(response):
    """The user parts of the bindings in a 200."""
    return sorted(re.search(r"sips?:([^@;]+)", uri).group(1) for uri in bindings(response))


# Step 1.
def test_10_3_1_a_register_for_a_foreign_domain_is_forwarded_as_any_request(bench, user):
    other = bench.phone()
    request = user.register_request(contact(user))
    request.start = f"REGISTER sip:{other.hostport} SIP/2.0"
    user.send(request)
    arrived = other.expect("REGISTER")
    assert arrived.lines("Contact") == request.lines("Contact") and len(arrived.all("Via")) == 2
    other.reply(arrived, 200)
    assert user.final(request).status == 200
    assert user.fetch() == {}


FOR_US = {
    "domain": "sip:{d}",
    "case": "sip:{D}",
    "address": "sip:{hp}",
    "alias": f"sip:{ALIAS}",
    "params": "sip:{d};x=y",
}


@pytest.mark.parametrize("uri", FOR_US.values(), ids=FOR_US)
def test_10_3_1_names_of_our_domain(bench, user, uri):
    request = user.register_request(contact(user))
    uri = uri.format(d=bench.domain, D=bench.domain.upper(), hp=bench.side.hostport())
    request.start = f"REGISTER {uri} SIP/2.0"
    assert ask(user, request).status == 200
    assert len(user.fetch()) == 1


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_10_3_over_every_transport(bench, transport, host):
    user = bench.phone(bench.user(), transport=transport, host=host)
    response = user.register()
    assert response.status == 200 and list(bindings(response)) == [user.contact]


# Step 2.
@pytest.mark.parametrize("tags", [["e2e-a"], ["e2e-a, e2e-b"], ["path", "e2e-b"]])
def test_10_3_2_unknown_extensions_are_420(user, tags):
    response = ask(user, user.register_request(contact(user), headers=[("Require", tag) for tag in tags]))
    assert response.status == 420
    unknown = {t for line in tags for t in sip.split_commas(line)} - {"path"}
    assert set(response.all("Unsupported")) == unknown
    assert user.fetch() == {}


def test_10_3_2_path_is_understood(user):
    headers = [("Require", "path"), ("Supported", "path"), ("Path", "<sip:p.invalid;lr>")]
    assert ask(user, user.register_request(contact(user), headers=headers)).status == 200


# Step 5.
TOS = {
    "foreign": ("sip:{u}@far.invalid", 404),
    "other-domain-of-ours": ("sip:{u}@second.test", 404),
    "params": ("sip:{u}@{d};user=phone;x", 200),
    "escaped": ("sip:%77{rest}@{d}", 200),
    "domain-case": ("sip:{u}@{D}", 200),
}


@pytest.mark.parametrize("uri, status", TOS.values(), ids=TOS)
def test_10_3_5_the_address_of_record_is_that_of_to(bench, user, uri, status):
    name = user.user
    uri = uri.format(u=name, rest=name[1:], d=bench.domain, D=bench.domain.upper())
    assert ask(user, user.register_request(contact(user), aor=uri)).status == status
    assert len(user.fetch()) == (1 if status == 200 else 0)


def test_10_3_5_a_to_of_one_domain_of_ours_and_a_request_uri_of_another_is_404(bench, user):
    request = user.register_request(contact(user))
    request.start = f"REGISTER sip:{FURTHER_DOMAIN} SIP/2.0"
    assert ask(user, request).status == 404


# Step 6.
WILDCARDS = {
    "no-expires": (["*"], None),
    "expires-not-0": (["*"], 60),
    "with-another": (["*", "<sip:a@b.test>"], 0),
    "after-another": (["<sip:a@b.test>", "*"], 0),
    "twice": (["*", "*"], 0),
    "in-a-list": (["*, <sip:a@b.test>"], 0),
}


@pytest.mark.parametrize("contacts, expires", WILDCARDS.values(), ids=WILDCARDS)
def test_10_3_6_any_other_use_of_the_wildcard_is_400_and_changes_nothing(user, contacts, expires):
    user.register(contact(user))
    assert ask(user, user.register_request(*contacts, expires=expires)).status == 400
    assert len(user.fetch()) == 1


@pytest.mark.parametrize("other_call_id", [False, True])
def test_10_3_6_the_wildcard_removes_every_binding(user, other_call_id):
    user.register(contact(user, "a"), contact(user, "b"))
    user.register(contact(user, "c"), call_id=sip.new_call_id(), cseq=900)
    call_id = sip.new_call_id() if other_call_id else None
    response = user.register("*", expires=0, call_id=call_id, cseq=1000)
    assert response.status == 200 and not response.lines("Contact")
    assert user.fetch() == {}


def test_10_3_6_the_wildcard_with_an_old_cseq_fails_and_removes_nothing(user):
    user.register(contact(user), cseq=20)
    response = user.register("*", expires=0, cseq=19)
    assert 400 <= response.status < 600
    assert len(user.fetch()) == 1


# Step 7.
EXPIRES = {
    "parameter": (";expires=100", None, 100),
    "header": ("", 200, 200),
    "both": (";expires=100", 200, 100),
    "neither": ("", None, DEFAULT_EXPIRES),
    "minimum": (";expires=10", None, MIN_EXPIRES),
    "cut": (";expires=99999999", None, MAX_EXPIRES),
    "largest": (";expires=4294967295", None, MAX_EXPIRES),
    "header-largest": ("", 4294967295, MAX_EXPIRES),
    "upper": (";EXPIRES=100", None, 100),
    "leading-zeros": (";expires=000100", None, 100),
    "spaces": (" ; expires = 100", None, 100),
    "malformed-parameter": (";expires=soon", None, 3600),
    "malformed-header": ("", "soon", 3600),
}


@pytest.mark.parametrize("params, header, seconds", EXPIRES.values(), ids=EXPIRES)
def test_10_3_7_the_expiration_interval(user, params, header, seconds):
    response = ask(user, user.register_request(contact(user) + params, expires=header))
    assert response.status == 200
    (binding,) = bindings(response).values()
    assert seconds - 2 <= int(binding["expires"]) <= seconds


@pytest.mark.parametrize("params, header", [(";expires=9", None), ("", 9), (";expires=1", 3600), ("", 1)])
def test_10_3_7_too_brief_is_423_with_min_expires(user, params, header):
    response = ask(user, user.register_request(contact(user) + params, expires=header))
    assert response.status == 423 and response.lines("Min-Expires") == [str(MIN_EXPIRES)]
    assert user.fetch() == {}


def test_10_3_7_one_contact_that_is_too_brief_stops_them_all(user):
    request = user.register_request(contact(user, "a") + ";expires=100", contact(user, "b") + ";expires=1")
    assert ask(user, request).status == 423
    assert user.fetch() == {}


SAME = {
    "octets": ("sip:a@h.test", "sip:a@h.test"),
    "host-case": ("sip:a@h.test", "sip:a@H.TEST"),
    "scheme-case": ("sip:a@h.test", "SIP:a@h.test"),
    "escape": ("sip:a@h.test", "sip:%61@h.test"),
    "escape-case": ("sip:%c3@h.test", "sip:%C3@h.test"),
    "param-order": ("sip:a@h.test;x=1;y=2", "sip:a@h.test;y=2;x=1"),
    "param-case": ("sip:a@h.test;x=abc", "sip:a@h.test;X=ABC"),
    "param-of-one-only": ("sip:a@h.test;x=1", "sip:a@h.test"),
    "transport-case": ("sip:a@h.test;transport=tcp", "sip:a@h.test;transport=TCP"),
    "header-params": ("sip:a@h.test", "sip:a@h.test"),
    "headers-order": ("sip:a@h.test?b=1&c=2", "sip:a@h.test?c=2&b=1"),
    "ipv6": ("sip:a@[2001:db8::1]", "sip:a@[2001:DB8::1]"),
}
DIFFERENT = {
    "user-case": ("sip:a@h.test", "sip:A@h.test"),
    "port": ("sip:a@h.test", "sip:a@h.test:5060"),
    "password": ("sip:a@h.test", "sip:a:b@h.test"),
    "transport": ("sip:a@h.test", "sip:a@h.test;transport=udp"),
    "user-param": ("sip:a@h.test", "sip:a@h.test;user=phone"),
    "ttl": ("sip:a@h.test", "sip:a@h.test;ttl=1"),
    "method": ("sip:a@h.test", "sip:a@h.test;method=INVITE"),
    "maddr": ("sip:a@h.test", "sip:a@h.test;maddr=192.0.2.1"),
    "param-value": ("sip:a@h.test;x=1", "sip:a@h.test;x=2"),
    "headers": ("sip:a@h.test", "sip:a@h.test?b=1"),
    "user": ("sip:a@h.test", "sip:h.test"),
    "host": ("sip:a@h.test", "sip:a@i.test"),
    "reserved-escape": ("sip:a;b@h.test", "sip:a%3bb@h.test"),
}


@pytest.mark.parametrize(
    "one, two, count",
    [(*pair, 1) for pair in SAME.values()] + [(*pair, 2) for pair in DIFFERENT.values()],
    ids=[*SAME, *DIFFERENT],
)
def test_19_1_4_bindings_are_told_apart_by_uri_comparison(user, one, two, count):
    assert user.register(f"<{one}>").status == 200
    response = user.register(f"<{two}>")
    assert response.status == 200 and len(bindings(response)) == count


def test_19_1_4_a_sips_contact_is_another_and_comes_by_a_sips_register_alone(user):
    """RFC 5630 section 5.2: "accept a binding to a SIPS Contact header field only if all the appropriate URIs are
    of the SIPS scheme ... the Request-URI and the Contacts"; else 400."""
    assert user.register("<sip:a@h.test>").status == 200
    assert user.register("<sips:a@h.test>").status == 400
    secure = user.register_request("<sips:a@h.test>")
    secure.start = secure.start.replace(" sip:", " sips:")
    response = user.ask(secure)
    assert response.status == 200 and len(bindings(response)) == 2


@pytest.mark.parametrize("one, two", SAME.values(), ids=SAME)
def test_19_1_4_and_removed_by_it(user, one, two):
    user.register(f"<{one}>")
    assert bindings(user.register(f"<{two}>", expires=0)) == {}


@pytest.mark.parametrize("cseq", [1, 19, 20])
@pytest.mark.parametrize("expires", [0, 600])
def test_10_3_7_an_old_cseq_of_the_same_call_id_fails_and_changes_nothing(user, cseq, expires):
    user.register(contact(user) + ";q=0.5", cseq=20)
    response = user.register(contact(user) + ";q=0.1", contact(user, "new"), expires=expires, cseq=cseq)
    assert 400 <= response.status < 600
    (binding,) = user.fetch().values()
    assert float(binding["q"]) == 0.5


@pytest.mark.parametrize("expires", [0, 600])
def test_10_3_7_another_call_id_counts_whatever_its_cseq(user, expires):
    user.register(contact(user) + ";q=0.5", cseq=20)
    user.register(contact(user) + ";q=0.1", expires=expires, cseq=1, call_id=sip.new_call_id())
    assert [float(b["q"]) for b in user.fetch().values()] == ([0.1] if expires else [])


def test_10_3_7_then_the_new_call_id_is_the_one_that_counts(user):
    user.register(contact(user), cseq=20)
    second = sip.new_call_id()
    user.register(contact(user) + ";q=0.2", cseq=5, call_id=second)
    assert user.register(contact(user) + ";q=0.3", cseq=5, call_id=second).status >= 400
    assert user.register(contact(user) + ";q=0.4", cseq=6, call_id=second).status == 200
    assert [float(b["q"]) for b in user.fetch().values()] == [0.4]


def test_10_3_7_all_or_nothing_with_one_contact_of_an_old_cseq(user):
    user.register(contact(user, "a"), cseq=20)
    response = user.register(contact(user, "b"), contact(user, "a"), contact(user, "c"), cseq=10)
    assert response.status >= 400
    assert names(ask(user, user.register_request(call_id=sip.new_call_id()))) == ["a"]


def test_10_3_7_removal_of_one_of_several_in_the_request_that_adds_another(user):
    user.register(contact(user, "a"), contact(user, "b"))
    response = user.register(contact(user, "a") + ";expires=0", contact(user, "c") + ";expires=60")
    assert names(response) == ["b", "c"]


def test_10_3_7_removal_of_what_is_not_there_is_no_error(user):
    response = user.register(contact(user), expires=0)
    assert response.status == 200 and bindings(response) == {}


@pytest.mark.parametrize(
    "value",
    [
        "<sip:",
        "sip",
        "<>",
        '"open <sip:a@b.test>',
        "<sip:a@b.test",
        "None",
        "<sip:a@>",
        "<sip:a@b.test:99999>",
    ],
)
def test_10_3_a_contact_that_cannot_be_read_is_400_and_changes_nothing(user, value):
    assert ask(user, user.register_request(contact(user), value)).status == 400
    assert user.fetch() == {}


FORMS = {
    "no-brackets": ("sip:a@{hp};expires=77;q=0.3", "sip:a@{hp}", "0.3"),
    "display": ('"A, B; C" <sip:a@{hp};x=y>;q=0.3', "sip:a@{hp};x=y", "0.3"),
    "token-display": ("Alice Bob <sip:a@{hp}>;q=0.3", "sip:a@{hp}", "0.3"),
    "generic": ('<sip:a@{hp}>;+sip.instance="<urn:x>";q=0.300;reg-id=1', "sip:a@{hp}", "0.3"),
    "spaces": ("  <sip:a@{hp}>  ;  q = 0.3 ", "sip:a@{hp}", "0.3"),
    "q-upper": ("<sip:a@{hp}>;Q=0.3", "sip:a@{hp}", "0.3"),
}


@pytest.mark.parametrize("value, uri, q", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("name", ["Contact", "m", "CONTACT"])
def test_20_10_contacts_of_every_form(user, value, uri, q, name):
    request = user.register_request(headers=[(name, value.format(hp=user.hostport))])
    response = ask(user, request)
    assert response.status == 200
    ((got, params),) = bindings(response).items()
    assert got == uri.format(hp=user.hostport) and float(params["q"]) == float(q)


@pytest.mark.parametrize("joined", [False, True])
def test_10_3_8_several_contacts_in_one_request(user, joined):
    values = [contact(user, f"c{i}") + f";q=0.{i};expires={100 + i}" for i in range(1, 6)]
    response = ask(user, user.register_request(*([", ".join(values)] if joined else values)))
    assert names(response) == [f"c{i}" for i in range(1, 6)]
    for uri, params in bindings(response).items():
        i = int(uri[5])
        assert float(params["q"]) == i / 10 and 98 + i <= int(params["expires"]) <= 100 + i


@pytest.mark.parametrize("extra", [1, 5])
def test_10_3_too_many_contacts_are_refused_whole(user, extra):
    values = [contact(user, f"c{i}") for i in range(MAX_CONTACTS + extra)]
    assert ask(user, user.register_request(*values)).status in (400, 403, 413, 480, 500, 503)
    assert user.fetch() == {}
    assert ask(user, user.register_request(*values[:MAX_CONTACTS])).status == 200
    assert ask(user, user.register_request(*values[MAX_CONTACTS:])).status >= 400
    assert len(user.fetch()) == MAX_CONTACTS
    # What is there may still be refreshed and removed.
    assert ask(user, user.register_request(values[0])).status == 200
    assert len(bindings(user.register(values[0], expires=0))) == MAX_CONTACTS - 1


# Step 8.
def test_10_3_8_the_200_lists_all_bindings_with_expires_and_has_a_date(user):
    user.register(contact(user, "a"), call_id=sip.new_call_id(), cseq=1)
    response = user.register(contact(user, "b"))
    assert names(response) == ["a", "b"] and response.to_tag
    assert all(params["expires"].isdigit() for params in bindings(response).values())
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", response["Date"])


def test_10_3_record_route_is_ignored_and_not_in_the_response(bench, user):
    caller = bench.phone()
    headers = [("Record-Route", f"<sip:{caller.hostport};lr>")]
    response = ask(user, user.register_request(f"<{user.contact}>", headers=headers))
    assert response.status == 200 and not response.lines("Record-Route")
    caller.send(caller.request("MESSAGE", user.aor))
    assert not user.expect("MESSAGE").lines("Route")


def test_10_3_a_repeated_register_gets_the_same_answer(user):
    request = user.register_request(contact(user))
    response = ask(user, request)
    user.send(request)
    assert response.status == 200 and user.expect_copies(response, 2) == 2


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_10_3_a_change_is_seen_by_the_next_request(bench, method):
    user = bench.phone(bench.user(known=True))
    caller = bench.phone()
    for _ in range(3):
        user.register()
        request = caller.send(caller.request(method, user.aor))
        user.reply(user.expect(method), 486)
        assert caller.final(request).status == 486
        user.register(f"<{user.contact}>", expires=0)
        assert ask(caller, caller.request(method, user.aor)).status == 480


def test_10_3_requests_of_one_connection_are_processed_in_their_order(bench):
    user = bench.phone(bench.user(), transport="tcp")
    requests = [user.register_request(contact(user) + f";q=0.{i}") for i in range(1, 10)]
    user.stream().send(b"".join(request.octets() for request in requests))
    for i, request in enumerate(requests, 1):
        response = user.final(request)
        assert response.status == 200
        assert [float(b["q"]) for b in bindings(response).values()] == [i / 10]


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_10_3_and_so_are_those_of_one_user_whatever_their_call_ids(bench, transport):
    user = bench.phone(bench.user(), transport=transport)
    for _ in range(25):
        add = user.register_request(contact(user), call_id=sip.new_call_id())
        gone = user.register_request("*", expires=0, call_id=sip.new_call_id())
        if transport == "tcp":
            user.stream().send(add.octets() + gone.octets())
        else:
            user.send(add), user.send(gone)
        assert (user.final(add).status, user.final(gone).status) == (200, 200)
        assert user.fetch() == {}


def test_10_3_own_routes_lead_to_the_registrar(bench, user):
    request = user.register_request(contact(user)).with_(("Route", route(bench.side.hostport())))
    assert ask(user, request).status == 200


# RFC 3327.
def test_rfc3327_5_3_path_is_stored_and_returned_in_order(bench, user):
    path = ['<sip:a.invalid;lr>;x="y,z"', "<sip:b.invalid;lr;q>"]
    response = user.register(headers=[("Path", ", ".join(path)), ("Supported", "path")])
    assert response.all("Path") == path


def test_rfc3327_a_refresh_replaces_the_path(bench, user):
    caller = bench.phone()
    for name in ("one", "two"):
        assert (
            user.register(headers=[("Path", f"<sip:{name}@{user.hostport};lr>"), ("k", "path")]).status == 200
        )
    caller.send(caller.request("MESSAGE", user.aor))
    assert user.expect("MESSAGE").all("Route") == [f"<sip:two@{user.hostport};lr>"]
    assert user.register().status == 200
    caller.send(caller.request("MESSAGE", user.aor))
    assert not user.expect("MESSAGE").lines("Route")


@pytest.mark.parametrize("value", ["<sip:", "sip:a.invalid", "*"])
def test_rfc3327_a_path_that_cannot_be_used_is_refused(user, value):
    response = user.register(headers=[("Path", value), ("Supported", "path")])
    if value == "sip:a.invalid":
        assert response.status in (200, 400)
    else:
        assert response.status == 400


# What a stranger sends.
@pytest.mark.parametrize("name", ["To", "From", "Call-ID", "CSeq"])
def test_8_2_a_register_without_what_it_must_have_is_400(user, name):
    user.send(user.register_request(contact(user)).without(name))
    assert user.expect(lambda m: m.status).status == 400
    assert user.fetch() == {}


@pytest.mark.parametrize("number", [0, 1, 2147483647])
def test_8_1_1_5_every_number_of_cseq_counts(user, number):
    assert user.register(contact(user), cseq=number).status == 200


def test_10_3_no_answer_of_the_registrar_has_a_contact_but_the_200(user):
    user.register(contact(user))
    response = ask(user, user.register_request(contact(user) + ";expires=1"))
    assert response.status == 423 and not response.lines("Contact")


def test_7_3_1_a_folded_register(user):
    request = user.register_request(contact(user, "a") + ";q=0.5", contact(user, "b"))
    octets = edited(request, rb"Contact: (<[^>]*>);q", rb"Contact:\r\n \1\r\n\t;q")
    assert names(ask(user, octets)) == ["a", "b"]
