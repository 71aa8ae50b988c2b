"""A small SIP message library for tests: reads strictly what the proxy sends, writes whatever a test wants.

Text is kept as str with undecodable octets escaped (surrogateescape), so that a message read and written
again is the same octets.
"""

import os
import re

# fmt: off
COMPACT = {
    "v": "via", "f": "from", "t": "to", "i": "call-id", "m": "contact", "l": "content-length",
    "c": "content-type", "e": "content-encoding", "s": "subject", "k": "supported", "o": "event",
    "r": "refer-to", "b": "referred-by", "u": "allow-events",
}
# Headers that are comma lists; a challenge holds commas of its own and is one value a line.
LISTS = {
    "via", "route", "record-route", "contact", "path", "service-route", "supported", "unsupported", "allow",
    "require", "proxy-require",
}
# fmt: on
START_RESPONSE = re.compile(r"SIP/2\.0 ([1-6]\d\d) ([^\r\n]*)$")
START_REQUEST = re.compile(r"([!%'*+\-.`_~\w]+) (\S+) SIP/2\.0$")


class Malformed(AssertionError):
    """The proxy sent something that is no SIP message."""


def canonical(name):
    name = name.strip().lower()
    return COMPACT.get(name, name)


def split_commas(value):
    """A comma list into its members; commas in quotes and angle brackets do not count."""
    members, start, depth, quoted, i = [], 0, 0, False, 0
    while i < len(value):
        c = value[i]
        if quoted:
            if c == "\\":
                i += 1
            elif c == '"':
                quoted = False
        elif c == '"':
            quoted = True
        elif c == "<":
            depth += 1
        elif c == ">":
            depth -= 1
        elif c == "," and depth == 0:
            members.append(value[start:i].strip())
            start = i + 1
        i += 1
    members.append(value[start:].strip())
    return [member for member in members if member]


def uri_of(address):
    """The URI of a From, To, Contact, Route ... value."""
    match = re.search(r"<([^>]*)>", address)
    return match.group(1) if match else address.split(";")[0].strip()


def params_of(address):
    """The header parameters of such a value, names in lower case; a parameter without value is ''."""
    rest = (
        address.split(">", 1)[1] if ">" in address else address.partition(";")[1] + address.partition(";")[2]
    )
    found = {}
    for part in rest.split(";")[1:]:
        name, _, value = part.partition("=")
        found[name.strip().lower()] = value.strip().strip('"')
    return found


def tag_of(address):
    return params_of(address).get("tag", "")


