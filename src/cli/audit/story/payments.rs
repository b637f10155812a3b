//! Agents, devices and payments as people read them. Amounts are in minor units of their currency.

use allowlog_proto::event::{
    AgentEvent, AgentStatus, Code, DeviceEvent, IntentMoved, Payment, PaymentDecided, PaymentEvent, Queued, Reconciled, TokenIssued,
};
use allowlog_proto::id::DecisionId;

pub fn agent(event: &AgentEvent) -> String {
    match event {
        AgentEvent::Registered(agent) => format!("agent {} `{}` registered, a {}", agent.agent_id, agent.name, agent.kind.as_str()),
        AgentEvent::StatusChanged { agent_id, status } => match status {
            AgentStatus::Active => format!("agent {agent_id} may act again"),
            AgentStatus::Suspended => format!("agent {agent_id} suspended"),
            AgentStatus::Revoked => format!("agent {agent_id} revoked"),
        },
        AgentEvent::CredentialIssued { agent_id, credential_id, .. } => format!("credential {credential_id} of agent {agent_id} issued"),
    }
}

pub fn device(event: &DeviceEvent) -> String {
    match event {
        DeviceEvent::Registered(terms) => format!("device {} registered", terms.device_id),
        DeviceEvent::Attested { device_id, .. } => format!("device {device_id} attested"),
        DeviceEvent::Revoked { device_id, reason } => {
            format!("device {device_id} revoked{}", reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default())
        }
    }
}

pub fn payment(event: &PaymentEvent) -> String {
    match event {
        PaymentEvent::Decided(decided) => decision(decided),
        PaymentEvent::IntentCreated(created) => {
            let (amount, currency, merchant) = (created.amount.get(), created.currency, &created.merchant_id);
            format!("payment intent {} created: {amount} {currency} to {merchant}", created.intent_id)
        }
        PaymentEvent::Authorised(moved) => {
            let by = moved.decision.map(|id| format!(" by {}", DecisionId::from(id))).unwrap_or_default();
            format!("{} authorised{by}", paid(moved))
        }
        PaymentEvent::Refused(refused) => {
            format!("{} not authorised: {} ({})", paid(&refused.moved), refused.refusal.as_str(), refused.code.as_str())
        }
        PaymentEvent::Captured(moved) => format!("{} captured", paid(moved)),
        PaymentEvent::Cancelled(moved) => format!("{} cancelled", paid(moved)),
        PaymentEvent::Abandoned(intent_id) => format!("payment intent {intent_id} cancelled"),
        PaymentEvent::TokenIssued(issued) => token(issued),
        PaymentEvent::Queued(queued) => offline(queued),
        PaymentEvent::Reconciled(reconciled) => settlement(reconciled),
    }
}

fn decision(decided: &PaymentDecided) -> String {
    let codes: Vec<&str> = decided.codes.iter().map(|code: &Code| code.as_str()).collect();
    let most = decided.max_amount.map(|amount| format!(", at most {}", amount.get())).unwrap_or_default();
    let (purpose, agent, action) = (decided.purpose.as_str(), &decided.agent, decided.action());
    format!("{purpose} {}{}, {agent}: {action}{most} ({})", decided.scope, asked(&decided.payment), codes.join(", "))
}

fn asked(payment: &Payment) -> String {
    let amount = payment.amount.map(|amount| format!(" of {}", amount.get())).unwrap_or_default();
    let currency = payment.currency.map(|currency| format!(" {currency}")).unwrap_or_default();
    let merchant = payment.merchant_id.as_ref().map(|merchant| format!(" to {merchant}")).unwrap_or_default();
    format!("{amount}{currency}{merchant}")
}

fn paid(moved: &IntentMoved) -> String {
    format!("payment intent {}, {} {} to {}", moved.intent_id, moved.amount.get(), moved.currency, moved.merchant_id)
}

fn token(issued: &TokenIssued) -> String {
    let (id, most, currency, device) = (issued.token_id, issued.max_amount.get(), issued.currency, &issued.device);
    format!("offline token {id} of at most {most} {currency} for device {device} until {}", issued.expires_at)
}

fn offline(queued: &Queued) -> String {
    let (id, amount, currency, merchant) = (queued.transaction_id, queued.amount.get(), queued.currency, &queued.merchant_id);
    format!("device {} told of transaction {id} with token {}: {amount} {currency} to {merchant}", queued.device, queued.token_id)
}

fn settlement(reconciled: &Reconciled) -> String {
    let (id, amount, currency) = (reconciled.transaction_id, reconciled.amount.get(), reconciled.currency);
    format!("transaction {id} with token {}, {amount} {currency}: {}", reconciled.token_id, reconciled.settlement.as_str())
}
