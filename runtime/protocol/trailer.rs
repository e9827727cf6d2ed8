//! `Trailer`: how far a stream has come for all of its channels together (SEMANTICS P4). It is the `id` of an event stream, which
//! a browser sends back as `Last-Event-ID`. An id of a stream that a ticket opened has a mark behind it.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

use super::view::View;
use crate::ids::Position;

/// `<epoch>:<seq>:<hash of all views>`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trailer {
    pub position: Position,
    pub views: ViewsHash,
}

/// Stands for the channels of a stream and what is seen of each: 16 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ViewsHash(u64);

/// An id that is no trailer: that of `welcome`, or of another server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the id names no position")]
pub struct NoTrailer;

const DIGITS: usize = 16;

/// An id, and behind it the mark of its stream, where it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MarkedId<'a> {
    pub id: &'a str,
    pub mark: Option<&'a str>,
}

impl<'a> MarkedId<'a> {
    pub fn read(text: &'a str) -> MarkedId<'a> {
        match text.rsplit_once(MARK) {
            Some((id, mark)) => MarkedId { id, mark: Some(mark) },
            None => MarkedId { id: text, mark: None },
        }
    }
}

/// The id with the mark of its stream, where it has one.
pub fn marked(id: impl fmt::Display, mark: Option<&str>) -> String {
    mark.map_or_else(|| id.to_string(), |mark| format!("{id}{MARK}{mark}"))
}

/// Between an id and the mark of its stream.
const MARK: char = '~';

impl ViewsHash {
    /// The order of the channels does not matter.
    pub fn of<'a>(channels: impl Iterator<Item = (&'a str, &'a View)>) -> ViewsHash {
        let mut channels: Vec<_> = channels.collect();
        channels.sort_unstable_by_key(|(channel, _)| *channel);
        let mut digest = Sha256::new();
        for (channel, view) in channels {
            digest.update(channel);
            digest.update([0]);
            digest.update(view.as_str());
            digest.update([0]);
        }
        let digest: [u8; 32] = digest.finalize().into();
        let [a, b, c, d, e, f, g, h, ..] = digest;
        ViewsHash(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
    }
}

impl fmt::Display for ViewsHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:0DIGITS$x}", self.0)
    }
}

impl fmt::Display for Trailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.position, self.views)
    }
}

impl FromStr for Trailer {
    type Err = NoTrailer;

    fn from_str(text: &str) -> Result<Trailer, NoTrailer> {
        let (position, hash) = text.rsplit_once(':').ok_or(NoTrailer)?;
        let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if hash.len() != DIGITS || !hash.bytes().all(hex) {
            return Err(NoTrailer);
        }
        let position = position.parse().map_err(|_| NoTrailer)?;
        let views = u64::from_str_radix(hash, 16).map_err(|_| NoTrailer)?;
        Ok(Trailer { position, views: ViewsHash(views) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Generation;

    #[test]
    fn a_trailer_is_read_as_it_is_written_and_nothing_else_is_one() {
        let views = [View::everything(Generation(1)), View::new("a", "b", Generation(1))];
        let forth = ViewsHash::of([("x", &views[0]), ("y", &views[1])].into_iter());
        let back = ViewsHash::of([("y", &views[1]), ("x", &views[0])].into_iter());
        assert_eq!(forth, back);
        assert_ne!(forth, ViewsHash::of([("x", &views[1]), ("y", &views[0])].into_iter()));
        let text = format!("0123456789abcdef0123456789abcdef:41:{forth}");
        let trailer: Trailer = text.parse().unwrap();
        assert_eq!((trailer.to_string(), &trailer.views), (text.clone(), &forth));
        let position = text.rsplit_once(':').unwrap().0;
        assert_eq!(MarkedId::read(&text), MarkedId { id: &text, mark: None });
        let marked = format!("{text}{MARK}m-_1");
        assert_eq!(MarkedId::read(&marked), MarkedId { id: &text, mark: Some("m-_1") });
        for wrong in
            ["", "41", position, "session-0190", &text.to_uppercase(), &format!("{text}0"), &text[1..]]
        {
            assert_eq!(wrong.parse::<Trailer>(), Err(NoTrailer), "{wrong}");
        }
    }
}
