"""Policies: generic over the kinds, whose columns are the members of the JSON."""
