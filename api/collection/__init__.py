"""Runs of the collector: requested, watched, withdrawn, and what a dry run found."""
