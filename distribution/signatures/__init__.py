"""Whether a repository wants signatures of its images, and whether a manifest has one.

requirement  the policies of a repository: DENIED, a warning, or nothing
verdict      a signature by a trusted key, and how long it counts
attachment   signatures, attestations and SBOMs, which need no signature themselves
rows         the statements, with what bounds them
"""
