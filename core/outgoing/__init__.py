"""Requests to other services: the addresses that they may go to, and connections to those alone."""
