//! The loop of one connection, the same for every transport: takes what is heard of the peer, the outbox, answers of
//! reads and the clock, hands each to the session, and performs what the session says. Decides nothing itself, but how
//! long a peer may take over what it is sent.

use std::collections::VecDeque;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{BoxFuture, OptionFuture};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::attendance::PresenceAttendance;
use super::credential::{Credential, Renewed};
use super::leases::LeaseSeat;
use super::lifecycle::News;
use super::mutations::{AnsweredMutation, Mutations};
use super::offenders::Offenders;
use super::places::ConnectionPlace;
use super::read::{ReadAnswer, ReadRequest};
use super::reader::LiveReader;
use super::rooms::RoomSeats;
use super::roster::{Expulsion, RosterSeat, SeatOrder};
use super::session::{Effect, Input, Now, Passed, Session};
use super::transport::{Arrival, Ended, Transport};
use crate::channels::group::ConnectionKey;
use crate::channels::{Attach, Channels, Drained, Outbox};
use crate::env::Env;
use crate::identity::{IdentityError, LoginState};
use crate::ids::{ConnectionId, Seq};
use crate::presence::PresenceReceiver;
use crate::protocol::{CloseCode, WireForm};
use crate::refusals::{KeptClaims, Observed, Refusals, RefusedCaller, RefusedPeer, observe};
use crate::store::Evidence;

/// Bytes taken from the outbox for one write. What is taken is written, so this much comes on top of its bound.
const WRITE_BYTES: usize = 256 << 10;

/// How many write timeouts `WRITE_BYTES` of a buffer may take, however little each write moved.
const PATIENCE: u32 = 6;

/// How long a peer may take over the end of its connection.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a server that stops waits for the writes of a connection.
const FINISH_TIMEOUT: Duration = Duration::from_secs(2);

/// What a connection's task works with.
pub(super) struct Connection<T> {
    pub(super) transport: Box<T>,
    pub(super) session: Session,
    pub(super) outbox: Arc<Outbox>,
    /// Given back with the connection.
    pub(super) place: ConnectionPlace,
    pub(super) seat: RosterSeat,
    pub(super) connections_per_user: usize,
    pub(super) key: ConnectionKey,
    pub(super) channels: Channels,
    pub(super) rooms: RoomSeats,
    pub(super) leases: LeaseSeat,
    pub(super) attendance: PresenceAttendance,
    pub(super) reader: LiveReader,
    pub(super) env: Env,
    pub(super) offenders: Arc<Offenders>,
    /// Who is at the other end, as `offenders` knows them.
    pub(super) owner: Arc<str>,
    pub(super) write_timeout: Duration,
    pub(super) mutations: Mutations,
    /// By what the peer may stay.
    pub(super) credential: Credential,
    /// Clients come back at a random moment within this time after a planned stop.
    pub(super) drain_spread: Duration,
    /// That its peer was told.
    pub(super) id: ConnectionId,
    pub(super) refusals: Arc<Refusals>,
    /// When the ping left that is not answered yet.
    pub(super) pinged: Option<Instant>,
    /// Of a lease that was just refused.
    pub(super) evidence: Option<Box<Evidence>>,
}

/// Completes with the next news. Never completes when there is no sender.
async fn next(mut news: watch::Receiver<News>) -> watch::Receiver<News> {
    if news.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
    news
}

/// Everything that can wake the task.
enum LoopEvent {
    Peer(Arrival),
    Outbox,
    Read(ReadAnswer),
    Tick,
    Told(News),
    Mutated(AnsweredMutation),
    Login(LoginState),
    Expelled(Expulsion),
}

/// What follows from an event.
enum NextStep {
    /// The outbox has something to write.
    Drain,
    Perform(Vec<Effect>),
    /// Ends in order.
    Close(Ended),
    /// The peer is gone.
    End(Ended),
}

/// The next notice about the login of the peer.
type NextLogin = OptionFuture<BoxFuture<'static, LoginState>>;

