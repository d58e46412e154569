"""Webhooks: checked by the admin's form; their deliveries, replay and test."""
