"""Django's database backend for SQLite, whose files belong to the owner of their folder."""
