"""Check what the registry is made of: `make lock`, `audit`, `sbom`, `base-image`, `arch`. The image has no copy of it.

lock        reads a lock (requirements.txt) and compares it with its input (requirements.in)
audit       asks for known vulnerabilities of the locked packages
sbom        writes the bill of materials of the locked packages, or of an image
base_image  pins the Dockerfile to the digest that a tag has now
structure   bounds the size of folders, files and functions of the product
"""
