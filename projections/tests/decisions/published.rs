//! The receipts of the published bundles, which a generator wrote that knows `FORMAT.md` and nothing of this code, are those that the
//! core makes of the records beside them.

use allowlog_projections::receipts::receipt;
use allowlog_proto::evidence::Verifier;
use allowlog_proto::id::KeyId;
use allowlog_proto::json::Value;

/// A bundle with what its verifier is told.
macro_rules! bundle {
    ($name:literal) => {
        (
            $name,
            include_bytes!(concat!("../../../proto/tests/vectors/evidence/", $name, ".json")),
            include_bytes!(concat!("../../../proto/tests/vectors/evidence/", $name, ".jsonl")),
        )
    };
}

/// Each record of a bundle that was verified, with its receipt: the canonical text of what is signed.
fn receipts((name, vector, bundle): (&str, &[u8], &[u8])) -> Vec<(String, Option<String>)> {
    let vector = Value::parse(vector).unwrap();
    let Some(Value::Array(trust)) = vector.as_object().unwrap().get("trust") else { panic!("{name} trusts nobody") };
    let trust: Vec<KeyId> = trust.iter().filter_map(|id| KeyId::parse(id.as_text()?)).collect();
    let mut lines = bundle.split_inclusive(|byte| *byte == b'\n');
    let mut verifier = Verifier::open(lines.next().unwrap(), &trust, &[], 0).unwrap();
    let mut out = Vec::new();
    for line in lines {
        let line = verifier.record(line).unwrap();
        let Some(record) = line.record else { continue };
        let published = line.receipt.map(|document| {
            let Value::Object(mut object) = document else { panic!("a receipt is an object") };
            object.remove("signature");
            let mut text = String::new();
            Value::Object(object).write_canonical("", &mut text).unwrap();
            text
        });
        let made = receipt(&record).map(|made| made.canonical().unwrap());
        assert_eq!(made, published, "record {} of {name}: {:?}", record.index, record.event);
        out.push((format!("{:?}", record.event), published));
    }
    verifier.finish().unwrap();
    out
}

type Published = (&'static str, &'static [u8], &'static [u8]);

const PAYMENTS: Published = bundle!("payments");
/// With how many receipts each has at least.
const WHOLE: [(Published, usize); 5] =
    [(bundle!("whole_workspace"), 13), (bundle!("consents"), 7), (PAYMENTS, 40), (bundle!("rotated"), 4), (bundle!("strings"), 4)];

#[test]
fn what_the_core_says_is_what_the_format_says() {
    for (bundle, at_least) in WHOLE {
        let told = receipts(bundle);
        let count = told.iter().filter(|(_, receipt)| receipt.is_some()).count();
        assert!(count >= at_least, "{count} receipts in {}", bundle.0);
    }
}

/// So that no event of payments can be left out of the bundle.
#[test]
fn every_event_of_payments_is_published() {
    let told = receipts(PAYMENTS);
    for event in [
        "Described(",
        "Registered(Registered",
        "StatusChanged",
        "CredentialIssued",
        "Registered(DeviceTerms",
        "Attested",
        "Revoked { device_id",
        "Granted(",
        "Decided(PaymentDecided",
        "IntentCreated(",
        "Authorised(",
        "Refused(",
        "Captured(",
        "Cancelled(",
        "Abandoned(",
        "TokenIssued(",
        "Queued(",
        "Reconciled(",
    ] {
        assert!(told.iter().any(|(text, _)| text.contains(event)), "{event}");
    }
}