type ReadUnderWay = OptionFuture<BoxFuture<'static, ReadAnswer>>;

impl<T: Transport> Connection<T> {
    /// Runs until the peer or the session ends it. `news` reports another schema, and shutdown. By reference, since a future keeps
    /// what it is given twice.
    pub(super) async fn run(&mut self, news: watch::Receiver<News>) -> Ended {
        let mut reading: ReadUnderWay = None.into();
        let mut login: NextLogin = self.credential.next().into();
        // One future for the whole life: each new one would cost a place in the list of those who wait.
        let mut told = pin!(next(news));
        let mut tick = pin!(sleep_until(self.session.next_deadline()));
        let mut ordered = pin!(self.seat.clone().ordered());
        let ended = loop {
            let deadline = self.session.next_deadline();
            if tick.deadline() > deadline {
                tick.as_mut().reset(deadline);
            }
            let event = tokio::select! {
                news = &mut told => {
                    let latest = news.borrow().clone();
                    told.set(next(news));
                    LoopEvent::Told(latest)
                }
                order = &mut ordered => match order {
                    SeatOrder::End(why) => LoopEvent::Expelled(why),
                    SeatOrder::Show => {
                        self.seat.show(self.credential.identity().person(), || self.session.rows());
                        ordered.set(self.seat.clone().ordered());
                        continue;
                    }
                },
                () = self.outbox.ready() => LoopEvent::Outbox,
                Some(state) = &mut login => LoopEvent::Login(state),
                Some(answer) = &mut reading => LoopEvent::Read(answer),
                answered = self.mutations.next() => LoopEvent::Mutated(answered),
                // A peer that asks for more than is written waits; its connection holds what it sends.
                arrival = self.transport.next(), if self.mutations.has_room() => LoopEvent::Peer(arrival),
                () = &mut tick => LoopEvent::Tick,
            };
            match &event {
                LoopEvent::Read(_) => reading = None.into(),
                // The deadline moves with every sign of life; the timer is set again only when it fired.
                LoopEvent::Tick => tick.as_mut().reset(self.session.next_deadline()),
                LoopEvent::Login(_) => login = self.credential.next().into(),
                LoopEvent::Told(_)
                | LoopEvent::Outbox
                | LoopEvent::Peer(_)
                | LoopEvent::Mutated(_)
                | LoopEvent::Expelled(_) => {}
            }
            // What is rare is in boxes, so that the task of an idle connection does not keep room for it.
            if let LoopEvent::Told(News { draining: true, .. }) = &event
                && let Err(ended) = Box::pin(self.finish_mutations(&mut reading)).await
            {
                break ended;
            }
            let went_on = match self.hear(event) {
                NextStep::Drain => self.drain_outbox(&mut reading).await,
                NextStep::Perform(effects) => Box::pin(self.perform(effects, &mut reading)).await,
                NextStep::Close(ended) => Err(Box::pin(close(&mut *self.transport, ended)).await),
                NextStep::End(ended) => Err(ended),
            };
            if let Err(ended) = went_on {
                break ended;
            }
            self.seat.has_subscriptions(self.session.subscriptions());
            if self.credential.took_another() {
                login = self.credential.next().into();
            }
        };
        self.outbox.close();
        for attachment in self.session.attachments() {
            self.channels.detach(self.key, attachment).await;
        }
        if self.session.awaits_rights() {
            self.channels.forget(self.key);
        }
        self.attendance.end(ended).await;
        ended
    }

