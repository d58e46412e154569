"""Middleware of pages and of the JSON API; `proxies` serves `/v2/`, too (front_door.py)."""
