"""Sign in to the pages by an OpenID provider: the authorization code flow with PKCE (OpenID Connect Core 1.0).

client      speaks with the provider: where to send a browser, and who has come back
identify    the person that a verified ID token describes
"""
