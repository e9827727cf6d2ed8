//! `Params`: a query string, decoded strictly: that of an address, and that of a live query, so that a filter means the
//! same in both.
//!
//! Knows no parameter by name and no transport.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::ids::shown;

/// Why a text is no query string. `BAD_QUERY` wherever it happens; the text is for the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryStringError {
    #[error("`{}` in the query is not percent-encoded UTF-8", shown(_0))]
    NotEncoded(String),
    #[error("the parameter `{0}` is given twice")]
    Twice(String),
}

/// Names and values in the order of the query string.
#[derive(Debug, Default)]
pub struct Params(Vec<(String, String)>);

impl Params {
    /// `a=1&b=2`, percent-encoded UTF-8, `+` for a space. A name without `=` has an empty value.
    pub fn parse(query: Option<&str>) -> Result<Params, QueryStringError> {
        let mut params = Vec::new();
        for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            params.push((decoded(name)?, decoded(value)?));
        }
        Ok(Params(params))
    }

    /// Parameters that came in another form, decoded.
    pub fn from_pairs(pairs: Vec<(String, String)>) -> Params {
        Params(pairs)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.iter().filter(move |(found, _)| *found == name).map(|(_, value)| value)
    }

    pub fn has(&self, name: &str) -> bool {
        self.all(name).next().is_some()
    }

    /// The value of a parameter that may be given once.
    pub fn one(&self, name: &str) -> Result<Option<&str>, QueryStringError> {
        let mut values = self.iter().filter(|(found, _)| *found == name).map(|(_, value)| value);
        let value = values.next();
        if values.next().is_some() {
            return Err(QueryStringError::Twice(name.to_owned()));
        }
        Ok(value)
    }
}

fn decoded(text: &str) -> Result<String, QueryStringError> {
    let spaced: Cow<'_, str> = if text.contains('+') { text.replace('+', " ").into() } else { text.into() };
    let decoded = percent_decode_str(&spaced).decode_utf8();
    decoded.map(Cow::into_owned).map_err(|_| QueryStringError::NotEncoded(text.to_owned()))
}
