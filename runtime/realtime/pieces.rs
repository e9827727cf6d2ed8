//! The place for one piece of bytes between the session of a stream and the body of its answer.
//!
//! Both are futures of one task, which polls the session first (`http/server.rs`). So a piece that is put here is taken in the
//! same turn, and putting it wakes no task. Where they belong to two tasks, each wakes the other.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use futures_util::Stream;
use parking_lot::Mutex;

/// The two ends of a place.
#[derive(Debug)]
pub struct PieceLine {
    pub sender: PieceSender,
    pub receiver: PieceReceiver,
}

/// The end of the session.
#[derive(Debug)]
pub struct PieceSender {
    place: Arc<Mutex<PiecePlace>>,
}

/// The end of the body. Ends when the sender is dropped, after the last piece.
#[derive(Debug)]
pub struct PieceReceiver {
    place: Arc<Mutex<PiecePlace>>,
}

/// The receiver is gone.
#[derive(Debug)]
pub struct Closed;

#[derive(Debug, Default)]
struct PiecePlace {
    piece: Option<Bytes>,
    /// The sender waits for room, and not only for the end of the receiver.
    wants_room: bool,
    sender: End,
    receiver: End,
}

#[derive(Debug, Default)]
struct End {
    is_gone: bool,
    waits: Option<Waker>,
}

impl End {
    fn wait(&mut self, context: &Context<'_>) {
        match &mut self.waits {
            Some(waker) => waker.clone_from(context.waker()),
            None => self.waits = Some(context.waker().clone()),
        }
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waits.take() {
            waker.wake();
        }
    }
}

impl Default for PieceLine {
    fn default() -> PieceLine {
        let place = Arc::<Mutex<PiecePlace>>::default();
        PieceLine { sender: PieceSender { place: place.clone() }, receiver: PieceReceiver { place } }
    }
}

impl PieceSender {
    /// Puts what `make` makes, once there is room. Answers whether it had to wait for that.
    pub async fn put(&self, make: impl FnOnce() -> Bytes) -> Result<bool, Closed> {
        let (mut make, mut waited) = (Some(make), false);
        poll_fn(|context| {
            let mut place = self.place.lock();
            if place.receiver.is_gone {
                return Poll::Ready(Err(Closed));
            }
            if place.piece.is_some() {
                (waited, place.wants_room) = (true, true);
                place.sender.wait(context);
                return Poll::Pending;
            }
            place.piece = make.take().map(|make| make()).filter(|piece| !piece.is_empty());
            let is_next = |waker: &Waker| waker.will_wake(context.waker());
            if !place.receiver.waits.as_ref().is_some_and(is_next) {
                place.receiver.wake();
            }
            Poll::Ready(Ok(waited))
        })
        .await
    }

    /// Completes when the receiver is gone.
    pub async fn closed(&self) {
        poll_fn(|context| {
            let mut place = self.place.lock();
            if place.receiver.is_gone {
                return Poll::Ready(());
            }
            place.sender.wait(context);
            Poll::Pending
        })
        .await;
    }
}

impl Drop for PieceSender {
    fn drop(&mut self) {
        let mut place = self.place.lock();
        place.sender.is_gone = true;
        place.receiver.wake();
    }
}

impl Stream for PieceReceiver {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut place = self.place.lock();
        if let Some(piece) = place.piece.take() {
            if std::mem::take(&mut place.wants_room) {
                place.sender.wake();
            }
            return Poll::Ready(Some(Ok(piece)));
        }
        if place.sender.is_gone {
            return Poll::Ready(None);
        }
        place.receiver.wait(context);
        Poll::Pending
    }
}

impl Drop for PieceReceiver {
    fn drop(&mut self) {
        let mut place = self.place.lock();
        place.receiver.is_gone = true;
        place.sender.wake();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use futures_util::future::join;
    use futures_util::{FutureExt, StreamExt};

    use super::*;

    const PIECE: Bytes = Bytes::from_static(b"piece");

    #[derive(Default)]
    struct Counted(AtomicUsize);

    impl Wake for Counted {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Polls once. How often it was woken since, the counter tells.
    fn poll<T>(future: Pin<&mut impl Future<Output = T>>, counted: &Arc<Counted>) -> Poll<T> {
        future.poll(&mut Context::from_waker(&counted.clone().into()))
    }

    #[test]
    fn a_piece_is_taken_in_the_same_turn_and_wakes_no_task() {
        let PieceLine { sender, mut receiver } = PieceLine::default();
        let counted = Arc::new(Counted::default());
        let mut taken = Box::pin(async move { receiver.next().await.is_some() });
        assert!(poll(taken.as_mut(), &counted).is_pending());
        let mut both = Box::pin(join(sender.put(|| PIECE), taken));
        assert!(matches!(poll(both.as_mut(), &counted), Poll::Ready((Ok(false), true))));
        assert_eq!(counted.0.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_task_that_is_another_is_woken_by_a_piece_by_room_and_by_an_end() {
        let PieceLine { sender, mut receiver } = PieceLine::default();
        let [sends, takes] = [(); 2].map(|()| Arc::new(Counted::default()));
        let woken = || [&sends, &takes].map(|counted| counted.0.load(Ordering::Relaxed));
        let mut taken = receiver.next();
        assert!(poll(Pin::new(&mut taken), &takes).is_pending());
        assert!(matches!(poll(Box::pin(sender.put(|| PIECE)).as_mut(), &sends), Poll::Ready(Ok(false))));
        assert_eq!(woken(), [0, 1]);
        let mut second = Box::pin(sender.put(|| PIECE));
        assert!(poll(second.as_mut(), &sends).is_pending(), "the first one was not taken");
        assert!(poll(Pin::new(&mut taken), &takes).is_ready());
        assert_eq!(woken(), [1, 1]);
        assert!(matches!(poll(second.as_mut(), &sends), Poll::Ready(Ok(true))));
        drop(second);
        assert!(poll(Box::pin(sender.closed()).as_mut(), &sends).is_pending());
        assert!(receiver.next().now_or_never().is_some());
        assert_eq!(woken(), [1, 1], "room is of no use to a sender that does not wait for it");
        drop(receiver);
        assert_eq!(woken(), [2, 1]);
        assert!(matches!(poll(Box::pin(sender.put(|| PIECE)).as_mut(), &sends), Poll::Ready(Err(Closed))));
    }

    #[test]
    fn what_was_put_is_taken_after_the_end_of_the_sender() {
        let PieceLine { sender, receiver } = PieceLine::default();
        sender.put(|| PIECE).now_or_never();
        drop(sender);
        let rest: Vec<_> = receiver.collect::<Vec<_>>().now_or_never().expect("it ends");
        assert_eq!(rest, [Ok(PIECE)]);
    }
}
