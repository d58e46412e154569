"""Export: the same tree, or OCI image layouts, written from our rows and objects.

run         all repositories: tags, manifests, blobs, read in that order
layouts     the paths of distribution's tree and of OCI image layouts
target      a folder whose files appear whole
"""
