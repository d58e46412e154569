"""Who may log in: persons and robots of the section `users`."""

from typing import Annotated, Any

from typing_extensions import TypedDict

from accounts.names import ACCOUNT_NAME
from configuration import converters as read
from configuration.element import REFUSED, Members, Refused, quoted
from configuration.section import Key

_USERS = "a mapping of names to users, {} for no users, or no key `users` to keep them in the admin only"
_USER_NAME = "a name of at most 128 letters, digits and . _ @ + $ -, with a letter or digit first"
_ROBOT = "true, or no such key"
_NOT_OF_ROBOTS = ("password", "superuser", "staff")


class User(TypedDict, total=False):
    """An account."""

    password: Annotated[str, read.PASSWORD, Key("A bcrypt hash.", is_secret=True)]
    robot: Annotated[
        bool, read.constant(only=True, expected=_ROBOT), Key("A machine: no password, access tokens alone.")
    ]
    owner: Annotated[str, read.GROUP, Key("The group whose members manage the tokens of the robot.")]
    superuser: Annotated[bool, read.BOOLEAN, Key("Whether everything in the admin is allowed.")]
    staff: Annotated[bool, read.BOOLEAN, Key("Whether the admin may be opened.")]
    groups: Annotated[tuple[str, ...], read.GROUPS, Key("Groups, for rules about a group.")]
    active: Annotated[bool, read.BOOLEAN, Key("Whether the account may log in.")]


def check_user(user: Members) -> None:
    """Report a person without a password, and a robot with one or with rights in the admin."""
    if "robot" not in user:
        if "password" not in user:
            user.element.below("password").report(read.PASSWORD_EXPECTED, "nothing")
        if "owner" in user:
            user.elements["owner"].report("`robot: true` beside it, or no such key")
        return
    for key in _NOT_OF_ROBOTS:
        if key in user:
            user.elements[key].report("no such key: a robot has no password, and does not administer")
    if "owner" not in user:
        user.element.below("owner").report("the name of the group whose members manage the robot", "nothing")


def check_users(given: Any) -> Any:
    """Return the section; report names that no account can have. Raises Refused."""
    if given is not REFUSED and not isinstance(given, Members):
        raise Refused(_USERS, kind="mapping")
    for name, element in given.elements.items() if isinstance(given, Members) else ():
        if ACCOUNT_NAME.fullmatch(name) is None:
            element.report(_USER_NAME, quoted(name))
    return given
