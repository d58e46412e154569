"""A server that answers requests with one error of S3, as it can't be had from a real one on loopback."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


@contextmanager
def refusing(status: int, code: str, *, reads: bool = False) -> Iterator[str]:
    """Run the server during the block, and give its URL; with `reads`, its bucket can be asked for, and is empty."""

    class Handler(BaseHTTPRequestHandler):
        def _refuse(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            # That of an object has the key in its path.
            is_of_bucket = self.path.partition("?")[0].strip("/").count("/") == 0
            if reads and self.command in ("GET", "HEAD") and not is_of_bucket:
                self.send_response(404)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            is_read = reads and self.command in ("GET", "HEAD")
            is_object = "/" in self.path.partition("?")[0].strip("/")
            given, said = (404, "NoSuchKey") if is_read and is_object else (200, "") if is_read else (status, code)
            answer = f"<Error><Code>{said}</Code><Message>no</Message></Error>" if said else "<ListBucketResult/>"
            body = f"<?xml version='1.0'?>{answer}".encode()
            self.send_response(given)
            self.send_header("Content-Type", "application/xml")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _refuse  # noqa: N815 - names of http.server

        def log_message(self, *_arguments: object) -> None:
            """Write nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
