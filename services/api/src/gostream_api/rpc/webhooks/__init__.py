"""gostream.v1.WebhookService over its use cases."""
