"""The section `proxies`: a list, whose keys are the columns of `upstreams.models.Proxy`."""

from configuration.proxies.entries import PROXIES, ProxyEntry, ProxyFile, entries

__all__ = ["PROXIES", "ProxyEntry", "ProxyFile", "entries"]
