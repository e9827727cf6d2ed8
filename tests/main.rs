//! All integration tests in one binary: each file a boundary, told in stories.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop where it stands")]

mod store_conformance;
mod store_equivalence;
mod store_sqlite;
mod support;
