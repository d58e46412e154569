"""The container's health check: `python -m registry_project.healthcheck [PATH [PORT]]`.

It exits with status 0 if `GET PATH` answers 200, and prints the body, which docker keeps. Docker starts it every few
seconds, so it imports neither Django nor an HTTP client. urllib would also ask a proxy that the environment names.
"""

import socket
import sys
from collections.abc import Sequence

# Less than the timeout in the Dockerfile, so that the reason is printed.
PATIENCE_SECONDS = 8


def main(arguments: Sequence[str]) -> int:
    """Send the request, print what came back, and return the exit status."""
    path, port = (*arguments, *("/health", "5000")[len(arguments) :])
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: healthcheck\r\nConnection: close\r\n\r\n"
    try:
        with socket.create_connection(("127.0.0.1", int(port)), PATIENCE_SECONDS) as connection:
            connection.sendall(request.encode())
            answer = connection.makefile("rb").read().decode(errors="replace")
    except OSError as error:
        answer = f"{error}"
    head, _, body = answer.partition("\r\n\r\n")
    sys.stdout.write(f"{body or head}\n")
    return 0 if head.split()[1:2] == ["200"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
