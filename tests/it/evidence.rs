//! `/tlog/...`, `/v1/receipts/{id}/proof`, `/v1/evidence`: what everybody can hold the server to.

use allowlog_proto::checkpoint::Checkpoint;
use allowlog_proto::evidence::{Continuity, Verdict, Verifier, verify};
use allowlog_proto::id::{KeyId, WorkspaceId};
use allowlog_proto::json::Value as Strict;
use allowlog_proto::merkle::{Tree, leaf, node, verify_consistency};
use allowlog_proto::note::{KeyKind, Note, VerifierKey};
use allowlog_proto::proof::{Proof, verify_receipt};
use allowlog_proto::time::Timestamp;
use allowlog_proto::verify::TrustedKeys;
use axum::http::{Method, StatusCode};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use ed25519_dalek::VerifyingKey;
use serde_json::{Value, json};

use crate::harness::{Reply, START, Server};

/// The signing keys of the server's workspace, oldest first.
async fn keys(server: &Server) -> (Vec<u8>, Vec<KeyId>, Vec<VerifierKey>) {
    let reply = server.get(&format!("/v1/workspaces/{}/keys", server.workspace_id)).await;
    let document = reply.json();
    let keys = document["keys"].as_array().unwrap();
    let id = |key: &Value| KeyId::parse(key["key_id"].as_str().unwrap()).unwrap();
    let verifier = |key: &Value| {
        let bytes = BASE64URL_NOPAD.decode(key["public_key"].as_str().unwrap().as_bytes()).unwrap();
        let key = VerifyingKey::from_bytes(&bytes.try_into().unwrap()).unwrap();
        VerifierKey::new(&format!("allowlog/{}", server.workspace_id), KeyKind::Ed25519, key).unwrap()
    };
    (reply.text.clone().into_bytes(), keys.iter().map(id).collect(), keys.iter().map(verifier).collect())
}

async fn tlog(server: &Server, path: &str) -> Reply {
    server.get(&format!("/tlog/{}/{path}", server.workspace_id)).await
}

/// The last checkpoint, once it covers all that was answered; signed by the last key.
async fn checkpoint(server: &Server) -> (String, Checkpoint) {
    server.published().await;
    let reply = tlog(server, "checkpoint").await;
    assert_eq!((reply.status, &reply.headers["cache-control"]), (StatusCode::OK, &"no-cache".parse().unwrap()));
    let note = Note::parse(&reply.text).unwrap();
    let verifiers = keys(server).await.2;
    assert!(note.is_signed_by(verifiers.last().unwrap()));
    let listed: String = verifiers.iter().map(|key| format!("{key}\n")).collect();
    assert_eq!(tlog(server, "keys").await.text, listed);
    let checkpoint = Checkpoint::parse(&note.text).unwrap();
    (reply.text, checkpoint)
}

async fn raw(server: &Server, path: &str) -> Vec<u8> {
    use tower::ServiceExt as _;
    let request = axum::http::Request::get(path).body(axum::body::Body::empty()).unwrap();
    let response = server.router.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK, "{path}");
    assert_eq!(response.headers()["cache-control"], "public, max-age=31536000, immutable");
    http_body_util::BodyExt::collect(response.into_body()).await.unwrap().to_bytes().to_vec()
}

