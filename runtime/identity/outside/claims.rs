//! What a signed token says, judged: issuer, audience, times and user. Pure: knows no key and no clock.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value as Json};

use crate::auth::is_reserved;
use crate::identity::live_session::Said;
use crate::ids::{RecordId, Timestamp};

/// What an issuer promises, and how it names things.
#[derive(Debug, Clone)]
pub(crate) struct ClaimRules {
    /// `iss`, letter for letter.
    pub(crate) issuer: String,
    /// One of these must be in `aud`.
    pub(crate) audience: Vec<String>,
    /// How far two clocks may differ.
    pub(crate) leeway: Duration,
    /// Before the ids of its users (SEMANTICS Y1); empty for none.
    pub(crate) prefix: String,
    /// The path of the claim that is the role; with none, the role is that of the record.
    pub(crate) role: Option<String>,
    /// The path of the claim that names the user.
    pub(crate) name: String,
}

/// Who a token is of, and until when.
#[derive(Debug, Clone)]
pub(crate) struct JudgedClaims {
    /// The id of the `User` record.
    pub(crate) user: String,
    pub(crate) expires: Timestamp,
    pub(crate) said: Said,
}

/// Claims of the token and not of its user: rules do not see them, so that the next token of the user says the same.
const OF_THE_TOKEN: [&str; 8] = ["exp", "nbf", "iat", "jti", "nonce", "at_hash", "c_hash", "auth_time"];

/// The last moment that has a date of four digits, in seconds.
const LAST_SECOND: f64 = 253_402_300_799.0;

/// Characters of a name and of a role, as `User` has them.
const LONGEST_NAME: usize = 128;
const LONGEST_ROLE: usize = 64;

impl ClaimRules {
    /// The error is for the caller and names no value of the token.
    pub(crate) fn judge(
        &self,
        mut claims: Map<String, Json>,
        now: Timestamp,
    ) -> Result<JudgedClaims, &'static str> {
        if claims.get("iss").and_then(Json::as_str) != Some(self.issuer.as_str()) {
            return Err("the token is of another issuer");
        }
        if !self.is_for_us(claims.get("aud")) {
            return Err("the token is for another audience");
        }
        let leeway = i64::try_from(self.leeway.as_millis()).unwrap_or(0);
        let expires = match claims.get("exp") {
            None => return Err("the token has no `exp`, so it would be good for ever"),
            Some(exp) => {
                millis(exp).ok_or("`exp` of the token is no time in seconds")?.saturating_add(leeway)
            }
        };
        if expires <= now.0 {
            return Err("the token has expired: get another one");
        }
        if let Some(nbf) = claims.get("nbf") {
            let from = millis(nbf).ok_or("`nbf` of the token is no time in seconds")?;
            if now.0 < from.saturating_sub(leeway) {
                return Err("the token is not good yet");
            }
        }
        let user = self.user(claims.get("sub").and_then(Json::as_str))?;
        let said = Said {
            name: at(&claims, &self.name).and_then(shown_name),
            role: self
                .role
                .as_deref()
                .map(|path| at(&claims, path).and_then(role).unwrap_or_else(|| "".into())),
            claims: Arc::default(),
        };
        for name in OF_THE_TOKEN {
            claims.remove(name);
        }
        Ok(JudgedClaims {
            user,
            expires: Timestamp(expires),
            said: Said { claims: Arc::new(claims), ..said },
        })
    }

    fn is_for_us(&self, aud: Option<&Json>) -> bool {
        let ours =
            |name: &Json| name.as_str().is_some_and(|name| self.audience.iter().any(|own| own == name));
        match aud {
            Some(Json::Array(names)) => names.iter().all(Json::is_string) && names.iter().any(ours),
            Some(one) => ours(one),
            None => false,
        }
    }

    fn user(&self, sub: Option<&str>) -> Result<String, &'static str> {
        let sub = sub.filter(|sub| !sub.is_empty()).ok_or("the token has no `sub`")?;
        let user = match self.prefix.as_str() {
            "" => sub.to_owned(),
            prefix => format!("{prefix}:{sub}"),
        };
        if is_reserved(&user) || RecordId::parse_text(&user).is_err() {
            return Err(
                "`sub` of the token cannot be the id of a user: it is reserved, too long, or has control characters",
            );
        }
        Ok(user)
    }
}

/// A path of members, such as `realm.role`. A member with a dot in its name is found by its whole name.
fn at<'a>(claims: &'a Map<String, Json>, path: &str) -> Option<&'a Json> {
    if let Some(found) = claims.get(path) {
        return Some(found);
    }
    let mut parts = path.split('.');
    let mut found = claims.get(parts.next()?)?;
    for part in parts {
        found = found.get(part)?;
    }
    Some(found)
}

