//! The search index of a real server: damaged, deleted, cut off in the middle of its work. Lists stay complete.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::process::{Process, init};

struct Client {
    http: reqwest::Client,
    url: String,
    api_key: String,
}

impl Client {
    fn new(process: &Process, api_key: &str) -> Self {
        Self { http: reqwest::Client::new(), url: process.url.clone(), api_key: api_key.to_owned() }
    }

    /// The answer, or nothing if the server died before it gave one.
    async fn post(&self, path: &str, body: &Value) -> Option<Value> {
        let request = self.http.post(format!("{}{path}", self.url)).bearer_auth(&self.api_key).json(body);
        request.send().await.ok()?.json().await.ok()
    }

    async fn grant(&self) -> String {
        let body = json!({ "user_id": "u", "agent_id": "a", "scopes": ["s"], "expires_at": "2099-01-01T00:00:00Z" });
        self.post("/v1/authorizations", &body).await.unwrap()["authorization_id"].as_str().unwrap().to_owned()
    }

    /// The receipt of a check.
    async fn check(&self, id: &str) -> Option<String> {
        let answer = self.post("/v1/check", &json!({ "authorization_id": id, "scopes": ["s"], "resource": "r" })).await?;
        answer["results"]["s"]["receipt"]["receipt_id"].as_str().map(str::to_owned)
    }

    /// All of a list, page by page.
    async fn walk(&self, query: &str) -> Vec<String> {
        let (mut receipts, mut cursor) = (Vec::new(), String::new());
        loop {
            let url = format!("{}/v1/receipts?{query}&limit=100&cursor={cursor}", self.url);
            let page: Value = self.http.get(url).bearer_auth(&self.api_key).send().await.unwrap().json().await.unwrap();
            let items = page["items"].as_array().unwrap_or_else(|| panic!("{page}"));
            receipts.extend(items.iter().map(|item| item["receipt_id"].as_str().unwrap().to_owned()));
            match page["next_cursor"].as_str() {
                Some(next) => cursor = next.to_owned(),
                None => return receipts,
            }
        }
    }
}

fn files(search: &Path) -> Vec<PathBuf> {
    fs::read_dir(search).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file()).collect()
}

/// What befalls the directory while the server is down.
type Damage = fn(&Path);

const DAMAGES: [(&str, Damage); 6] = [
    ("deleted", |search| fs::remove_dir_all(search).unwrap()),
    ("its list of segments deleted", |search| fs::remove_file(search.join("meta.json")).unwrap()),
    ("every file deleted", |search| files(search).iter().for_each(|path| fs::remove_file(path).unwrap())),
    ("every file cut in half", |search| {
        for path in files(search) {
            let bytes = fs::read(&path).unwrap();
            fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        }
    }),
    ("a bit flipped in every file", |search| {
        for path in files(search) {
            let mut bytes = fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            if let Some(byte) = bytes.get_mut(middle) {
                *byte ^= 1;
            }
            fs::write(&path, bytes).unwrap();
        }
    }),
    ("a file in its place", |search| {
        fs::remove_dir_all(search).unwrap();
        fs::write(search, "no directory").unwrap();
    }),
];

#[tokio::test]
async fn a_damaged_index_is_built_anew_and_never_believed() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let api_key = init(&data)["api_key"].as_str().unwrap().to_owned();
    let search = data.join("search");
    let mut expected: Vec<String> = Vec::new();
    for (name, damage) in DAMAGES {
        let process = Process::serve(&data, &[]);
        let client = Client::new(&process, &api_key);
        let id = client.grant().await;
        for _ in 0..80 {
            expected.push(client.check(&id).await.unwrap());
        }
        assert_eq!(client.walk("scope=s&order=asc").await, expected, "before: {name}");
        assert_eq!(process.terminate(), Some(0));
        damage(&search);
        let process = Process::serve(&data, &[]);
        let client = Client::new(&process, &api_key);
        assert_eq!(client.walk("scope=s&order=asc").await, expected, "{name}");
        expected.push(client.check(&id).await.unwrap());
        assert_eq!(client.walk("resource=r&order=asc").await, expected, "{name}");
        assert_eq!(process.terminate(), Some(0));
        if search.is_file() {
            fs::remove_file(&search).unwrap();
        } else {
            let meta = fs::read_to_string(search.join("meta.json")).unwrap();
            let segments = serde_json::from_str::<Value>(&meta).unwrap()["segments"].as_array().unwrap().len();
            assert!(segments > 0, "{name}: it was built anew");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_while_indexing_leaves_every_list_complete() {
    const KILLS: usize = 8;
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let api_key = init(&data)["api_key"].as_str().unwrap().to_owned();
    let told: Arc<Mutex<BTreeSet<String>>> = Arc::default();
    let mut process = Process::serve(&data, &[]);
    let id = Client::new(&process, &api_key).grant().await;
    for kill in 0..KILLS {
        let client = Arc::new(Client::new(&process, &api_key));
        let clients: Vec<_> = (0..16)
            .map(|_| {
                let (client, id, told) = (Arc::clone(&client), id.clone(), Arc::clone(&told));
                tokio::spawn(async move {
                    while let Some(receipt) = client.check(&id).await {
                        told.lock().unwrap().insert(receipt);
                    }
                })
            })
            .collect();
        // Until the index has been committed to a few times; each kill falls elsewhere.
        let goal = told.lock().unwrap().len() + 300 + kill * 97;
        while told.lock().unwrap().len() < goal {
            tokio::task::yield_now().await;
        }
        process.kill();
        for client in clients {
            client.await.unwrap();
        }
        process = Process::serve(&data, &[]);
        let walked = Client::new(&process, &api_key).walk(&format!("authorization_id={id}&scope=s")).await;
        assert!(walked.is_sorted(), "in the order of the log");
        let listed: BTreeSet<_> = walked.iter().cloned().collect();
        assert_eq!(listed.len(), walked.len(), "none twice");
        let told = told.lock().unwrap();
        let missing: Vec<_> = told.difference(&listed).collect();
        assert!(missing.is_empty(), "{} answered receipts are not listed after kill {kill}", missing.len());
    }
    assert_eq!(process.terminate(), Some(0));
}
