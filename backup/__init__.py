"""Back up database, objects, keys and configuration beside the running server, and restore them.

    FOLDER/
        backup.json                     the complete backup: its state, sizes and checksums
        backup.lock                     marks the folder as a backup, and locks it
        20261129T071604.123456Z/        a state: one snapshot of the database, and what belongs to it
            database                    a SQLite file, or the output of pg_dump
            objects.tsv                 the objects of this snapshot: key, size, digest
            config.yaml, keys/
        objects/ab/…                    the objects, which never change: all states share them

A run writes a new state, adds the missing objects, and then replaces backup.json atomically. So there is a complete
backup at every time after the first run; objects that the new one does not name are removed afterwards.
"""
