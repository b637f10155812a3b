//! How much the state holds, for telemetry.

use super::State;

impl State {
    /// The number of entries by kind; counting takes no time.
    pub fn sizes(&self) -> [(&'static str, usize); 13] {
        [
            ("workspaces", self.workspaces.len()),
            ("api_keys", self.api_keys.len()),
            ("authorizations", self.authorizations.by_id.len()),
            ("open_confirmations", self.questions.len()),
            ("escalations", self.escalations.len()),
            ("remembered_requests", self.requests.len()),
            ("consent_agents", self.consent_agents.len()),
            ("consents", self.consents.len()),
            ("registered_agents", self.registered_agents.len()),
            ("devices", self.devices.len()),
            ("live_payment_decisions", self.decisions.len()),
            ("payment_intents", self.intents.len()),
            ("offline_tokens", self.offline_tokens.len()),
        ]
    }
}
