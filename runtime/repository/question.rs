//! A question in JSON as the parameters of a query string: `{"priority": {"gte": 3}, "sort": "-title"}`. So the two forms
//! cannot differ: what a parameter means is said in one place.
//!
//! Knows no schema. What it cannot turn into parameters is an error, as in `filter`.

use serde_json::{Map, Value as Json};

use super::body::{Body, kind_of};
use super::filter::FilterError;
use super::numbers::{Inexact, JsonStep};
use super::values::whole;
use crate::ids::shown;

/// Parameters that name several things, and so may be arrays.
const LISTS: [&str; 3] = ["sort", "fields", "expand"];
/// Parameters beside the conditions.
const WORDS: [&str; 7] = ["sort", "fields", "expand", "limit", "cursor", "search", "group"];

/// The parameters, in the order of their names.
pub fn parameters(body: Body) -> Result<Vec<(String, String)>, FilterError> {
    let Body { members, inexact } = body;
    let reader = QuestionReader { inexact };
    let mut found = Vec::new();
    for (name, json) in &members {
        if name.contains('[') {
            return fault(
                name,
                "has an operator in its name: write it inside, as in {\"priority\": {\"gte\": 3}}",
            );
        }
        let is_word = WORDS.contains(&name.as_str());
        if let Json::Array(names) = json
            && LISTS.contains(&name.as_str())
        {
            let names: Option<Vec<&str>> = names.iter().map(Json::as_str).collect();
            let Some(names) = names else { return fault(name, "must be a text, or an array of texts") };
            found.push((name.clone(), names.join(",")));
        } else if let Json::Object(operators) = json
            && (!is_word || !operators.is_empty())
        {
            reader.operators(name, operators, &mut found)?;
        } else if json.is_null() && !is_word {
            found.push((format!("{name}[null]"), "true".to_owned()));
        } else {
            found.push((name.clone(), reader.plain(name, json, &[JsonStep::Key(name.clone())])?));
        }
    }
    Ok(found)
}

struct QuestionReader {
    /// Numbers that the parser changed, with their text.
    inexact: Vec<Inexact>,
}

impl QuestionReader {
    fn operators(
        &self,
        name: &str,
        operators: &Map<String, Json>,
        found: &mut Vec<(String, String)>,
    ) -> Result<(), FilterError> {
        if operators.is_empty() {
            return fault(name, "is an empty object: name an operator, or leave it out");
        }
        for (operator, operand) in operators {
            let parameter = format!("{name}[{operator}]");
            let path = [JsonStep::Key(name.to_owned()), JsonStep::Key(operator.clone())];
            let text = match (operator.as_str(), operand.as_array()) {
                ("in", Some(values)) => self.list(&parameter, values, &path)?,
                ("in", None) => return fault(&parameter, "must be an array"),
                _ => self.plain(&parameter, operand, &path)?,
            };
            found.push((parameter, text));
        }
        Ok(())
    }

    /// The empty text alone is written twice, since nothing at all is no value.
    fn list(&self, parameter: &str, values: &[Json], path: &[JsonStep]) -> Result<String, FilterError> {
        let place = |at| [path, &[JsonStep::Index(at)]].concat();
        let texts = values.iter().enumerate().map(|(at, value)| self.plain(parameter, value, &place(at)));
        let texts: Vec<String> = texts.collect::<Result<_, _>>()?;
        match texts.as_slice() {
            [text] if text.is_empty() => Ok(",".to_owned()),
            texts => {
                let escaped = texts.iter().map(|text| text.replace('\\', r"\\").replace(',', r"\,"));
                Ok(escaped.collect::<Vec<_>>().join(","))
            }
        }
    }

    /// A number keeps the digits that it was sent with.
    fn plain(&self, parameter: &str, json: &Json, path: &[JsonStep]) -> Result<String, FilterError> {
        match json {
            Json::String(text) => Ok(text.clone()),
            Json::Bool(flag) => Ok(flag.to_string()),
            Json::Number(number) => {
                let sent = self.inexact.iter().find(|inexact| inexact.path == path);
                Ok(match (sent, whole(number)) {
                    (Some(inexact), _) => inexact.text.clone(),
                    // JSON has one kind of number: 3.0 is a whole one.
                    (None, Some(whole)) => whole.to_string(),
                    (None, None) => number.to_string(),
                })
            }
            Json::Array(_) => {
                fault(parameter, "is an array: ask for one of several values by {\"in\": [\"a\", \"b\"]}")
            }
            Json::Null => {
                fault(parameter, "is null: ask for empty fields by {\"due\": null}, or leave it out")
            }
            Json::Object(_) => fault(parameter, &format!("must be a value, not {}", kind_of(json))),
        }
    }
}

