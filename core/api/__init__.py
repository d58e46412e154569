"""The HTTP layer of `/v2/`.

`errors`  the table of error codes, and the exception with one of them
`view`    the base view, which renders errors and sets the common headers
`body`    reads request bodies
`host`    validates the Host header
`notes`   values in a request's environment for the access log
"""
