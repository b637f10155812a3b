//! Properties of the repository: who may import what, which file alone knows a thing, what no file may hold.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test or a bench that meets the unexpected must end")]

use std::fs;
use std::path::{Path, PathBuf};

/// A file of the repository with its path from the top.
struct Source {
    path: String,
    text: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> Vec<Source> {
    let mut files = Vec::new();
    for directory in ["src", "proto/src", "proto/tests", "projections/src", "projections/tests", "tests", "benches"] {
        walk(&root().join(directory), &mut files);
    }
    let rust = files.into_iter().filter(|path| path.extension().is_some_and(|e| e == "rs"));
    let read =
        |path: PathBuf| Source { path: path.strip_prefix(root()).unwrap().display().to_string(), text: fs::read_to_string(&path).unwrap() };
    let sources: Vec<_> = rust.map(read).collect();
    assert!(sources.len() > 50, "the walk finds the sources");
    sources
}

fn walk(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { walk(&path, files) } else { files.push(path) }
    }
}

/// The code of a file: without its tests and without what comments say.
fn code(source: &Source) -> String {
    let code = source.text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn check(rule: &str, offenders: Vec<String>) {
    assert!(offenders.is_empty(), "{rule}:\n  {}", offenders.join("\n  "));
}

/// Names that one file, or one folder, alone may know. `~` stands for "and everything below".
const KNOWN_BY: &[(&str, &[&str])] = &[
    ("bincode", &["proto/src/codec.rs"]),
    ("sled::", &["src/log/disk/volumes.rs"]),
    ("sha2::", &["proto/src/sha256.rs"]),
    ("SystemTime", &["src/clock.rs"]),
    ("getrandom", &["src/chance.rs"]),
    ("Instant::now", &["src/clock.rs"]),
    ("tantivy", &["src/search/index.rs"]),
    ("form_urlencoded", &["src/http/call.rs"]),
    ("chacha20poly1305", &["src/keyring.rs"]),
    ("p256", &["src/keyring/agents.rs"]),
    ("url::", &["proto/src/redirect.rs"]),
    ("aws_lc_rs", &["src/keyring.rs", "src/keyring/agents.rs", "src/http/tls.rs", "src/webhooks/signature.rs"]),
    ("tracing_subscriber", &["src/telemetry.rs", "src/telemetry/traces.rs"]),
    ("opentelemetry", &["src/telemetry.rs", "src/telemetry/traces.rs"]),
    ("prometheus_client", &["src/telemetry/metrics.rs"]),
    ("indicatif", &["src/cli/progress.rs"]),
    ("reqwest", &["src/cli/~", "src/witnesses.rs", "src/webhooks/~"]),
    ("axum", &["src/http.rs", "src/http/~", "src/cli/serve.rs", "src/cli/serve/~", "src/telemetry/traces.rs"]),
    ("hyper::", &["src/http/listener.rs"]),
    ("hyper_util", &["src/http/listener.rs"]),
    ("rustls", &["src/http/tls.rs", "src/http/listener.rs"]),
    ("governor", &["src/http/rate_limit.rs"]),
    // What the document says of a type is said where the type is; what it says of a route, in the faces.
    ("utoipa", &["proto/src/~", "src/http/~"]),
    ("maud", &["src/http/pages.rs", "src/http/pages/~"]),
    ("utoipa_swagger_ui", &["src/http/docs.rs"]),
    // A route that is not in a face's list would not be in the document either.
    (
        ".route(",
        &[
            "src/http/routes.rs",
            "src/http/allowly.rs",
            "src/http/permitly.rs",
            "src/http/affixio.rs",
            "src/http/admin.rs",
            "src/http/docs.rs",
            "src/http/verify.rs",
            "src/http/pages.rs",
            "src/http/tlog.rs",
            "src/http/operations.rs",
            "src/http/witness.rs",
        ],
    ),
    ("Router::new", &["src/http/routes.rs", "src/http/operations.rs", "src/http/witness.rs"]),
    ("clap", &["src/cli.rs", "src/cli/~", "src/main.rs"]),
    ("MiMalloc", &["src/main.rs"]),
];

/// What a folder may not import: data flows one way.
const MAY_NOT_IMPORT: &[(&str, &[&str])] = &[
    ("proto/src/", &["allowlog_projections", "tokio", "std::fs", "std::net", "std::thread", "std::env"]),
    ("projections/src/", &["allowlog::", "tokio", "serde", "std::fs", "std::net", "std::thread", "std::env"]),
    ("src/log", &["crate::writer", "crate::engine", "crate::http", "crate::app", "crate::signing", "allowlog_projections"]),
    // Everybody tells the telemetry; it asks nobody.
    ("src/telemetry", &["crate::writer", "crate::engine", "crate::http", "crate::app", "crate::log", "crate::keyring"]),
    ("src/signing.rs", &["crate::writer", "crate::engine", "crate::http", "crate::app"]),
    // Between the writer and those who follow it: it knows neither.
    ("src/fresh.rs", &["crate::writer", "crate::engine", "crate::http", "crate::app", "crate::signing", "crate::log"]),
    ("src/priority.rs", &["crate::writer", "crate::engine", "crate::http", "crate::app", "crate::signing", "crate::log"]),
    ("src/search", &["crate::writer", "crate::engine", "crate::http", "crate::app", "crate::signing", "crate::log::disk"]),
    ("src/tiles", &["crate::writer", "crate::engine", "crate::http", "crate::app", "crate::signing", "crate::checkpoints"]),
    ("src/checkpoints", &["crate::writer", "crate::engine", "crate::http", "crate::signing", "crate::log::disk"]),
    ("src/webhooks", &["crate::writer", "crate::engine", "crate::http", "crate::app", "crate::signing", "crate::log::disk"]),
    ("src/evidence.rs", &["crate::writer", "crate::engine", "crate::http", "crate::app"]),
    ("src/receipts.rs", &["crate::writer", "crate::engine", "crate::http", "crate::app"]),
    // A witness depends on no log of its own, and a server's knows nothing of how one is run.
    ("src/witness.rs", &["crate::engine", "crate::log", "crate::http", "crate::app", "crate::keyring", "crate::witnesses"]),
    ("src/witness/", &["crate::engine", "crate::log", "crate::http", "crate::app", "crate::keyring", "crate::witnesses"]),
    ("src/witnesses.rs", &["crate::engine", "crate::log", "crate::http", "crate::app", "crate::keyring", "crate::witness::"]),
    ("src/writer.rs", &["crate::http", "crate::app", "crate::signing", "crate::search", "crate::keyring"]),
    ("src/engine.rs", &["crate::http", "crate::app", "crate::log", "crate::signing", "crate::search", "crate::keyring"]),
    ("src/http", &["crate::writer", "crate::latch", "crate::cli", "crate::log::disk", "crate::log::memory"]),
    ("src/http/allowly", &["super::admin", "http::admin", "http::permitly", "http::affixio", "http::pages"]),
    ("src/http/admin", &["super::allowly", "http::allowly", "http::permitly", "http::affixio", "http::pages"]),
    ("src/http/permitly", &["http::admin", "http::allowly", "http::affixio"]),
    ("src/http/affixio", &["http::admin", "http::allowly", "http::permitly", "http::pages"]),
    ("src/http/pages", &["http::admin", "http::allowly", "http::permitly", "http::affixio"]),
    // Pages are shown what they say, whoever's it is.
    ("src/http/pages", &["super::allowly", "super::permitly", "super::admin", "crate::app", "crate::engine"]),
];

#[test]
fn one_file_knows_each_thing() {
    let mut offenders = Vec::new();
    for source in sources().iter().filter(|s| s.path.contains("src/") && !s.path.contains("/tests")) {
        let code = code(source);
        for (name, allowed) in KNOWN_BY {
            let may = allowed.iter().any(|a| a.strip_suffix('~').map_or(source.path == *a, |folder| source.path.starts_with(folder)));
            if code.contains(name) && !may {
                offenders.push(format!("{} knows {name}", source.path));
            }
        }
    }
    check("only the named files know these", offenders);
}

#[test]
fn imports_point_one_way() {
    let mut offenders = Vec::new();
    for source in sources() {
        let code = code(&source);
        for (place, banned) in MAY_NOT_IMPORT.iter().filter(|(place, _)| source.path.starts_with(place)) {
            offenders
                .extend(banned.iter().filter(|name| code.contains(**name)).map(|name| format!("{} ({place}) uses {name}", source.path)));
        }
    }
    check("imports point one way", offenders);
}

#[test]
fn only_proto_derives_serialize() {
    let elsewhere = |s: &Source| {
        !s.path.starts_with("proto/") && s.text.lines().any(|l| l.trim_start().starts_with("#[derive(") && l.contains("Serialize"))
    };
    check(
        "only proto derives Serialize",
        sources().iter().filter(|s| s.path != "tests/tidy.rs" && elsewhere(s)).map(|s| s.path.clone()).collect(),
    );
}

#[test]
fn the_log_has_no_delete_and_no_update() {
    let trait_text = fs::read_to_string(root().join("src/log.rs")).unwrap();
    for word in ["fn delete", "fn update", "fn remove", "fn truncate", "fn clear"] {
        assert!(!trait_text.contains(word), "{word}");
    }
}

#[test]
fn files_and_modules_are_named_and_documented() {
    let mut offenders = Vec::new();
    for source in sources() {
        let stem = Path::new(&source.path).file_stem().unwrap().to_string_lossy().into_owned();
        let banned = ["mod", "manager", "service", "helper", "helpers", "util", "utils", "common", "misc"];
        if banned.contains(&stem.as_str()) {
            offenders.push(format!("{} has a name that says nothing", source.path));
        }
        if !source.text.starts_with("//! ") {
            offenders.push(format!("{} does not begin with what it is for", source.path));
        }
        if source.text.lines().count() > 800 {
            offenders.push(format!("{} is longer than 800 lines", source.path));
        }
    }
    check("names and docs", offenders);
}

#[test]
fn nothing_is_left_over() {
    // Spelt in pieces, so that this file is not its own offender.
    let words = [
        concat!("todo", "!("),
        concat!("unimpl", "emented!("),
        concat!("FIX", "ME"),
        concat!("XX", "X"),
        concat!("dbg", "!("),
        concat!("#[ign", "ore"),
        concat!("should_", "panic"),
        concat!("thread::", "sleep"),
        concat!("time::", "sleep"),
    ];
    let mut offenders = Vec::new();
    for source in sources() {
        let words = words.iter().filter(|word| !word.contains("sleep") || source.path.contains("tests"));
        offenders.extend(words.filter(|word| source.text.contains(**word)).map(|word| format!("{}: {word}", source.path)));
    }
    check("leftovers", offenders);
}

#[test]
fn lib_files_are_tables_of_contents() {
    for path in ["src/lib.rs", "proto/src/lib.rs", "projections/src/lib.rs"] {
        let text = fs::read_to_string(root().join(path)).unwrap();
        let plain = |line: &str| line.is_empty() || line.starts_with("//!") || line.starts_with("pub mod ") || line.starts_with("mod ");
        let logic: Vec<_> = text.lines().filter(|line| !plain(line)).collect();
        assert!(logic.is_empty(), "{path}: {logic:?}");
    }
}

#[test]
fn the_map_names_every_module_and_stays_a_map() {
    let map = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    assert!(map.lines().count() <= 300, "a map of at most 300 lines");
    assert!(!map.contains("]("), "names, no links");
    let named =
        |stem: &str| ["`", "/"].iter().any(|before| map.contains(&format!("{before}{stem}`"))) || map.contains(&format!("{stem}.rs"));
    let missing = |s: &&Source| {
        let stem = Path::new(&s.path).file_stem().unwrap().to_string_lossy().into_owned();
        s.path.contains("src/") && !s.path.contains("/tests/") && !["lib", "tests"].contains(&stem.as_str()) && !named(&stem)
    };
    check("ARCHITECTURE.md names every module", sources().iter().filter(missing).map(|s| s.path.clone()).collect());
}

#[test]
fn the_top_level_holds_what_was_agreed() {
    let agreed = ["Cargo.toml", "Cargo.lock", "src", "proto", "projections", "tests", "benches", "ARCHITECTURE.md", "README.md", "LICENSE"];
    // What building and running leave behind is ignored by git.
    let ignored = ["target", "allowlog-data"];
    let mut offenders = Vec::new();
    for entry in fs::read_dir(root()).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') && !agreed.contains(&name.as_str()) && !ignored.contains(&name.as_str()) {
            offenders.push(name);
        }
    }
    check("the top level", offenders);
}
