"""The section `webhooks`: a webhook for each name, with the fields of its model (`webhooks.models`)."""

from configuration.webhooks.entries import WebhookEntry, WebhooksFile, webhook_entries

__all__ = ["WebhookEntry", "WebhooksFile", "webhook_entries"]
