//! What several stories need.

pub mod app;
pub mod entities;
pub mod fixtures;
pub mod follower;
pub mod socket;
