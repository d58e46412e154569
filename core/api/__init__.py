"""What every answer under `/v2/` is made of.

`errors`  the table of codes, and the exception that carries one to the client
`view`    the base view, which renders it and sets the common headers
`body`    reads request bodies
`host`    the Host of a request, checked
`notes`   what the access log is told about a request
"""
