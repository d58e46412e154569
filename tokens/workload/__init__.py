"""Workload identity: a token of a trusted issuer (GitHub Actions, GitLab, Kubernetes) in place of a password.

login       the credentials ──> an identity, logged; or a refusal with its reason in the log
token       the JWT: signature, audience, times, types
keys        the issuer's keys: fetched or read, cached, fetched again for an unknown kid
identities  claims ──> an account, or a member of a group; the same for a bearer token later
listing     the issuers as the configuration has them, for administrators
"""
