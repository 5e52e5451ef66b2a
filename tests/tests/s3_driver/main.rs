//! The command against a site in S3: what a rollback writes and leaves alone, faults in the middle of it, and bad input.

mod assets;
mod automatic;
mod calls;
mod cloudfront;
mod edges;
mod faults;
mod headers;
mod input;
mod parts;
mod relay;
mod shop;
mod tidy;
mod undo;
mod usual;
mod versions;

use std::process::ExitCode;

use rollback_testkit::harness::Suite;

use self::shop::Emulator::{Ministack, Moto};

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
        .case("what_may_not_be_noted_is_no_riddle", true, faults::unsaid)
        .case("a_busy_server_is_asked_again", true, faults::slow_down)
        .case("a_lost_answer_is_no_failure", true, faults::lost_answer)
        .case("a_deploy_at_the_same_time_is_not_overwritten", true, faults::overtaken)
        .case("a_bucket_that_is_not_there", true, input::no_bucket)
        .case("a_release_that_is_not_there_lists_those_that_are", true, input::no_release)
        .case("an_object_that_may_not_be_written", true, input::denied)
        .case("an_empty_release_is_no_destination", true, input::empty)
        .case("a_time_is_gone_back_to", true, || versions::back_in_time(Ministack))
        .case("a_time_is_gone_back_to_on_moto", true, || versions::back_in_time(Moto))
        .case("previous_is_what_was_served_before", true, versions::previous)
        .case("a_recorded_state_is_found_among_the_versions", true, versions::recorded)
        .case("going_back_in_time_can_be_taken_back", true, || versions::and_back(Ministack))
        .case("going_back_in_time_can_be_taken_back_on_moto", true, || versions::and_back(Moto))
        .case("an_archive_comes_before_versions", true, versions::archive_first)
        .case("who_may_not_list_versions_has_the_archive", true, versions::unlisted)
        .case("versioning_that_is_off_is_said", true, || versions::not_kept(None))
        .case("versioning_that_is_suspended_is_said", true, || versions::not_kept(Some("Suspended")))
        .case("a_version_that_was_removed_is_missed", true, versions::removed)
        .case("a_rule_that_removes_versions_is_told", true, versions::expiring)
        .case("a_restore_that_was_cut_off_goes_on", true, versions::cut_off)
        .case("a_deploy_since_the_plan_is_not_undone", true, versions::overtaken)
        .case("what_could_not_be_restored_is_taken_back", true, versions::taken_back)
        .case("a_whole_bucket_goes_back_in_time", true, versions::whole_bucket)
        .case("what_was_there_before_versioning_comes_back", true, versions::from_before)
        .case("a_key_that_may_not_be_used_is_named", true, faults::key_denied)
        .case("what_cannot_be_read_is_told_by_the_plan", true, faults::source_unreadable)
        .case("what_cannot_be_asked_is_told_where_it_matters", true, faults::unasked)
        .case("an_object_that_no_listing_shows_to_be_archived", true, faults::archived)
        .case("odd_keys_come_back_by_their_versions", true, || edges::odd_keys(Ministack))
        .case("odd_keys_come_back_by_their_versions_on_moto", true, || edges::odd_keys(Moto))
        .case("many_versions_are_read_page_by_page", true, edges::many)
        .case("a_rollback_looks_twice", true, calls::two_looks)
        .case("versions_are_listed_once_for_a_plan", true, calls::versions_once)
        .case("a_page_right_after_the_look_is_noticed", true, calls::page_in_between)
        .case("a_write_right_after_the_look_is_kept", true, calls::overtaken_in_between)
        .case("a_large_object_is_copied_in_parts", true, || parts::copied(Ministack))
        .case("a_large_object_is_copied_in_parts_on_moto", true, || parts::copied(Moto))
        .case("a_copy_in_parts_of_what_was_uploaded_whole_is_known", true, parts::uploaded_whole)
        .case("a_copy_is_cut_where_its_source_was", true, parts::cut_alike)
        .case("a_part_that_cannot_be_copied_stops_all", true, parts::one_part_fails)
        .case("parts_that_could_not_be_given_up_are_later", true, parts::not_given_up)
        .case("a_part_that_a_busy_server_refused_is_sent_again", true, parts::busy)
        .case("a_lost_answer_makes_no_second_copy_in_parts", true, || parts::lost_answer(Ministack))
        .case("a_lost_answer_makes_no_second_copy_in_parts_on_moto", true, || parts::lost_answer(Moto))
        .case("a_copy_in_parts_that_was_cut_off_leaves_nothing", true, parts::cut_off)
        .case("a_copy_in_parts_that_is_stopped_leaves_nothing", true, parts::stopped)
        .case("a_copy_in_parts_overwrites_nobody", true, parts::overtaken)
        .case("a_version_is_copied_in_parts", true, || parts::by_versions(Ministack))
        .case("a_version_is_copied_in_parts_on_moto", true, || parts::by_versions(Moto))
        .case("a_record_leaves_a_manifest", true, || undo::recorded(Ministack))
        .case("a_record_leaves_a_manifest_on_moto", true, || undo::recorded(Moto))
        .case("what_is_left_has_a_manifest", true, undo::left)
        .case("a_manifest_that_cannot_be_written_is_told", true, undo::unwritten)
        .case("what_no_time_shows_comes_back_by_its_manifest", true, || undo::unshown(Ministack))
        .case("what_no_time_shows_comes_back_by_its_manifest_on_moto", true, || undo::unshown(Moto))
        .case("a_manifest_that_was_altered_is_not_believed", true, undo::altered)
        .case("versions_that_are_gone_are_named", true, undo::gone)
        .case("a_rollback_without_an_archive_can_be_rolled_back", true, || undo::and_back(Ministack))
        .case("a_rollback_without_an_archive_can_be_rolled_back_on_moto", true, || undo::and_back(Moto))
        .case("headers_of_another_version_come_back", true, || headers::come_back(Ministack))
        .case("headers_of_another_version_come_back_on_moto", true, || headers::come_back(Moto))
        .case("headers_that_were_recorded_come_back", true, || headers::recorded(Ministack))
        .case("headers_that_were_recorded_come_back_on_moto", true, || headers::recorded(Moto))
        .case("a_manifest_without_headers_is_read", true, headers::unrecorded)
        .case("headers_of_an_asset_come_back", true, || assets::come_back(Ministack))
        .case("headers_of_an_asset_come_back_on_moto", true, || assets::come_back(Moto))
        .case("headers_of_an_asset_that_were_recorded_come_back", true, || assets::recorded(Ministack))
        .case("headers_of_an_asset_that_were_recorded_come_back_on_moto", true, || assets::recorded(Moto))
        .case("headers_of_what_the_archive_has_come_back", true, || assets::of_the_archive(Ministack))
        .case("headers_of_what_the_archive_has_come_back_on_moto", true, || assets::of_the_archive(Moto))
        .case("headers_of_a_version_are_asked_for_once", true, assets::asked_once)
        .case("headers_of_all_assets_are_not_asked_for_in_an_outage", true, assets::not_in_an_outage)
        .case("what_was_kept_goes_after_the_grace", true, || tidy::grace(Ministack))
        .case("what_was_kept_goes_after_the_grace_on_moto", true, || tidy::grace(Moto))
        .case("what_a_deploy_needs_again_stays", true, tidy::needed)
        .case("tidying_that_was_cut_off_goes_on", true, tidy::cut_off)
        .case("who_cannot_be_reached_keeps_nobody_from_tidying", true, tidy::unreachable)
        .case("what_was_tidied_up_comes_back_by_its_versions", true, tidy::and_back)
        .case("caches_forget_what_was_put_back", true, cloudfront::forgotten)
        .case("many_changes_are_one_wildcard", true, cloudfront::many)
        .case("a_cache_that_holds_the_bad_page_is_no_site_put_back", true, cloudfront::stale)
        .case("an_invalidation_that_is_denied_is_made_up_for", true, cloudfront::denied)
        .case("a_lost_answer_makes_no_second_invalidation", true, cloudfront::lost_answer)
        .case("an_invalidation_is_waited_for", true, cloudfront::awaited)
        .case("caches_forget_what_versions_put_back", true, cloudfront::by_versions)
        .case("a_distribution_that_is_disabled", true, cloudfront::disabled)
        .case("a_distribution_that_is_being_deployed", true, cloudfront::deployed_meanwhile)
        .case("a_pointer_that_is_still_on_its_way_is_waited_for", true, cloudfront::pointer_on_its_way)
        .case("a_page_without_its_asset_is_not_proven", true, cloudfront::broken)
        .case("a_pointer_is_moved_and_nothing_is_copied", true, cloudfront::pointer)
        .case("a_pointer_is_waited_for", true, cloudfront::pointer_awaited)
        .case("a_pointer_whose_answer_is_lost_moves_once", true, cloudfront::pointer_lost_answer)
        .case("a_pointer_that_somebody_else_moved_stays", true, cloudfront::pointer_overtaken)
        .case("a_pointer_elsewhere_is_left_alone", true, cloudfront::pointer_elsewhere)
        .case("a_distribution_that_is_not_there_or_not_ours", true, cloudfront::input)
        .case("a_bad_page_is_rolled_back_by_itself", true, automatic::bad_page)
        .run()
}
