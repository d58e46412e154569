"""The login to the admin: password, second factor, and the site that asks for both.

`site`        Django's admin site with the pages of a second factor
`forms`       the login, and the change of one's own password
`code_forms`  forms for a code of the second factor
`following`   the page after a login
`refusal`     the response to a login that is refused before its password is looked at
"""
