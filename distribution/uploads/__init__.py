"""An upload, from its first byte to a blob.

`sessions`        opens, appends to, finishes and cancels a session
`chunks`          stores what one request brings
`assembly`        joins the chunks into one object
`small_blob`      the short way of a blob that comes in one small request
`leases`          which request may write to a session
`admission`       may this account, and this disk, take one more?
`hashing_reader`, `resumable_hash`   the digest on the way, across requests and processes
"""
