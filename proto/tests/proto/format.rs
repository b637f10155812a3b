//! `FORMAT.md` says what the code does, as far as a test can read it.

use std::collections::BTreeSet;

use allowlog_proto::event::{AgentKind, Code as PaymentCode, Event, PaymentEvent, Purpose, Refusal, Settlement, TokenVerified};
use allowlog_proto::id::{
    ApiKeyId, AuditEventId, AuditId, AuthorizationId, ConsentAgentId, ConsentId, CredentialId, DecisionId, DelegationId, DeviceId,
    EscalationId, KeyId, Nonce, OfflineTokenId, OfflineTransactionId, OrgId, PaymentIntentId, PolicyId, ProofId, ReceiptId,
    RegisteredAgentId, TokenId, TombstoneId, WebhookId, WorkspaceId,
};
use allowlog_proto::limits::{
    CATEGORY_BYTES_MAX, CHANNEL_BYTES_MAX, CLIENT_REF_BYTES_MAX, EMAIL_BYTES_MAX, EVIDENCE_LINE_BYTES_MAX, FRAME_BYTES_MAX,
    IP_ADDRESS_BYTES_MAX, JSON_DEPTH_MAX, MERCHANT_ID_BYTES_MAX, PERIOD_MS_MAX, PROOF_HASHES_MAX, RECORD_BYTES_MAX, SAFE_INTEGER_MAX,
    SCOPE_DESCRIPTION_BYTES_MAX, SCOPE_LABEL_BYTES_MAX, SIGNED_NOTE_BYTES_MAX, SIGNED_NOTE_LINES_MAX, TOKEN_BYTES_MAX, TOKEN_LIFE_S_MAX,
    URL_BYTES_MAX, USER_AGENT_BYTES_MAX,
};
use allowlog_proto::offline_token::OfflineClaims;
use allowlog_proto::reason::{PolicyVersion, Reason};
use allowlog_proto::record;
use allowlog_proto::text::UserId;
use allowlog_proto::time::Timestamp;
use allowlog_proto::token::Claims;

use crate::{evidence, files, fixtures, vectors};

fn text() -> String {
    files::read("FORMAT.md")
}

#[test]
fn reasons_stand_under_their_numbers() {
    let text = text();
    for (number, reason) in Reason::ALL.iter().enumerate() {
        let cell = format!("| {number} | `{}` |", reason.as_str());
        assert!(text.contains(&cell), "{cell}");
    }
}

/// And each code beside the reason that receipts have for it.
#[test]
fn codes_of_payments_stand_under_their_numbers() {
    let text = text();
    for (number, code) in PaymentCode::ALL.iter().enumerate() {
        let cells = format!("| {number} | `{}` | `{}` |", code.as_str(), code.reason());
        assert!(text.contains(&cells), "{cells}");
    }
    let failures = PaymentCode::ALL.iter().filter(|code| code.is_failure()).count();
    assert!(text.contains(&format!("failed (0 to {}) or passed", failures - 1)));
}

#[test]
fn enums_of_payments_stand_under_their_numbers() {
    let text = text();
    let row = |name: &str, variants: Vec<&str>| {
        let cells: Vec<String> = variants.iter().zip(0..).map(|(variant, number): (_, u8)| format!("{number} {variant}")).collect();
        format!("| {name} | {} |", cells.join(" · "))
    };
    // In the order of the variants, which their fixtures have: see the tests of the golden bytes.
    let purposes = [Purpose::Permission, Purpose::Policy, Purpose::Trust, Purpose::Verification, Purpose::OfflineToken];
    let refusals = [
        Refusal::PermissionRequired,
        Refusal::PermissionDenied,
        Refusal::PermissionExpired,
        Refusal::AmountExceedsLimit,
        Refusal::PermissionMismatch,
        Refusal::DelegationRevoked,
        Refusal::LimitExceeded,
    ];
    let settlements = [Settlement::DoubleSpend, Settlement::Expired, Settlement::OverLimit, Settlement::Settled];
    for row in [
        row("agent kind", AgentKind::ALL.iter().map(|kind| kind.as_str()).collect()),
        row("purpose", purposes.iter().map(|purpose| purpose.as_str()).collect()),
        row("refusal", refusals.iter().map(|refusal| refusal.as_str()).collect()),
        row("settlement", settlements.iter().map(|settlement| settlement.as_str()).collect()),
    ] {
        assert!(text.contains(&row), "{row}");
    }
    for scope in PaymentEvent::SCOPES {
        assert!(text.contains(&format!("| `scope`: `{scope}` |")), "{scope}");
    }
}

