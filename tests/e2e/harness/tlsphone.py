"""A phone on TLS: like Phone, its connection to the proxy wrapped, and those that come to its own port too."""

import contextlib
import socket
import ssl

from .env import patience
from .phone import Phone, Stream


class TlsStream(Stream):
    def receive(self):
        """All records that have come: what the library holds, no poll tells about."""
        messages = []
        try:
            while True:
                octets = self.sock.recv(1 << 16)
                if not octets:
                    self.close()
                    break
                messages += self.reader.feed(octets)
                if not self.sock.pending():
                    break
        except (ConnectionError, ssl.SSLError):
            self.close()
        return messages


class TlsPhone(Phone):
    """issuer: whom it believes. pair: its own certificate, or None. name: whom the proxy must prove to be, which is
    the domain when none is given. serve: it takes connections, and must have a certificate for that."""

    def __init__(self, proxy, user="anonymous", *, issuer, pair=None, name=None, serve=False, **kinds):
        super().__init__(proxy, user, transport="tls", listen_tcp=serve, **kinds)
        self.name = name or proxy.domain
        self.session = None
        self.client = ssl.create_default_context(cafile=str(issuer.path))
        self.client.minimum_version = ssl.TLSVersion.TLSv1_2
        self.server = None
        if pair:
            self.client.load_cert_chain(pair.cert, pair.key)
        if serve:
            self.server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(issuer.path))
            self.server.load_cert_chain(pair.cert, pair.key)
        self.refusals = []  # what went wrong with connections that came to it

    def connect(self):
        sock = socket.socket(self._family, socket.SOCK_STREAM)
        sock.bind((self.host, 0))
        sock.settimeout(patience(5))
        sock.connect(self.proxy.address(self._family, "tls"))
        try:
            wrapped = self.client.wrap_socket(sock, server_hostname=self.name, session=self.session)
        except BaseException:
            sock.close()
            raise
        return self._adopt(wrapped)

    def _adopt(self, sock):
        stream = TlsStream(sock)
        self._streams[sock.fileno()] = stream
        return stream

    def _take_connection(self):
        sock, _ = self.listener.accept()
        sock.settimeout(patience(5))
        try:
            self._adopt(self.server.wrap_socket(sock, server_side=True))
        except (ssl.SSLError, OSError) as refusal:
            self.refusals.append(refusal)
            with contextlib.suppress(OSError):
                sock.close()
