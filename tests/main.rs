//! The one test binary: each module tells stories about one boundary.
#![allow(unreachable_pub, reason = "a test binary exports nothing")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop where it stands")]

mod support;

mod bad_requests;
mod batch;
mod clocks;
mod conditions;
mod configuration;
mod crash;
mod descriptions;
mod differ;
mod doctor;
mod evolution;
mod explain;
mod failing_disk;
mod floor_plan;
mod groups;
mod guard;
mod health;
mod held_back;
mod history;
mod http_rights;
mod import_export;
mod lists;
mod live_rights;
mod logs;
mod lookups;
mod metrics;
mod new_project;
mod numbers;
mod outbox;
mod permissions;
mod polling;
mod protocol_document;
mod realtime;
mod repository;
mod rest;
mod rights;
mod rules_canonical;
mod rules_property;
mod rules_reads;
mod schema_files;
mod search;
mod semantics_document;
mod server;
mod session;
mod slow_line;
mod slow_reader;
mod store_conformance;
mod store_equivalence;
mod store_sqlite;
mod stress;
mod unit_end;
mod write_rules;
