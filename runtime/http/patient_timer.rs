//! `PatientSleep`: a deadline that gives what has already arrived a chance to be read.
//!
//! After a pause of the whole process (a suspended machine, a stopped container) every deadline has passed at once, and the runtime sees
//! the timers before it sees the bytes that arrived meanwhile. So a deadline that has passed waits for one short moment more, in which
//! the runtime looks at the sockets. Knows no HTTP.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::rt::{Sleep, Timer};
use tokio::time::Instant;

/// Long enough for the runtime to look at its sockets, short beside every deadline.
const MOMENT: Duration = Duration::from_millis(50);

/// See the module's text.
#[derive(Debug)]
pub struct PatientSleep {
    sleep: Pin<Box<tokio::time::Sleep>>,
    has_passed: bool,
}

impl PatientSleep {
    pub fn until(deadline: Instant) -> PatientSleep {
        PatientSleep { sleep: Box::pin(tokio::time::sleep_until(deadline)), has_passed: false }
    }

    pub fn reset(&mut self, deadline: Instant) {
        self.has_passed = false;
        self.sleep.as_mut().reset(deadline);
    }
}

impl Future for PatientSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        ready!(self.sleep.as_mut().poll(context));
        if !self.has_passed {
            self.has_passed = true;
            self.sleep.as_mut().reset(Instant::now() + MOMENT);
            ready!(self.sleep.as_mut().poll(context));
        }
        Poll::Ready(())
    }
}

impl Sleep for PatientSleep {}

/// hyper's timer, for the head of a request and for the pause between two.
#[derive(Debug, Clone, Copy)]
pub struct PatientTimer;

impl Timer for PatientTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        Box::pin(PatientSleep::until(Instant::now() + duration))
    }

    fn sleep_until(&self, deadline: std::time::Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(PatientSleep::until(deadline.into()))
    }

    fn now(&self) -> std::time::Instant {
        Instant::now().into()
    }

    fn reset(&self, sleep: &mut Pin<Box<dyn Sleep>>, deadline: std::time::Instant) {
        match sleep.as_mut().downcast_mut_pin::<PatientSleep>() {
            Some(sleep) => sleep.get_mut().reset(deadline.into()),
            None => *sleep = self.sleep_until(deadline),
        }
    }
}

/// The output of the future, or `None` when it takes longer.
pub async fn within<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    let late = PatientSleep::until(Instant::now() + limit);
    let mut future = pin!(future);
    tokio::select! {
        biased;
        output = &mut future => Some(output),
        () = late => None,
    }
}
