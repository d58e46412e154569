"""Copy the objects into another storage, beside a running server: `manage.py migratestorage`.

    source    the objects that rows name, folder by folder
    target    the storage to fill: which one, whose copy, what is in it
    transfer  one object or upload: read, hashed and written; several at once, in threads
    run       a pass over all folders, and whether the copy is complete
    progress  counts, rate and time left

A pass copies what the target lacks. It runs beside a server, which may delete objects meanwhile and take new ones; the
next pass copies those. The copy is complete after a pass that had nothing to copy, with no server before and after it.
Rows are only read, in short statements and without locks, so no push and no collection waits. There are two writes:
the id of a registry that had no bucket yet; and a pass without a server puts objects of the target that no row names
any more into the trash.
"""
