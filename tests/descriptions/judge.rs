//! `Judge`: one answer against what the OpenAPI document says of it: status, media type, headers, body.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use jsonschema::{Draft, Validator};
use serde_json::{Value, json};

use crate::support::app::Answer;

pub(super) struct Judge {
    document: Value,
    /// Operations whose success was judged.
    pub(super) succeeded: HashSet<(String, String)>,
    /// By schema. One takes longer to make than to ask a hundred times.
    validators: RefCell<HashMap<Value, Rc<Validator>>>,
}

impl Judge {
    pub(super) fn new(document: Value) -> Judge {
        Judge { document, succeeded: HashSet::new(), validators: RefCell::default() }
    }

    /// Panics where the answer is not as described. `path` is the document's: `/api/tasks/{id}`.
    pub(super) fn accept(&mut self, method: &str, path: &str, answer: &Answer) {
        if let Err(why) = self.verdict(method, path, answer) {
            panic!("{method} {path} answered {} {}, but {why}", answer.status, answer.text);
        }
        // A redirect is what a browser is there for.
        if answer.status < 400 {
            self.succeeded.insert((method.to_owned(), path.to_owned()));
        }
    }

    /// Why the answer is not as described.
    pub(super) fn verdict(&self, method: &str, path: &str, answer: &Answer) -> Result<(), String> {
        let operation = &self.document["paths"][path][method];
        let described = self.followed(&operation["responses"][answer.status.to_string()]);
        if described.is_null() {
            return Err("that status is not described".to_owned());
        }
        for (name, header) in described["headers"].as_object().into_iter().flatten() {
            self.header(name, self.followed(header), answer.header(name))?;
        }
        let Some(content) = described["content"].as_object() else {
            return if answer.text.is_empty() { Ok(()) } else { Err("no body is described".to_owned()) };
        };
        let media = answer.header("content-type");
        let Some(of_media) = content.get(media) else {
            return Err(format!("`{media}` is not described"));
        };
        let body = match media.ends_with("json") {
            true => answer.json.clone(),
            false => json!(answer.text),
        };
        self.matches(&of_media["schema"], &body)
    }

    fn header(&self, name: &str, described: &Value, value: &str) -> Result<(), String> {
        match value {
            "" if described["required"] == true => Err(format!("the header {name} is missing")),
            "" => Ok(()),
            value => {
                self.matches(&described["schema"], &json!(value)).map_err(|why| format!("{name}: {why}"))
            }
        }
    }

    /// Whether a value is as one of the document's schemas says.
    pub(super) fn matches(&self, schema: &Value, value: &Value) -> Result<(), String> {
        let errors: Vec<String> = self
            .validator(schema)
            .iter_errors(value)
            .map(|error| format!("{error} at {}", error.instance_path()))
            .collect();
        if errors.is_empty() { Ok(()) } else { Err(errors.join("; ")) }
    }

    fn validator(&self, schema: &Value) -> Rc<Validator> {
        let mut validators = self.validators.borrow_mut();
        let validator = validators.entry(schema.clone()).or_insert_with(|| {
            let mut whole = schema.clone();
            whole["components"] = self.document["components"].clone();
            let options = jsonschema::options().with_draft(Draft::Draft202012).should_validate_formats(true);
            Rc::new(options.build(&whole).unwrap_or_else(|error| panic!("{error}: {schema}")))
        });
        Rc::clone(validator)
    }

    /// What a reference leads to.
    pub(super) fn followed<'d>(&'d self, part: &'d Value) -> &'d Value {
        match part["$ref"].as_str() {
            Some(reference) => {
                let pointer = reference.strip_prefix('#').expect("references stay within the document");
                self.document.pointer(pointer).unwrap_or_else(|| panic!("{reference} leads nowhere"))
            }
            None => part,
        }
    }
}