fn fault<T>(parameter: &str, message: &str) -> Result<T, FilterError> {
    Err(FilterError::new(format!("`{}` {message}", shown(parameter))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, String> {
        let found = parameters(Body::parse(text.as_bytes()).unwrap()).map_err(|error| error.to_string())?;
        Ok(found.iter().map(|(name, text)| format!("{name}={text}")).collect::<Vec<_>>().join("&"))
    }

    #[test]
    fn a_question_in_json_is_the_parameters_of_a_query_string() {
        for (json, expected) in [
            ("{}", ""),
            (
                r#"{"status": "open", "n": -3, "on": false, "due": null}"#,
                "due[null]=true&n=-3&on=false&status=open",
            ),
            (r#"{"n": {"gte": 3, "lt": 5.5}}"#, "n[gte]=3&n[lt]=5.5"),
            (r#"{"limit": 20.0, "n": {"in": [3.0, -0.0, 1e2, 1e300]}}"#, "limit=20&n[in]=3,0,100,1e+300"),
            (r#"{"sort": ["-n", "title"], "limit": 5}"#, "limit=5&sort=-n,title"),
            (r#"{"sort": "-n,title", "fields": [], "expand": "a.b"}"#, "expand=a.b&fields=&sort=-n,title"),
            (
                r#"{"cursor": "eyJ", "search": "two words", "group": "n"}"#,
                "cursor=eyJ&group=n&search=two words",
            ),
            (r#"{"title": {"in": ["a,b", "c\\d", ""]}}"#, r"title[in]=a\,b,c\\d,"),
            (r#"{"title": {"in": []}}"#, "title[in]="),
            (r#"{"title": {"in": [""]}}"#, "title[in]=,"),
            (r#"{"n": {"in": [1, "2", 3.5, true]}}"#, "n[in]=1,2,3.5,true"),
            (r#"{"due": {"null": false}}"#, "due[null]=false"),
            // A field with the name of a parameter: parameters have no operators.
            (
                r#"{"limit": {"eq": 5}, "sort": {"in": ["a"]}, "token": {"eq": "x"}}"#,
                "limit[eq]=5&sort[in]=a&token[eq]=x",
            ),
            // What becomes of these is said by the type of the field.
            (r#"{"n": 123456789012345678901234567890}"#, "n=123456789012345678901234567890"),
            (r#"{"n": {"in": [1, 1e400]}}"#, "n[in]=1,1e400"),
            (r#"{"n": {"gt": 0.1000000000000000000001}}"#, "n[gt]=0.1000000000000000000001"),
            (r#"{"": 1, "a b": {"=": "&"}}"#, "=1&a b[=]=&"),
        ] {
            assert_eq!(read(json).as_deref(), Ok(expected), "{json}");
        }
    }

    #[test]
    fn what_is_no_parameter_is_refused_and_never_left_out() {
        for (json, word) in [
            (r#"{"n": {}}"#, "empty object"),
            (r#"{"n": [1, 2]}"#, "`n` is an array"),
            (r#"{"n": []}"#, "`n` is an array"),
            (r#"{"n": {"eq": null}}"#, "`n[eq]` is null"),
            (r#"{"n": {"eq": [1]}}"#, "`n[eq]` is an array"),
            (r#"{"n": {"eq": {"a": 1}}}"#, "`n[eq]` must be a value"),
            (r#"{"n": {"in": "1,2"}}"#, "`n[in]` must be an array"),
            (r#"{"n": {"in": {"a": 1}}}"#, "`n[in]` must be an array"),
            (r#"{"n": {"in": [null]}}"#, "`n[in]` is null"),
            (r#"{"n": {"in": [[1]]}}"#, "`n[in]` is an array"),
            (r#"{"n[gte]": 3}"#, "has an operator in its name"),
            (r#"{"cursor": null}"#, "`cursor` is null"),
            (r#"{"limit": {}}"#, "`limit` must be a value"),
            (r#"{"limit": [1]}"#, "`limit` is an array"),
            (r#"{"sort": ["a", 1]}"#, "array of texts"),
            (r#"{"sort": {}}"#, "`sort` must be a value"),
        ] {
            let error = read(json).unwrap_err();
            assert!(error.contains(word), "{json}: {error}");
        }
    }
}
