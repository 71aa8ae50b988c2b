"""Certificates made at run time: an issuer, and what it signs, as PEM files."""

import datetime
import ipaddress

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY, HOUR = datetime.timedelta(days=1), datetime.timedelta(hours=1)


def _now():
    return datetime.datetime.utcnow()


def _name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _alternative(text):
    """"URI:sip:example.test", "DNS:example.test" or "IP:127.0.0.1"."""
    kind, _, value = text.partition(":")
    if kind == "IP":
        return x509.IPAddress(ipaddress.ip_address(value))
    return {"URI": x509.UniformResourceIdentifier, "DNS": x509.DNSName}[kind](value)


class Pair:
    """A certificate and its key as files, and as the keys of the configuration that name them."""

    def __init__(self, folder, name):
        self.cert, self.key = folder / f"{name}.pem", folder / f"{name}.key"

    @property
    def settings(self):
        return {"cert": str(self.cert), "key": str(self.key)}


class Issuer:
    def __init__(self, folder, name="issuer"):
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = _name(name)
        self.cert = self._sign(self.name, self.key, _now() - DAY, _now() + 100 * DAY, None, True)
        self.path = folder / f"{name}.pem"
        self.path.write_bytes(self.cert.public_bytes(serialization.Encoding.PEM))

    def _sign(self, subject, key, begin, end, alternatives, is_issuer):
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(end)
            .add_extension(x509.BasicConstraints(ca=is_issuer, path_length=None), critical=True)
        )
        if alternatives:
            names = x509.SubjectAlternativeName([_alternative(text) for text in alternatives])
            builder = builder.add_extension(names, critical=False)
        return builder.sign(self.key, hashes.SHA256())

    def issue(self, name, *alternatives, days=90, since=-1):
        """The files name.pem and name.key, written anew when they are there; for so many whole days."""
        pair = Pair(self.folder, name)
        key = ec.generate_private_key(ec.SECP256R1())
        cert = self._sign(_name(name), key, _now() + since * DAY, _now() + days * DAY + HOUR, alternatives, False)
        pair.cert.write_bytes(cert.public_bytes(serialization.Encoding.PEM))
        pair.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return pair
