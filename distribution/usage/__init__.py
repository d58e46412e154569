"""How often and when repositories, tags and manifests are used.

daily      the pulls and pushes of the last days
counter    counts pulls and pushes in each worker, and stores the counts in batches
sizes      the bytes of each repository
quotas     what repositories may have, and whether more fits
storage    the bytes of the whole registry, day by day
"""
