//! What several stories need.

pub mod fixtures;
pub mod follower;
pub mod socket;
