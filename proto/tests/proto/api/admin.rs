//! `/admin/v1`

use allowlog_proto::api::admin::{ChangeWorkspaceBody, NewKeyBody, NewWorkspaceBody};
use allowlog_proto::event::{Plan, Role, Style};

use super::{json, table};

#[test]
fn every_workspace() {
    table(
        NewWorkspaceBody::parse,
        &[
            (r#"{"name":"acme"}"#, &[]),
            (r#"{"name":"acme","plan":"free"}"#, &[]),
            (r#"{"name":"acme","plan":null}"#, &[]),
            ("null", &["body.name"]),
            (r#"{"name":""}"#, &["body.name"]),
            (r#"{"name":"acme","plan":"gold"}"#, &["body.plan"]),
            (r#"{"name":"acme","plan":"Free"}"#, &["body.plan"]),
            (r#"{"name":"acme","plan":1}"#, &["body.plan"]),
        ],
    );
    let default = NewWorkspaceBody::parse(&json(r#"{"name":"acme"}"#)).unwrap();
    assert_eq!(default.plan, Plan::Enterprise);
    for plan in Plan::ALL {
        let body = format!(r#"{{"name":"acme","plan":"{}"}}"#, plan.as_str());
        assert_eq!(NewWorkspaceBody::parse(&json(&body)).unwrap().plan, plan);
    }
    table(
        ChangeWorkspaceBody::parse,
        &[
            (r#"{"name":"acme"}"#, &[]),
            (r#"{"plan":"pro"}"#, &[]),
            (r#"{"name":null,"plan":"pro"}"#, &[]),
            ("{}", &["body.name"]),
            ("null", &["body.name"]),
            (r#"{"name":7,"plan":"gold"}"#, &["body.name", "body.plan"]),
        ],
    );
}

#[test]
fn every_api_key() {
    table(
        NewKeyBody::parse,
        &[
            (r#"{"name":"ci"}"#, &[]),
            (r#"{"name":"ci","style":null,"role":null,"expires_at":null}"#, &[]),
            (r#"{"name":"ci","style":"permitly","role":"read","expires_at":"2027-01-01T00:00:00Z"}"#, &[]),
            ("null", &["body.name"]),
            (r#"{"name":"ci","style":"x"}"#, &["body.style"]),
            (r#"{"name":"ci","role":"admin"}"#, &["body.role"]),
            (r#"{"name":"ci","expires_at":"2027-01-01"}"#, &["body.expires_at"]),
        ],
    );
    let default = NewKeyBody::parse(&json(r#"{"name":"ci"}"#)).unwrap();
    assert_eq!((default.style, default.role, default.expires_at), (Style::Allowly, Role::Runtime, None));
}
