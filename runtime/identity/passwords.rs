//! `Passwords`: argon2id, a few at once, on threads of their own that run behind all others.
//!
//! Each costs 19 MiB and some ten milliseconds of a core, so more wait for their turn, and beyond `WAITING` are refused. Where cores
//! are scarce, the system runs the threads of requests first: many logins delay each other and nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use argon2::Argon2;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use tokio::sync::Semaphore;

use super::error::IdentityError;
use super::low_priority::LowPriorityThreads;

/// Passwords that may wait for their turn.
const WAITING: usize = 64;

/// What is compared where there is no account or no password: it costs the same, and nothing fits it.
const DECOY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$dGlkZXdpcmUgZGVjb3kh$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// See the module's text.
#[derive(Debug)]
pub struct Passwords {
    threads: LowPriorityThreads,
    turns: Arc<Semaphore>,
    places: Arc<Semaphore>,
    least: usize,
    computed: Arc<AtomicU64>,
}

/// Bytes of a password.
const MOST: usize = 1024;

/// Passwords that are tried first by everybody who guesses.
const COMMON: &[&str] = &[
    "password",
    "12345678",
    "123456789",
    "1234567890",
    "qwertyui",
    "qwerty123",
    "password1",
    "iloveyou",
    "11111111",
    "00000000",
    "abcdefgh",
    "abcd1234",
    "change-me",
    "changeme",
    "letmein1",
    "passw0rd",
    "sunshine",
    "princess",
    "football",
    "baseball",
    "superman",
    "trustno1",
    "admin123",
    "tidewire",
    "administrator",
    "1q2w3e4r",
    "asdfghjk",
];

impl Passwords {
    /// `at_once`: how many are computed at the same time. `least`: characters of a new password.
    pub fn new(at_once: usize, least: usize) -> Passwords {
        let at_once = at_once.max(1);
        let (turns, places) = (Semaphore::new(at_once), Semaphore::new(at_once + WAITING));
        Passwords {
            threads: LowPriorityThreads::new(at_once),
            turns: Arc::new(turns),
            places: Arc::new(places),
            least,
            computed: Arc::default(),
        }
    }

    /// How many were computed so far.
    pub fn computed(&self) -> u64 {
        self.computed.load(Ordering::Relaxed)
    }

    /// Why a text may not become the password of this user; the sentence goes on after "the password".
    pub fn fault(&self, password: &str, name: &str) -> Option<String> {
        let folded = password.to_lowercase();
        if password.chars().count() < self.least {
            return Some(format!("has fewer than {} characters", self.least));
        }
        if password.len() > MOST {
            return Some(format!("is longer than {MOST} bytes"));
        }
        if COMMON.contains(&&*folded) {
            return Some("is one of those that are guessed first; choose another".to_owned());
        }
        if self.is_name(password, name) {
            return Some("is the login name; choose another".to_owned());
        }
        None
    }

    /// Whether a password says what the login name says.
    pub fn is_name(&self, password: &str, name: &str) -> bool {
        password.to_lowercase() == name.to_lowercase()
    }

    /// As what a password is stored.
    pub async fn hash(&self, password: String) -> Result<String, IdentityError> {
        let hashed = self.in_turn(move || {
            Argon2::default().hash_password(password.as_bytes()).map(|hash| hash.to_string())
        });
        hashed.await?.map_err(|error| IdentityError::Failed(error.to_string()))
    }

    /// Whether a password fits what is stored. Takes as long where nothing is stored.
    pub async fn fits(&self, password: String, stored: Option<String>) -> Result<bool, IdentityError> {
        let fitting = self.in_turn(move || {
            let against = stored.as_deref().unwrap_or(DECOY);
            // No password that can be set is longer, and no stranger may have megabytes hashed.
            let tried = if password.len() > MOST { "" } else { &password };
            let verified = Argon2::default().verify_password(tried.as_bytes(), against);
            verified.is_ok() && stored.is_some()
        });
        fitting.await
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, IdentityError> {
        let place = self.places.clone().try_acquire_owned().map_err(|_| IdentityError::Overloaded)?;
        let turn = self.turns.clone().acquire_owned().await.map_err(|_| IdentityError::Overloaded)?;
        // Both are held by the work itself: a caller who leaves does not make room for more than can run.
        let computed = self.computed.clone();
        let done = self.threads.run(move || {
            computed.fetch_add(1, Ordering::Relaxed);
            let done = work();
            drop((place, turn));
            done
        });
        done.await.map_err(|error| IdentityError::Failed(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::FutureExt;
    use futures_util::future::join_all;

    use super::*;

    #[tokio::test]
    async fn passwords_beyond_those_that_may_wait_are_refused_and_the_others_are_not() {
        let passwords = Passwords::new(1, 8);
        let (go, gate) = std::sync::mpsc::channel::<()>();
        let mut held = pin!(passwords.in_turn(move || gate.recv().is_ok()));
        let mut waiting = pin!(join_all((0..WAITING).map(|_| passwords.in_turn(|| true))));
        assert!(held.as_mut().now_or_never().is_none() && waiting.as_mut().now_or_never().is_none());
        for _ in 0..3 {
            let refused = passwords.hash("correct horse".to_owned()).now_or_never();
            let refused = refused.expect("it is refused at once, and does not wait");
            assert!(matches!(refused, Err(IdentityError::Overloaded)), "{refused:?}");
        }
        go.send(()).unwrap();
        assert!(held.await.unwrap());
        assert!(waiting.await.into_iter().all(|done| done == Ok(true)));
        passwords.hash("correct horse".to_owned()).await.unwrap();
    }

    #[tokio::test]
    async fn a_password_fits_its_hash_and_no_other() {
        let passwords = Passwords::new(2, 8);
        let stored = passwords.hash("correct horse".to_owned()).await.unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        assert!(passwords.fits("correct horse".to_owned(), Some(stored.clone())).await.unwrap());
        assert!(!passwords.fits("correct horsf".to_owned(), Some(stored.clone())).await.unwrap());
        assert!(!passwords.fits(String::new(), Some(stored)).await.unwrap());
        for tried in ["", "correct horse", "AAAAAAAA"] {
            assert!(!passwords.fits(tried.to_owned(), None).await.unwrap(), "the decoy fits nothing");
        }
    }

    #[test]
    fn the_decoy_costs_what_a_password_costs() {
        use argon2::password_hash::phc::PasswordHash;
        let decoy = PasswordHash::new(DECOY).unwrap();
        let real = Argon2::default().hash_password(b"any").unwrap();
        assert_eq!((decoy.algorithm, &decoy.params), (real.algorithm, &real.params));
        assert_eq!(decoy.hash.unwrap().len(), real.hash.unwrap().len());
    }

    #[test]
    fn weak_passwords_are_refused_with_their_reason() {
        let passwords = Passwords::new(1, 8);
        for (password, why) in [
            ("", "fewer than 8"),
            ("seven77", "fewer than 8"),
            ("Password", "guessed first"),
            ("change-me", "guessed first"),
            ("Ada.Lovelace", "login name"),
            (&"x".repeat(1025), "longer than"),
        ] {
            let fault = passwords.fault(password, "ada.lovelace").unwrap_or_default();
            assert!(fault.contains(why), "{password:?}: {fault}");
        }
        assert_eq!(passwords.fault("correct horse", "ada"), None);
        assert_eq!(passwords.fault("äöüäöüäö", "ada"), None, "characters count, not bytes");
    }
}