#[test]
fn codes_stand_in_the_order_of_the_checks() {
    let text = text();
    let (_, checks) = text.split_once("## The verifier\n").unwrap();
    let (checks, _) = checks.split_once("\n## ").unwrap();
    let rows = checks.lines().filter(|line| line.starts_with("| ") && !line.starts_with("|  |") && !line.starts_with("| |"));
    let found: Vec<&str> =
        rows.filter_map(|row| row.trim_end_matches(" |").rsplit("| ").next()?.strip_prefix('`')?.strip_suffix('`')).collect();
    let mut expected = vectors::codes();
    expected.dedup();
    assert_eq!(found, expected);
}

#[test]
fn codes_of_evidence_stand_in_the_order_of_the_checks() {
    let text = text();
    let (_, checks) = text.split_once("\n### Checks\n").unwrap();
    let mut found = Vec::new();
    for row in checks.lines().filter(|line| line.starts_with("| ")) {
        let cell = row.trim_end_matches(" |").rsplit("| ").next().unwrap();
        let codes = cell.split(", ").filter_map(|code| code.strip_prefix('`')?.strip_suffix('`'));
        codes.for_each(|code| {
            if !found.contains(&code) {
                found.push(code)
            }
        });
    }
    assert_eq!(found, evidence::codes());
}

#[test]
fn prefixes_and_limits_are_named() {
    let text = text();
    let prefixes = [
        WorkspaceId::PREFIX,
        ApiKeyId::PREFIX,
        KeyId::PREFIX,
        AuthorizationId::PREFIX,
        ReceiptId::PREFIX,
        Nonce::PREFIX,
        EscalationId::PREFIX,
        TombstoneId::PREFIX,
        ConsentId::PREFIX,
        ConsentAgentId::PREFIX,
        TokenId::PREFIX,
        WebhookId::PREFIX,
        AuditId::PREFIX,
        RegisteredAgentId::PREFIX,
        CredentialId::PREFIX,
        DeviceId::PREFIX,
        PaymentIntentId::PREFIX,
        OfflineTokenId::PREFIX,
        OfflineTransactionId::PREFIX,
        OrgId::PREFIX,
        DelegationId::PREFIX,
        DecisionId::PREFIX,
        AuditEventId::PREFIX,
    ];
    let twins = format!("\n| `{}`, `{}` | ", DelegationId::PREFIX, PolicyId::PREFIX);
    let of_a_receipt = format!("\n| `{}`, `{}` | ", DecisionId::PREFIX, ProofId::PREFIX);
    assert!(text.contains(&twins) && text.contains(&of_a_receipt));
    for prefix in prefixes {
        assert!(text.contains(&format!("\n| `{prefix}`")), "{prefix}");
    }
    for number in [
        RECORD_BYTES_MAX.to_string(),
        FRAME_BYTES_MAX.to_string(),
        format!("{JSON_DEPTH_MAX} containers"),
        format!("at most {SIGNED_NOTE_LINES_MAX} of them"),
        format!("{SIGNED_NOTE_BYTES_MAX} bytes"),
        format!("A line is at most {EVIDENCE_LINE_BYTES_MAX} bytes"),
        format!("at most {PROOF_HASHES_MAX}, an empty line"),
        SAFE_INTEGER_MAX.to_string(),
        Timestamp::MAX.as_ms().to_string(),
        PolicyVersion::CURRENT.as_str().to_owned(),
        format!("| email | 1 to {EMAIL_BYTES_MAX} | scope label | 1 to {SCOPE_LABEL_BYTES_MAX} |"),
        format!("| scope description | 0 to {SCOPE_DESCRIPTION_BYTES_MAX} | IP address | 1 to {IP_ADDRESS_BYTES_MAX} |"),
        format!("| user agent | 0 to {USER_AGENT_BYTES_MAX} | webhook URL | 1 to {URL_BYTES_MAX} |"),
        format!("| redirect URL | 1 to {URL_BYTES_MAX} | origin | 1 to {URL_BYTES_MAX} |"),
        format!("| merchant id | 1 to {MERCHANT_ID_BYTES_MAX} | category | 1 to {CATEGORY_BYTES_MAX} |"),
        format!("| channel | 1 to {CHANNEL_BYTES_MAX} | client ref | 1 to {CLIENT_REF_BYTES_MAX} |"),
        format!("| `interval` | varint of whole seconds, 1 to {} (366 days) |", PERIOD_MS_MAX / 1000),
        format!("(varint, seconds, 1 to {TOKEN_LIFE_S_MAX})"),
        format!("nothing longer than {TOKEN_BYTES_MAX} bytes"),
        format!("| token verified | `scope`: `{}` |", TokenVerified::SCOPE),
    ] {
        assert!(text.contains(&number), "{number}");
    }
}

