//! `/v1/openapi.json` and `/docs`

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use serde_json::Value;
use tower::ServiceExt as _;

use crate::document::{Operation, document, misfit, operations, resolved};
use crate::harness::{Server, send};

mod story;

/// The OpenAPI Initiative's own schema of documents of version 3.1, as published on 2022-10-07 under the Apache licence 2.0.
const SPECIFIED: &str = include_str!("openapi/oas-3.1.json");
const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PURGE"];

/// Calls `look` with every value of the document that is an object, and where it is.
fn walk(value: &'static Value, here: &str, look: &mut impl FnMut(&str, &'static Value)) {
    match value {
        Value::Object(members) => {
            look(here, value);
            // An example may hold anything.
            let members = members.iter().filter(|(name, _)| !["example", "examples"].contains(&name.as_str()));
            members.for_each(|(name, value)| walk(value, &format!("{here}/{name}"), look));
        }
        Value::Array(items) => items.iter().enumerate().for_each(|(i, value)| walk(value, &format!("{here}/{i}"), look)),
        _ => {}
    }
}

/// Whether a path is the AffixIO face's.
fn is_affixio(path: &str) -> bool {
    let roots = ["orgs", "api-keys", "agents", "devices", "delegations", "trust", "nior", "payment-intents", "offline", "proofs"];
    path.strip_prefix("/v1/").is_some_and(|rest| roots.contains(&rest.split('/').next().unwrap()))
}

fn parameters(operation: Operation) -> Vec<&'static Value> {
    operation.value["parameters"].as_array().unwrap().iter().map(resolved).collect()
}

#[tokio::test]
async fn it_is_served_to_everybody_as_openapi_3_1() {
    let server = Server::start().await;
    let reply = send(&server.router, Request::get("/v1/openapi.json").body(Body::empty()).unwrap()).await;
    assert_eq!((reply.status, &reply.headers["content-type"]), (StatusCode::OK, &"application/json".parse().unwrap()));
    assert_eq!(&reply.json(), document());
    let specified: Value = serde_json::from_str(SPECIFIED).unwrap();
    let validator = jsonschema::draft202012::new(&specified).unwrap();
    let problems: Vec<_> = validator.iter_errors(document()).map(|e| format!("{} at {}", e, e.instance_path())).collect();
    assert!(problems.is_empty(), "{problems:#?}");
    assert!(!validator.is_valid(&serde_json::json!({ "openapi": "3.1.0", "info": {}, "paths": {} })), "this test can fail");
}

#[test]
fn it_is_whole() {
    let schemas = document()["components"]["schemas"].as_object().unwrap();
    for (name, schema) in schemas {
        jsonschema::meta::validate(schema).unwrap_or_else(|e| panic!("{name}: {e}"));
    }
    let mut referred = BTreeSet::new();
    walk(document(), "", &mut |here, value| {
        if value.get("$ref").is_some_and(Value::is_string) {
            assert!(resolved(value).is_object(), "{here}");
            referred.insert(value["$ref"].as_str().unwrap());
        }
    });
    for (kind, components) in document()["components"].as_object().unwrap().iter().filter(|(kind, _)| *kind != "securitySchemes") {
        for name in components.as_object().unwrap().keys() {
            // No operation is asked with a method it does not take, or under a path that is none.
            let is_for_readers =
                ["NotFound", "MethodNotAllowed"].contains(&name.trim_start_matches("Permitly").trim_start_matches("Affixio"));
            assert!(is_for_readers || referred.contains(format!("#/components/{kind}/{name}").as_str()), "nobody refers to {kind}/{name}");
        }
    }
}

