"""What `/metrics` answers Prometheus, and traces; docs/monitoring.md describes both.

exposition   what all processes counted (core.metrics) and the state, as text
state        what a scrape reads of database and disk
traces       spans of requests for an OpenTelemetry collector
"""
