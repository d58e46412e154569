"""The caller, its connection, why something is allowed, and the version."""