#[test]
fn every_operation_says_all_there_is_to_say() {
    let tags: BTreeSet<&str> = document()["tags"].as_array().unwrap().iter().map(|tag| tag["name"].as_str().unwrap()).collect();
    let mut ids = BTreeSet::new();
    for operation in operations() {
        let Operation { path, method, value } = operation;
        assert!(ids.insert(value["operationId"].as_str().unwrap()), "{method} {path}: the id is taken");
        assert!(value["summary"].as_str().is_some_and(|summary| !summary.is_empty()), "{method} {path}");
        assert!(value["tags"].as_array().unwrap().iter().all(|tag| tags.contains(tag.as_str().unwrap())), "{method} {path}");
        let named: Vec<(&str, &str)> =
            parameters(operation).iter().map(|p| (p["in"].as_str().unwrap(), p["name"].as_str().unwrap())).collect();
        let in_path: Vec<&str> = named.iter().filter(|(place, _)| *place == "path").map(|(_, name)| *name).collect();
        let in_template: Vec<&str> = path.split('/').filter_map(|step| step.strip_prefix('{')?.strip_suffix('}')).collect();
        assert_eq!(in_path, in_template, "{method} {path}");
        assert!(named.contains(&("header", "X-Request-Id")), "{method} {path}");
        // A token and nullifiers are looked at anew each time, and no retry could be told the secret of an API key again.
        let anew = ["/v1/consent/verify", "/v1/offline/nullifiers/check", "/v1/orgs", "/v1/api-keys"];
        let has_retries = path.starts_with("/v1/") && method != "get" && !anew.contains(&path);
        assert_eq!(named.contains(&("header", "Idempotency-Key")), has_retries, "{method} {path}");
        let security = match path {
            "/v1/openapi.json"
            | "/docs"
            | "/docs/{file}"
            | "/verify"
            | "/verify/{file}"
            | "/pages/style.css"
            | "/v1/workspaces/{id}/keys" => "[]",
            "/v1/consent-agents/{id}/jwks.json" => "[]",
            _ if ["/tlog/", "/c/", "/manage/"].iter().any(|begin| path.starts_with(begin)) => "[]",
            _ if path.starts_with("/admin/") => r#"[{"admin_token":[]}]"#,
            "/v1/orgs" => r#"[{"admin_token":[]},{}]"#,
            "/v1/api-keys" => r#"[{"affixio_key":[]},{"x_api_key":[]},{"api_key":[]},{"admin_token":[]},{}]"#,
            _ if is_affixio(path) => r#"[{"affixio_key":[]},{"x_api_key":[]},{"api_key":[]}]"#,
            _ => r#"[{"api_key":[]}]"#,
        };
        assert_eq!(value["security"].to_string(), security, "{method} {path}");
        let responses = value["responses"].as_object().unwrap();
        let is_page = ["/c/", "/manage/"].iter().any(|begin| path.starts_with(begin));
        // Clients that take nothing but JSON get another answer to the same; a form leads on, unless it may not lead there any more; a
        // denial is no token and no error.
        let has_two = [("/v1/consent/{id}", "delete"), ("/c/{id}", "post"), ("/v1/offline/tokens", "post")].contains(&(path, method));
        let answers = responses.keys().filter(|status| status.starts_with(['2', '3'])).count();
        assert_eq!(answers, if has_two { 2 } else { 1 }, "{method} {path}");
        // Whatever stands in the query of a page, the page is shown.
        assert!(!(is_page && method == "get" && responses.contains_key("422")), "{path}");
        for (status, response) in responses {
            let response = resolved(response);
            assert!(response["headers"].get("X-Request-Id").is_some(), "{method} {path} {status}");
            for link in response.get("links").and_then(Value::as_object).into_iter().flat_map(|links| links.values()) {
                let target =
                    operations().into_iter().find(|o| o.value["operationId"] == link["operationId"]).expect("a link leads somewhere");
                let mut given = link["parameters"].as_object().unwrap().keys();
                assert!(given.all(|name| target.path.contains(&format!("{{{name}}}"))), "{method} {path}: {link}");
            }
            let schema = &response["content"]["application/json"]["schema"]["$ref"];
            let is_permitly = ["/v1/consent", "/v1/audit"].iter().any(|begin| path.starts_with(begin));
            let envelope = match (is_permitly, is_affixio(path)) {
                (true, _) => "#/components/schemas/PermitlyEnvelope",
                (_, true) => "#/components/schemas/AffixioEnvelope",
                _ => "#/components/schemas/Envelope",
            };
            let is_error = !status.starts_with(['2', '3']);
            let has_page = response["content"].get("text/html").is_some();
            assert_eq!(schema == envelope, is_error && !has_page, "{method} {path} {status}");
            assert!(!has_page || is_page || !is_error, "{method} {path} {status}");
            assert_eq!(
                response["headers"].get("Retry-After").is_some(),
                ["429", "503"].contains(&status.as_str()),
                "{method} {path} {status}"
            );
        }
    }
}

