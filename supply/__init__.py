"""Know what the registry is made of, for `make lock`, `audit`, `sbom` and `base-image`. The image does not hold it.

lock        reads a lock (requirements.txt) and compares it with its input (requirements.in)
audit       asks for known vulnerabilities of the locked packages
sbom        writes the bill of materials of the locked packages, or of an image
base_image  pins the Dockerfile to the digest that a tag has now
"""
