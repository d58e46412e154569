"""The pages for everybody who pulls and pushes: sign in, repositories, images, the own account.

    request ──> session ──> visitor: account and rules ──> contents: rows, image: one manifest ──> template

visitor   who looks at a page, and what they may see
overriding  immutability set aside for one change, by a superuser who says why
listing   repositories by name, size, time, tag or digest, and as a tree
description, usage, freed   Markdown, the picture of 30 days, and what a deletion frees
contents  rows of repositories and tags, a page at a time
platforms what images run on, of the rows of a page
stored    JSON of a blob, read within bounds and never from anywhere but the own storage
image     a manifest with its config, referrers and readable documents, as far as pages show them
views     one module for each page

Names, tags, labels, annotations and configs come from pushers: templates escape them, and every list is bounded.
"""