class Message:
    """start line, header fields in order as (name, value), body in octets."""

    def __init__(self, start, headers=(), body=b""):
        self.start = start
        self.headers = list(headers)
        self.body = body
        self.raw = None
        self.source = None  # who sent it: ("udp", socket, address) or ("tcp", stream, None)

    @classmethod
    def parse(cls, raw):
        head, gap, body = raw.partition(b"\r\n\r\n")
        if not gap:
            raise Malformed(f"no end of headers in {raw!r}")
        lines = re.sub(rb"\r\n[ \t]+", b" ", head).decode("utf-8", "surrogateescape").split("\r\n")
        message = cls(lines[0])
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            if not colon or not name.strip():
                raise Malformed(f"header line without a name: {line!r} in {raw!r}")
            message.headers.append((name.strip(), value.strip()))
        if not START_RESPONSE.match(lines[0]) and not START_REQUEST.match(lines[0]):
            raise Malformed(f"start line {lines[0]!r}")
        length = message["Content-Length"]
        message.body = body if length is None else body[: int(length)]
        message.raw = raw
        return message

    def octets(self):
        """The message on the wire; Content-Length is added unless the test wrote one."""
        headers = self.headers
        if not any(canonical(name) == "content-length" for name, _ in headers):
            headers = [*headers, ("Content-Length", str(len(self.body)))]
        head = "\r\n".join([self.start, *(f"{name}: {value}" for name, value in headers), "", ""])
        return head.encode("utf-8", "surrogateescape") + self.body

    # Reading.
    @property
    def status(self):
        match = START_RESPONSE.match(self.start)
        return int(match.group(1)) if match else None

    @property
    def reason(self):
        return START_RESPONSE.match(self.start).group(2)

    @property
    def method(self):
        """Of a request; of a response, the method it answers."""
        return self.cseq[1] if self.status else self.start.split(" ")[0]

    @property
    def uri(self):
        return self.start.split(" ")[1]

    def lines(self, name):
        """The header lines of that name, as they came."""
        return [value for given, value in self.headers if canonical(given) == canonical(name)]

    def all(self, name):
        """Every value of a header, comma lists split where the header is one."""
        lines = self.lines(name)
        if canonical(name) not in LISTS:
            return lines
        return [member for line in lines for member in split_commas(line)]

    def __getitem__(self, name):
        values = self.all(name)
        return values[0] if values else None

    @property
    def cseq(self):
        number, method = self["CSeq"].split()
        return int(number), method

    @property
    def branch(self):
        return params_of(self["Via"]).get("branch", "")

    @property
    def call_id(self):
        return self["Call-ID"]

    @property
    def to_tag(self):
        return tag_of(self["To"])

    # Writing.
    def without(self, *names):
        gone = {canonical(name) for name in names}
        copy = Message(self.start, [(n, v) for n, v in self.headers if canonical(n) not in gone], self.body)
        return copy

    def with_(self, *headers):
        """A copy with further header lines."""
        return Message(self.start, [*self.headers, *headers], self.body)

    def replaced(self, name, value):
        """A copy in which the first line of that header has another value."""
        copy = Message(self.start, self.headers, self.body)
        for i, (given, _) in enumerate(copy.headers):
            if canonical(given) == canonical(name):
                copy.headers[i] = (given, value)
                return copy
        raise KeyError(name)

    def __repr__(self):
        text = (self.raw or self.octets()).decode("utf-8", "backslashreplace")
        return "\n    " + text.replace("\r\n", "\n    ")


def new_tag():
    return os.urandom(5).hex()


def new_branch():
    return "z9hG4bK" + os.urandom(7).hex()


def new_call_id():
    return os.urandom(8).hex() + "@e2e.invalid"


def response_to(request, status, reason="Because", *, to_tag=None, headers=(), body=b""):
    """A response as a UAS makes it, RFC 3261 section 8.2.6."""
    made = [(name, value) for name, value in request.headers if canonical(name) == "via"]
    if 100 < status < 300:
        made += [("Record-Route", value) for value in request.lines("Record-Route")]
    made.append(("From", request["From"]))
    to = request["To"]
    made.append(("To", f"{to};tag={to_tag}" if to_tag and not tag_of(to) else to))
    made += [("Call-ID", request["Call-ID"]), ("CSeq", request["CSeq"]), *headers]
    return Message(f"SIP/2.0 {status} {reason}", made, body)


class StreamReader:
    """Cuts a byte stream into messages and keep-alives by Content-Length."""

    def __init__(self):
        self._buffer = b""
        self.pongs = 0

    def feed(self, octets):
        self._buffer += octets
        messages = []
        while True:
            while self._buffer.startswith(b"\r\n"):
                self._buffer = self._buffer[2:]
                self.pongs += 1
            head, gap, _ = self._buffer.partition(b"\r\n\r\n")
            if not gap:
                return messages
            length = re.search(rb"(?im)^(?:content-length|l)[ \t]*:[ \t]*(\d+)", head)
            if not length:
                raise Malformed(f"no Content-Length on a stream: {head!r}")
            end = len(head) + 4 + int(length.group(1))
            if len(self._buffer) < end:
                return messages
            messages.append(Message.parse(self._buffer[:end]))
            self._buffer = self._buffer[end:]

    @property
    def rest(self):
        return self._buffer
