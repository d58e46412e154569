"""The sections of the file that become rows: `users`, `acl`, `policies`, `proxies` and `webhooks`."""
