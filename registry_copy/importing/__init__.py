"""Import: read what is missing, place its objects, store its rows.

run         all repositories, and what none of them links
repository  one repository: tags with their manifests, other manifests, other layers
batch       manifests with all that they refer to, stored together
rows        the one transaction of a batch
manifest    one manifest of the other registry, checked
lookup      what the registry has already
"""
