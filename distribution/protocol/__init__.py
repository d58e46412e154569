"""The words of the specification as values: parsed, checked, and free of Django.

`digest`, `references`  digests, tags, and what may be either
`manifest_parser`       a manifest or index, by `strict_json`
`byte_ranges`           Range and Content-Range
`pagination`, `query`   `n` and `last`, and the rest of a query
`spec`                  media types and limits
"""
