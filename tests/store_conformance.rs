//! What every backend of `trait Store` owes, rights included: one suite of stories, which each backend runs by one line here.
//!
//! Knows no backend but by its `Fixture`. What only a store on a disk owes is in `store_sqlite.rs`.

mod activity;
mod differences;
mod histories;
mod leases;
mod lists;
mod logs;
mod lookups;
mod many;
mod mutations;
mod principals;
mod reads;
mod references;
mod restarts;
mod rights;
mod searches;
mod sequences;
mod triggers;
mod unit_ends;
mod units;
mod writes;

use crate::support::fixture::{MemoryFixture, OverlayFixture, SqliteFixture};

/// Stories about what a unit does. One that is missing in these lists is dead code, which the compiler reports.
macro_rules! of_writes {
    ($fixture:ty) => {
        stories! {
            $fixture;
            lookups {
                a_new_record_has_its_lookups;
                a_ref_that_moves_takes_its_lookups_along;
                a_change_reaches_the_end_of_the_chain;
                a_move_changes_each_follower_once;
                a_record_may_look_itself_up;
                nobody_else_sets_a_lookup;
                what_is_not_looked_up_moves_nobody;
                a_reference_that_is_emptied_empties_its_lookups;
                what_goes_is_not_changed_before;
                what_goes_follows_nothing_that_stays;
                a_lookup_keeps_nobody_from_going;
                a_unit_of_several_ops_ends_in_step;
                followers_count_as_a_cascade_does;
                followers_count_against_the_unit;
            }
            leases {
                a_lease_has_one_holder_and_a_number_that_grows;
                a_stale_holder_writes_nothing;
                where_a_lease_is_required_no_client_writes_without_one;
                a_lease_is_for_those_who_may_update;
                the_server_ends_a_lease_by_its_number_and_nothing_is_logged;
                a_lease_ends_with_its_record;
            }
            mutations {
                a_repeated_mutation_gets_todays_record;
                a_mutation_id_means_one_request_of_one_owner;
                a_refused_mutation_may_be_repeated;
                old_answers_leave;
                answers_age;
            }
            references {
                references_must_lead_somewhere;
                a_delete_takes_children_first_and_each_once;
                cycles_end;
                a_restricted_grandchild_keeps_all;
                a_delete_has_a_limit;
            }
            rights {
                a_change_of_rights_names_whose_before_and_after;
                the_last_change_of_a_persons_rights_is_remembered_by_entity;
                a_lookup_that_follows_into_a_record_of_rights_is_a_change_of_rights;
            }
            units {
                a_create_is_answered_logged_and_published;
                an_update_logs_what_changed_and_what_it_was;
                an_update_that_changes_nothing_leaves_no_trace;
                a_wrong_version_is_told_the_current_record;
                a_deleted_id_continues_its_version;
                a_unit_commits_whole_or_not_at_all;
                a_unit_sees_its_own_writes;
                ids_and_unique_values_are_taken_once;
                every_type_comes_back_as_it_went_in;
                a_unit_has_bounds;
                another_generation_is_turned_away;
            }
            writes {
                each_operation_is_granted_by_its_own_rule;
                a_create_is_judged_by_what_was_there_before_it;
                nobody_and_a_disabled_account_may_nothing;
                what_is_hidden_is_answered_as_if_it_were_missing;
                a_rule_tells_nothing_of_what_a_lookup_would_copy_from_a_hidden_record;
                a_lookup_is_copied_before_the_rule_is_asked;
                answers_show_what_the_writer_sees;
                an_update_may_take_the_record_out_of_the_writers_sight;
                a_put_keeps_the_fields_that_the_writer_does_not_see;
                a_rule_asks_for_the_value_after_the_write_and_whether_the_request_names_it;
                an_operation_has_the_rights_that_an_earlier_one_of_its_batch_gave_or_took;
                a_reference_leads_only_to_what_the_writer_may_read;
                a_cascade_needs_no_right_on_what_goes_and_what_gives_rights_goes_last;
                a_delete_that_is_restricted_names_no_entity_that_is_closed;
                a_mutation_is_replayed_under_the_rights_of_today;
                a_rule_that_asks_for_too_many_records_says_so;
                an_unseen_write_is_committed_though_it_makes_the_rules_fail;
                the_server_itself_is_judged_by_no_rule;
            }
        }
    };
}

/// Stories about what is judged when a unit ends.
macro_rules! of_unit_ends {
    ($fixture:ty) => {
        stories! {
            $fixture;
            unit_ends {
                two_records_exchange_their_unique_values;
                three_records_pass_their_unique_values_on;
                a_value_that_is_double_at_the_end_is_refused_by_its_operation;
                records_that_refer_to_each_other_are_deleted_together;
                a_delete_that_is_forbidden_at_the_end_is_refused_by_its_operation;
                nobody_slips_another_record_under_a_reference;
                two_fields_are_unique_together;
                records_exchange_what_is_unique_together;
                texts_are_unique_whatever_their_case;
                texts_are_unique_together_whatever_their_case;
                a_reference_must_lead_somewhere_when_it_is_set;
                what_a_ticket_copied_stays_until_its_seat_is_settled;
            }
        }
    };
}

