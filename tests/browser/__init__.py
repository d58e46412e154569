"""The pages in a real browser: journeys, accessibility, and the pictures of the documents.

`python -m tests.browser.pictures` takes the pictures; it starts a registry with the contents of `demo`.
"""
