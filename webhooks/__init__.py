"""Webhooks: changes of repositories, sent to other services from a transactional outbox.

    verb ── the transaction of the change ──> rows of `Delivery` ──> `Deliverer`, one at a time ──> POST ──> receiver

`kinds`       the kinds of events, and the envelopes
`models`      webhooks, their state, and the outbox: one row for each event and webhook
`sealing`     secrets in the database, encrypted
`outbox`      which webhooks want an event; its rows, in the transaction of the caller
`pulls`       pulls, queued and written in batches
`envelope`    the body of a request
`post`        one request, signed; its time and answer are bounded
`queue`       the state of deliveries: due, delivered, tried again later, dropped; replay and removal
`lease`       which process delivers
`deliverer`   the loop that sends, in order for each repository
`forms`       the form of the admin, of the API and of the import
"""
