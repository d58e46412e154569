"""The command `checkregistry`."""
