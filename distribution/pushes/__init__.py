"""Pushes: the responses to them, whatever serves the request: a view, or `registry_project.short_path`.

`blob`      sessions: open, append, end; a blob in one request
`manifest`  a manifest, and tags that move to it
`pushed`    the response
`caller`    who asks: request, repository and bearer
"""
