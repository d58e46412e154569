"""Every metric that the code counts; `monitoring` adds those that it reads from database and disk at each scrape."""

from core.metrics.families import SECONDS, Counter, Gauge, Histogram, Time

# --- HTTP --------------------------------------------------------------------------------------------
REQUESTS = Counter(
    "registry_http_requests_total",
    "Requests by name of the route, method and status. The status is none when the client left before an answer.",
    ("route", "method", "status"),
)
REQUEST_SECONDS = Histogram(
    "registry_http_request_duration_seconds",
    "Time from the first byte of a request to the last of its response, slow clients included.",
    ("route",),
)
RECEIVED_BYTES = Counter("registry_http_request_bytes_total", "Bytes received, heads included.", ("route",))
SENT_BYTES = Counter("registry_http_response_bytes_total", "Bytes sent of response bodies.", ("route",))

# --- clients that a thread waits for ------------------------------------------------------------------
WAITING = Gauge("registry_transfers_waiting", "Threads that wait for a slow client to send or receive.")
REFUSED = Counter("registry_transfers_refused_total", "Waits refused with 503, since all places were taken.")
EVICTED = Counter("registry_transfers_evicted_total", "Waits ended early, so that another client gets its share.")

# --- accounts and tokens ------------------------------------------------------------------------------
LOGINS = Counter("registry_logins_total", "Successful logins, by grant.", ("grant",))
LOGIN_FAILURES = Counter(
    "registry_login_failures_total",
    "Refused logins, by grant and reason: credentials, malformed, throttled, busy or other.",
    ("grant", "reason"),
    known=[
        (grant, reason) for grant in ("basic", "password", "admin", "api") for reason in ("credentials", "throttled")
    ],
)
TOKENS_ISSUED = Counter("registry_tokens_issued_total", "Access tokens issued, those for anonymous clients included.")
TOKENS_REFUSED = Counter("registry_tokens_refused_total", "Access tokens that were not valid; expired ones left out.")
DENIALS = Counter(
    "registry_access_denials_total",
    "Requests refused by token or rules, by client: account or anonymous.",
    ("client",),
    known=[("account",), ("anonymous",)],
)
AUDIT_DROPPED = Counter(
    "registry_audit_events_dropped_total",
    "Audit events that were not written, since too many waited; the log has them.",
)
CACHE_LOOKUPS = Counter(
    "registry_cache_lookups_total",
    "Lookups in the caches of a process, by cache and result: hit or miss.",
    ("cache", "result"),
)

# --- database and storage -----------------------------------------------------------------------------
STATEMENT_SECONDS = Histogram(
    "registry_database_statement_duration_seconds",
    "Time of a statement for the V2 API until its first row.",
    bounds=(0.00025, 0.0005, *SECONDS),
).labels()
TRANSACTION_SECONDS = Histogram(
    "registry_database_transaction_duration_seconds",
    "Time of an attempt at a writing transaction, from the wait for other writers to the end of COMMIT.",
).labels()
RETRIES = Counter("registry_database_retries_total", "Writing transactions that failed and were begun again.")
GROUP_COMMIT = Histogram(
    "registry_database_group_commit_transactions",
    "Transactions that one COMMIT of SQLite made durable together.",
    bounds=(1, 2, 4, 8, 16),
).labels()
STORAGE_SECONDS = Histogram(
    "registry_storage_operation_duration_seconds",
    "Time of one operation on stored objects: open, write, fsync or delete; request: one of the client of S3.",
    ("operation",),
)
STORAGE_REFUSED = Counter(
    "registry_storage_requests_refused_total",
    "Requests to S3 that were not sent, since it gave no answer or too many waited for one.",
)

# --- jobs ---------------------------------------------------------------------------------------------
_JOBS = (
    "expire",
    "remove_old_records",
    "close_interrupted",
    "collect",
    "run_requested",
    "scrub",
    "make_ballast",
    "process",
)
JOBS = Counter(
    "registry_jobs_total",
    "Jobs run, by name and outcome: done or failed. The job process failed when it was killed.",
    ("name", "outcome"),
    known=[(job, outcome) for job in _JOBS for outcome in ("done", "failed")],
)
JOB_TIMES = Time(
    "registry_job_last_run_timestamp_seconds", "When the job ended last, by name and outcome.", ("name", "outcome")
)
FREED_BYTES = Counter("registry_collection_freed_bytes_total", "Bytes of the blobs that collection removed.")
DELETED_OBJECTS = Counter("registry_collection_deleted_objects_total", "Stored objects deleted.")
REMOVED = Counter("registry_collection_removed_total", "Rows removed, by kind: tag, manifest, link or blob.", ("kind",))
