"""Repositories, and what is in them: tags, manifests, referrers.

`/-/` ends the name of a repository: `-` is no component of a name, so a repository called `alice/tags` and the tags of
`alice` have different paths. Generated clients send the slashes of a name as `%2F`, which WSGI decodes; persons may
write them.
"""
