"""Upstreams: the registries that this one is a pull-through cache of, and a client of their V2 API.

`models`      a proxy: which names, of which registry, how it is reached
`compiled`    the proxy of a repository, cached per permissions version and process
`client`      manifests, blobs and lists of a registry; tokens, redirects and rate limits
`challenge`   what a registry answers to a request without a token
`exchange`    one request, to a checked address
`sealing`     passwords in the database, encrypted
`forms`       the form of the admin and of the API
"""
