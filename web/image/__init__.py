"""What the pages show of one manifest: layers, configuration, referrers, readable documents, differences.

    views ──> manifest: one image ──> steps, config, kinds
         ├──> referrers: the tree of what refers to it
         ├──> readable: a blob as SBOM or in-toto statement
         └──> comparison: two images side by side

kinds           what a manifest is: container image, Helm chart, signature, …
pull_commands   the command of each client that fetches it
spdx3           the graph of an SPDX 3 document, for its SBOM

All of it comes from pushers: values have any type, strings any content, lists any length.
"""
