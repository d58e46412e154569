"""Access tokens, the own and those of robots: made, listed, revoked."""
