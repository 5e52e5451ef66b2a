//! The command against a site in S3: what a rollback writes and leaves alone, faults in the middle of it, and bad input.

mod faults;
mod input;
mod shop;
mod usual;

use std::process::ExitCode;

use rollback_testkit::harness::Suite;

fn main() -> ExitCode {
    Suite::new("s3-driver")
        .case("a_page_of_equal_size_goes_back", true, usual::trap)
        .case("headers_survive", true, usual::headers)
        .case("odd_keys_are_only_keys", true, usual::odd_keys)
        .case("what_was_uploaded_in_parts_is_proven", true, usual::in_parts)
        .case("what_is_there_already_is_not_written", true, usual::already_there)
        .case("a_rollback_can_be_rolled_back", true, usual::and_back)
        .case("a_whole_bucket_keeps_its_archive", true, usual::whole_bucket)
        .case("pages_wait_for_the_assets_they_need", true, faults::one_copy_fails)
        .case("a_busy_server_is_asked_again", true, faults::slow_down)
        .case("a_lost_answer_is_no_failure", true, faults::lost_answer)
        .case("a_deploy_at_the_same_time_is_not_overwritten", true, faults::overtaken)
        .case("a_bucket_that_is_not_there", true, input::no_bucket)
        .case("a_release_that_is_not_there_lists_those_that_are", true, input::no_release)
        .case("an_object_that_may_not_be_written", true, input::denied)
        .case("an_empty_release_is_no_destination", true, input::empty)
        .run()
}
