"""Tests that are about objects as files, by the reason why a run on S3 leaves them out.

Beginnings of paths below `tests`; behind `::`, those of names. What S3 does instead is in `tests/distribution/storage`.
"""

OF_FILES: dict[str, tuple[str, ...]] = {
    "a chunk is appended to a file; S3 has an object for each, and joins them": (
        "distribution/uploads/test_append.py",
        "distribution/uploads/test_lost_chunk.py",
        "distribution/uploads/test_chunks.py::test_all_chunks_are_added_to_the_object_that_becomes_the_blob",
        "distribution/uploads/test_chunks.py::test_ten_thousand_chunks_and_more_are_no_more_than_an_upload_may_have",
        "distribution/uploads/test_session.py::test_what_a_cancelled_session_had_received_is_trash",
        "distribution/uploads/test_failed_request.py::test_a_chunk_is_taken_when_it_comes_again[storage.local",
        "distribution/uploads/test_failed_request.py::test_an_end_that_copies_is_taken_when_it_comes_again",
        "distribution/uploads/test_failed_request.py::test_a_file_whose_sync_failed_is_free_for_nobody",
    ),
    "a small blob is one transaction, its file named with the session": (
        *(
            f"distribution/uploads/test_small_blob.py::test_{name}"
            for name in (
                "the_object_that_was_named_with_the_session_becomes_the_blob",
                "of_two_that_overlap_one_is_published",
                "what_a_writer_that_died_began_is_thrown_away",
                "a_chunk_after_a_writer_that_died_is_taken",
                "what_a_later_claim_threw_away_is_not_published",
                "one_that_ends_early_leaves_the_session_as_it_was",
            )
        ),
        "distribution/test_statements.py::test_a_request_asks_no_more_than_it_needs[push a blob in one request]",
    ),
    "it is about the space of a disk, which gets bytes back at once; S3 when the trash is emptied": (
        "distribution/uploads/test_admission.py::test_a_write_below_half_of_the_reserve_is_refused_and_gives",
        "distribution/uploads/test_admission.py::test_the_refusal_of_a_write_has_the_numbers",
        "distribution/uploads/test_admission.py::test_a_body_that_would_pass_the_mark_is_refused_before_it_comes",
        "distribution/uploads/test_admission.py::test_a_blob_that_gets_too_large_is_413_and_gives_its_bytes_back",
        "distribution/uploads/test_admission.py::test_the_sum_of_all_chunks_counts",
        "distribution/uploads/test_admission.py::test_bytes_of_a_cancelled_session_are_given_back_at_once",
        "distribution/storage/test_disk_reserve.py",
        "core/db/test_ballast.py",
        "faults/test_filled_disk.py",
        "faults/test_full_disk.py",
    ),
    "it breaks files: their disk, folder, rights or bytes": (
        "distribution/storage/test_failing_storage.py",
        "faults/test_broken_disk.py",
        "faults/test_lost_bytes.py",
        "faults/test_power_loss.py",
        "faults/test_unwritable.py",
        "faults/test_what_answers_what.py",
        "project/test_busy_disk.py",
        "project/test_old_database.py",
    ),
    "it takes a folder away, as a disk does that is not mounted": (
        "collector/test_due_rows.py::test_an_object_that_cannot_be_deleted_waits",
        "collector/test_expiry.py::test_nothing_is_forgotten_while_the_storage_is_not_mounted",
        "collector/test_fsck.py::test_a_storage_that_is_not_there_is_no_reason_to_forget_blobs",
        "collector/test_queue.py::test_a_requested_run_that_fails_says_why_and_is_not_tried_again",
        "collector/test_runjobs.py::test_once_exits_with_1_when_a_job_fails",
        "collector/test_runs.py::test_a_job_that_fails_keeps_no_other_from_its_turn",
        "collector/test_runs.py::test_a_run_that_fails_says_why",
        "collector/test_scrub.py::test_a_storage_that_",
    ),
    "it watches a file grow; S3 shows an object when it is whole": (
        "clients/test_killed_worker.py",
        "distribution/caching/test_faults.py::test_clients_read_along_with_another_process",
        "distribution/caching/test_faults.py::test_a_size_that_the_upstream_made_up_is_not_believed",
        "distribution/caching/test_faults.py::test_clients_that_read_along_with_a_failing_process_are_cut_off",
        "project/test_connections.py::test_unauthenticated_clients_take_no_place_of_transfers_and_get_a_retry_after",
        "faults/test_cut_upload.py",
        "faults/test_kill.py::test_a_worker_killed_at_any_step_loses_and_leaves_nothing[upload.after_truncate]",
        "faults/test_kill.py::test_a_worker_killed_at_any_step_loses_and_leaves_nothing[upload.after_folder_fsync]",
        "faults/test_kill.py::test_a_worker_killed_at_any_step_loses_and_leaves_nothing[upload.after_cut_back]",
        "faults/test_kill.py::test_a_worker_killed_at_any_step_loses_and_leaves_nothing[upload.after_short_body]",
        "faults/test_kill.py::test_a_worker_killed_at_any_step_loses_and_leaves_nothing[upload.fsync]",
        *(
            f"faults/test_overtaken.py::test_a_worker_that_stood_still_and_writes_later_changes_no_blob[upload.{step}"
            for step in ("after_truncate", "fsync")
        ),
        "project/test_draining.py",
        "project/test_stopping.py",
        "fuzz/test_uploads.py",
    ),
    "the short path opens a blob's file; what a cloud has is the view's": (
        "registry_project/test_short_path.py"
        "::test_a_right_that_was_removed_by_another_process_ends_at_the_next_pull[blob",
    ),
    "S3 refuses signatures of another day": ("faults/test_clock.py",),
    "a backup copies files; objects in S3 stay where they are": (
        "backup",
        "faults/test_kill.py::test_a_backup_killed",
    ),
}
