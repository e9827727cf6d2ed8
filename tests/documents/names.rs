//! What a page calls the values that are new in every run: `epoch-1`, `view-1`, `connection-1`, `session-1`, `hash-1`.

use regex::{Captures, Regex};

#[derive(Default)]
pub(super) struct Names(Vec<(String, String)>);

impl Names {
    fn name(&mut self, kind: &str, value: &str) -> String {
        if let Some((_, name)) = self.0.iter().find(|(known, _)| known == value) {
            return name.clone();
        }
        let number = 1 + self.0.iter().filter(|(_, name)| name.starts_with(kind)).count();
        let name = format!("{kind}-{number}");
        self.0.push((value.to_owned(), name.clone()));
        name
    }

    /// What the server said, as the page has it: a frame, an answer, or a line of a stream.
    pub(super) fn replaced(&mut self, line: &str) -> String {
        if let Some(id) = line.strip_prefix("id: ") {
            let parts: Vec<&str> = id.split(':').collect();
            return match parts[..] {
                [epoch, seq, hash] => {
                    format!("id: {}:{seq}:{}", self.name("epoch", epoch), self.name("hash", hash))
                }
                _ => format!("id: {}", self.name("session", id)),
            };
        }
        if line.starts_with("retry: ") {
            return "retry: 3120".to_owned();
        }
        let opaque = Regex::new(r#""(epoch|view|connectionId|session)":"([^"]+)""#).unwrap();
        let mut text = opaque
            .replace_all(line, |found: &Captures<'_>| {
                let kind = if &found[1] == "connectionId" { "connection" } else { &found[1] };
                format!("\"{}\":\"{}\"", &found[1], self.name(kind, &found[2]))
            })
            .into_owned();
        for (what, instead) in [
            (r#""timestamp":\d+"#, "\"timestamp\":1701234567890"),
            (r#""reconnectInMs":\d+"#, "\"reconnectInMs\":3120"),
            (r#""(created_at|updated_at|at)":"[^"]+""#, "\"${1}\":\"2023-11-29T05:09:27.890Z\""),
            // Of a problem; what a frame has is the client's.
            (r#""requestId":"[0-9a-f]{32}""#, "\"requestId\":\"…\""),
        ] {
            text = Regex::new(what).unwrap().replace_all(&text, instead).into_owned();
        }
        text
    }

    /// What the client says, with the values of this run.
    pub(super) fn restored(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (value, name)| text.replace(name, value))
    }

    /// The other way round.
    pub(super) fn named(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (value, name)| text.replace(value, name))
    }
}
