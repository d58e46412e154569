"""The first page of the admin: what the registry holds, who uses it, what needs attention.

page        adds the numbers and pictures to the context of the page
numbers     what the rows say; no query goes through a table of manifests or blobs
charts      pictures as SVG, drawn here
"""
