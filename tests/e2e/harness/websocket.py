"""The client's side of a WebSocket (RFC 6455) on a plain socket, and a phone that speaks SIP over it (RFC 7118).

Written out rather than taken from a library, so that a test can break every rule of it.
"""

import base64
import hashlib
import os
import re
import socket
import ssl
import subprocess

from . import sip
from .env import patience
from .phone import Phone, Stream
from .sip import Message

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
FIN = 0x80


class Refused(Exception):
    """The answer to the opening handshake was not 101."""

    def __init__(self, answer):
        super().__init__(answer.head)
        self.status, self.fields, self.answer = answer.status, answer.fields, answer


class Answer:
    """The head of an HTTP response."""

    def __init__(self, octets):
        self.head = octets.decode("latin-1")
        self.status = int(self.head.split(" ")[1])
        lines = self.head.split("\r\n")[1:]
        self.fields = {name.lower(): value.strip() for name, _, value in (l.partition(":") for l in lines) if name}


def frame(opcode, payload=b"", *, fin=True, masked=True, bits=0):
    """RFC 6455 section 5.2."""
    head = bytes([(FIN if fin else 0) | bits | opcode])
    mask_bit = 0x80 if masked else 0
    if len(payload) < 126:
        head += bytes([mask_bit | len(payload)])
    elif len(payload) < 65536:
        head += bytes([mask_bit | 126]) + len(payload).to_bytes(2, "big")
    else:
        head += bytes([mask_bit | 127]) + len(payload).to_bytes(8, "big")
    if not masked:
        return head + payload
    mask = os.urandom(4)
    return head + mask + bytes(octet ^ mask[i % 4] for i, octet in enumerate(payload))


class WebSocket(Stream):
    """One connection that has been upgraded. send() takes a SIP message; receive() gives those that came."""

    def __init__(self, sock, *, kind=TEXT, answers_pings=True, **request):
        super().__init__(sock)
        self.kind, self.answers_pings = kind, answers_pings
        self.frames = []  # (opcode, payload) of all that came
        self.close_code = None
        self._rest = b""
        self._message = None
        self.answer = self._shake_hands(**request)

    def _shake_hands(self, *, path="/", origin=None, protocol="sip", fields=None, method="GET", version="HTTP/1.1"):
        key = base64.b64encode(os.urandom(16))
        wanted = {
            "Host": "sip.example.test",
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Key": key.decode(),
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Protocol": protocol,
            "Origin": origin,
            **(fields or {}),
        }
        lines = [f"{name}: {value}\r\n" for name, value in wanted.items() if value is not None]
        self.sock.sendall(f"{method} {path} {version}\r\n{''.join(lines)}\r\n".encode())
        octets = b""
        while b"\r\n\r\n" not in octets:
            got = self.sock.recv(4096)
            assert got, f"the proxy closed in the opening handshake after {octets!r}"
            octets += got
        head, _, self._rest = octets.partition(b"\r\n\r\n")
        answer = Answer(head)
        if answer.status != 101:
            answer.body = self._rest
            raise Refused(answer)
        proof = base64.b64encode(hashlib.sha1(key + GUID).digest()).decode()
        assert answer.fields["sec-websocket-accept"] == proof
        assert answer.fields["sec-websocket-protocol"] == "sip"
        assert answer.fields["upgrade"].lower() == "websocket"
        return answer

    # Sending.
    def send(self, octets):
        self.sock.sendall(frame(self.kind, octets))

    def send_frame(self, *args, **kinds):
        self.sock.sendall(frame(*args, **kinds))

    # Receiving.
    def receive(self):
        try:
            octets = self.sock.recv(1 << 16)
            while isinstance(self.sock, ssl.SSLSocket) and self.sock.pending():
                octets += self.sock.recv(1 << 16)
        except ConnectionError:
            octets = b""
        if not octets:
            self.close()
        self._rest += octets
        return [Message.parse(payload) for payload in self._take_frames() if payload.strip(b"\r\n")]

    def _take_frames(self):
        while not self.closed or self._rest:
            parted = self._take_frame()
            if not parted:
                return
            opcode, payload = parted
            self.frames.append(parted)
            if opcode in (TEXT, BINARY):
                if opcode == TEXT:
                    payload.decode("utf-8")  # "the whole message MUST be sent within a WebSocket binary message"
                yield payload
            elif opcode == PING and self.answers_pings:
                self.send_frame(PONG, payload)
            elif opcode == CLOSE:
                self.close_code = int.from_bytes(payload[:2], "big") if payload else 1005

    def _take_frame(self):
        """(opcode, payload) of the first whole frame; a server neither masks nor, this one, fragments."""
        rest = self._rest
        if len(rest) < 2:
            return None
        assert not rest[1] & 0x80, "a server must not mask (RFC 6455 section 5.1)"
        assert rest[0] & FIN and not rest[0] & 0x70
        length, start = rest[1], 2
        if length >= 126:
            start = 4 if length == 126 else 10
            if len(rest) < start:
                return None
            length = int.from_bytes(rest[2:start], "big")
        if len(rest) < start + length:
            return None
        self._rest = rest[start + length :]
        return rest[0] & 0x0F, rest[start : start + length]

    def count(self, opcode):
        return sum(kind == opcode for kind, _ in self.frames)


class WebPhone(Phone):
    """A phone in a browser: one WebSocket, and a host that does not exist (RFC 7118 appendix B.1)."""

    def __init__(self, proxy, user="anonymous", *, transport="ws", kind=TEXT, origin=None, path="/", **options):
        self.name = f"{os.urandom(6).hex()}.invalid"
        self.kind, self.origin, self.path = kind, origin, path
        super().__init__(proxy, user, transport=transport, listen_tcp=False, **options)

    @property
    def hostport(self):
        return self.name

    @property
    def contact(self):
        return f"sip:{self.user}@{self.name};transport=ws"

    def request(self, method, uri, *, branch=None, via=None, **parts):
        sent_by = f"SIP/2.0/{self.transport.upper()} {self.name}"
        via = via or f"{sent_by};branch={branch or sip.new_branch()}"
        return super().request(method, uri, via=via, **parts)

    def connect(self, **request):
        made = {"kind": self.kind, "origin": self.origin, "path": self.path, **request}
        return self._adopt_stream(WebSocket(self.open_socket(), **made))

    def open_socket(self):
        """Connected to the proxy, with TLS for wss; the opening handshake is still to come."""
        sock = socket.create_connection(self.proxy_address(), timeout=patience(5))
        if self.transport != "wss":
            return sock
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context.wrap_socket(sock, server_hostname=self.domain)

    def _adopt_stream(self, stream):
        self._streams[stream.sock.fileno()] = stream
        return stream


def certificate(folder):
    """A key and a certificate of its own for it; nobody here looks whose it is."""
    key, cert = folder / "tls.key", folder / "tls.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=example.test"
    command += f" -addext subjectAltName=DNS:example.test,IP:127.0.0.1 -keyout {key} -out {cert}"
    subprocess.run(command.split(), check=True, capture_output=True)
    return {"certificates": [{"cert": str(cert), "key": str(key)}]}


def route_uris(message):
    """The URIs of Record-Route, each as (scheme, user, host and port, parameters)."""
    found = []
    for value in message.all("Record-Route"):
        parts = re.match(r"<(sips?):(?:([^@>]*)@)?([^;>]*)((?:;[^>]*)?)>", value)
        found.append((parts[1], parts[2], parts[3], parts[4].split(";")[1:]))
    return found
