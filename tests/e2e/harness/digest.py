"""The client's half of digest authentication: RFC 7616, the algorithms of RFC 8760, RFC 2069 without qop."""

import hashlib
import os
import re

HASHES = {"MD5": "md5", "SHA-256": "sha256", "SHA-512-256": "sha512_256"}


def parse(value):
    """'Digest a=b, c="d"' as a dictionary with lower-case names; the scheme under ''."""
    scheme, _, rest = value.strip().partition(" ")
    fields = {"": scheme}
    for name, quoted, plain in re.findall(r'([\w-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,]*))', rest):
        fields[name.lower()] = re.sub(r"\\(.)", r"\1", quoted) if quoted else plain
    return fields


def challenges(response):
    """Every Digest challenge of a 401 or 407, in order."""
    name = "WWW-Authenticate" if response.status == 401 else "Proxy-Authenticate"
    return [parse(value) for value in response.all(name) if value.strip().lower().startswith("digest")]


def credentials(challenge, method, uri, user, password, *, nc=1, cnonce=None, damage=None):
    """The value of Authorization or Proxy-Authorization. damage replaces fields after the hash was made; None
    leaves one out."""
    algorithm = challenge.get("algorithm", "MD5")

    def digest(text):
        return hashlib.new(HASHES[algorithm], text.encode()).hexdigest()

    ha1 = digest(f"{user}:{challenge['realm']}:{password}")
    ha2 = digest(f"{method}:{uri}")
    fields = {
        "username": f'"{user}"',
        "realm": f'"{challenge["realm"]}"',
        "nonce": f'"{challenge["nonce"]}"',
        "uri": f'"{uri}"',
    }
    if "algorithm" in challenge:
        fields["algorithm"] = algorithm
    if "opaque" in challenge:
        fields["opaque"] = f'"{challenge["opaque"]}"'
    if "qop" in challenge:
        cnonce = cnonce or os.urandom(8).hex()
        count = f"{nc:08x}"
        fields |= {"qop": "auth", "nc": count, "cnonce": f'"{cnonce}"'}
        answer = digest(f"{ha1}:{challenge['nonce']}:{count}:{cnonce}:auth:{ha2}")
    else:
        answer = digest(f"{ha1}:{challenge['nonce']}:{ha2}")
    fields["response"] = f'"{answer}"'
    fields = {name: value for name, value in (fields | (damage or {})).items() if value is not None}
    return "Digest " + ", ".join(f"{name}={value}" for name, value in fields.items())
