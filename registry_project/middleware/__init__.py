"""What a request passes before a view: in the order of `settings.MIDDLEWARE`."""
