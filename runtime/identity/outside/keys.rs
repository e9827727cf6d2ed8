//! `VerifyingKey`: a key of an issuer, with the one algorithm that it is for. The algorithm comes from the settings and never from a
//! token: a public RSA key that a token could use as an HMAC secret would let everybody in.
//!
//! Verifies a signature and nothing else; `claims.rs` judges what was signed.

use std::sync::Arc;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use super::hidden::HiddenText;
use crate::identity::secret::digest;

/// What the settings may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(crate) enum TokenAlgorithm {
    HS256,
    RS256,
    ES256,
    #[serde(rename = "EdDSA")]
    EdDsa,
}

/// See the module's text.
pub(crate) struct VerifyingKey {
    /// `kid`. A key of a file has none and is tried for every token.
    pub(crate) id: Option<String>,
    /// Tells whether an issuer still has the key.
    pub(crate) thumbprint: Arc<str>,
    algorithm: TokenAlgorithm,
    key: DecodingKey,
}

/// Keys of one set that are kept.
const MOST_KEYS: usize = 32;

impl TokenAlgorithm {
    pub(crate) fn word(self) -> &'static str {
        match self {
            TokenAlgorithm::HS256 => "HS256",
            TokenAlgorithm::RS256 => "RS256",
            TokenAlgorithm::ES256 => "ES256",
            TokenAlgorithm::EdDsa => "EdDSA",
        }
    }

    fn of_library(self) -> Algorithm {
        match self {
            TokenAlgorithm::HS256 => Algorithm::HS256,
            TokenAlgorithm::RS256 => Algorithm::RS256,
            TokenAlgorithm::ES256 => Algorithm::ES256,
            TokenAlgorithm::EdDsa => Algorithm::EdDSA,
        }
    }

    /// Whether a key of a set is for this algorithm.
    fn takes(self, jwk: &Jwk) -> bool {
        let named = match &jwk.common.key_algorithm {
            None => true,
            Some(KeyAlgorithm::RS256) => self == TokenAlgorithm::RS256,
            Some(KeyAlgorithm::ES256) => self == TokenAlgorithm::ES256,
            Some(KeyAlgorithm::EdDSA) => self == TokenAlgorithm::EdDsa,
            Some(_) => false,
        };
        let signs = matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature));
        let shape = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => self == TokenAlgorithm::RS256,
            AlgorithmParameters::EllipticCurve(key) => {
                self == TokenAlgorithm::ES256 && key.curve == EllipticCurve::P256
            }
            AlgorithmParameters::OctetKeyPair(key) => {
                self == TokenAlgorithm::EdDsa && key.curve == EllipticCurve::Ed25519
            }
            // A set is public, so a secret in it is none.
            AlgorithmParameters::OctetKey(_) | AlgorithmParameters::Other(_) | _ => false,
        };
        named && signs && shape
    }
}

impl VerifyingKey {
    pub(crate) fn of_secret(secret: &HiddenText) -> VerifyingKey {
        VerifyingKey {
            id: None,
            thumbprint: digest(secret.text()).into(),
            algorithm: TokenAlgorithm::HS256,
            key: DecodingKey::from_secret(secret.text().as_bytes()),
        }
    }

    /// Of a PEM file with a public key.
    pub(crate) fn of_pem(algorithm: TokenAlgorithm, pem: &str) -> Result<VerifyingKey, String> {
        if pem.contains("PRIVATE KEY") {
            return Err("it has a private key; the server needs the public key alone".to_owned());
        }
        let read = match algorithm {
            TokenAlgorithm::HS256 => return Err("HS256 has secrets and no key file".to_owned()),
            TokenAlgorithm::RS256 => DecodingKey::from_rsa_pem(pem.as_bytes()),
            TokenAlgorithm::ES256 => DecodingKey::from_ec_pem(pem.as_bytes()),
            TokenAlgorithm::EdDsa => DecodingKey::from_ed_pem(pem.as_bytes()),
        };
        let key = read.map_err(|_| {
            format!(
                "it has no public key for {}: it must be PEM, with a line `-----BEGIN PUBLIC KEY-----`",
                algorithm.word()
            )
        })?;
        Ok(VerifyingKey { id: None, thumbprint: digest(pem).into(), algorithm, key })
    }

    /// Those keys of a JSON Web Key Set that are for this algorithm. Other keys are passed over, as sets may have any.
    pub(crate) fn of_set(algorithm: TokenAlgorithm, text: &str) -> Result<Vec<Arc<VerifyingKey>>, String> {
        #[derive(Deserialize)]
        struct AnySet {
            keys: Vec<Json>,
        }
        let set: AnySet = serde_json::from_str(text)
            .map_err(|error| format!("it is no JSON Web Key Set, {{\"keys\": [...]}}: {error}"))?;
        let mut keys = Vec::new();
        for json in &set.keys {
            let Ok(jwk) = serde_json::from_value::<Jwk>(json.clone()) else { continue };
            if !algorithm.takes(&jwk) {
                continue;
            }
            if let Ok(key) = DecodingKey::from_jwk(&jwk) {
                let thumbprint = digest(&json.to_string()).into();
                keys.push(Arc::new(VerifyingKey { id: jwk.common.key_id, thumbprint, algorithm, key }));
            }
        }
        match keys.len() {
            0 => Err(format!("it has no key for {}", algorithm.word())),
            1..=MOST_KEYS => Ok(keys),
            more => {
                Err(format!("it has {more} keys for {}; at most {MOST_KEYS} are taken", algorithm.word()))
            }
        }
    }

    /// What was signed, if this key signed it.
    pub(crate) fn open(&self, token: &str) -> Option<Map<String, Json>> {
        let mut validation = Validation::new(self.algorithm.of_library());
        // The claims are judged by the clock of the server, in `claims.rs`.
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        jsonwebtoken::decode(token, &self.key, &validation).ok().map(|opened| opened.claims)
    }
}
