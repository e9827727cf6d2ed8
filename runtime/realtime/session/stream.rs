//! What a session does for a peer that follows by an event stream: the channels of its address at the start, and after each batch
//! a trailer that says how far all of them have come (SEMANTICS P4).

use bytes::Bytes;

use super::rooms::has_messages;
use super::state::Session;
use super::turn::{Envelope, Turn};
use crate::ids::Seq;
use crate::protocol::trailer::marked;
use crate::protocol::{Code, Since, View, ViewsHash, WireForm};
use crate::realtime::channel::Channel;
use crate::realtime::transport::{StreamChannel, StreamStart};

impl Session {
    /// With a trailer every channel resumes from its position, if all of them show the same as then; otherwise none does.
    pub(super) fn on_start(&mut self, turn: &mut Turn, start: StreamStart) {
        let StreamStart { channels, resume, mark } = start;
        self.mark = mark;
        let channels = self.named_once(turn, channels);
        let views: Vec<Option<View>> = channels
            .iter()
            .map(|asked| resume.as_ref().and_then(|_| self.view_now(&asked.channel)))
            .collect();
        let named = channels.iter().zip(&views);
        let named = named.filter_map(|(asked, view)| Some((asked.channel.as_str(), view.as_ref()?)));
        // Those behind the limit are refused, and so are in no trailer.
        let now = ViewsHash::of(named.take(self.around.config.subscriptions));
        let resume = resume.map(|trailer| (trailer.views == now).then_some(trailer.position));
        for (StreamChannel { channel, mut options }, view) in channels.into_iter().zip(views) {
            if has_messages(&channel) {
                self.on_addressed_room(turn, channel, options);
                continue;
            }
            if let Some(position) = &resume {
                let view = view.map(|view| view.to_string());
                options.since = Some(Since { position: position.clone(), view });
            }
            self.on_subscribe(turn, &channel, options, None);
        }
    }

    /// The channels of the address, each once. One that is named again is refused.
    fn named_once(&mut self, turn: &mut Turn, channels: Vec<StreamChannel>) -> Vec<StreamChannel> {
        let mut once = Vec::with_capacity(channels.len());
        for asked in channels {
            if self.followed.insert(asked.channel.as_str().into()) {
                once.push(asked);
            } else {
                let envelope = Envelope::of(&asked.channel, None);
                self.refuse(turn, Code::BadChannel, "the channel is named twice", envelope);
            }
        }
        once
    }

    /// What the person sees of a channel now; `None` where it is refused.
    fn view_now(&self, channel: &str) -> Option<View> {
        let generation = self.around.generation;
        let principal = self.person.principal(generation)?;
        let channel = Channel::resolve(&self.around.schema, generation, channel).ok()?;
        Some(channel.open(principal.value, principal.seq).ok()?.view)
    }

    /// The trailer that is due, if the peer was sent everything up to `reached`. Naming an earlier position than was reached does
    /// no harm: what the peer has already comes again.
    pub fn trailer(&mut self, reached: Seq) -> Option<Bytes> {
        if self.form != WireForm::EventStream || self.closing || !self.slots.all_live(self.delivery.lag) {
            return None;
        }
        let waits = self.slots.records().filter_map(|(_, subscription)| subscription.waits).min();
        let reached = waits.map_or(reached, |waits| waits.min(reached));
        // A browser comes back to the channels of its address alone.
        let addressed = self.slots.records().filter(|(_, one)| self.followed.contains(&one.channel.text));
        let channels = addressed.filter_map(|(_, subscription)| {
            Some((&subscription.channel.text, &subscription.bound.as_ref()?.view))
        });
        let trailer = self.trailer.get_or_insert_default().due(channels, &self.around.epoch, reached)?;
        Some(Bytes::from(format!("id: {}\n\n", marked(trailer, self.mark.as_deref()))))
    }
}
