//! `Secret`: 256 random bits as text. Only its SHA-256 is ever stored, so a copy of the vault opens no session.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::env::Env;

/// What a secret is for. Each kind has a beginning of its own, so that programs which search for leaked secrets find it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretKind {
    Session,
    Link,
    Ticket,
    /// A token that many share, which names no user.
    Shared,
    /// The token of a machine.
    Service,
    /// Of a login at another issuer that is under way.
    Login,
}

/// A secret in the clear. It is shown once, to the one that it is for.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// Characters behind the beginning: 32 bytes in base64.
const LETTERS: usize = 43;

impl SecretKind {
    pub fn prefix(self) -> &'static str {
        match self {
            SecretKind::Session => "tws_",
            SecretKind::Link => "twl_",
            SecretKind::Ticket => "twt_",
            SecretKind::Shared => "twg_",
            SecretKind::Service => "twm_",
            SecretKind::Login => "two_",
        }
    }

    /// Whether a text may be such a secret. Other texts are refused without a look at the vault.
    pub fn fits(self, text: &str) -> bool {
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        text.strip_prefix(self.prefix()).is_some_and(|rest| rest.len() == LETTERS && rest.bytes().all(letter))
    }
}

impl Secret {
    pub fn new(kind: SecretKind, env: &Env) -> Secret {
        let mut bytes = [0; 32];
        for part in bytes.chunks_exact_mut(8) {
            part.copy_from_slice(&env.random_u64().to_le_bytes());
        }
        Secret(format!("{}{}", kind.prefix(), URL_SAFE_NO_PAD.encode(bytes)))
    }

    pub fn text(&self) -> &str {
        &self.0
    }

    pub fn digest(&self) -> String {
        digest(&self.0)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// As what a secret is stored.
pub fn digest(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_has_its_form_and_no_other_text_has_it() {
        let env = Env::system();
        let secret = Secret::new(SecretKind::Session, &env);
        assert!(SecretKind::Session.fits(secret.text()), "{}", secret.text());
        assert!(!SecretKind::Link.fits(secret.text()));
        assert_ne!(secret, Secret::new(SecretKind::Session, &env));
        assert_ne!(secret.digest(), secret.text());
        let body = secret.text().trim_start_matches("tws_").to_owned();
        for text in [
            String::new(),
            "tws_".to_owned(),
            body.clone(),
            format!("TWS_{body}"),
            format!("tws_{body}="),
            format!("tws_{}", &body[1..]),
            format!("tws_{}\n", &body[1..]),
            format!("tws_{}/", &body[1..]),
            format!(" {}", secret.text()),
        ] {
            assert!(!SecretKind::Session.fits(&text), "{text:?}");
        }
    }

    #[test]
    fn a_secret_is_not_in_its_debug_form() {
        let secret = Secret::new(SecretKind::Link, &Env::system());
        assert_eq!(format!("{secret:?}"), "Secret");
    }
}
