"""Attacks on a running registry, over raw sockets: each test is named after what it prevents.

target         the server that is attacked, and what lies in it
raw            bytes on a socket, answers read strictly
admin_session  a browser at the admin
mutations      removes one check after the other and expects the tests to notice; run by hand

tokens, access, names, documents, globs, passwords, browser, wire, resources: one file for each way in.
"""
