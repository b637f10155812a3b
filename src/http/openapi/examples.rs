//! Examples: requests and answers of a short story that a test plays on the real server and compares with this file.

use serde_json::Value;
use utoipa::openapi::example::{Example, ExampleBuilder};

/// Written by the test `openapi`, when it is told to.
const STORY: &str = include_str!("examples.json");

/// The story, by operation.
pub struct Examples(Value);

impl Examples {
    /// Reads the file. If it is none that can be read, there are no examples; the test would say so.
    pub fn read() -> Self {
        Self(serde_json::from_str(STORY).unwrap_or_default())
    }

    /// What an operation was asked, by the name of the step.
    pub fn requests(&self, operation: &str) -> Vec<(String, Example)> {
        let asked = self.steps(operation).filter(|(_, step)| status(step) < 400);
        asked.filter_map(|(name, step)| Some((name.clone(), example(step.get("request")?)))).collect()
    }

    /// What it answered with this status.
    pub fn answers(&self, operation: &str, wanted: u16) -> Vec<(String, Example)> {
        let answered = self.steps(operation).filter(|(_, step)| status(step) == u64::from(wanted));
        answered.filter_map(|(name, step)| Some((name.clone(), example(step.get("answer")?)))).collect()
    }

    /// How it refused with this status.
    pub fn of_error(&self, operation: &str, wanted: u16) -> Option<&Value> {
        self.of_own_error(operation, wanted).or_else(|| self.of_status(wanted))
    }

    /// How an error reads that means the same wherever it happens.
    pub fn of_status(&self, wanted: u16) -> Option<&Value> {
        self.of_own_error("errors", wanted)
    }

    /// The same where the Permitly API is spoken.
    pub fn of_permitly_status(&self, wanted: u16) -> Option<&Value> {
        self.of_own_error("permitly_errors", wanted)
    }

    /// How it refused with this status, as the Permitly API spells it.
    pub fn of_permitly_error(&self, operation: &str, wanted: u16) -> Option<&Value> {
        self.of_own_error(operation, wanted).or_else(|| self.of_permitly_status(wanted))
    }

    /// The same where the AffixIO API is spoken.
    pub fn of_affixio_status(&self, wanted: u16) -> Option<&Value> {
        self.of_own_error("affixio_errors", wanted)
    }

    /// How it refused with this status, as the AffixIO API spells it.
    pub fn of_affixio_error(&self, operation: &str, wanted: u16) -> Option<&Value> {
        self.of_own_error(operation, wanted).or_else(|| self.of_affixio_status(wanted))
    }

    fn of_own_error(&self, operation: &str, wanted: u16) -> Option<&Value> {
        self.steps(operation).find(|(_, step)| status(step) == u64::from(wanted)).and_then(|(_, step)| step.get("answer"))
    }

    fn steps(&self, operation: &str) -> impl Iterator<Item = (&String, &Value)> {
        self.0.get(operation).and_then(Value::as_object).into_iter().flatten()
    }
}

fn status(step: &Value) -> u64 {
    step.get("status").and_then(Value::as_u64).unwrap_or_default()
}

fn example(value: &Value) -> Example {
    ExampleBuilder::new().value(Some(value.clone())).build()
}
