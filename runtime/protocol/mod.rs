//! What goes over the wire: frames, channel names, query strings, encoding, the one table of codes.
//!
//! Knows entities by name only, and of the rules only the read scope that a `View` names; knows no connection, no store and no HTTP.

pub mod channel_name;
pub mod client_frame;
pub mod codes;
mod named_entities;
pub mod presence_frame;
pub mod query_string;
pub mod reason;
pub mod server_frame;
pub mod trailer;
pub mod view;
pub mod wire;

pub use channel_name::{ChannelError, ChannelName, ChannelTarget};
pub use client_frame::{
    ClientFrame, ClientMessage, FirstRows, FrameError, LeaseWanted, MAX_EVENT, MOST_FIRST_ROWS, Resource,
    RoomMessage, Since, SubscribeOptions,
};
pub use codes::{CloseCode, Code, ENDS_SUBSCRIPTION, Retry};
pub use named_entities::{NamedEntitiesError, named_entities};
pub use presence_frame::{
    BadPresence, PRESENCE, PresenceAction, PresenceFrame, PresenceNews, PresenceState, ResourceName,
    WatchKind, encode_part,
};
pub use query_string::{Params, QueryStringError};
pub use trailer::{NoTrailer, Trailer, ViewsHash};
pub use view::View;
pub use wire::WireForm;
