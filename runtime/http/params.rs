//! `Params`: a query string, decoded strictly. Knows no parameter by name.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::problem::Problem;
use crate::ids::shown;
use crate::protocol::Code;

/// Names and values in the order of the query string.
#[derive(Debug, Default)]
pub struct Params(Vec<(String, String)>);

impl Params {
    /// `a=1&b=2`, percent-encoded UTF-8, `+` for a space. Refused with `BAD_QUERY` otherwise.
    pub fn parse(query: Option<&str>) -> Result<Params, Problem> {
        let mut params = Vec::new();
        for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            params.push((decoded(name)?, decoded(value)?));
        }
        Ok(Params(params))
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
    pub fn one(&self, name: &str) -> Result<Option<&str>, Problem> {
        let mut values = self.iter().filter(|(found, _)| *found == name).map(|(_, value)| value);
        let value = values.next();
        if values.next().is_some() {
            return Err(Problem::new(Code::BadQuery, format!("the parameter `{name}` is given twice")));
        }
        Ok(value)
    }
}

fn decoded(text: &str) -> Result<String, Problem> {
    let spaced: Cow<'_, str> = if text.contains('+') { text.replace('+', " ").into() } else { text.into() };
    match percent_decode_str(&spaced).decode_utf8() {
        Ok(decoded) => Ok(decoded.into_owned()),
        Err(_) => {
            let detail = format!("`{}` in the query is not percent-encoded UTF-8", shown(text));
            Err(Problem::new(Code::BadQuery, detail))
        }
    }
}