/// Each event of the table is one of the fixtures', by the numbers that its body begins with, and none is missing.
#[test]
fn events_stand_under_their_numbers() {
    let text = text();
    let (_, table) = text.split_once("| Family | Variant | Fields in order |\n").unwrap();
    let (mut family, mut named) = (0, BTreeSet::new());
    for row in table.lines().skip(1).take_while(|line| line.starts_with('|')) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let number = |cell: &str| cell.split(' ').next().and_then(|number| number.parse().ok());
        family = number(cells[1]).unwrap_or(family);
        named.insert([family, number(cells[2]).unwrap()]);
    }
    let stored = |record: &record::Record| {
        let mut bytes = Vec::new();
        record.encode(&mut bytes).unwrap();
        [bytes[record::HEADER_BYTES], bytes[record::HEADER_BYTES + 1]]
    };
    assert_eq!(named, fixtures::log().0.iter().map(|(_, record)| stored(record)).collect());
}

#[test]
fn tokens_are_written_as_it_says() {
    let text = text();
    let claims = Claims {
        user_id: UserId::new("user_1").unwrap(),
        agent_id: ConsentAgentId::from_bytes([1; 16]),
        consent_id: ConsentId::from_bytes([2; 16]),
        scopes: Vec::new(),
        issued_at: Timestamp::default(),
        expires_at: Timestamp::default(),
        token_id: TokenId::from_bytes([3; 16]),
    };
    let key_id = KeyId::of(&[2; 33]);
    let input = claims.signing_input(key_id);
    let header = data_encoding::BASE64URL_NOPAD.decode(input.split_once('.').unwrap().0.as_bytes()).unwrap();
    let header = String::from_utf8(header).unwrap().replace(&key_id.to_string(), "<key id>");
    assert!(text.contains(&format!("`{header}`")), "{header}");
    let (_, table) = text.split_once("| Claim | |\n|---|---|\n").unwrap();
    let named: BTreeSet<&str> =
        table.lines().take_while(|line| line.starts_with('|')).flat_map(|line| line.split('|').nth(1).unwrap().split(", ")).collect();
    let named: BTreeSet<&str> = named.iter().map(|name| name.trim().trim_matches('`')).collect();
    assert_eq!(named, claims.to_object().iter().map(|(name, _)| name).collect());
}

#[test]
fn offline_tokens_are_written_as_it_says() {
    let text = text();
    let (_, section) = text.split_once("\n## Offline tokens\n").unwrap();
    let (records, _) = fixtures::log();
    let token = records.iter().find_map(|(_, record)| {
        let Event::Payment(PaymentEvent::TokenIssued(issued)) = &record.event else { return None };
        Some((OfflineClaims::of(record.workspace_id, record.time, issued), issued))
    });
    let (claims, issued) = token.unwrap();
    let key_id = KeyId::of(&[2; 32]);
    let input = claims.signing_input(key_id);
    assert!(input.starts_with("ey"), "{input}");
    let part = |place| data_encoding::BASE64URL_NOPAD.decode(input.split('.').nth(place).unwrap().as_bytes()).unwrap();
    let header = String::from_utf8(part(0)).unwrap().replace(&key_id.to_string(), "<key id>");
    assert!(section.contains(&format!("`{header}`")), "{header}");
    let (_, table) = section.split_once("| Claim | |\n|---|---|\n").unwrap();
    let named: BTreeSet<&str> =
        table.lines().take_while(|line| line.starts_with('|')).flat_map(|line| line.split('|').nth(1).unwrap().split(", ")).collect();
    let named: BTreeSet<&str> = named.iter().map(|name| name.trim().trim_matches('`')).collect();
    assert_eq!(named, claims.to_object().iter().map(|(name, _)| name).collect());
    // What the table says of each claim, as the canonical text has it.
    let said = String::from_utf8(part(1)).unwrap();
    assert_eq!(
        said,
        format!(
            concat!(
                r#"{{"currency":"EUR","delegation_id":"{}","device_id":"{}","exp":1795438850,"iat":{},"iss":"{}","jti":"{}","#,
                r#""max_amount":5000,"merchant_ids":["mer_1","mer_2"],"nullifier":"{}","sub":"{}"}}"#,
            ),
            DelegationId::from(issued.authorization_id),
            issued.device,
            claims.issued_at.as_ms() / 1000,
            OrgId::from(fixtures::workspace_id()),
            issued.token_id,
            "b1".repeat(16),
            issued.agent_id,
        )
    );
}
