"""Run a transaction that removes what a client names, and know its own removal when it runs again."""

from collections.abc import Callable
from http import HTTPStatus
from typing import ParamSpec, TypeVar

from core.api.errors import RegistryError
from core.db import transactions

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def run(operation: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
    """Return what `transactions.run` returns; what an earlier attempt has removed is not unknown to a later one.

    The answer to a COMMIT may get lost though it was made: the next attempt finds nothing any more, which is what
    the client has asked for. Raises what `transactions.run` raises.
    """
    removed: list[Result] = []

    def attempt() -> Result:
        try:
            removed.append(operation(*args, **kwargs))
        except RegistryError as error:
            if not removed or error.code.status != HTTPStatus.NOT_FOUND:
                raise
        return removed[-1]

    return transactions.run(attempt)
