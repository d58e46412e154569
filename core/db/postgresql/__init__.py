"""Django's database backend for PostgreSQL, with a pool that a restart of the server does not stop."""
