"""The pull-through cache: what an upstream has and this registry has not, fetched at the first pull.

    miss, or a tag older than its ttl ──> manifests ──> upstream ──> manifests.store
                                      └─> blobs ──> fetches ──> upload session ──> blob
                                             └── clients read along: growing

`manifests`, `blobs`   the response to a pull from a proxied repository
`fetches`              the blobs on their way, each fetched once
`growing`              the body of a blob that still comes
`body`                 an upstream's response as the body of an upload
`faults`               errors of upstreams as errors for clients; what is remembered of them
"""
