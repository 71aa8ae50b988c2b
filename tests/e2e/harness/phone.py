"""A phone driven line by line by a test, for what real phones do not send.

It speaks UDP and TCP on one port, keeps what arrives in an inbox, and a test asks for what it expects:

    invite = bob.expect("INVITE")
    bob.reply(invite, 180)
    ok = bob.reply(invite, 200, contact=True)

Nothing is sent behind the test's back but one thing: the ACK that the client transaction owes to a final
response other than 2xx (RFC 3261 section 17.1.1.3). Retransmissions that arrive are counted and left out of
the inbox.
"""

import contextlib
import itertools
import select
import socket
import struct
import time

from . import digest, sip
from .env import patience, poll
from .sip import Message

_counter = itertools.count(1)
MAX_DATAGRAM = 65535
_SO_RCVBUFFORCE, _BUFFER_BYTES = 33, 4 << 20


class Phone:
    def __init__(
        self,
        proxy,
        user="anonymous",
        *,
        transport="udp",
        host="127.0.0.1",
        port=0,
        listen_tcp=True,
        password="secret",
        domain=None,
    ):
        self.proxy = proxy
        self.user, self.password = user, password
        self.domain = domain or proxy.domain
        self.transport = transport
        self.host = host
        self.tag = sip.new_tag()
        self.register_call_id = sip.new_call_id()
        self.register_cseq = itertools.count(1)
        self.inbox = []
        self.retransmissions = 0
        self._seen = {}
        self._streams = {}
        self._outgoing = None
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._family = family
        self.udp, self.listener = self._bind(family, host, port, listen_tcp)
        self.port = self.udp.getsockname()[1]

    @staticmethod
    def _bind(family, host, port, listen_tcp):
        """A UDP socket and a TCP listener on one port; with port 0, on any that has both free."""
        for _ in range(50):
            udp = socket.socket(family, socket.SOCK_DGRAM)
            widen(udp)
            udp.bind((host, port))
            if not listen_tcp:
                return udp, None
            tcp = socket.socket(family, socket.SOCK_STREAM)
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                tcp.bind((host, udp.getsockname()[1]))
                tcp.listen(64)
                return udp, tcp
            except OSError:
                udp.close()
                tcp.close()
                if port:
                    raise
        raise RuntimeError("no port with UDP and TCP free")

    def close(self):
        for sock in [self.udp, self.listener, *self._streams.values()]:
            if sock:
                (sock.sock if isinstance(sock, Stream) else sock).close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # Addresses.
    @property
    def aor(self):
        return f"sip:{self.user}@{self.domain}"

    @property
    def hostport(self):
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def contact(self):
        suffix = "" if self.transport == "udp" else f";transport={self.transport}"
        return f"sip:{self.user}@{self.hostport}{suffix}"

    def proxy_address(self):
        return self.proxy.address(self._family, self.transport)

    # Sending.
    def request(
        self,
        method,
        uri,
        *,
        to=None,
        from_=None,
        call_id=None,
        cseq=1,
        routes=(),
        contact=None,
        headers=(),
        body=b"",
        content_type="application/sdp",
        max_forwards=70,
        branch=None,
        via=None,
    ):
        """A request as RFC 3261 section 8.1.1 wants it; every part can be given otherwise."""
        sent_by = f"SIP/2.0/{self.transport.upper()} {self.hostport}"
        made = [
            ("Via", via or f"{sent_by};branch={branch or sip.new_branch()};rport"),
            ("Max-Forwards", str(max_forwards)),
            *(("Route", route) for route in routes),
            ("From", from_ or f"<{self.aor}>;tag={self.tag}"),
            ("To", to or f"<{uri}>"),
            ("Call-ID", call_id or sip.new_call_id()),
            ("CSeq", f"{cseq} {method}"),
        ]
        if contact or (contact is None and method in ("INVITE", "SUBSCRIBE", "REFER")):
            made.append(("Contact", contact or f"<{self.contact}>"))
        made += headers
        if body:
            made.append(("Content-Type", content_type))
        return Message(f"{method} {uri} SIP/2.0", made, body)

    def send(self, message, to=None):
        """Sends a message, or octets as they are, to the proxy or to an address."""
        octets = message if isinstance(message, bytes) else message.octets()
        if self.transport == "udp":
            self.udp.sendto(octets, to or self.proxy_address())
        else:
            self.stream().send(octets)
        return message

    def stream(self):
        """The connection to the proxy, opened when there is none."""
        if not self._outgoing or self._outgoing.closed:
            self._outgoing = self.connect()
        return self._outgoing

    def connect(self):
        """One more connection to the proxy; what comes by it reaches the inbox too."""
        sock = socket.socket(self._family, socket.SOCK_STREAM)
        sock.bind((self.host, 0))
        sock.settimeout(patience(5))
        sock.connect(self.proxy.address(self._family, "tcp"))
        return self._adopt(sock)

    def _adopt(self, sock):
        stream = Stream(sock)
        self._streams[sock.fileno()] = stream
        return stream

    # Receiving.
    def pump(self, seconds):
        """Takes in what is there, waiting at most so long for the first of it."""
        poll = select.poll()
        files = {self.udp.fileno(): self._take_datagrams}
        if self.listener:
            files[self.listener.fileno()] = self._take_connection
        for fileno, stream in list(self._streams.items()):
            if stream.closed:
                del self._streams[fileno]
            else:
                files[fileno] = lambda stream=stream: self._take_stream(stream)
        for fileno in files:
            poll.register(fileno, select.POLLIN)
        for fileno, _ in poll.poll(max(0, seconds) * 1000):
            files[fileno]()

    def _take_datagrams(self):
        while True:
            try:
                octets, address = self.udp.recvfrom(MAX_DATAGRAM, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except ConnectionError:
                continue
            if octets.strip(b"\r\n\0") and not is_stun(octets):
                self._take(Message.parse(octets), ("udp", address))

    def _take_connection(self):
        sock, _ = self.listener.accept()
        self._adopt(sock)

    def _take_stream(self, stream):
        for message in stream.receive():
            self._take(message, ("tcp", stream))

    def _take(self, message, source):
        message.source = source
        message.at = time.monotonic()
        key = (source[0], message.raw)
        self._seen[key] = self._seen.get(key, 0) + 1
        if self._seen[key] > 1:
            self.retransmissions += 1
        else:
            self.inbox.append(message)

    def copies_of(self, message):
        """How often that very message has come in."""
        return self._seen.get((message.source[0], message.raw), 0)

    def expect_copies(self, message, count, seconds=5):
        """Waits until that very message has come in so often; how often it has."""

        def there():
            self.pump(0.05)
            return self.copies_of(message) >= count

        poll(there, seconds)
        self.pump(0)
        return self.copies_of(message)

    def expect(self, what, seconds=5, *, branch=None):
        """The next message that fits: a method, a status, or a predicate. Others stay in the inbox."""
        match = self._matcher(what, branch)
        deadline = time.monotonic() + patience(seconds)
        while True:
            for i, message in enumerate(self.inbox):
                if match(message):
                    return self.inbox.pop(i)
            left = deadline - time.monotonic()
            if left <= 0:
                raise AssertionError(
                    f"{self.user} waited {patience(seconds)} s for {what}; inbox: {self.inbox}"
                )
            self.pump(left)

    @staticmethod
    def _matcher(what, branch):
        if callable(what):
            return what
        if isinstance(what, int):
            return lambda m: m.status == what and branch in (None, m.branch)
        return lambda m: m.status is None and m.method == what

    def taken(self, method):
        """The requests of that kind that have come, out of the inbox."""
        found = [message for message in self.inbox if message.status is None and message.method == method]
        self.inbox = [message for message in self.inbox if message not in found]
        return found

    def expect_nothing(self, seconds, what=None):
        """Nothing (of that kind) comes for so long. A 100 is never a surprise."""
        match = self._matcher(what, None) if what is not None else (lambda m: m.status != 100)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.pump(deadline - time.monotonic())
        found = [message for message in self.inbox if match(message)]
        assert not found, f"{self.user} expected nothing and got {found}"

    def expect_end(self, stream=None, seconds=5):
        """The proxy ends that connection, or the one that is in use."""
        stream = stream or self._outgoing

        def ended():
            self.pump(0.05)
            return stream.closed

        assert poll(ended, seconds), f"{self.user}: the connection is still open"

    def final(self, request, seconds=8):
        """The final response to a request of ours; an INVITE's is acknowledged when it is no 2xx."""
        branch, method = request.branch, request.method
        response = self.expect(
            lambda m: m.status and m.status >= 200 and m.branch == branch and m.cseq[1] == method, seconds
        )
        if method == "INVITE" and response.status >= 300:
            self.send(self.ack_of(request, response))
        return response

    def final_by_either(self, request, callee, status):
        """The final response to a request of ours that may reach the callee, who then answers it so."""

        def ended():
            callee.pump(0.02)
            for asked in callee.taken(request.method):
                callee.reply(asked, status)
            self.pump(0)
            return [m for m in self.inbox if m.status and m.status >= 200 and m.branch == request.branch]

        poll(ended, 8, every=0)
        return self.final(request)

    def ask(self, request, seconds=8):
        self.send(request)
        return self.final(request, seconds)

    def ask_with_digest(self, request, seconds=8, **choice):
        """As ask, and answers one challenge."""
        response = self.ask(request, seconds)
        if response.status in (401, 407):
            response = self.ask(self.authorize(request, response, **choice), seconds)
        return response

    # Answers to what came.
    def authorize(self, request, response, *, algorithm=None, nc=1, uri=None, damage=None):
        """The request again, with credentials for the challenge, in a new transaction."""
        offered = digest.challenges(response)
        challenge = next((c for c in offered if algorithm in (None, c.get("algorithm", "MD5"))), None)
        assert challenge, f"no challenge for {algorithm} in {response}"
        name = "Authorization" if response.status == 401 else "Proxy-Authorization"
        value = digest.credentials(
            challenge, request.method, uri or request.uri, self.user, self.password, nc=nc, damage=damage
        )
        fresh = self.again(request)
        fresh.headers = [
            field for field in fresh.headers if not _credentials_for(field, name, challenge["realm"])
        ]
        return fresh.with_((name, value))

    def again(self, request, **via):
        """The same request as a new one: next CSeq, new branch."""
        number, method = request.cseq
        fresh = request.replaced("CSeq", f"{number + 1} {method}")
        line = request.lines("Via")[0].replace(request.branch, sip.new_branch())
        return fresh.replaced("Via", line)

    def ack_of(self, invite, response):
        """ACK for a final response other than 2xx: RFC 3261 section 17.1.1.3."""
        headers = [("Via", invite.lines("Via")[0]), ("Max-Forwards", "70")]
        headers += [("Route", value) for value in invite.lines("Route")]
        headers += [("From", invite["From"]), ("To", response["To"]), ("Call-ID", invite.call_id)]
        headers.append(("CSeq", f"{invite.cseq[0]} ACK"))
        return Message(f"ACK {invite.uri} SIP/2.0", headers)

    def cancel_of(self, invite):
        """CANCEL: RFC 3261 section 9.1."""
        headers = [("Via", invite.lines("Via")[0]), ("Max-Forwards", "70")]
        headers += [("Route", value) for value in invite.lines("Route")]
        headers += [("From", invite["From"]), ("To", invite["To"]), ("Call-ID", invite.call_id)]
        headers.append(("CSeq", f"{invite.cseq[0]} CANCEL"))
        return Message(f"CANCEL {invite.uri} SIP/2.0", headers)

    def reply(self, request, status, reason="Because", *, contact=False, headers=(), body=b"", to_tag=None):
        """Answers a request where it came from; returns the response sent."""
        headers = [*headers, ("Contact", f"<{self.contact}>")] if contact else list(headers)
        response = sip.response_to(
            request,
            status,
            reason,
            to_tag=(to_tag or self.tag) if status > 100 else None,
            headers=headers,
            body=body,
        )
        kind, peer = request.source
        if kind == "udp":
            self.udp.sendto(response.octets(), peer)
        else:
            peer.send(response.octets())
        return response

    def settle(self, request):
        """What this phone has sent of that call, the proxy has read; what the proxy had sent until then is here. By UDP, and
        by the phone's own connection."""
        host, port = self.proxy_address()
        uri = f"sip:[{host}]:{port}" if ":" in host else f"sip:{host}:{port}"
        from_ = f"<{self.aor}>;tag={sip.new_tag()}"  # else two of these are one request by two ways
        assert self.ask(self.request("OPTIONS", uri, from_=from_, call_id=request.call_id)).status == 200

    def invite(self, uri, *, challenged=True, **kinds):
        """Sends an INVITE, through the challenge when one is due; returns the one that is under way."""
        invite = self.request("INVITE", uri, **kinds)
        if challenged:
            challenge = self.ask(invite)
            assert challenge.status == 407, challenge
            invite = self.authorize(invite, challenge)
        return self.send(invite)

    # Registration.
    def register_request(self, *contacts, expires=None, headers=(), cseq=None, call_id=None, aor=None):
        """A REGISTER; without contacts it only asks for the bindings."""
        made = [("Contact", value) for value in contacts]
        if expires is not None:
            made.append(("Expires", str(expires)))
        return self.request(
            "REGISTER",
            f"sip:{self.domain}",
            to=f"<{aor or self.aor}>",
            from_=f"<{aor or self.aor}>;tag={self.tag}",
            call_id=call_id or self.register_call_id,
            cseq=cseq or next(self.register_cseq),
            headers=[*made, *headers],
        )

    def register(self, *contacts, expires=600, seconds=8, **kinds):
        """Registers this phone's contact, unless others are given, and answers the challenge."""
        request = self.register_request(*(contacts or (f"<{self.contact}>",)), expires=expires, **kinds)
        response = self.ask_with_digest(request, seconds)
        if response.cseq[0] > request.cseq[0]:
            next(self.register_cseq)
        return response

    def fetch(self):
        """The bindings of this user as the registrar lists them: {uri: parameters}."""
        # A Call-ID of its own: a query must not depend on the order of the updates.
        request = self.register_request(call_id=sip.new_call_id(), cseq=1)
        response = self.ask_with_digest(request)
        assert response.status == 200, response
        return bindings(response)


def is_stun(octets):
    """RFC 5626 section 4.4.2: the two top bits tell STUN from SIP."""
    return octets[:1] < b"\x40" and octets[4:8] == b"\x21\x12\xa4\x42"


def bindings(response):
    """The Contact values of a 200 to a REGISTER: {uri: parameters}."""
    return {sip.uri_of(value): sip.params_of(value) for value in response.all("Contact")}


def _credentials_for(field, name, realm):
    """Whether a header field is credentials of that kind for that realm."""
    return sip.canonical(field[0]) == name.lower() and digest.parse(field[1]).get("realm") == realm


def arrives(phones, method="INVITE", seconds=5):
    """The first request of that kind that any of these phones gets, and which of them."""
    found = []

    def came():
        for phone in phones:
            phone.pump(0.005)
            found.extend((phone, request) for request in phone.taken(method))
        return found

    assert poll(came, seconds, every=0), f"nobody got {method}"
    assert len(found) == 1, found
    return found[0]


def widen(udp):
    """A burst that comes while this process does not run must fit into the buffer: what does not is thrown away."""
    for option in (_SO_RCVBUFFORCE, socket.SO_RCVBUF):  # the first goes beyond the system's limit, for root
        with contextlib.suppress(OSError):
            udp.setsockopt(socket.SOL_SOCKET, option, _BUFFER_BYTES)
            return


def serve(phones, done, seconds=10):
    """These answer the OPTIONS that come until done() is true."""
    deadline = time.monotonic() + patience(seconds)
    while not done():
        assert time.monotonic() < deadline
        for phone in phones:
            phone.pump(0.02)
            for probe in phone.taken("OPTIONS"):
                phone.reply(probe, 200)


class Stream:
    """One TCP connection of a phone."""

    _RESET = struct.pack("ii", 1, 0)

    def __init__(self, sock):
        self.sock = sock
        self.sock.settimeout(patience(5))
        self.reader = sip.StreamReader()
        self.closed = False

    def send(self, octets):
        self.sock.sendall(octets)

    def receive(self):
        """What one read gives; an end or a reset closes the stream."""
        try:
            octets = self.sock.recv(1 << 16)
        except ConnectionError:
            octets = b""
        if not octets:
            self.close()
            return []
        return self.reader.feed(octets)

    def close(self):
        self.closed = True
        self.sock.close()

    def reset(self):
        """Ends it at once, for both directions."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, self._RESET)
        self.close()


class Dialog:
    """A dialog as RFC 3261 section 12 builds it, from the request that made it and its 2xx."""

    def __init__(self, phone, invite, response, *, caller):
        self.phone = phone
        self.response = response
        self.call_id = invite.call_id
        routes = response.all("Record-Route")
        if caller:
            self.routes = routes[::-1]
            self.local, self.remote = invite["From"], response["To"]
            self.target = sip.uri_of(response["Contact"])
            self.cseq = invite.cseq[0]
        else:
            self.routes = invite.all("Record-Route")
            self.local, self.remote = response["To"], invite["From"]
            self.target = sip.uri_of(invite["Contact"])
            self.cseq = 100
        self.invite_cseq = invite.cseq[0]

    def request(self, method, **kinds):
        if method == "ACK":
            number = self.invite_cseq
        else:
            self.cseq += 1
            number = self.cseq
        return self.phone.request(
            method,
            self.target,
            to=self.remote,
            from_=self.local,
            call_id=self.call_id,
            cseq=number,
            routes=self.routes,
            **kinds,
        )


def ring(caller, callee, uri=None, *, challenged=True, **kinds):
    """A call that rings; the INVITE as it was sent and as it arrived."""
    invite = caller.invite(uri or callee.aor, challenged=challenged, **kinds)
    arrived = callee.expect("INVITE")
    callee.reply(arrived, 180)
    caller.expect(180, branch=invite.branch)
    return invite, arrived


def answer(caller, callee, invite, arrived):
    """The callee answers, the caller acknowledges; both dialogs."""
    return confirm(caller, callee, invite, arrived, callee.reply(arrived, 200, contact=True))


def confirm(caller, callee, invite, arrived, response):
    """The 2xx reaches the caller and his ACK the callee; both dialogs."""
    near = Dialog(caller, invite, caller.expect(200, branch=invite.branch), caller=True)
    far = Dialog(callee, arrived, response, caller=False)
    caller.send(near.request("ACK"))
    callee.expect("ACK")
    return near, far


def call(caller, callee, uri=None, **kinds):
    """Sets up a call through the proxy; both dialogs."""
    return answer(caller, callee, *ring(caller, callee, uri, **kinds))


def refuse(caller, callee, invite, arrived, status=486):
    """The callee refuses, is acknowledged, and the caller hears it; the response."""
    callee.reply(arrived, status)
    assert callee.expect("ACK").branch == arrived.branch
    response = caller.final(invite)
    assert response.status == status
    return response


def cancel(caller, callee, invite, arrived):
    """The caller cancels a call that rings."""
    assert caller.ask(caller.cancel_of(invite)).status == 200
    cancelled(caller, callee, invite, arrived)


def cancelled(caller, callee, invite, arrived):
    """The CANCEL reaches the callee, and its end both."""
    reached = callee.expect("CANCEL")
    assert reached.branch == arrived.branch
    callee.reply(reached, 200)
    refuse(caller, callee, invite, arrived, 487)


def hang_up(near, far):
    """BYE from one side of a call to the other, answered 200."""
    bye = near.request("BYE")
    near.phone.send(bye)
    far.phone.reply(far.phone.expect("BYE"), 200)
    assert near.phone.final(bye).status == 200