/// A workspace with two authorizations whose checks alternate, a user, an approver and a rotated signing key.
async fn scene(server: &Server) -> [String; 2] {
    let grant = json!({
        "user_id": "user_1", "agent_id": "mailer", "expires_at": "2099-01-01T00:00:00Z", "budget_limit_micros": 1000,
        "scopes": ["email.read", { "name": "email.send", "constraints": { "max_per_day": 3 } }, "email.purge", "email.forward"],
        "requires_confirm_for": ["email.forward"], "requires_escalation_for": ["email.purge"],
        "metadata": { "screen": "\u{2602} \"7\"" },
    });
    let mut ids = [String::new(), String::new()];
    for id in &mut ids {
        *id = server.post("/v1/authorizations", grant.clone()).await.json()["authorization_id"].as_str().unwrap().to_owned();
    }
    for round in 0..5 {
        server.clock.advance_ms(1000);
        for id in &ids {
            let body = json!({ "authorization_id": id, "scopes": ["email.read", "email.send"], "resource": format!("inbox:{round}"), "estimated_cost_micros": 90 });
            server.post("/v1/check", body).await;
        }
        if round == 2 {
            let path = format!("workspaces/{}/signing-keys", server.workspace_id);
            assert_eq!(server.admin(Method::POST, &path, None).await.status, StatusCode::CREATED);
        }
    }
    let asked = server.check(&ids[0], "email.forward", None).await;
    let path = format!("/v1/confirmations/{}", asked["confirm_nonce"].as_str().unwrap());
    server.post(&path, json!({ "approved": true })).await;
    server.check(&ids[0], "email.forward", None).await;
    let asked = server.check(&ids[0], "email.purge", Some("inbox:9")).await;
    let path = format!("/v1/escalations/{}/resolve", asked["escalation_id"].as_str().unwrap());
    server.post(&path, json!({ "resolution": "approved", "resolved_by": "bob" })).await;
    server.post("/v1/tombstones", json!({ "resource": "inbox:9" })).await;
    server.check("auth_unknown", "email.read", None).await;
    server.send_as(&server.api_key, Method::DELETE, &format!("/v1/authorizations/{}", ids[0]), None).await;
    server.check(&ids[0], "email.read", None).await;
    ids
}

#[tokio::test]
async fn the_tiles_come_to_the_checkpoint() {
    let server = Server::start().await;
    let id = server.grant(json!({})).await;
    let (_, first) = checkpoint(&server).await;
    while server.records() < 600 {
        let scopes: Vec<String> = (0..20).map(|n| format!("s{n}")).collect();
        server.post("/v1/check", json!({ "authorization_id": id, "scopes": scopes })).await;
    }
    let (_, Checkpoint { size, root, origin }) = checkpoint(&server).await;
    assert_eq!((size, origin), (server.records(), format!("allowlog/{}", server.workspace_id)));
    // From the entries: the root, and every hash above them.
    let (mut tree, mut leaves) = (Tree::new(), Vec::new());
    let prefix = format!("/tlog/{}/tile", server.workspace_id);
    for (tile, width) in [("000", 256), ("001", 256), ("002", size - 512)] {
        let partial = if width == 256 { String::new() } else { format!(".p/{width}") };
        let bundle = raw(&server, &format!("{prefix}/entries/{tile}{partial}")).await;
        let entries: Vec<&[u8]> = bundle.chunks(66).map(|entry| entry.strip_prefix(&[0, 64]).unwrap()).collect();
        assert_eq!(entries.len() as u64, width);
        let hashes: Vec<u8> = entries.iter().flat_map(|entry| leaf(entry).0).collect();
        assert_eq!(raw(&server, &format!("{prefix}/0/{tile}{partial}")).await, hashes);
        for entry in entries {
            leaves.push(leaf(entry));
            tree.push(leaf(entry), |_, _| {});
        }
    }
    assert_eq!(tree.root(), root);
    let full = |from: usize| {
        let mut hashes = leaves[from..from + 256].to_vec();
        while hashes.len() > 1 {
            hashes = hashes.chunks(2).map(|pair| node(pair[0], pair[1])).collect();
        }
        hashes[0].0
    };
    assert_eq!(raw(&server, &format!("{prefix}/1/000.p/2")).await, [full(0), full(256)].concat());
    // Fewer than there are is a tile as well; more is none.
    assert_eq!(raw(&server, &format!("{prefix}/1/000.p/1")).await, full(0));
    let beyond = format!("0/002.p/{}", size - 511);
    for path in
        ["1/000.p/3", "2/000.p/1", "0/003.p/1", &beyond, "0/2.p/1", "entries/002", "0/002.p/0", "0/000.p/256", "8/000", "x", "0/x000/000"]
    {
        assert_eq!(tlog(&server, &format!("tile/{path}")).await.error(), (404, "not_found".into()), "{path}");
    }
    let lines = tlog(&server, &format!("consistency?old={}", first.size)).await.text;
    let proof: Vec<_> =
        lines.lines().map(|line| allowlog_proto::chain::Hash(BASE64.decode(line.as_bytes()).unwrap().try_into().unwrap())).collect();
    assert!(verify_consistency(first.size, first.root, size, root, &proof));
    for (query, status) in [("old=2&new=1", 404), ("new=100000", 404), ("old=x", 422), ("old=-1", 422), ("old=1&old=2", 422)] {
        assert_eq!(tlog(&server, &format!("consistency?{query}")).await.status.as_u16(), status, "{query}");
    }
    assert_eq!(tlog(&server, "consistency").await.text, "", "nothing has to be proved of the empty tree");
    for id in ["ws_01ARZ3NDEKTSV4RRFFQ69G5FAV", "x"] {
        assert_eq!(server.get(&format!("/tlog/{id}/checkpoint")).await.error(), (404, "not_found".into()));
    }
}

