//! Why a channel starts again from a snapshot, as `resync` names it. The same words are labels in `/metrics`.

/// The client asked for a snapshot. Never sent: it knows.
pub const ASKED: &str = "asked";
pub const UNKNOWN_POSITION: &str = "unknown_position";
pub const BELOW_FLOOR: &str = "below_floor";
pub const VIEW_CHANGED: &str = "view_changed";
pub const SCHEMA_CHANGED: &str = "schema_changed";
pub const BACKLOG: &str = "backlog";
/// What the subscriber may see changed.
pub const RIGHTS: &str = "rights";

pub const ALL: &[&str] =
    &[ASKED, UNKNOWN_POSITION, BELOW_FLOOR, VIEW_CHANGED, SCHEMA_CHANGED, BACKLOG, RIGHTS];
