"""`manage.py checkregistry`: find what stands between clients and the registry.

connection   one HTTP/1.1 client connection: TLS, early answers, bodies that pause
session      what the checks know of the registry so far: token, repository, content to push
checks       the checks, in order; each yields findings
finding      what was found, and what to do
"""
