"""The storage of another registry.

tree      the layout of distribution (registry 2.x and 3.x): repositories, tags, links, blobs
files     what a tree consists of, and how one of its files becomes an object of ours
folder    files in a folder: linked or copied
bucket    files in S3: copied by S3 itself
"""
