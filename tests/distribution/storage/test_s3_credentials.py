"""Credentials for S3 that end while the registry runs, as those of a role whose service fails."""

import pytest
from botocore.credentials import Credentials, ReadOnlyCredentials
from botocore.exceptions import CredentialRetrievalError
from pytest_django import Settings

from tests.caller import Caller, error_codes
from tests.images import push_blob
from tests.s3.servers import S3Server

pytestmark = pytest.mark.django_db


def test_a_url_that_can_not_be_signed_is_503(
    alice: Caller, seaweedfs: S3Server, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = seaweedfs.options(seaweedfs.make_bucket("credentials"))
    backend = {"BACKEND": "distribution.storage.s3.RegistryS3Storage", "OPTIONS": options}
    settings.STORAGES = settings.STORAGES | {"blobs": backend}
    path = f"/v2/alice/app/blobs/{push_blob(alice, 'alice/app', b'a layer')}"
    # S3 is not asked for the object again.
    assert alice.get(path).status_code == 307

    def fail(_self: Credentials) -> ReadOnlyCredentials:
        raise CredentialRetrievalError(provider="iam-role", error_msg="no answer")

    monkeypatch.setattr(Credentials, "get_frozen_credentials", fail)
    refused = alice.get(path)

    assert (refused.status_code, error_codes(refused)) == (503, ["UNAVAILABLE"])