/// Stories about changes of many records.
macro_rules! of_many {
    ($fixture:ty) => {
        stories! {
            $fixture;
            many {
                each_record_of_many_is_judged_for_itself;
                what_no_longer_meets_the_filter_is_passed_over;
                a_change_of_many_stops_where_the_unit_is_full;
                one_record_that_fails_fails_all_and_is_named;
                what_goes_with_an_earlier_record_is_passed_over;
                many_records_that_refer_to_each_other_go_together;
                a_repeated_change_of_many_gets_its_first_answer;
                a_right_that_goes_with_an_earlier_record_is_gone_for_the_next;
                an_account_that_disables_itself_changes_nothing_after;
                a_record_whose_time_is_over_says_so_and_what_goes_with_it_does_not;
            }
        }
    };
}

/// Stories about what `[[on]]` tables cause.
macro_rules! of_triggers {
    ($fixture:ty) => {
        stories! {
            $fixture;
            triggers {
                a_write_makes_a_record_in_its_own_unit;
                a_condition_asks_for_the_values_before_and_after;
                records_are_found_by_a_value_and_changed_or_deleted;
                what_fails_fails_the_unit_and_tells_nothing;
                a_record_that_is_there_is_left_as_it_is;
                cascades_and_changes_of_many_cause_what_single_writes_do;
                values_come_from_behind_references;
                what_a_trigger_writes_has_the_fields_normal_form;
            }
        }
    };
}

/// Stories about numbers that the server gives.
macro_rules! of_sequences {
    ($fixture:ty) => {
        stories! {
            $fixture;
            sequences {
                a_record_gets_the_next_number_of_its_parent;
                a_number_is_not_given_again_when_its_record_is_gone;
                a_unit_that_fails_gives_its_numbers_back;
                a_record_that_moves_gets_the_next_number_there;
                a_record_that_loses_its_parent_loses_its_number;
                a_number_that_is_brought_stays_and_raises_the_counter;
                a_rule_sees_the_number_that_a_record_would_get;
            }
        }
    };
}

/// Stories about what a read answers.
macro_rules! of_reads {
    ($fixture:ty) => {
        stories! {
            $fixture;
            activity {
                an_activity_tells_each_what_they_may_list_on_every_side;
                an_activity_names_nothing_that_is_hidden;
                pages_of_the_activity_follow_each_other_to_the_end;
                an_entity_without_an_activity_is_as_if_it_did_not_exist;
                a_bound_activity_is_taken_for_what_it_says;
                the_activity_reaches_as_far_as_the_log;
            }
            differences {
                each_record_that_differs_is_one_step;
                what_leaves_the_filter_alone_has_left_and_is_not_lost;
                a_right_that_is_held_twice_is_not_lost_with_one;
                a_field_that_is_shown_or_hidden_now_is_a_step;
                a_disabled_account_and_a_closed_entity_lose_everything_that_was_seen;
                facts_come_with_the_answer_for_every_subscription_of_the_person;
                a_difference_that_is_too_large_or_cannot_be_known_is_told;
                below_the_floor_nothing_is_known_of_the_position;
                a_filter_by_the_time_of_the_last_update_asks_for_a_snapshot_once_something_was_updated;
                steps_lead_from_what_was_seen_to_what_is_seen;
            }
            histories {
                a_history_is_every_change_newest_first;
                a_page_of_history_is_bounded;
                a_history_outlives_its_record_and_the_log;
                a_version_goes_on_as_long_as_the_history;
                a_history_ages_by_its_own_rule;
                only_entities_with_history_have_one;
            }
            lists {
                lists_filter_sort_and_page;
                a_page_of_a_list_ends_with_the_record_that_reaches_its_bytes;
                counts_agree_with_lists;
                references_are_followed_as_of_the_list;
            }
            logs {
                pages_of_the_log_hold_whole_units;
                the_log_is_trimmed_by_count;
                the_log_is_trimmed_by_age_in_chunks;
                a_survey_knows_what_a_resume_needs;
                unknown_entities_are_named;
            }
            principals {
                a_principal_is_what_rules_may_ask_of_a_person;
            }
            reads {
                a_search_finds_only_what_may_be_read;
                a_bound_read_scope_is_taken_for_what_it_says;
                everybody_sees_what_is_theirs_and_counts_only_that;
                a_hidden_field_is_neither_shown_nor_asked;
                a_reference_leads_only_to_what_may_be_read;
                a_history_shows_of_each_change_what_may_be_read_today;
                a_record_is_named_by_a_value_and_the_read_rule_alone_decides;
            }
            restarts {
                a_store_goes_on_where_it_ended;
            }
            searches {
                searches_find_words_by_their_beginnings;
            }
        }
    };
}

macro_rules! stories {
    ($fixture:ty; $($noun:ident { $($story:ident;)* })*) => {
        $(mod $noun {
            use crate::store_conformance::*;
            $(#[tokio::test] async fn $story() { $noun::$story::<$fixture>().await })*
        })*
    };
}

macro_rules! conformance {
    ($backend:ident, $fixture:ty, $($part:ident)*) => {
        mod $backend {
            $($part! { $fixture })*
        }
    };
}

conformance!(sqlite, SqliteFixture, of_writes of_unit_ends of_many of_triggers of_sequences of_reads);
conformance!(memory, MemoryFixture, of_writes of_unit_ends of_many of_triggers of_sequences of_reads);
conformance!(overlay, OverlayFixture, of_writes of_unit_ends of_many of_triggers of_sequences);
