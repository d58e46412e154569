"""An upload, from its first byte to a blob.

`sessions`        opens, appends to, finishes and cancels a session
`chunks`          stores the bytes of one request
`assembly`        assembles the chunks into one object
`small_blob`      the fast path of a blob in one small request
`leases`          decide which request may write to a session
`admission`       the limits of an upload
`hashing_reader`, `resumable_hash`   compute the digest while bytes arrive, across requests and processes
"""
