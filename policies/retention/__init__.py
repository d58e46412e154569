"""Retention: which tags of a repository stay, and why.

versions  semantic versions of tags
decision  the tags of one repository under the policies that match it
"""
