"""The message of the first start."""

from configuration.first_run import FirstRun

_RULE = "=" * 78

_TEXT = """\
{rule}
This is a new registry. It wrote {path} with one administrator:

    name:      {name}
    password:  {password}

The password is shown this once; the file holds only its hash. Next:

    docker login localhost:{port} --username {name}
    docker tag alpine localhost:{port}/hello/alpine
    docker push localhost:{port}/hello/alpine

Users, rules and repositories: http://localhost:{port}/admin/
{rule}"""


def welcome(made: FirstRun, port: int) -> str:
    """Return the message with the administrator's password and the first commands."""
    return _TEXT.format(rule=_RULE, path=made.path, name=made.name, password=made.password, port=port)
