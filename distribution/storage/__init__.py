"""The bytes of blobs, through django-storages.

`blob_store`      the one way to a backend
`local`           the file system's: durable, private, sendfile
`stored_content`  an object that may become a blob
`disk_reserve`    the marks below which nothing begins, or goes on
`trash`           objects that wait until nobody can be reading them
"""
