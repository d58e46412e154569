"""What a process remembers of logins; a test forgets it where a process that was just started would know nothing."""

from accounts import authentication
from accounts.throttling import known_networks, throttle


def forget_passwords() -> None:
    """Let the next login check its password again."""
    authentication._verified.clear()
    authentication._refused.clear()


def forget_logins() -> None:
    """Forget passwords, known networks, and the failures that no database holds."""
    forget_passwords()
    throttle._unstored._times.clear()
    known_networks._stored.clear()
    known_networks._unstored.clear()
