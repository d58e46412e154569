"""A copy of all that a registry is, made beside the running server, and the way back.

    FOLDER/
        backup.json                     what is complete: the name, size and checksum of what belongs together
        backup.lock                     marks the folder as a backup, and keeps a second run out
        20261129T071604.123456Z/        a state: the database at one moment, and what belongs to it
            database                    a SQLite file, or what pg_dump wrote
            objects.tsv                 the objects that this database names: key, size, digest
            config.yaml, keys/
        objects/ab/…                    the objects, which never change: states share them

A run writes a new state, adds the objects that are missing, and only then renames backup.json into place. So there is
a whole backup at every moment after the first run; what the new one does not name is removed afterwards.
"""