fn shown_name(json: &Json) -> Option<Arc<str>> {
    let visible = json.as_str()?.chars().filter(|letter| !letter.is_control());
    let name: String = visible.take(LONGEST_NAME).collect();
    let name = name.trim();
    (!name.is_empty()).then(|| name.into())
}

fn role(json: &Json) -> Option<Arc<str>> {
    let role = json.as_str()?;
    let visible = |letter: char| !letter.is_whitespace() && !letter.is_control();
    (role.chars().count() <= LONGEST_ROLE && role.chars().all(visible)).then(|| role.into())
}

/// Seconds since 1970, as RFC 7519 has them, with or without a fraction.
fn millis(json: &Json) -> Option<i64> {
    let seconds = json.as_f64().filter(|seconds| *seconds >= 0.0)?;
    #[expect(clippy::cast_possible_truncation, reason = "it is within the years up to 9999")]
    let millis = (seconds.min(LAST_SECOND) * 1000.0) as i64;
    Some(millis)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000_000);

    fn rules() -> ClaimRules {
        ClaimRules {
            issuer: "https://acme.example".to_owned(),
            audience: vec!["tide".to_owned(), "other".to_owned()],
            leeway: Duration::from_secs(30),
            prefix: "acme".to_owned(),
            role: Some("realm.role".to_owned()),
            name: "name".to_owned(),
        }
    }

    fn claims(change: Json) -> Map<String, Json> {
        let mut claims =
            json!({"iss": "https://acme.example", "aud": "tide", "sub": "ada", "exp": 1_000_100});
        for (key, value) in change.as_object().unwrap() {
            claims[key] = value.clone();
        }
        let Json::Object(mut claims) = claims else { unreachable!() };
        claims.retain(|_, value| !value.is_null());
        claims
    }

    #[test]
    fn a_token_is_judged_by_every_claim_and_at_every_edge() {
        for (change, good) in [
            (json!({}), true),
            (json!({"iss": "https://acme.example/"}), false),
            (json!({"iss": null}), false),
            (json!({"iss": ["https://acme.example"]}), false),
            (json!({"aud": "tid"}), false),
            (json!({"aud": null}), false),
            (json!({"aud": []}), false),
            (json!({"aud": ["x", "other"]}), true),
            (json!({"aud": ["tide", 3]}), false),
            (json!({"aud": {"tide": true}}), false),
            (json!({"exp": null}), false),
            (json!({"exp": "1000100"}), false),
            (json!({"exp": -1}), false),
            (json!({"exp": 999_970}), false),
            (json!({"exp": 999_971}), true),
            (json!({"exp": 999_970.5}), true),
            (json!({"exp": 1e300}), true),
            (json!({"nbf": 1_000_030}), true),
            (json!({"nbf": 1_000_031}), false),
            (json!({"nbf": "now"}), false),
            (json!({"sub": null}), false),
            (json!({"sub": ""}), false),
            (json!({"sub": 7}), false),
            (json!({"sub": "a\u{0}b"}), false),
            (json!({"sub": "x".repeat(123)}), true),
            (json!({"sub": "x".repeat(124)}), false),
        ] {
            assert_eq!(rules().judge(claims(change.clone()), NOW).is_ok(), good, "{change}");
        }
        let bare = ClaimRules { prefix: String::new(), ..rules() };
        for sub in ["guest:1", "service:worker"] {
            assert!(bare.judge(claims(json!({"sub": sub})), NOW).is_err(), "{sub}");
            assert_eq!(rules().judge(claims(json!({"sub": sub})), NOW).unwrap().user, format!("acme:{sub}"));
        }
    }

    #[test]
    fn claims_become_an_id_a_name_a_role_and_what_rules_see() {
        let given = json!({"name": " Ada\u{7} ", "realm": {"role": "editor"}, "projects": ["a"], "jti": "1"});
        let judged = rules().judge(claims(given), NOW).unwrap();
        assert_eq!((judged.user.as_str(), judged.expires), ("acme:ada", Timestamp(1_000_130_000)));
        assert_eq!((judged.said.name.as_deref(), judged.said.role.as_deref()), (Some("Ada"), Some("editor")));
        let seen = Json::Object((*judged.said.claims).clone());
        assert_eq!(
            (&seen["projects"], &seen["sub"], seen.get("exp"), seen.get("jti")),
            (&json!(["a"]), &json!("ada"), None, None)
        );
        for role in [json!(null), json!("two words"), json!(["editor"]), json!("x".repeat(65))] {
            let judged = rules().judge(claims(json!({"realm": {"role": role}})), NOW).unwrap();
            assert_eq!(judged.said.role.as_deref(), Some(""), "a mapped role that is none is none: {role}");
        }
        let unmapped = ClaimRules { role: None, ..rules() };
        assert_eq!(unmapped.judge(claims(json!({})), NOW).unwrap().said.role, None);
    }
}
