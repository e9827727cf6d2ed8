//! What several stories need.

pub mod fixtures;