    /// What the session says to an event.
    fn hear(&mut self, event: LoopEvent) -> NextStep {
        let now = self.now();
        if matches!(event, LoopEvent::Outbox | LoopEvent::Read(_))
            && let Some(state) = self.credential.over(now.wall)
        {
            // Its notice or its time may come behind an event, and behind rows that were read before.
            return NextStep::Perform(self.session.on(now, Input::Login(state)));
        }
        let effects = match event {
            LoopEvent::Outbox => return NextStep::Drain,
            LoopEvent::Peer(arrival) => match arrival {
                Arrival::Text(text) => {
                    if self.transport.session().is_some() {
                        self.attendance.heard();
                    }
                    self.session.on(now, Input::Text(&text))
                }
                Arrival::Follows(start) => self.session.on(now, Input::Start(start)),
                Arrival::Binary => self.session.on(now, Input::Binary),
                Arrival::Oversized => self.session.on(now, Input::Oversized),
                Arrival::Life => {
                    if let Some(pinged) = self.pinged.take() {
                        self.seat.answered_after(now.instant - pinged);
                    }
                    self.attendance.heard();
                    self.session.on(now, Input::Heard)
                }
                Arrival::Closed => return NextStep::Close(Ended::ByPeer),
                Arrival::Gone => return NextStep::End(Ended::ByPeer),
                Arrival::Broken(code) => return NextStep::Close(Ended::ByServer(code)),
            },
            LoopEvent::Read(answer) => self.session.on(now, Input::Read(answer)),
            LoopEvent::Login(state) => self.session.on(now, Input::Login(state)),
            LoopEvent::Expelled(why) => self.session.on(now, Input::Expelled(why)),
            LoopEvent::Mutated(AnsweredMutation { request_id, mutated }) => {
                self.session.on(now, Input::Mutated { request_id, mutated })
            }
            LoopEvent::Tick => {
                if !self.mutations.has_room() {
                    // Nothing is read of the peer, so its silence says nothing.
                    self.session.peer_took(now.instant);
                }
                self.session.on(now, Input::Tick)
            }
            LoopEvent::Told(News { draining: false, around }) => {
                self.session.on(now, Input::Reshaped(around))
            }
            LoopEvent::Told(News { draining: true, .. }) => {
                let spread = u64::try_from(self.drain_spread.as_millis()).unwrap_or(u64::MAX).max(1);
                let reconnect_in_ms = self.env.random_u64() % spread;
                self.session.on(now, Input::Drain { reconnect_in_ms })
            }
        };
        NextStep::Perform(effects)
    }

    /// Answers what is being written, as a server that stops does with requests in flight.
    async fn finish_mutations(&mut self, reading: &mut ReadUnderWay) -> Result<(), Ended> {
        let deadline = Instant::now() + FINISH_TIMEOUT;
        while !self.mutations.is_empty() {
            let Ok(answered) = timeout_at(deadline, self.mutations.next()).await else { break };
            let AnsweredMutation { request_id, mutated } = answered;
            let effects = self.session.on(self.now(), Input::Mutated { request_id, mutated });
            Box::pin(self.perform(effects, reading)).await?;
        }
        Ok(())
    }

    async fn drain_outbox(&mut self, reading: &mut ReadUnderWay) -> Result<(), Ended> {
        let now = self.now();
        // Read before the outbox is: whatever belongs to it was appended before it was set.
        let reached = self.channels.position();
        let Drained { items, invalidated, overflowed, dropped, states } = self.outbox.drain(WRITE_BYTES);
        self.rooms.count_dropped(dropped);
        let mut frames = Vec::with_capacity(items.len());
        for item in items {
            let Passed { frame, effects } = self.session.on_item(now, item);
            frames.extend(frame);
            if !effects.is_empty() {
                self.write(std::mem::take(&mut frames)).await?;
                Box::pin(self.perform(effects, reading)).await?;
            }
        }
        frames.extend(states);
        let is_whole = invalidated.is_none() && !overflowed;
        if is_whole {
            frames.extend(self.trailer(reached));
        }
        self.write(frames).await?;
        if is_whole {
            return Ok(());
        }
        if let Some(invalidated) = invalidated {
            let effects = self.session.on(now, Input::Invalidated(invalidated));
            Box::pin(self.perform(effects, reading)).await?;
        }
        if overflowed {
            let effects = self.session.on(now, Input::Overflowed);
            Box::pin(self.perform(effects, reading)).await?;
        }
        let trailer = self.trailer(reached);
        self.write(trailer.into_iter().collect()).await
    }

