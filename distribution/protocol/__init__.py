"""The grammars of the specification: text is parsed to values, checked, and free of Django.

`digest`, `references`  digests, tags, and what may be either
`manifest_parser`       a manifest or index, by `strict_json`
`byte_ranges`           Range and Content-Range
`pagination`            `n`, `last` and the Link header
`spec`                  media types and limits
"""
