"""Django's database backend for PostgreSQL, with a pool that survives restarts of the server."""
