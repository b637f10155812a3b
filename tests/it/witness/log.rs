//! A log that witnesses are asked about: its leaves are kept, so that it can be forked and cut.

use allowlog_proto::chain::Hash;
use allowlog_proto::checkpoint::Checkpoint;
use allowlog_proto::merkle::{self, Subtree, Tree};
use allowlog_proto::note::{KeyKind, Note, NoteSignature, VerifierKey};
use allowlog_proto::signing::sign;
use allowlog_proto::witness::AddCheckpoint;
use ed25519_dalek::SigningKey;

pub const ORIGIN: &str = "allowlog/ws_01JD0000000000000000000000";

#[derive(Clone)]
pub struct Log {
    pub key: SigningKey,
    pub verifier_key: VerifierKey,
    pub leaves: Vec<Hash>,
}

impl Log {
    pub fn new(origin: &str, seed: u8) -> Self {
        let key = SigningKey::from_bytes(&[seed; 32]);
        let verifier_key = VerifierKey::new(origin, KeyKind::Ed25519, key.verifying_key()).unwrap();
        Self { key, verifier_key, leaves: Vec::new() }
    }

    /// With so many leaves more; another `salt` makes others.
    pub fn grown(mut self, more: usize, salt: u64) -> Self {
        for _ in 0..more {
            let entry = [salt, self.leaves.len().try_into().unwrap()].map(u64::to_be_bytes).concat();
            self.leaves.push(merkle::leaf(&entry));
        }
        self
    }

    /// As it was when it had so many leaves.
    pub fn cut(mut self, size: usize) -> Self {
        self.leaves.truncate(size);
        self
    }

    pub fn size(&self) -> u64 {
        self.leaves.len().try_into().unwrap()
    }

    pub fn root(&self) -> Hash {
        root(&self.leaves)
    }

    pub fn proof(&self, old: u64) -> Vec<Hash> {
        let node = |Subtree { height, index }| {
            let [from, until] = [index, index + 1].map(|index| usize::try_from(index << height).unwrap());
            self.leaves.get(from..until).map(root).ok_or("there is no such subtree")
        };
        merkle::consistency_proof(old, self.size(), node).unwrap()
    }

    pub fn checkpoint(&self) -> Note {
        let checkpoint = Checkpoint { origin: self.verifier_key.name().to_owned(), size: self.size(), root: self.root() };
        self.signed(checkpoint.to_string())
    }

    pub fn signed(&self, text: String) -> Note {
        let signature = NoteSignature::ed25519(&self.verifier_key, sign(&self.key, text.as_bytes()));
        Note { text, signatures: vec![signature] }
    }

    /// What is posted to a witness that holds `old`.
    pub fn request(&self, old: u64) -> String {
        AddCheckpoint { old, proof: self.proof(old), checkpoint: self.checkpoint() }.to_string()
    }
}

fn root(leaves: &[Hash]) -> Hash {
    let mut tree = Tree::new();
    leaves.iter().for_each(|leaf| tree.push(*leaf, |_, _| {}));
    tree.root()
}
