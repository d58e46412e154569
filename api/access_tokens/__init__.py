"""The own access tokens: made, listed, revoked."""
