"""Take over the content of another registry, and give it back: `manage.py importregistry` and `exportregistry`.

    tree        the layout of distribution (registry 2.x and 3.x): repositories, tags, links, blobs
    files       where that tree is: a folder or a bucket; how a file of it becomes an object of ours
    manifest    one manifest of the tree, checked
    batch       manifests with all that they refer to, ready to be stored together
    objects     the new objects of a batch: named in the trash, linked or copied, durable
    rows        the one transaction of a batch
    importing   the order: tags with their manifests, other manifests, other layers
    exporting   the same tree, written from our rows and objects
    progress    counts, rate, time left, and what was left out

An import runs beside a server, and may be killed at any point. Until the transaction of a batch, each of its objects
is named in the trash only, for three days; that transaction takes them out, and inserts blobs, links, manifests and
tags at once. So the collector finds nothing unreferenced, and what a kill left behind is deleted like other trash.
"""
