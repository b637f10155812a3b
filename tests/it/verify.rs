//! `/verify`, the page that verifies evidence. What its verifier says is held by `tests/clients/page`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use axum::http::StatusCode;

use crate::harness::Server;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/http/verify");
const POLICY: &str = "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self'; img-src data:; connect-src 'none'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types verify";

/// Names of the files in the folder that are served below `/verify/`: all but the page, and what tells Node that they are modules.
fn files() -> BTreeSet<String> {
    let names = fs::read_dir(FOLDER).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| !["page.html", "package.json"].contains(&name.as_str())).collect()
}

/// What a text refers to: in quotes, below `/verify/` or beside it.
fn references(text: &str) -> BTreeSet<String> {
    let quoted = text.split('"').filter_map(|part| part.strip_prefix("/verify/").or_else(|| part.strip_prefix("./")));
    quoted.filter(|name| name.ends_with(".js") || name.ends_with(".css")).map(str::to_owned).collect()
}

#[tokio::test]
async fn the_page_can_send_nothing() {
    let server = Server::start().await;
    let page = server.get("/verify").await;
    assert_eq!((page.status, &page.headers["content-type"]), (StatusCode::OK, &"text/html; charset=utf-8".parse().unwrap()));
    assert_eq!(page.headers["content-security-policy"], POLICY);
    assert_eq!(page.headers["cache-control"], "no-cache");
    assert_eq!(page.text, fs::read_to_string(Path::new(FOLDER).join("page.html")).unwrap());
    let own = |part: &&str| part.starts_with("http") || part.starts_with('/');
    let links: Vec<&str> = page.text.split('"').filter(own).collect();
    assert_eq!(links, ["/verify/page.css", "/verify/page.js"], "nothing from elsewhere");
}

#[tokio::test]
async fn every_file_is_served_under_the_same_policy() {
    let server = Server::start().await;
    let mut referred = references(&server.get("/verify").await.text);
    for name in files() {
        let file = server.get(&format!("/verify/{name}")).await;
        assert_eq!(file.status, StatusCode::OK, "{name}");
        let media_type = if name.ends_with(".css") { "text/css" } else { "text/javascript" };
        assert_eq!(file.headers["content-type"], media_type, "{name}");
        // A worker and what it imports are held by the policy of the worker's own file.
        assert_eq!(file.headers["content-security-policy"], POLICY, "{name}");
        assert_eq!(file.text, fs::read_to_string(Path::new(FOLDER).join(&name)).unwrap(), "{name}");
        referred.append(&mut references(&file.text));
    }
    assert_eq!(referred, files(), "whatever is there is referred to, and the other way round");
    for unknown in ["/verify/page.html", "/verify/package.json", "/verify/..%2fverify.rs", "/verify/%ff"] {
        assert_eq!(server.get(unknown).await.error(), (404, "not_found".into()), "{unknown}");
    }
}

/// The policy refuses these as well; what is not written cannot be forgotten in it.
#[test]
fn no_text_of_a_bundle_becomes_a_page_or_a_request() {
    let ways =
        ["innerHTML", "outerHTML", "insertAdjacent", "document.write", "setHTML", "eval(", "Function(", "fetch(", "XMLHttp", "sendBeacon"];
    for name in files().iter().filter(|name| *name != "noble.js") {
        let text = fs::read_to_string(Path::new(FOLDER).join(name)).unwrap();
        for way in ways {
            assert!(!text.contains(way), "{name}: {way}");
        }
    }
}
