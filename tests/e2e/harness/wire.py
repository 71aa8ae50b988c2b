"""What the test_wire_*.py files share: proxies that live as long as the run, and phones that are many contacts.

A *site* is one running proxy that trusts the loopback addresses and asks nobody for credentials, so that a test sees
the RFC's rules and no policy. A *bench* is what one test does there: it takes users and phones and gives them back.
"""

import contextlib
import itertools
import random
import re
import socket

from . import proxy as proxies, sip
from .env import patience
from .phone import Phone
from .ports import Ports

FURTHER_DOMAIN = "second.test"
ALIAS = "alias.test"
USERS = tuple(f"w{i}" for i in range(12))
_user_numbers = itertools.count(1000)
_start = random.randrange(10000, 31000)
_phone_ports = itertools.chain(range(_start, 32000), range(10000, _start))
QUIET = 0.15  # how long "nothing comes" is watched
QUICK_T1_S = patience(0.01)  # of the proxy with short timers: the tests must answer it within 64 of them


class Side:
    """The proxy as a phone sees it through one of its ports."""

    def __init__(self, proxy, port):
        self.proxy, self.port, self.domain = proxy, port, proxy.domain

    def address(self, family=socket.AF_INET, transport="udp"):
        return ("::1" if family == socket.AF_INET6 else "127.0.0.1"), self.port

    def hostport(self, host="127.0.0.1"):
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"


class Site:
    def __init__(self, proxy, stateful, stateless):
        self.proxy = proxy
        self.stateful, self.stateless = Side(proxy, stateful), Side(proxy, stateless)
        self.free_users = list(proxy.options.users)


@contextlib.contextmanager
def running_site(folder, min_expires_s=10, **extra):
    """A proxy with a stateful and a stateless port, each UDP and TCP, IPv4 and IPv6."""
    held = Ports()
    stateful, stateless = held.take(), held.take()
    listeners = [
        proxies.Listener(transport, host, port, {"mode": mode})
        for port, mode in ((stateful, "stateful"), (stateless, "stateless"))
        for host in ("127.0.0.1", "::1")
        for transport in ("udp", "tcp")
    ]
    options = proxies.Options(
        listeners=listeners,
        further_domains=(FURTHER_DOMAIN,),
        register_auth=False,
        call_auth=False,
        trusted=("127.0.0.0/8", "::1/128"),
        users=USERS,
        min_expires_s=min_expires_s,
        extra=proxies.merged({"aliases": [ALIAS]}, extra),
    )
    made = proxies.make(options, folder).set_up()
    try:
        made.start()
        yield Site(made, stateful, stateless)
        made.stop()
    finally:
        if made.process:
            made.process.kill()
        held.close()


class Bench:
    """Users and phones of one test."""

    def __init__(self, site):
        self.site, self.proxy, self.side = site, site.proxy, site.stateful
        self.domain = site.proxy.domain
        self._phones, self._users = [], []

    def close(self):
        for phone in self._phones:
            phone.close()
        if self._users:
            with Phone(self.side, "cleaner") as cleaner:
                for user in self._users:
                    aor = f"sip:{user}@{self.domain}"
                    gone = cleaner.register("*", expires=0, aor=aor, call_id=sip.new_call_id(), cseq=1)
                    assert gone.status == 200
                    if user in USERS:
                        self.site.free_users.insert(0, user)

    def user(self, known=False):
        """A user whom no other test has, without bindings. A known one is in the store, and one that another test had;
        any other is new, so that no earlier call still waits for him to register (RFC 3261 section 16.5)."""
        self._users.append(self.site.free_users.pop() if known else f"w{next(_user_numbers)}")
        return self._users[-1]

    def phone(self, user="anonymous", *, side=None, **kinds):
        """A phone on a port that no other of this run has had: what is still sent to an earlier one must not reach it."""
        for port in _phone_ports:
            try:
                self._phones.append(Phone(side or self.side, user, port=port, **kinds))
                return self._phones[-1]
            except OSError:
                continue
        raise RuntimeError("no ports left")

    def pair(self, caller=None, callee=None):
        """A caller, and a callee who is registered."""
        callee = self.phone(self.user(), **(callee or {}))
        assert callee.register().status == 200
        return self.phone(**(caller or {})), callee

    def fork(self, *qs, method="INVITE", caller=None, headers=(), uri_params="", **kinds):
        """A caller whose request went to a user with one contact for each q (None: without)."""
        callee = self.phone(self.user(), **kinds)
        contacts = [
            f"<sip:b{i}@{callee.hostport}{uri_params}>" + (f";q={q}" if q is not None else "")
            for i, q in enumerate(qs)
        ]
        if contacts:
            assert callee.register(*contacts).status == 200
        caller = self.phone(**(caller or {}))
        sent = caller.send(caller.request(method, callee.aor, headers=headers))
        return Fork(caller, callee, sent, len(qs))


class Fork:
    """A forked request under way: one phone is all the contacts b0, b1, ... of the user."""

    def __init__(self, caller, callee, sent, count):
        self.caller, self.callee, self.sent, self.count = caller, callee, sent, count
        self.method = sent.method
        self.arrived = {}

    def take(self, i, method=None, seconds=5):
        """The request of that branch; the original one is kept for reply()."""
        method = method or self.method
        request = self.callee.expect(
            lambda m: m.status is None and m.method == method and f":b{i}@" in m.uri, seconds
        )
        if method == self.method:
            self.arrived[i] = request
        return request

    def take_all(self):
        return [self.take(i) for i in range(self.count)]

    def reply(self, i, status, **kinds):
        """Answers branch i, which has a To tag of its own."""
        kinds.setdefault("to_tag", f"t{i}")
        kinds.setdefault("contact", 100 < status < 300 and self.method == "INVITE")
        return self.callee.reply(self.arrived[i], status, **kinds)

    def hears(self, status, seconds=5):
        return self.caller.expect(status, seconds, branch=self.sent.branch)

    def final(self, seconds=8):
        return self.caller.final(self.sent, seconds)

    def cancelled(self, i):
        """Branch i gets its CANCEL, and answers it and the INVITE as a UAS does."""
        cancel = self.take(i, "CANCEL")
        self.callee.reply(cancel, 200)
        self.reply(i, 487)
        return cancel

    def no_final(self, seconds=QUIET):
        self.caller.expect_nothing(seconds, lambda m: m.status and m.status >= 200)


def ask(phone, request, seconds=8):
    """The final response to what may be octets as well, ACK included for an INVITE."""
    if isinstance(request, bytes):
        phone.send(request)
        return phone.expect(lambda m: m.status and m.status >= 200, seconds)
    return phone.ask(request, seconds)


def has_final(phone):
    """Whether a final response has come, which is left where it is."""
    phone.pump(0)
    return any(m.status and m.status >= 200 for m in phone.inbox)


def answer_to(phone, octets, seconds=3):
    """The first final response that comes for these octets, or None."""
    phone.send(octets)
    try:
        return phone.expect(lambda m: m.status and m.status >= 200, seconds)
    except AssertionError:
        return None


def edited(message, pattern, replacement, count=1):
    """The octets of a message with something exchanged."""
    octets, made = re.subn(pattern, replacement, message.octets(), count=count)
    assert made, pattern
    return octets


def route(hostport, params=";lr"):
    return f"<sip:{hostport}{params}>"