#[tokio::test]
async fn every_receipt_is_proved_by_itself() {
    let server = Server::start().await;
    scene(&server).await;
    server.published().await;
    let (document, _, verifiers) = keys(&server).await;
    let trusted = TrustedKeys::parse(&document).unwrap();
    let receipts = server.get("/v1/receipts?limit=100").await.json();
    let items = receipts["items"].as_array().unwrap();
    assert!(items.len() > 20);
    let mut places = std::collections::BTreeSet::new();
    for item in items {
        let id = item["receipt_id"].as_str().unwrap();
        let receipt = Strict::parse(server.signed_receipt(id).await.to_string().as_bytes()).unwrap();
        let reply = server.get(&format!("/v1/receipts/{id}/proof")).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
        let proof = Proof::parse(&reply.text).unwrap();
        let now = Timestamp::parse(START).unwrap().saturating_add_ms(3_600_000);
        let proved = verify_receipt(&receipt, now, &trusted, &proof, verifiers.last().unwrap(), &[], 0).unwrap();
        assert!(places.insert(proved.index), "no two receipts have one place");
        let other = Proof { index: proof.index ^ 1, ..proof };
        assert!(verify_receipt(&receipt, now, &trusted, &other, verifiers.last().unwrap(), &[], 0).is_err());
    }
    let (_, stranger) = server.other_workspace().await;
    let path = format!("/v1/receipts/{}/proof", items[0]["receipt_id"].as_str().unwrap());
    assert_eq!(server.send_as(&stranger, Method::GET, &path, None).await.error(), (404, "not_found".into()));
    assert_eq!(server.send_as("allowly_l1_s001_x", Method::GET, &path, None).await.status, StatusCode::UNAUTHORIZED);
}

async fn bundle(server: &Server, query: &str) -> String {
    let reply = server.get(&format!("/v1/evidence{query}")).await;
    assert_eq!((reply.status, &reply.headers["content-type"]), (StatusCode::OK, &"application/jsonl".parse().unwrap()), "{}", reply.text);
    reply.text
}

fn holds(bundle: &str, trusted: &[KeyId]) -> Verdict {
    verify(bundle.as_bytes(), trusted, &[], 0).unwrap_or_else(|fault| panic!("{fault:?}"))
}