    /// How far all channels of a stream have come, if everything up to `reached` was taken from the outbox.
    fn trailer(&mut self, reached: Seq) -> Option<Bytes> {
        if self.transport.form() != WireForm::EventStream {
            return None;
        }
        let depth = self.outbox.depth();
        if depth.items > 0 || depth.lagging {
            return None;
        }
        self.session.trailer(reached)
    }

    /// Keeps what the peer is refused, before it is told, for administrators who ask why.
    fn keep_refused(&mut self) {
        for mut refused in self.session.take_refused() {
            refused.evidence = refused.evidence.or_else(|| self.evidence.take());
            self.refused_peer().keep(self.env.now(), refused);
        }
        self.evidence = None;
    }

    fn refused_peer(&self) -> RefusedPeer {
        let identity = self.credential.identity();
        // A frame that reads no single record is never explained by the rights of now.
        let claims = KeptClaims::Unknown;
        RefusedPeer {
            refusals: self.refusals.clone(),
            connection: self.id,
            via: self.transport.via(),
            caller: RefusedCaller { user: identity.user.clone(), role: identity.role.clone(), claims },
        }
    }

    async fn perform(&mut self, effects: Vec<Effect>, reading: &mut ReadUnderWay) -> Result<(), Ended> {
        self.keep_refused();
        for effect in effects {
            match effect {
                Effect::Write(frames) => self.write(vec![frames]).await?,
                Effect::Attach { attachment, channel, sight, view, interval, watch, admission, from } => {
                    let (connection, outbox) = (self.key, self.outbox.clone());
                    let attach = Attach {
                        connection,
                        attachment,
                        outbox,
                        channel,
                        sight,
                        view,
                        interval,
                        watch,
                        admission,
                        from,
                    };
                    self.channels.attach(attach).await;
                }
                Effect::Detach { attachment } => self.channels.detach(self.key, attachment).await,
                Effect::Pong { request_id, lag } => {
                    self.channels.pong(self.key, self.outbox.clone(), lag, request_id).await
                }
                Effect::AwaitRights { person, known } => {
                    self.channels.await_rights(self.key, self.outbox.clone(), person, known).await;
                }
                Effect::Read(read) => *reading = Some(read_later(self.reader.clone(), read)).into(),
                Effect::Presence { ask, person } => {
                    let receiver = PresenceReceiver { queue: self.outbox.clone(), peer: self.refused_peer() };
                    let identity = self.credential.identity();
                    if let Err(ask) = self.attendance.ask(receiver, ask, person, identity) {
                        let effects = self.session.on(self.now(), Input::PresenceBusy { ask });
                        Box::pin(self.perform(effects, reading)).await?;
                    }
                }
                Effect::Ping => {
                    in_time(self.write_timeout, self.transport.ping()).await?;
                    let left = Instant::now();
                    self.pinged.get_or_insert(left);
                    self.session.ping_left(left);
                }
                Effect::Enter { channel, membership } => self.rooms.enter(channel, membership),
                Effect::Leave { channel } => self.rooms.leave(&channel),
                Effect::Lease { resource, wanted, request_id } => {
                    let asked = observe(self.leases.ask(self.credential.identity(), &resource, &wanted));
                    let Observed { output: answer, mut noted } = Box::pin(asked).await;
                    self.evidence = noted.evidence_of(None);
                    let input = Input::Leased { resource, request_id, answer };
                    let effects = self.session.on(self.now(), input);
                    Box::pin(self.perform(effects, reading)).await?;
                }
                Effect::Publish { channel, json, echo, request_id } => {
                    let now = self.now();
                    let published = self.rooms.publish(now.instant, &channel, json, echo);
                    let input = Input::Published { channel, request_id, published };
                    let effects = self.session.on(now, input);
                    Box::pin(self.perform(effects, reading)).await?;
                }
                Effect::Authenticate { token, request_id } => {
                    let renewed = Box::pin(self.renew(&token)).await;
                    let effects = self.session.on(self.now(), Input::Renewed { request_id, renewed });
                    Box::pin(self.perform(effects, reading)).await?;
                }
                Effect::Mutate { payload, request_id } => {
                    self.mutations.ask(request_id, &payload, self.credential.writer());
                }
                Effect::Close(code) => {
                    if code == CloseCode::TooManyMessages {
                        // Before the peer can see the close, and so before it can come back.
                        self.offenders.remember(self.owner.clone());
                    }
                    return Err(close(&mut *self.transport, Ended::ByServer(code)).await);
                }
            }
        }
        Ok(())
    }

