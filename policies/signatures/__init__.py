"""Signatures of images: are they by a key that an administrator trusts? Bytes in, verdict out; nothing is fetched.

cosign    simple signing payloads and sigstore bundles, for public keys
notation  JWS envelopes of the Notary Project, for certificates
artifact  the manifest that holds them, as a repository has it

The trusted keys are of `configuration.policies.trusted_keys`.
"""
