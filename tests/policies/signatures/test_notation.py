"""Signatures by notation."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from configuration.policies.trusted_keys import parse_keys
from policies.signatures.cosign import RefusedError
from policies.signatures.notation import verify_envelope
from tests.policies.signatures.signers import SCHEME, certificate, certificate_pem, envelope, public_pem

DIGEST, OTHER_DIGEST = "sha256:" + "1" * 64, "sha256:" + "2" * 64
NOW = datetime.now(UTC)
ROOT_KEY, MIDDLE_KEY, KEY = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
ROOT = certificate(ROOT_KEY, "root", is_authority=True)
MIDDLE = certificate(MIDDLE_KEY, "middle", (ROOT, ROOT_KEY), is_authority=True)
LEAF = certificate(KEY, "leaf", (MIDDLE, MIDDLE_KEY))
CHAIN = [LEAF, MIDDLE, ROOT]
KEYS = parse_keys(certificate_pem(ROOT))

# An envelope that notation 1.3.0 made on 2025-02-08, as a public article on its contents has it.
REAL = json.dumps(
    {
        "payload": "eyJ0YXJnZXRBcnRpZmFjdCI6eyJkaWdlc3QiOiJzaGEyNTY6ZjE3ZmJjN2RlYmM0ZWRhNzQ1NmRkM2FiMGMxOGMyN2Q1MDgy"
        "MWE5ODIxY2ZjYTU2MDc0MDRlNjU0Zjc2ZTY3NSIsIm1lZGlhVHlwZSI6ImFwcGxpY2F0aW9uL3ZuZC5vY2kuaW1hZ2UubWFuaWZlc3Qud"
        "jEranNvbiIsInNpemUiOjYwNX19",
        "protected": "eyJhbGciOiJQUzI1NiIsImNyaXQiOlsiaW8uY25jZi5ub3Rhcnkuc2lnbmluZ1NjaGVtZSJdLCJjdHkiOiJhcHBsaWNhdGlv"
        "bi92bmQuY25jZi5ub3RhcnkucGF5bG9hZC52MStqc29uIiwiaW8uY25jZi5ub3Rhcnkuc2lnbmluZ1NjaGVtZSI6Im5vdGFyeS54NTA5I"
        "iwiaW8uY25jZi5ub3Rhcnkuc2lnbmluZ1RpbWUiOiIyMDI1LTAyLTA4VDE3OjQxOjAyKzA4OjAwIn0",
        "header": {
            "x5c": [
                "MIIDSjCCAjKgAwIBAgIBfzANBgkqhkiG9w0BAQsFADBUMQswCQYDVQQGEwJVUzELMAkGA1UECBMCV0ExEDAOBgNVBAcTB1NlYXR0bG"
                "UxDzANBgNVBAoTBk5vdGFyeTEVMBMGA1UEAxMMeW95by1kdWFuLmlvMB4XDTI1MDIwODA5MzkwOVoXDTI1MDIwOTA5MzkwOVowVDEL"
                "MAkGA1UEBhMCVVMxCzAJBgNVBAgTAldBMRAwDgYDVQQHEwdTZWF0dGxlMQ8wDQYDVQQKEwZOb3RhcnkxFTATBgNVBAMTDHlveW8tZH"
                "Vhbi5pbzCCASIwDQYJKoZIhvcNAQEBBQADggEPADCCAQoCggEBANu3ZSuxBE2JCktDKhuMOx0lCFEfJmAsIH+rPY2Av9vkNv6b8uAU"
                "ZIFFXLwoPpRb7xHthCUp6zbTcDUKKdZkR5nhVhcZOJuuCJUyFi6vthDO2B81JQjlLKkrD2HJH8B/GSCjnJvSFnQKpFJbUxKUpTbqgt"
                "0VCux5hw6lSroRe7WdDMD7i/8a/e9JxLCNOf4k0bvGEHhpus0GdmF+LKFYeYnyuCB4mQ60rwGay72PSLpsWCHEKEFHQCFzvawq2v4y"
                "OYvgugGB4d9CBWI/7iuq82EZnWX3zt1+NjIeUb6GMSJ3OldfejdaOtNusAsJ9Vp+jXlqPdduRVDKpmxnIgTQPzMCAwEAAaMnMCUwDg"
                "YDVR0PAQH/BAQDAgeAMBMGA1UdJQQMMAoGCCsGAQUFBwMDMA0GCSqGSIb3DQEBCwUAA4IBAQAdsM6Q6jlVDyHYEDCv7L0F8pHvAmN1"
                "FyBAoieJ9bNssD1ZC9r6jK+6URlwA+C/NUHjBRbGdBGtnI6yENkAjc9WGv/H4TOKwMVUxkQyKp5XsPoCqFdJk/NUjhptlv47NRCXTP"
                "kQOjth+mRLgw0nZD9u0dhFXPs4ybWqN4l6Ne5g8IhLSr0VnILgPRR3YI0BK2TIzDKmEQddjEwpPPhks6LZKJ8QvpIFAgT59IgT6KaA"
                "bv2KNCfm+M6z5WH9YtLP/7br95JZARjNmqrN80u0lyBYCYECg/Xq9tc0qFLc088E3W6BMz4q7IAp84h+HvbsIWyoD8jpwoGKHqCW/3"
                "hnJTxG"
            ]
        },
        "signature": "1_18FOc2U3efzeoTr6P4XYPd7yf7P649j1XZ4ayUa5ONxVXC4zxXHtQjI5zLqIhtwAfe_RFNRNbVjQ-fsaAtmue9AJxx12Qr"
        "xuY1btZJ-YFgO_l0ifkUUgP907w4ZjqxwchoYFmrsV34t-0T4G1ULgTjOGEL3hxIyQNjHWkQKEWlZ4_MIESysybilBiBZLe31ccbZc4aN"
        "Zq9dSKqhNAXKcQIYywyuj4aaiRCnG-SD-56dzGpcEWE7HUKBa4iUe2HyUtp9N4SYOFyQChzH7nYtE_KgQqg6lygEVmuNFbL6tSvrtSq3t"
        "2TC6N8PBHYANLTxC9HaMi_FzWpplJvDM2Q8g",
    }
)
REAL_DIGEST = "sha256:f17fbc7debc4eda7456dd3ab0c18c27d50821a9821cfca5607404e654f76e675"
REAL_DAY = datetime(2025, 2, 8, 12, tzinfo=UTC)
REAL_KEYS = parse_keys(
    f"-----BEGIN CERTIFICATE-----\n{json.loads(REAL)['header']['x5c'][0]}\n-----END CERTIFICATE-----"
)


def test_an_envelope_that_notation_made_counts_until_its_certificate_ends() -> None:
    until = verify_envelope(REAL.encode(), REAL_DIGEST, REAL_KEYS, REAL_DAY)
    assert until == datetime(2025, 2, 9, 9, 39, 9, tzinfo=UTC)


def test_it_does_not_count_a_day_later() -> None:
    with pytest.raises(RefusedError, match="not valid now, but until 2025-02-09 09:39 UTC"):
        verify_envelope(REAL.encode(), REAL_DIGEST, REAL_KEYS, REAL_DAY + timedelta(days=1))


def test_a_changed_letter_of_its_payload_or_header_is_noticed() -> None:
    for part in ("payload", "protected"):
        changed = json.loads(REAL)
        changed[part] = changed[part][:-2] + ("A" if changed[part][-2] != "A" else "B") + changed[part][-1]
        with pytest.raises(RefusedError):
            verify_envelope(json.dumps(changed).encode(), REAL_DIGEST, REAL_KEYS, REAL_DAY)


@pytest.mark.parametrize("trusted", [ROOT, MIDDLE, LEAF], ids=["root", "intermediate", "leaf"])
def test_a_chain_to_a_trusted_certificate_counts(trusted: Any) -> None:
    verify_envelope(envelope(KEY, CHAIN, DIGEST), DIGEST, parse_keys(certificate_pem(trusted)), NOW)


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        (ec.generate_private_key(ec.SECP384R1()), "ES384"),
        (ec.generate_private_key(ec.SECP521R1()), "ES512"),
        (rsa.generate_private_key(65537, 3072), "PS384"),
    ],
    ids=["P-384", "P-521", "RSA 3072"],
)
def test_the_algorithm_follows_from_the_key(key: Any, algorithm: str) -> None:
    leaf = certificate(key, "leaf")
    made = envelope(key, [leaf], DIGEST, algorithm=algorithm)
    verify_envelope(made, DIGEST, parse_keys(certificate_pem(leaf)), NOW)


def test_one_that_expires_counts_until_then() -> None:
    expiry = {"io.cncf.notary.expiry": (NOW + timedelta(hours=1)).isoformat()}
    crit = [SCHEME, "io.cncf.notary.expiry"]
    until = verify_envelope(envelope(KEY, CHAIN, DIGEST, crit=crit, **expiry), DIGEST, KEYS, NOW)
    assert until == NOW + timedelta(hours=1)


STRANGER = certificate(KEY, "stranger")
IMPOSTOR = certificate(KEY, "impostor", (LEAF, KEY))
EXPIRED = certificate(KEY, "old", (ROOT, ROOT_KEY), begins_at=NOW - timedelta(days=400))
SERVER = certificate(KEY, "server", (ROOT, ROOT_KEY), usages=[ExtendedKeyUsageOID.SERVER_AUTH])
FORGED = certificate(KEY, "forged", (ROOT, KEY))


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (envelope(KEY, CHAIN, OTHER_DIGEST), "another digest"),
        (envelope(KEY, [STRANGER], DIGEST), "lead to none that is trusted"),
        (envelope(KEY, [LEAF], DIGEST), "lead to none that is trusted"),
        (envelope(KEY, [LEAF, ROOT], DIGEST), "not issued by the next"),
        (envelope(KEY, [FORGED, ROOT], DIGEST), "not issued by the next"),
        (envelope(KEY, [IMPOSTOR, LEAF, MIDDLE, ROOT], DIGEST), "no authority"),
        (envelope(KEY, [EXPIRED, ROOT], DIGEST), "not valid now"),
        (envelope(KEY, [SERVER, ROOT], DIGEST), "not for signing code"),
        (envelope(ROOT_KEY, CHAIN, DIGEST), "another key"),
        (envelope(KEY, CHAIN, DIGEST, algorithm="none"), "algorithm is not ES256"),
        (envelope(KEY, CHAIN, DIGEST, alg="HS256"), "algorithm is not ES256"),
        (envelope(KEY, CHAIN, DIGEST, alg=["ES256"]), "algorithm is not ES256"),
        (envelope(KEY, [], DIGEST), "no chain"),
        (envelope(KEY, [LEAF] * 11, DIGEST), "no chain of at most 10"),
        (envelope(KEY, CHAIN, DIGEST, cty="text/plain"), "scheme is not notary.x509"),
        (envelope(KEY, CHAIN, DIGEST, **{SCHEME: "notary.x509.signingAuthority"}), "scheme is not notary.x509"),
        (envelope(KEY, CHAIN, DIGEST, crit=None), "no list of critical"),
        (envelope(KEY, CHAIN, DIGEST, crit=[SCHEME, "org.example.more"]), "demands to understand 'org.example.more'"),
        (envelope(KEY, CHAIN, DIGEST, **{"io.cncf.notary.signingTime": "today"}), "time that can't be read"),
        (envelope(KEY, CHAIN, DIGEST, **{"io.cncf.notary.expiry": "2026-01-01T00:00:00Z"}), "it expired at 2026-01-01"),
        (envelope(KEY, CHAIN, DIGEST, content=b"[]"), "no JSON object"),
        (envelope(KEY, CHAIN, DIGEST, content=b"{}"), "another digest"),
        (b"{}", "no chain"),
        (b'{"header":{"x5c":["AAAA"]}}', "can't be read"),
        (b'{"header":{"x5c":[7]}}', "no base64"),
    ],
)
def test_an_envelope_that_does_not_count_says_why(made: Any, message: str) -> None:
    with pytest.raises(RefusedError, match=message):
        verify_envelope(made, DIGEST, KEYS, NOW)


def test_a_policy_with_public_keys_alone_says_that_it_needs_a_certificate() -> None:
    with pytest.raises(RefusedError, match="no certificate"):
        verify_envelope(envelope(KEY, CHAIN, DIGEST), DIGEST, parse_keys(public_pem(KEY)), NOW)
