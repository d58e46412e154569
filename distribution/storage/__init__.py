"""The bytes of blobs, through django-storages.

`blob_store`      the interface to every backend
`local`           the file system backend: durable, private, sendfile
`stored_content`  an object that may become a blob
`disk_reserve`    the free space below which uploads are refused
`trash`           objects that are deleted once no reader can have them open
"""
