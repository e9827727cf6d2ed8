//! What several stories need.

pub mod app;
pub(crate) mod at_once;
pub mod bad_filters;
pub(crate) mod chain;
pub(crate) mod clock;
pub(crate) mod club;
pub mod counting;
pub mod entities;
pub mod exposition;
pub(crate) mod fixture;
pub mod fixtures;
pub mod follower;
pub mod live;
pub(crate) mod model;
pub(crate) mod oracle;
pub(crate) mod overlay;
pub(crate) mod owned;
pub mod process;
pub mod puppet;
pub mod random;
pub mod ruled;
pub(crate) mod seats;
pub mod socket;
pub(crate) mod studio;
pub(crate) mod subscriber;
pub mod wire;
