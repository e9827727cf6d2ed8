//! `ToldTrailer`: what the last trailer of a stream said, and which one is due next (SEMANTICS P4).
//!
//! Knows no subscription and no outbox: who asks knows that all channels have come so far.

use std::sync::Arc;

use crate::ids::{Epoch, Position, Seq};
use crate::protocol::{Trailer, View, ViewsHash};

/// See the module's text.
#[derive(Debug, Default)]
pub(super) struct ToldTrailer {
    /// Of these is the hash. Mostly the next trailer is of the same, and the hash is not made again.
    channels: Vec<(Arc<str>, View)>,
    views: Option<ViewsHash>,
    reached: Seq,
}

impl ToldTrailer {
    /// The trailer of these channels; `None` where it would say what the last one said, or less.
    pub(super) fn due<'a>(
        &mut self,
        channels: impl Iterator<Item = (&'a Arc<str>, &'a View)> + Clone,
        epoch: &Epoch,
        reached: Seq,
    ) -> Option<Trailer> {
        if self.views.is_some() && self.reached > reached {
            return None;
        }
        let told = self.views.filter(|_| self.follows(channels.clone()));
        if told.is_some() && self.reached == reached {
            return None;
        }
        let views = told.unwrap_or_else(|| {
            self.channels = channels.clone().map(|(channel, view)| (channel.clone(), view.clone())).collect();
            ViewsHash::of(channels.map(|(channel, view)| (&**channel, view)))
        });
        (self.views, self.reached) = (Some(views), reached);
        Some(Trailer { position: Position { epoch: epoch.clone(), seq: reached }, views })
    }

    fn follows<'a>(&self, mut channels: impl Iterator<Item = (&'a Arc<str>, &'a View)>) -> bool {
        let is_next = |(channel, view): &(Arc<str>, View)| {
            channels.next().is_some_and(|(other, seen)| other == channel && seen == view)
        };
        self.channels.iter().all(is_next) && channels.next().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Generation;

    #[test]
    fn a_trailer_is_due_where_a_stream_has_come_further_or_shows_something_else() {
        let epoch: Epoch = "0123456789abcdef0123456789abcdef".parse().unwrap();
        let names: [Arc<str>; 2] = ["entity:Task".into(), "entity:Note".into()];
        let views = [View::everything(Generation(1)), View::new("a", "b", Generation(1))];
        let one = [(&names[0], &views[0])];
        let both = [(&names[0], &views[0]), (&names[1], &views[0])];
        let other_view = [(&names[0], &views[0]), (&names[1], &views[1])];
        let mut told = ToldTrailer::default();
        let mut hashes = Vec::new();
        for (channels, reached, is_due) in [
            (&one[..], 0, true),
            (&one[..], 0, false),
            (&one[..], 2, true),
            (&one[..], 1, false),
            (&both[..], 1, false),
            (&both[..], 2, true),
            (&other_view[..], 2, true),
            (&other_view[..], 2, false),
            (&one[..], 3, true),
        ] {
            let due = told.due(channels.iter().copied(), &epoch, Seq(reached));
            assert_eq!(due.is_some(), is_due, "{channels:?} up to {reached}");
            let Some(trailer) = due else { continue };
            let named = channels.iter().map(|(name, view)| (&***name, *view));
            assert_eq!(trailer.views, ViewsHash::of(named), "{channels:?}");
            assert_eq!(trailer.position.seq, Seq(reached));
            hashes.push(trailer.views);
        }
        assert_eq!(hashes[0], hashes[4], "the same channels have the same hash");
    }
}
