//! `Service`: a machine that a service token names, and the rooms and users that it may publish to.
//!
//! Knows no token and no channel: `identity/` makes services, and what publishes asks them.

use std::fmt;
use std::sync::Arc;

/// A machine. Its role is that of its `Identity`, and its `User` record has the id `service:<name>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    pub name: Arc<str>,
    pub publish: Vec<PublishPattern>,
}

impl Service {
    /// Whether the machine may publish into the room of this name.
    pub fn may_publish(&self, room: &str) -> bool {
        self.publish.iter().any(|pattern| pattern.fits_room(room))
    }

    /// Whether the machine may notify the user of this id.
    pub fn may_notify(&self, user: &str) -> bool {
        self.publish.iter().any(|pattern| pattern.fits_user(user))
    }
}

/// Names of rooms or users: `room:project/*`, `room:**`, `user:*`. `*` stands for one part between slashes, and `**` at the end for
/// one or more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishPattern {
    kind: PublishKind,
    /// As it was written behind `room:` or `user:`.
    name: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PublishKind {
    Room,
    User,
}

/// Characters of a pattern.
const LONGEST: usize = 256;

const ONE: &str = "*";
const REST: &str = "**";

impl PublishPattern {
    /// The error says what is wrong with the text, and what to write.
    pub fn parse(text: &str) -> Result<PublishPattern, &'static str> {
        let (kind, name) = match text.split_once(':') {
            Some(("room", name)) => (PublishKind::Room, name),
            Some(("user", name)) => (PublishKind::User, name),
            Some(_) | None => return Err("must begin with room: or user:, as in room:project/* or user:*"),
        };
        if name.is_empty() || name.chars().count() > LONGEST || name.chars().any(char::is_control) {
            return Err("must have 1 to 256 visible characters behind room: or user:");
        }
        if kind == PublishKind::User {
            let whole = name == ONE || !name.contains('*');
            return match whole {
                true => Ok(PublishPattern { kind, name: name.to_owned() }),
                false => Err("must name one user, or all of them as user:*"),
            };
        }
        let parts: Vec<&str> = name.split('/').collect();
        if parts.iter().any(|part| part.is_empty()) {
            return Err("must have something between its slashes, as in room:project/*");
        }
        let last = parts.len() - 1;
        for (place, part) in parts.iter().enumerate() {
            if part.contains('*') && *part != ONE && (*part != REST || place != last) {
                return Err(
                    "has a star within a part: * stands for a whole part, and ** for the rest at the end",
                );
            }
        }
        Ok(PublishPattern { kind, name: name.to_owned() })
    }

    fn fits_room(&self, room: &str) -> bool {
        if self.kind != PublishKind::Room {
            return false;
        }
        let mut parts = room.split('/');
        for wanted in self.name.split('/') {
            let Some(part) = parts.next().filter(|part| !part.is_empty()) else { return false };
            match wanted {
                REST => return parts.all(|part| !part.is_empty()),
                ONE => {}
                literal if literal == part => {}
                _ => return false,
            }
        }
        parts.next().is_none()
    }

    fn fits_user(&self, user: &str) -> bool {
        self.kind == PublishKind::User && !user.is_empty() && (self.name == ONE || self.name == user)
    }
}

impl fmt::Display for PublishPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            PublishKind::Room => "room",
            PublishKind::User => "user",
        };
        write!(f, "{kind}:{}", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(patterns: &[&str]) -> Service {
        let publish = patterns.iter().map(|text| PublishPattern::parse(text).unwrap()).collect();
        Service { name: "worker".into(), publish }
    }

    #[test]
    fn a_service_publishes_where_a_pattern_fits_and_nowhere_else() {
        for (pattern, fits, fits_not) in [
            ("room:lobby", &["lobby"][..], &["lobby/a", "lobb", "Lobby", ""][..]),
            ("room:project/*", &["project/1"], &["project", "project/", "project/1/chat", "other/1"]),
            ("room:project/*/chat", &["project/1/chat"], &["project/1", "project/1/log", "project//chat"]),
            (
                "room:project/**",
                &["project/1", "project/1/chat"],
                &["project", "project/", "project/1/", "x"],
            ),
            ("room:**", &["a", "a/b"], &["", "/", "a/"]),
        ] {
            let service = service(&[pattern]);
            for room in fits {
                assert!(service.may_publish(room), "{pattern} {room}");
                assert!(!service.may_notify(room), "{pattern} is no user");
            }
            for room in fits_not {
                assert!(!service.may_publish(room), "{pattern} {room}");
            }
        }
        assert!(service(&["user:*"]).may_notify("acme:ada") && !service(&["user:*"]).may_publish("lobby"));
        assert!(service(&["user:ada"]).may_notify("ada") && !service(&["user:ada"]).may_notify("ben"));
        assert!(!service(&[]).may_publish("lobby") && !service(&[]).may_notify("ada"));
    }

    #[test]
    fn a_pattern_that_could_be_misread_is_refused() {
        for text in [
            "",
            "lobby",
            "room:",
            "user:",
            "rooms:a",
            "room:a//b",
            "room:/a",
            "room:a*",
            "room:**/a",
            "user:a*",
            "user:**",
        ] {
            assert!(PublishPattern::parse(text).is_err(), "{text}");
        }
        for text in ["room:a/*/b", "room:**", "user:*", "user:acme:ada"] {
            assert_eq!(PublishPattern::parse(text).unwrap().to_string(), text);
        }
    }
}