/// The document and the router are made of the same lists; here they are looked at from outside.
#[tokio::test]
async fn it_has_the_routes_of_the_router_and_no_others() {
    let server = Server::start().await;
    let paths = document()["paths"].as_object().unwrap();
    assert!(paths.len() > 20, "the walk finds the paths");
    for (template, item) in paths {
        let path: Vec<&str> = template.split('/').map(|step| if step.starts_with('{') { "x" } else { step }).collect();
        let mut documented: BTreeSet<String> = item.as_object().unwrap().keys().map(|method| method.to_uppercase()).collect();
        if documented.contains("GET") {
            documented.insert("HEAD".to_owned());
        }
        for method in METHODS {
            let request = Request::builder().method(Method::from_bytes(method.as_bytes()).unwrap()).uri(path.join("/"));
            let reply = send(&server.router, request.body(Body::empty()).unwrap()).await;
            if documented.contains(method) {
                let is_unknown = reply.status == StatusCode::NOT_FOUND && reply.text.contains("No such route");
                assert!(!is_unknown, "{method} {template}");
                assert_ne!(reply.status, StatusCode::METHOD_NOT_ALLOWED, "{method} {template}");
            } else {
                assert_eq!(reply.status, StatusCode::METHOD_NOT_ALLOWED, "{method} {template}: {}", reply.text);
                let allowed = reply.headers["allow"].to_str().unwrap().split(',').map(str::to_owned).collect();
                assert_eq!(documented, allowed, "{method} {template}");
            }
        }
    }
}

#[test]
fn every_example_fits_its_schema() {
    let mut seen = 0;
    let mut look = |here: &str, value: &'static Value| {
        let one = value.get("example").into_iter();
        // Of a media type or a parameter they have names, of a schema they are a list.
        let named = value.get("examples").and_then(Value::as_object).into_iter().flatten().map(|(_, example)| &example["value"]);
        let listed = value.get("examples").and_then(Value::as_array).into_iter().flatten();
        let schema = value.get("schema").unwrap_or(value);
        for example in one.chain(named).chain(listed) {
            seen += 1;
            assert_eq!(misfit(schema, example), None, "{here}: {example}");
        }
    };
    walk(document(), "", &mut look);
    assert!(seen > 100, "the walk finds the examples: {seen}");
}

#[test]
fn every_body_has_an_example() {
    for Operation { path, method, value } in
        operations().into_iter().filter(|o| !o.path.starts_with("/docs") && !o.path.starts_with("/verify") && o.path != "/v1/openapi.json")
    {
        let has = |content: &'static Value| {
            let content = &content["content"]["application/json"];
            content.get("example").is_some() || content["examples"].as_object().is_some_and(|examples| !examples.is_empty())
        };
        if let Some(body) = value.get("requestBody").filter(|body| body["content"]["application/json"]["schema"].get("$ref").is_some()) {
            assert!(has(body), "{method} {path}");
        }
        for (status, response) in value["responses"].as_object().unwrap() {
            let is_json = resolved(response)["content"].get("application/json").is_some();
            assert!(!is_json || has(resolved(response)), "{method} {path} {status}");
        }
    }
}

#[tokio::test]
async fn the_page_needs_nothing_from_elsewhere() {
    let server = Server::start().await;
    let page = server.get("/docs").await;
    assert_eq!((page.status, &page.headers["content-type"]), (StatusCode::OK, &"text/html; charset=utf-8".parse().unwrap()));
    assert!(page.headers["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'; script-src 'self';"));
    let links: Vec<&str> = page.text.split(['"', '\'']).filter(|text| text.starts_with("http") || text.starts_with('/')).collect();
    assert_eq!(links.len(), 5, "{links:?}");
    for link in links {
        assert!(link.starts_with("/docs/") || link == "/v1/openapi.json", "{link}");
        let response = server.router.clone().oneshot(Request::get(link).body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{link}");
        let media_type = match link.rsplit('.').next() {
            Some("js") => "text/javascript",
            Some("css") => "text/css",
            Some("png") => "image/png",
            _ => "application/json",
        };
        assert_eq!(response.headers()["content-type"], media_type, "{link}");
    }
    for unknown in ["/docs/index.html", "/docs/..%2fCargo.toml", "/docs/%ff"] {
        assert_eq!(server.get(unknown).await.error(), (404, "not_found".into()), "{unknown}");
    }
}
