//! Which logs a witness knows: a log is known by its verifier keys alone, which have its origin as their name.

use std::collections::BTreeMap;

use allowlog_proto::note::{KeyKind, VerifierKey};

/// The keys of each origin.
#[derive(Debug, Clone, Default)]
pub struct Trust(BTreeMap<String, Vec<VerifierKey>>);

impl Trust {
    /// No log at all.
    pub const fn nobody() -> Self {
        Self(BTreeMap::new())
    }

    /// Trusts one more key. Several for one origin are for a log whose key is replaced.
    ///
    /// # Errors
    /// If the text is no key, or none that a log signs with.
    pub fn add(&mut self, text: &str) -> Result<(), String> {
        let key = VerifierKey::parse(text).map_err(|e| format!("`{text}` is no verifier key: {e}"))?;
        match key.kind() {
            KeyKind::Cosignature => return Err(format!("`{text}` is the key of a witness, not of a log")),
            KeyKind::Ed25519 => {}
        }
        let keys = self.0.entry(key.name().to_owned()).or_default();
        if !keys.contains(&key) {
            keys.push(key);
        }
        Ok(())
    }

    /// Trusts every key of a list, one on each line; what stands behind `#` at the begin of a line is a comment.
    ///
    /// # Errors
    /// Names the first line that is no key.
    pub fn add_list(&mut self, list: &str) -> Result<(), String> {
        for (number, line) in (1_usize..).zip(list.lines()) {
            let line = line.trim();
            if !line.is_empty() && !line.starts_with('#') {
                self.add(line).map_err(|problem| format!("line {number}: {problem}"))?;
            }
        }
        Ok(())
    }

    /// The keys trusted for this origin, if it is known.
    pub fn keys_of(&self, origin: &str) -> Option<&[VerifierKey]> {
        self.0.get(origin).map(Vec::as_slice)
    }

    /// How many logs are known.
    pub fn logs(&self) -> usize {
        self.0.len()
    }
}
