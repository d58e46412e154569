"""Hashes with a serializable state, so that the next request resumes hashing where the last one stopped.

hashlib hides its state. libcrypto's SHA-2 keeps it in one plain structure, which its public headers have declared
unchanged since OpenSSL 0.9.8, and is as fast. Without such a libcrypto, hashlib computes and no state is stored: the
digest then takes another pass over the bytes.
"""

import ctypes
import hashlib
import importlib
import sys
from dataclasses import dataclass
from typing import Any

from distribution.protocol.digest import RunningHash, new_hash

_SIZE_BYTES = 8


@dataclass(frozen=True, slots=True)
class _Function:
    """A hash function of libcrypto, and the bytes of its digest and of its structure."""

    name: str
    library: ctypes.CDLL
    digest_bytes: int
    state_bytes: int

    def call(self, step: str, *arguments: Any) -> None:
        """Call `Init`, `Update` or `Final`. Raises OSError when libcrypto refuses."""
        if not getattr(self.library, f"{self.name}_{step}")(*arguments):
            raise OSError(f"libcrypto: {self.name}_{step} failed")

    @property
    def tag(self) -> bytes:
        """Return the prefix of this function's states; those of other functions and platforms differ."""
        return f"{self.name} libcrypto {sys.byteorder} {self.state_bytes}:".encode()


class ResumableHash:
    """A running hash by libcrypto, new or resumed from `state`, which covers `size` bytes."""

    def __init__(self, function: _Function, state: bytes | None = None, size: int = 0) -> None:
        self._function = function
        self._state = ctypes.create_string_buffer(state or b"", function.state_bytes)
        # Made once: making a pointer takes as long as the call.
        self._pointer = ctypes.byref(self._state)
        self._update = getattr(function.library, f"{function.name}_Update")
        self._size = size
        if state is None:
            function.call("Init", self._state)

    def update(self, payload: bytes | bytearray | memoryview, /) -> None:
        """Add bytes, without copying them when they are `bytes` or writable."""
        size = len(payload)
        if not size:
            return
        start: Any
        try:
            start = ctypes.byref(ctypes.c_char.from_buffer(payload))
        except TypeError:
            # Read-only; bytes are passed without a copy.
            start = bytes(payload)
        if not self._update(self._pointer, start, size):
            raise OSError(f"libcrypto: {self._function.name}_Update failed")
        self._size += size

    def hexdigest(self) -> str:
        """Return the hash of all bytes added so far, in lowercase hexadecimal."""
        # Final destroys its state.
        ended = ctypes.create_string_buffer(self._state.raw, self._function.state_bytes)
        digest = ctypes.create_string_buffer(self._function.digest_bytes)
        self._function.call("Final", digest, ended)
        return digest.raw.hex()

    def state(self) -> bytes:
        """Return the state, as `resume` takes it."""
        return self._function.tag + self._size.to_bytes(_SIZE_BYTES) + self._state.raw


def start(algorithm: str) -> RunningHash:
    """Return an empty running hash for one of ALGORITHMS, by libcrypto if possible."""
    function = _functions.get(algorithm)
    return new_hash(algorithm) if function is None else ResumableHash(function)


def state_of(running: RunningHash | None) -> bytes | None:
    """Return the serialized state of a running hash, None when it has none."""
    return running.state() if isinstance(running, ResumableHash) else None


def resume(state: bytes | None, algorithm: str, size: int) -> RunningHash | None:
    """Return the running hash of the first `size` bytes, None when `state` is not its state on this platform."""
    function = _functions.get(algorithm)
    if state is None or function is None:
        return None
    head = function.tag + size.to_bytes(_SIZE_BYTES)
    if not state.startswith(head) or len(state) != len(head) + function.state_bytes:
        return None
    return ResumableHash(function, state[len(head) :], size)


def _load() -> dict[str, _Function]:
    """Return the functions of hashlib's own libcrypto, none when it lacks one."""
    found: dict[str, _Function] = {}
    try:
        module = importlib.import_module("_hashlib")
        if module.get_fips_mode():
            # These functions bypass the certified module.
            return {}
        # Through the module that is linked with it: no search for a library, and no second one in the process.
        library = ctypes.CDLL(getattr(module, "__file__", None))
        pointer, size = ctypes.c_void_p, ctypes.c_size_t
        steps = (("Init", [pointer]), ("Update", [pointer, pointer, size]), ("Final", [pointer, pointer]))
        for algorithm, state_bytes in (("sha256", 112), ("sha512", 216)):
            name = algorithm.upper()
            for step, arguments in steps:
                getattr(library, f"{name}_{step}").argtypes = arguments
            found[algorithm] = _Function(name, library, hashlib.new(algorithm).digest_size, state_bytes)
    except (ImportError, OSError, AttributeError):
        return {}
    return found if all(_computes_as_hashlib(name, function) for name, function in found.items()) else {}


def _computes_as_hashlib(algorithm: str, function: _Function) -> bool:
    """Return whether a state that is stored in the middle of a block leads to the right digest."""
    first, rest = bytes(range(150)), bytes(range(100))
    begun = ResumableHash(function)
    begun.update(first)
    resumed = ResumableHash(function, begun.state()[-function.state_bytes :], len(first))
    resumed.update(rest)
    return resumed.hexdigest() == hashlib.new(algorithm, first + rest).hexdigest()


_functions = _load()
