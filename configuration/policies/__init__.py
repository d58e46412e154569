"""The section `policies`: a list for each kind, whose keys are the columns of its model (`policies.models`)."""

from configuration.policies.entries import PoliciesFile, PolicyEntry, entries

__all__ = ["PoliciesFile", "PolicyEntry", "entries"]
