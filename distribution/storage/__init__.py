"""The bytes of blobs, in a folder or in S3.

`blob_store`      the interface to every backend
`local`           the file system backend: durable, private, sendfile
`cloud`           what a backend behind a network does besides
`s3`              that of S3, by `s3_bucket`, with `s3_parts`, `part_buffer` and `s3_faults`
`backends`        the classes by the section `storage` of the configuration
`copy_mark`       the mark of a storage that `manage.py migratestorage` fills
`stored_content`  an object that may become a blob
`disk_reserve`    the free space below which uploads are refused
`trash`           objects that are deleted once no reader can have them open
"""
