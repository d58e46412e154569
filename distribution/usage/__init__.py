"""How often and when repositories, tags and manifests are used.

daily      the pulls and pushes of the last days
counter    counts pulls and pushes in each worker, and stores the counts in batches
sizes      the bytes of each repository
quotas     what repositories may have, and whether more fits
quota_sets     the repositories that count together, and the counter of what they have
quota_figures  what is used of quotas, for people
storage    the bytes of the whole registry, day by day
"""
