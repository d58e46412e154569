"""Tell webhooks of changes: `changes` has a function for each kind."""