#[tokio::test]
async fn evidence_holds_whatever_it_is_of() {
    let server = Server::start().await;
    let ids = scene(&server).await;
    let (text, Checkpoint { size, root, .. }) = checkpoint(&server).await;
    let (_, trusted, _) = keys(&server).await;
    let last = &trusted[1..];
    let everything = bundle(&server, "").await;
    let verdict = holds(&everything, last);
    assert_eq!((verdict.first, verdict.end, verdict.size, verdict.hidden, verdict.root), (0, size, size, 0, root));
    assert!(everything.contains(&serde_json::to_string(&text).unwrap()), "it is under the checkpoint that everybody sees");
    assert_eq!(verify(everything.as_bytes(), &trusted[..1], &[], 0).unwrap_err().code.as_str(), "untrusted_checkpoint");
    for id in &ids {
        let story = bundle(&server, &format!("?authorization_id={id}")).await;
        let verdict = holds(&story, last);
        assert_eq!((verdict.begins_with_grant, verdict.reaches_end()), (Some(true), true));
        let shown = story.lines().skip(1).filter(|line| line.contains("\"record\":\"")).count() as u64;
        assert!(verdict.hidden > 8 && shown > 8 && verdict.hidden + shown == size - verdict.first, "{verdict:?}");
        // Nothing of the other one can be read out of it.
        let other = ids.iter().find(|other| *other != id).unwrap();
        assert!(!story.contains(other.as_str()));
    }
    let at = |seconds: u64| Timestamp::parse(START).unwrap().saturating_add_ms(seconds * 1000).to_string();
    for (query, whole) in [
        (format!("?from={}", at(2)), false),
        (format!("?to={}", at(3)), false),
        (format!("?from={}&to={}", at(2), at(4)), false),
        (format!("?from={}&to={}", at(4), at(2)), false),
        (format!("?from={}", at(9999)), false),
        (format!("?to={}", at(9999)), true),
        (format!("?authorization_id={}&from={}&to={}", ids[0], at(1), at(3)), false),
    ] {
        let part = bundle(&server, &query).await;
        let verdict = holds(&part, last);
        assert_eq!(verdict.first == 0 && verdict.end == size, whole, "{query}: {verdict:?}");
        for line in part.lines().skip(1) {
            let line: Value = serde_json::from_str(line).unwrap();
            let issued = line["receipt"]["issued_at"].as_str().unwrap_or(&at(3)).to_owned();
            assert!(!query.contains("to=") || query.contains(&at(9999)) || issued < at(4), "{query}: {issued}");
        }
    }
    let mut verifier = Verifier::open(everything.split_inclusive('\n').next().unwrap().as_bytes(), last, &[], 0).unwrap();
    verifier = verifier.expect_earlier(size, root);
    for line in everything.split_inclusive('\n').skip(1) {
        verifier.record(line.as_bytes()).unwrap();
    }
    assert_eq!(verifier.finish().unwrap().earlier, Continuity::Proved);
}

#[tokio::test]
async fn evidence_is_the_workspaces_own() {
    let server = Server::start().await;
    let ids = scene(&server).await;
    let (other_id, other_key) = server.other_workspace().await;
    server.published().await;
    let path = format!("/v1/evidence?authorization_id={}", ids[0]);
    assert_eq!(server.send_as(&other_key, Method::GET, &path, None).await.error(), (404, "not_found".into()));
    let own = server.send_as(&other_key, Method::GET, "/v1/evidence", None).await.text;
    assert!(own.contains(&other_id) && !own.contains(&server.workspace_id));
    assert!(WorkspaceId::parse(&other_id).is_some());
    for (query, status) in [
        ("?authorization_id=auth_01ARZ3NDEKTSV4RRFFQ69G5FAV", 404),
        ("?authorization_id=nonsense", 404),
        ("?from=yesterday", 422),
        ("?to=2026-01-01", 422),
        ("?from=2026-01-01T00:00:00Z&from=2026-01-01T00:00:00Z", 422),
    ] {
        assert_eq!(server.get(&format!("/v1/evidence{query}")).await.status.as_u16(), status, "{query}");
    }
    assert_eq!(server.send_as("allowly_l1_s001_x", Method::GET, "/v1/evidence", None).await.status, StatusCode::UNAUTHORIZED);
}