    /// The connection counts as one of the user from then on.
    async fn renew(&mut self, token: &str) -> Result<Renewed, IdentityError> {
        let mut renewed = self.credential.renew(token, &self.reader).await?;
        if self.place.take_over(renewed.identity.user.as_ref(), self.connections_per_user).is_err() {
            return Err(IdentityError::BadToken(
                "this user already has as many connections as they may have",
            ));
        }
        // From here on the roster knows whose connection this is. Had its user been disabled before, no notice would come.
        let person = renewed.identity.person();
        let read = self.reader.principal(person).await;
        renewed.principal = read.map_err(|error| IdentityError::Failed(error.to_string()))?;
        self.leases.take_over(&renewed.identity);
        self.owner = renewed.identity.idempotency_owner();
        Ok(renewed)
    }

    /// Writes whole frames.
    async fn write(&mut self, frames: Vec<Bytes>) -> Result<(), Ended> {
        // A peer that takes a byte now and then must not hold its place forever.
        let patience = self.write_timeout * PATIENCE;
        let (mut deadline, mut taken) = (Instant::now() + patience, 0);
        let mut queue: VecDeque<Bytes> = frames.into();
        while !queue.is_empty() {
            let limit = deadline.min(Instant::now() + self.write_timeout);
            let written = match timeout_at(limit, self.transport.write(&mut queue)).await {
                Ok(Ok(progress)) if progress.bytes > 0 => progress,
                Ok(Ok(_) | Err(_)) => return Err(Ended::ByPeer),
                Err(_) => return Err(Ended::ByServer(CloseCode::TooSlow)),
            };
            let now = Instant::now();
            if written.waited {
                self.session.peer_took(now);
            }
            self.session.wrote(now, written.bytes);
            taken += written.bytes;
            if taken >= WRITE_BYTES {
                (deadline, taken) = (now + patience, 0);
            }
        }
        Ok(())
    }

    fn now(&self) -> Now {
        Now { instant: Instant::now(), wall: self.env.now() }
    }
}

/// Ends the connection, in order if the peer answers in time.
pub(super) async fn close(transport: &mut impl Transport, ended: Ended) -> Ended {
    let _ = timeout(CLOSE_TIMEOUT, transport.close(ended)).await;
    ended
}

/// Tells something to a peer that has no session, or not yet.
pub(super) async fn tell(transport: &mut impl Transport, frame: Bytes, limit: Duration) -> Result<(), Ended> {
    let mut queue = VecDeque::from([frame]);
    let writing = async {
        while !queue.is_empty() {
            if transport.write(&mut queue).await?.bytes == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
        }
        Ok(())
    };
    in_time(limit, writing).await
}

fn read_later(reader: LiveReader, read: ReadRequest) -> BoxFuture<'static, ReadAnswer> {
    Box::pin(async move { reader.read(read).await })
}

async fn in_time(limit: Duration, sending: impl Future<Output = io::Result<()>>) -> Result<(), Ended> {
    match timeout(limit, sending).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(Ended::ByPeer),
        Err(_) => Err(Ended::ByServer(CloseCode::TooSlow)),
    }
}
