"""Tokens that nobody issued: any header and any claims, signed by whichever key."""

import base64
import json
import time
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from jwt.utils import der_to_raw_signature

from tokens.keys import ring
from tokens.keys.signing_key import PrivateKey

CHANGE = dict[str, Any]


def claims(**changes: Any) -> CHANGE:
    """Return the claims of a sound token of bob for alice/app, with `changes`; None takes a claim away."""
    now = int(time.time())
    sound = {
        "iss": "registry-auth-server",
        "sub": "bob",
        "aud": "Docker Registry",
        "exp": now + 600,
        "nbf": now,
        "iat": now,
        "jti": "an identifier",
        "access": [{"type": "repository", "name": "alice/app", "actions": ["pull"]}],
    }
    return {name: value for name, value in (sound | changes).items() if value is not None}


def header(**changes: Any) -> CHANGE:
    """Return the header of a sound token, with `changes`; None takes a member away."""
    sound = {"alg": ring.current().active.algorithm, "typ": "JWT", "kid": ring.current().active.kid}
    return {name: value for name, value in (sound | changes).items() if value is not None}


def signing_input(head: object, body: object) -> str:
    """Return what is signed: header and claims, encoded."""
    return f"{encoded(json.dumps(head).encode())}.{encoded(json.dumps(body).encode())}"


def signed(body: object, head: object = None, key: PrivateKey | None = None) -> str:
    """Return a token with a right signature of the registry's key, or of `key`."""
    message = signing_input(header() if head is None else head, body)
    private = ring.current().active.signing if key is None else key
    return f"{message}.{encoded(signature(private, message.encode()))}"


def signature(key: PrivateKey, message: bytes) -> bytes:
    """Return the signature of RS256 or ES256, by the kind of the key."""
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(message, padding.PKCS1v15(), hashes.SHA256())
    return der_to_raw_signature(key.sign(message, ec.ECDSA(hashes.SHA256())), key.curve)


def encoded(data: bytes) -> str:
    """Return base64url without padding (RFC 7515)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decoded(text: str) -> bytes:
    """Return what `encoded` encoded."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
