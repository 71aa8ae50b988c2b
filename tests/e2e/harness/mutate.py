"""A seeded mutator of SIP messages, fast enough to feed a proxy 20,000 a second from one process.

Nothing it makes may reach beyond the loopback network: every numeric address in the seeds is replaced before.
"""

import random
import re

from .env import SHARED

# fmt: off
TOKENS = [
    b"\r\n", b"\r\n ", b"\n", b"\r", b"\0", b"\t", b";;", b",,", b";", b",", b'"', b"\\", b"<", b">",
    b"<>", b"::", b"[", b"]", b"[::", b"@", b"@@", b"%", b"%0", b"%00", b"%zz", b"=", b"?", b"SIP/2.0",
    b"z9hG4bK", b"sip:", b"sips:", b"tel:+1", b"*", b"-1", b"0", b"00000000000000000001", b"255", b"256",
    b"4294967295", b"4294967296", b"2147483648", b"9" * 40, b"1e9", b"\xff", b"\xc0\x80",
    b"\xf0\x9f\x98\x80", b";tag=", b";branch=", b";rport", b";rport=0", b";rport=99999", b";lr",
    b";maddr=", b";received=", b";ttl=256", b"Content-Length: 5\r\n", b"l: 0\r\n", b"Via: \r\n",
    b"Route: <sip:", b"Max-Forwards: 0\r\n", b"Proxy-Require: x\r\n", b'Authorization: Digest username="',
    b'Proxy-Authorization: Digest nonce="', b"Contact: *\r\n", b"From: ", b"To: ",
    b"CSeq: 4294967296 INVITE\r\n", b"Expires: -1\r\n", b"INVITE ", b"ACK ", b"CANCEL ", b"REGISTER ",
]
# fmt: on
_IPV4 = re.compile(rb"\b\d{1,3}(?:\.\d{1,3}){3}\b")
_DIGITS = re.compile(rb"\d+")
_IPV6 = re.compile(rb"\[[0-9a-fA-F:.]*\]")


def seeds(own, address):
    """Our own messages, the torture messages, those of real captures; with every address made `address`."""
    found = list(own)
    for pattern in ("torture/**/*.dat", "corpus/**/*.sip"):
        found += [path.read_bytes() for path in sorted(SHARED.glob(pattern))]
    return [_IPV6.sub(address, _IPV4.sub(address, seed)) for seed in found if len(seed) < 8000]


class Mutator:
    def __init__(self, messages, seed):
        self.messages = messages
        self.lines = [line + b"\r\n" for message in messages for line in message.split(b"\r\n")[1:] if line]
        self._random = random.Random(seed).random

    def _below(self, limit):
        return int(self._random() * limit)

    def next(self):
        """One more message: mostly damaged, sometimes whole."""
        message = self.messages[self._below(len(self.messages))]
        while self._random() < 0.75 and message:
            message = self._OPERATIONS[self._below(len(self._OPERATIONS))](self, message)
        return message[:65000] or b"\r\n"

    # Each operation takes a message and returns another.
    def _flip(self, message):
        at = self._below(len(message))
        return message[:at] + bytes((message[at] ^ (1 << self._below(8)),)) + message[at + 1 :]

    def _put_octet(self, message):
        at = self._below(len(message))
        return message[:at] + bytes((self._below(256),)) + message[at + 1 :]

    def _insert_token(self, message):
        at = self._below(len(message))
        return message[:at] + TOKENS[self._below(len(TOKENS))] + message[at:]

    def _replace_by_token(self, message):
        at = self._below(len(message))
        return message[:at] + TOKENS[self._below(len(TOKENS))] + message[at + self._below(12) :]

    def _cut(self, message):
        at = self._below(len(message))
        return message[:at] + message[at + 1 + self._below(20) :]

    def _truncate(self, message):
        return message[: self._below(len(message))]

    def _repeat(self, message):
        at, size = self._below(len(message)), self._below(30)
        return message[:at] + message[at : at + size] * self._below(40) + message[at:]

    def _insert_line(self, message):
        at = message.find(b"\r\n", self._below(len(message))) + 2
        return message[:at] + self.lines[self._below(len(self.lines))] + message[at:]

    def _drop_line(self, message):
        start = message.find(b"\r\n", self._below(len(message)))
        end = message.find(b"\r\n", start + 2)
        return message[:start] + message[end:] if 0 <= start < end else message

    def _double_line(self, message):
        start = message.find(b"\r\n", self._below(len(message)))
        end = message.find(b"\r\n", start + 2)
        return message[:end] + message[start:end] + message[end:] if 0 <= start < end else message

    def _splice(self, message):
        other = self.messages[self._below(len(self.messages))]
        return message[: self._below(len(message))] + other[self._below(len(other)) :]

    def _number(self, message):
        """Puts an extreme figure where digits are."""
        at = self._below(len(message))
        match = _DIGITS.search(message, at)
        if not match:
            return message
        extremes = (
            b"0",
            b"-1",
            b"65536",
            b"4294967296",
            b"18446744073709551616",
            b"9" * 60,
            b"00000" + match.group(),
        )
        return message[: match.start()] + extremes[self._below(len(extremes))] + message[match.end() :]

    def _stretch(self, message):
        at = self._below(len(message))
        return message[:at] + bytes((message[at],)) * (1 << self._below(14)) + message[at:]

    _OPERATIONS = (
        _flip,
        _flip,
        _put_octet,
        _insert_token,
        _insert_token,
        _replace_by_token,
        _cut,
        _truncate,
        _repeat,
        _insert_line,
        _drop_line,
        _double_line,
        _splice,
        _number,
        _stretch,
    )
