"""What `/metrics` answers Prometheus; docs/monitoring.md describes it.

exposition   what all processes counted (core.metrics) and the state, as text
state        what a scrape reads of database and disk
"""
