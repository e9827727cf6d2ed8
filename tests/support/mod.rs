//! What several tests share. Knows nothing of single stories.

pub(crate) mod model;
pub(crate) mod studio;
