"""The image is built and run by a real docker engine, and by compose with the files as they are.

base     stands in for the base image of the Dockerfile, which a test has no registry to pull from
engine   a docker engine whose containers have a network of their own, away from the machine's ports and firewall
"""
