//! What several stories need.

pub mod fixtures;
pub mod follower;
pub(crate) mod model;
pub mod socket;
pub(crate) mod studio;
