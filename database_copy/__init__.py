"""Copy the registry's SQLite database into an empty PostgreSQL: `manage.py migratedb`.

    source   locks the SQLite file, reads its rows
    tables   the tables in the order of their foreign keys, and how values differ between the databases
    target   the PostgreSQL: what is in it, COPY, sequences
    run      the order of the steps

A table in the target marks an unfinished copy: servers refuse that database, and the next run starts it over.
"""
