//! The worker that a team would add to the PostgreSQL peer to have receipts signed: a thread of the front's process with a
//! client of its own.

use std::thread;
use std::time::Duration;

use aws_lc_rs::signature::Ed25519KeyPair;
use serde_json::{Map, Value};
use tokio::sync::oneshot;
use tokio_postgres::{Client, Row, Statement};

use crate::postgres;

/// Of its thread, and of its client.
pub const NAME: &str = "signing";
/// Receipts of one transaction.
const BATCH: i64 = 1000;
/// How long it sleeps once there are fewer.
const PAUSE: Duration = Duration::from_millis(100);
/// One key for all workspaces, the same for each front.
const SEED: [u8; 32] = [7; 32];

/// A lost commit takes back the signature with the end of the wait for it, so it need not be waited for. A plan is made for
/// each batch, which costs little, since one that was made while the tables were empty would be a bad one later.
const SETTINGS: &str = "SET synchronous_commit = off; SET plan_cache_mode = force_custom_plan; SET TimeZone = 'UTC'";
/// There is one worker, so that nothing needs to be locked beforehand.
const TAKE: &str = "
    WITH taken AS (
        DELETE FROM pending_receipts
        WHERE receipt_id = ANY (ARRAY(SELECT receipt_id FROM pending_receipts ORDER BY receipt_id LIMIT $1))
        RETURNING receipt_id, workspace_id, index
    )
    SELECT taken.receipt_id, workspace_id, index, at::text, body FROM taken JOIN events USING (workspace_id, index)
    ORDER BY taken.receipt_id";
const KEEP: &str = "
    INSERT INTO receipts (receipt_id, workspace_id, index, signature)
    SELECT * FROM unnest($1::bigint[], $2::integer[], $3::bigint[], $4::bytea[])";

/// Starts it and waits until it is there.
pub async fn start(port: u16) {
    let (ready, is_ready) = oneshot::channel();
    let work = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(work(port, ready));
    };
    thread::Builder::new().name(NAME.to_owned()).spawn(work).unwrap();
    is_ready.await.unwrap();
}

async fn work(port: u16, ready: oneshot::Sender<()>) {
    let mut client = postgres::connect(port, NAME).await.unwrap();
    client.batch_execute(SETTINGS).await.unwrap();
    let (take, keep) = (client.prepare(TAKE).await.unwrap(), client.prepare(KEEP).await.unwrap());
    let pair = Ed25519KeyPair::from_seed_unchecked(&SEED).unwrap();
    ready.send(()).unwrap();
    loop {
        let signed = sign_batch(&mut client, &take, &keep, &pair).await;
        if (signed as i64) < BATCH {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Signs the oldest receipts that wait for it, in one transaction. How many there were.
async fn sign_batch(client: &mut Client, take: &Statement, keep: &Statement, pair: &Ed25519KeyPair) -> usize {
    let transaction = client.transaction().await.unwrap();
    let taken = transaction.query(take, &[&BATCH]).await.unwrap();
    if !taken.is_empty() {
        let ids: Vec<i64> = taken.iter().map(|row| row.get(0)).collect();
        let workspaces: Vec<i32> = taken.iter().map(|row| row.get(1)).collect();
        let indexes: Vec<i64> = taken.iter().map(|row| row.get(2)).collect();
        let signatures: Vec<_> = taken.iter().map(|row| pair.sign(receipt(row).as_bytes())).collect();
        let signatures: Vec<&[u8]> = signatures.iter().map(AsRef::as_ref).collect();
        transaction.execute(keep, &[&ids, &workspaces, &indexes, &signatures]).await.unwrap();
    }
    transaction.commit().await.unwrap();
    taken.len()
}

/// What is signed: the event with its place and time, its members in the order of their names.
fn receipt(row: &Row) -> String {
    let mut receipt: Map<String, Value> = serde_json::from_str(row.get(4)).unwrap();
    receipt.insert("receipt_id".to_owned(), row.get::<_, i64>(0).into());
    receipt.insert("workspace_id".to_owned(), row.get::<_, i32>(1).into());
    receipt.insert("index".to_owned(), row.get::<_, i64>(2).into());
    receipt.insert("issued_at".to_owned(), row.get::<_, String>(3).into());
    Value::Object(receipt).to_string()
}
