//! The OpenAPI document as tests need it: every answer that any test gets from the API is held against it.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use axum::http::{Method, header};
use jsonschema::Validator;
use serde_json::{Value, json};

use crate::harness::Reply;

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| serde_json::from_slice(&allowlog::http::openapi::json()).unwrap());

pub fn document() -> &'static Value {
    &DOCUMENT
}

/// One method of one path.
#[derive(Clone, Copy)]
pub struct Operation {
    pub path: &'static str,
    pub method: &'static str,
    pub value: &'static Value,
}

/// Every operation of the document.
pub fn operations() -> Vec<Operation> {
    const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];
    let mut operations = Vec::new();
    for (path, item) in document()["paths"].as_object().unwrap() {
        for (method, value) in item.as_object().unwrap() {
            assert!(METHODS.contains(&method.as_str()), "{path} has {method}, which is no method");
            operations.push(Operation { path, method, value });
        }
    }
    operations
}

/// What a reference points at, or the value itself.
pub fn resolved(value: &'static Value) -> &'static Value {
    match value.get("$ref").and_then(Value::as_str) {
        Some(reference) => document().pointer(reference.strip_prefix('#').unwrap()).unwrap_or_else(|| panic!("nothing is at {reference}")),
        None => value,
    }
}

/// Why a value does not fit a schema of the document, if it does not.
pub fn misfit(schema: &'static Value, instance: &Value) -> Option<String> {
    static KNOWN: Mutex<BTreeMap<String, Arc<Validator>>> = Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let make = || {
        let mut root = json!({ "components": { "schemas": document()["components"]["schemas"] } });
        root.as_object_mut().unwrap().extend(schema.as_object().unwrap().clone());
        let validator = jsonschema::draft202012::options().should_validate_formats(true).build(&root);
        Arc::new(validator.unwrap_or_else(|e| panic!("{schema}: {e}")))
    };
    let validator = Arc::clone(known.entry(schema.to_string()).or_insert_with(make));
    drop(known);
    validator.iter_errors(instance).next().map(|e| format!("{e} at `{}` (schema {})", e.instance_path(), e.schema_path()))
}

/// Holds an answer against the document, if it is of an operation that is documented.
pub fn hold(method: &Method, path: &str, reply: &Reply) {
    // `HEAD` is answered wherever `GET` is.
    let asked = if *method == Method::HEAD { "get".to_owned() } else { method.as_str().to_lowercase() };
    // A path that is written out is what a template does not stand for.
    let is_written_out = document()["paths"].get(path).is_some();
    let fits = |o: &Operation| o.method == asked && if is_written_out { o.path == path } else { is_path(o.path, path) };
    let Some(operation) = operations().into_iter().find(fits) else { return };
    let here = format!("{method} {path}: {} {}", reply.status, reply.text);
    let response =
        operation.value["responses"].get(reply.status.as_str()).unwrap_or_else(|| panic!("no such status is documented: {here:.600}"));
    let response = resolved(response);
    for (name, header) in response["headers"].as_object().unwrap() {
        let value = reply.headers.get(name).unwrap_or_else(|| panic!("no header {name}: {here:.600}"));
        assert!(resolved(header).get("schema").is_some() && !value.is_empty(), "{name}");
    }
    for name in [header::RETRY_AFTER, header::CACHE_CONTROL].iter().filter(|name| reply.headers.contains_key(*name)) {
        let is_documented = response["headers"].as_object().unwrap().keys().any(|known| known.eq_ignore_ascii_case(name.as_str()));
        assert!(is_documented, "{name}: {here:.600}");
    }
    if response.get("content").is_none() {
        assert_eq!(reply.text, "", "{here:.600}");
        return;
    }
    let media_type = reply.headers[header::CONTENT_TYPE].to_str().unwrap().split(';').next().unwrap();
    let content = response["content"].get(media_type).unwrap_or_else(|| panic!("no {media_type} is documented: {here:.600}"));
    if media_type == "application/json" && *method != Method::HEAD {
        let misfit = misfit(&content["schema"], &reply.json());
        assert_eq!(misfit, None, "{here:.2000}");
    }
}

/// Whether a path is one of those that a template stands for.
fn is_path(template: &str, path: &str) -> bool {
    let path = path.split('?').next().unwrap();
    let (template, path): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
    let fits = |(template, step): (&&str, &&str)| template == step || (template.starts_with('{') && !step.is_empty());
    template.len() == path.len() && template.iter().zip(&path).all(fits)
}
