"""Take over the content of another registry, and give it back: `manage.py importregistry` and `exportregistry`.

    importing   read what is missing, place its objects, store its rows
    exporting   distribution's tree, or OCI image layouts
    checking    ask the running server for each imported tag
    source      the storage of the other registry: a folder or a bucket
    objects     new objects: named in the trash, linked or copied, durable; several at once
    places      what an operator names: FOLDER, s3://BUCKET/PREFIX, GLOB
    progress    counts, rate, time left, and what was left out
    command     what both commands do about progress, signals and errors

An import runs beside a server, and may be killed at any point. Until the transaction of a batch, each of its objects
is named in the trash only, for three days; that transaction takes them out, and inserts blobs, links, manifests and
tags at once. So the collector finds nothing unreferenced, and what a kill left behind is deleted like other trash.
"""
