//! Metrics: every one of them, with what it says and in which unit. What is counted is the process's, as telemetry is,
//! so there is one set of them; what stands somewhere else already is read there when somebody asks for the metrics.

use std::path::PathBuf;
use std::sync::{LazyLock, OnceLock};

use allowlog_projections::command::{Action, Command, Operation, Payments, Registration, Visit};
use allowlog_projections::decide::{IntentAt, Outcome};
use allowlog_projections::state::IntentStatus;
use allowlog_proto::event::{Code, Purpose, Refusal};
use allowlog_proto::reason::{Decision, Reason};
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::clock::{Clock, Stopwatch};

/// The type of what [`Metrics::text`] returns.
pub const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// From a look at memory to a disk that hangs.
const SECONDS: [f64; 16] = [50e-6, 100e-6, 200e-6, 500e-6, 1e-3, 2e-3, 5e-3, 10e-3, 20e-3, 50e-3, 0.1, 0.2, 0.5, 1.0, 2.0, 10.0];
const RECORDS: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];
const BYTES: [f64; 8] = [512.0, 1024.0, 4096.0, 16_384.0, 65_536.0, 262_144.0, 1_048_576.0, 4_194_304.0];

/// What is counted and timed where it happens.
pub struct Metrics {
    registry: Registry,
    checks: Checks,
    payments: Family<PaymentLabels, Counter>,
    commands: Family<CommandLabels, Counter>,
    requests: Family<RequestLabels, Counter>,
    request_seconds: Family<RouteLabels, Histogram>,
    /// Requests that are being answered.
    pub requests_in_flight: Gauge,
    /// From entering the queue to being decided.
    pub queue_wait_seconds: Histogram,
    /// Deciding and applying what one commit holds.
    pub commit_decide_seconds: Histogram,
    /// Appending the frame of one commit, until it is durable.
    pub commit_append_seconds: Histogram,
    /// Records of one commit.
    pub commit_records: Histogram,
    /// Bytes of the frame of one commit.
    pub commit_bytes: Histogram,
    /// The journal's `fdatasync`.
    pub journal_sync_seconds: Histogram,
    /// Signing what one frame holds.
    pub signing_batch_seconds: Histogram,
    /// Webhooks that were neither delivered nor given up.
    pub webhooks_pending: Gauge,
    webhook_deliveries: Family<DeliveryLabels, Counter>,
    replayed_records: Gauge,
    replay_seconds: Gauge<f64, std::sync::atomic::AtomicU64>,
    data: OnceLock<PathBuf>,
}

/// The metrics of this process.
pub fn metrics() -> &'static Metrics {
    static METRICS: LazyLock<Metrics> = LazyLock::new(Metrics::new);
    &METRICS
}

/// What is read when somebody asks for the metrics; what cannot be had is left out.
#[derive(Debug, Default)]
pub struct Standing {
    /// Commands and reads that wait for the writer, and how many may.
    pub queue: (usize, usize),
    /// Whether commands are refused until the state is rebuilt.
    pub is_latched: bool,
    /// Log sequence behind the last durable record.
    pub head: u64,
    /// The same of the settled part, and the bytes that wait to be settled.
    pub settled: Option<(u64, usize)>,
    /// How far each follower is behind: its name, records, seconds.
    pub followers: Vec<(&'static str, u64, Option<f64>)>,
    /// How many of what the state holds.
    pub state: Option<Vec<(&'static str, usize)>>,
    /// Bytes of memory, open files, and how many files may be open.
    pub process: (Option<u64>, Option<u64>, Option<u64>),
    /// Free bytes and size of the file system of the data directory.
    pub disk: Option<(u64, u64)>,
}

/// A counter for each decision and reason, made the first time it is needed and looked up by place from then on.
struct Checks {
    family: Family<CheckLabels, Counter>,
    counters: [[OnceLock<Counter>; Reason::ALL.len()]; DECISIONS],
}

const DECISIONS: usize = 4;
/// The purpose of consuming a decision, and what it has as the reason when it succeeds.
const AUTHORISATION: &str = "authorisation";
const AUTHORISED: &str = "payment_authorised";

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CheckLabels {
    decision: &'static str,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PaymentLabels {
    purpose: &'static str,
    decision: &'static str,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CommandLabels {
    kind: &'static str,
    result: CommandResult,
}

/// What came of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CommandResult {
    /// Its events are durable.
    Stored,
    /// It was a retry, and gets the first answer.
    Repeated,
    /// The caller has to change something.
    Rejected,
    /// The log could not be written.
    Failed,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    route: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    method: &'static str,
    route: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DeliveryLabels {
    result: &'static str,
}

/// What came of an attempt to deliver a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryResult {
    /// It was taken.
    Delivered,
    /// It is tried again.
    Failed,
    /// It was not taken either, and was the last.
    GivenUp,
}

impl DeliveryResult {
    const ALL: [Self; 3] = [Self::Delivered, Self::Failed, Self::GivenUp];

    const fn labels(self) -> DeliveryLabels {
        let result = match self {
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::GivenUp => "given_up",
        };
        DeliveryLabels { result }
    }
}

impl EncodeLabelValue for CommandResult {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> std::fmt::Result {
        let text = match self {
            Self::Stored => "stored",
            Self::Repeated => "repeated",
            Self::Rejected => "rejected",
            Self::Failed => "failed",
        };
        EncodeLabelValue::encode(&text, encoder)
    }
}

fn gauge(registry: &mut Registry, name: &str, help: &str, value: u64) {
    let gauge = Gauge::<i64>::default();
    gauge.set(count(value));
    registry.register(name, help, gauge);
}

fn seconds() -> Histogram {
    Histogram::new(SECONDS)
}

impl Metrics {
    fn new() -> Self {
        let mut new = Self {
            registry: Registry::default(),
            checks: Checks { family: Family::default(), counters: Default::default() },
            payments: Family::default(),
            commands: Family::default(),
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(seconds),
            requests_in_flight: Gauge::default(),
            queue_wait_seconds: seconds(),
            commit_decide_seconds: seconds(),
            commit_append_seconds: seconds(),
            commit_records: Histogram::new(RECORDS),
            commit_bytes: Histogram::new(BYTES),
            journal_sync_seconds: seconds(),
            signing_batch_seconds: seconds(),
            webhooks_pending: Gauge::default(),
            webhook_deliveries: Family::default(),
            replayed_records: Gauge::default(),
            replay_seconds: Gauge::default(),
            data: OnceLock::new(),
        };
        for reason in Reason::ALL {
            for decision in decisions(*reason) {
                new.checks.counter(*decision, *reason);
            }
        }
        for labels in payments() {
            drop(new.payments.get_or_create(&labels));
        }
        for result in DeliveryResult::ALL {
            drop(new.webhook_deliveries.get_or_create(&result.labels()));
        }
        new.register();
        new
    }

    fn register(&mut self) {
        let r = &mut self.registry;
        r.register("allowlog_checks", "Scopes decided, by decision and reason; counted once they are durable", self.checks.family.clone());
        let about = "Payments decided and authorised, or not, by purpose, decision and reason; counted once they are durable";
        r.register("allowlog_payment_decisions", about, self.payments.clone());
        r.register("allowlog_commands", "Commands by kind, and what came of them", self.commands.clone());
        r.register("allowlog_http_requests", "Requests answered, on both listeners", self.requests.clone());
        r.register("allowlog_http_request_duration_seconds", "From a request's headers to its answer", self.request_seconds.clone());
        r.register("allowlog_http_requests_in_flight", "Requests that are being answered", self.requests_in_flight.clone());
        r.register("allowlog_queue_wait_seconds", "From a command's entering the queue to its decision", self.queue_wait_seconds.clone());
        r.register("allowlog_commit_decide_seconds", "Deciding the commands of one commit", self.commit_decide_seconds.clone());
        r.register("allowlog_commit_append_seconds", "Making the frame of one commit durable", self.commit_append_seconds.clone());
        r.register("allowlog_commit_records", "Records of one commit", self.commit_records.clone());
        r.register("allowlog_commit_bytes", "Bytes of the frame of one commit", self.commit_bytes.clone());
        r.register("allowlog_journal_sync_seconds", "fdatasync of the journal", self.journal_sync_seconds.clone());
        r.register(
            "allowlog_signing_batch_seconds",
            "Signing the receipts of one frame, others going first",
            self.signing_batch_seconds.clone(),
        );
        r.register("allowlog_webhooks_pending", "Webhooks neither delivered nor given up", self.webhooks_pending.clone());
        r.register("allowlog_webhook_deliveries", "Attempts to deliver a webhook, and what came of them", self.webhook_deliveries.clone());
        r.register("allowlog_replayed_records", "Records replayed by this start", self.replayed_records.clone());
        r.register("allowlog_replay_seconds", "How long the replay of this start took", self.replay_seconds.clone());
        let started = Gauge::<f64, std::sync::atomic::AtomicU64>::default();
        started.set(as_seconds(Clock::Wall.now().as_ms()));
        r.register("allowlog_start_time_seconds", "When the process started, since 1970", started);
        r.register("allowlog_build", "Version of the program", Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]));
    }

    /// Counts a command that is about to be answered; one whose scopes were decided counts each of them.
    pub fn answered(&self, kind: &'static str, result: CommandResult, outcome: Option<&Outcome>) {
        self.commands.get_or_create(&CommandLabels { kind, result }).inc();
        let CommandResult::Stored = result else { return };
        let payment = match outcome {
            Some(Outcome::Checked(checked)) => {
                for decided in &checked.results {
                    self.checks.counter(decided.verdict.decision(), decided.reason).inc();
                }
                return;
            }
            Some(Outcome::PaymentDecided(decided, _)) => (decided.purpose.as_str(), decided.verdict.decision().as_str(), decided.reason()),
            Some(Outcome::Intent(IntentAt { status: IntentStatus::Authorised, .. })) => {
                (AUTHORISATION, Decision::Allow.as_str(), AUTHORISED)
            }
            Some(Outcome::Refused(refused)) => (AUTHORISATION, Decision::Deny.as_str(), refused.refusal.as_str()),
            Some(Outcome::TokenIssued(..)) => (Purpose::OfflineToken.as_str(), "allow", "offline_token_issued"),
            Some(_) | None => return,
        };
        let (purpose, decision, reason) = payment;
        self.payments.get_or_create(&PaymentLabels { purpose, decision, reason }).inc();
    }

    /// Counts a commit that is durable.
    pub fn committed(&self, records: u64, bytes: usize, appending: &Stopwatch) {
        self.commit_append_seconds.observe(appending.seconds());
        self.commit_records.observe(as_float(records));
        self.commit_bytes.observe(as_float(size(bytes)));
    }

    /// Counts an attempt to deliver a webhook.
    pub fn webhook_attempted(&self, result: DeliveryResult) {
        self.webhook_deliveries.get_or_create(&result.labels()).inc();
    }

    /// Counts an answered request. The route is a template of ours, never a path.
    pub fn request(&self, method: &'static str, route: &str, status: u16, took: &Stopwatch) {
        let labels = RouteLabels { method, route: route.to_owned() };
        self.request_seconds.get_or_create(&labels).observe(took.seconds());
        self.requests.get_or_create(&RequestLabels { method, route: labels.route, status }).inc();
    }

    /// Told how the start went, and of which directory.
    pub fn started(&self, data: PathBuf, records: u64, took: &Stopwatch) {
        // One process serves one directory; the first is it.
        let _ = self.data.set(data);
        self.replayed_records.set(count(records));
        self.replay_seconds.set(took.seconds());
    }

    /// The data directory, once it is known.
    pub fn data(&self) -> Option<&PathBuf> {
        self.data.get()
    }

    /// All of it as text.
    ///
    /// # Errors
    /// None that a text in memory could have.
    pub fn text(&self, standing: Standing) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode_registry(&mut text, &self.registry)?;
        encode_registry(&mut text, &standing.registry())?;
        encode_eof(&mut text)?;
        Ok(text)
    }
}

impl Standing {
    fn registry(self) -> Registry {
        let mut registry = Registry::default();
        let r = &mut registry;
        gauge(r, "allowlog_queue_depth", "Commands and reads that wait for the writer", size(self.queue.0));
        gauge(r, "allowlog_queue_depth_max", "How many may wait before the next is refused", size(self.queue.1));
        gauge(r, "allowlog_latched", "1 while commands are refused because storage failed", u64::from(self.is_latched));
        gauge(r, "allowlog_log_head", "Log sequence behind the last durable record", self.head);
        if let Some((settled, unsettled_bytes)) = self.settled {
            gauge(r, "allowlog_log_settled", "Log sequence behind the last record settled into sled", settled);
            gauge(r, "allowlog_log_unsettled_bytes", "Bytes of the log that only the journal holds", size(unsettled_bytes));
        }
        let (memory, files, files_max) = self.process;
        for (name, help, value) in [
            ("allowlog_process_resident_bytes", "Memory of the process", memory),
            ("allowlog_process_open_files", "Files and sockets that are open", files),
            ("allowlog_process_open_files_max", "How many may be", files_max),
            ("allowlog_data_free_bytes", "Free for the server on the file system of the data directory", self.disk.map(|disk| disk.0)),
            ("allowlog_data_size_bytes", "Size of the file system of the data directory", self.disk.map(|disk| disk.1)),
        ] {
            if let Some(value) = value {
                gauge(r, name, help, value);
            }
        }
        for (name, records, seconds) in self.followers {
            let (records_name, seconds_name) = (format!("allowlog_{name}_lag_records"), format!("allowlog_{name}_lag_seconds"));
            gauge(r, &records_name, "Durable records the follower has not come to yet", records);
            if let Some(seconds) = seconds {
                let lag = Gauge::<f64, std::sync::atomic::AtomicU64>::default();
                lag.set(seconds);
                r.register(seconds_name, "Age of the oldest record the follower has not come to yet", lag);
            }
        }
        if let Some(state) = self.state {
            let entries = Family::<KindLabels, Gauge>::default();
            for (kind, entry_count) in state {
                entries.get_or_create(&KindLabels { kind }).set(count(size(entry_count)));
            }
            r.register("allowlog_state_entries", "What the state holds in memory, by kind", entries);
        }
        registry
    }
}

impl Checks {
    fn counter(&self, decision: Decision, reason: Reason) -> &Counter {
        let place = match decision {
            Decision::Allow => 0,
            Decision::Deny => 1,
            Decision::Confirm => 2,
            Decision::Escalate => 3,
        };
        self.counters[place][reason as usize]
            .get_or_init(|| self.family.get_or_create(&CheckLabels { decision: decision.as_str(), reason: reason.as_str() }).clone())
    }
}

/// What a reason decides: these counters are there from the start, so that the first of its kind shows as an increase.
const fn decisions(reason: Reason) -> &'static [Decision] {
    match reason {
        Reason::AuthorizationNotFound
        | Reason::AuthorizationRevoked
        | Reason::AuthorizationNotYetValid
        | Reason::AuthorizationExpired
        | Reason::ScopeNotAuthorized
        | Reason::ResourceTombstoned
        | Reason::RateLimitExceeded
        | Reason::BudgetExceeded
        | Reason::DenyConditionMatched
        | Reason::EscalationRejected => &[Decision::Deny],
        Reason::EscalationRequired | Reason::EscalateConditionMatched => &[Decision::Escalate],
        Reason::ContextFieldMissing => &[Decision::Escalate, Decision::Confirm],
        Reason::ScopeRequiresUserConfirmation | Reason::ConfirmConditionMatched => &[Decision::Confirm],
        Reason::AuthorizationGrantedViaEscalation
        | Reason::AuthorizationGrantedViaConfirmation
        | Reason::AuthorizationGrantedScopeActive => &[Decision::Allow],
    }
}

/// What the main gate and an authorisation can come to, for the same reason.
fn payments() -> impl Iterator<Item = PaymentLabels> {
    let decided = Code::ALL.iter().map(|code| {
        let decision = match code {
            Code::ManualReviewRequired => Decision::Escalate,
            Code::StepUpRequired => Decision::Confirm,
            code if code.is_failure() => Decision::Deny,
            _ => Decision::Allow,
        };
        PaymentLabels { purpose: Purpose::Permission.as_str(), decision: decision.as_str(), reason: code.reason() }
    });
    let refused = [Refusal::PermissionDenied, Refusal::PermissionExpired, Refusal::AmountExceedsLimit]
        .into_iter()
        .chain([Refusal::DelegationRevoked, Refusal::LimitExceeded])
        .map(|refusal| PaymentLabels { purpose: AUTHORISATION, decision: Decision::Deny.as_str(), reason: refusal.as_str() });
    let authorised = PaymentLabels { purpose: AUTHORISATION, decision: Decision::Allow.as_str(), reason: AUTHORISED };
    decided.chain(refused).chain([authorised])
}

/// What a command is called in the metrics.
pub const fn kind(command: &Command) -> &'static str {
    match command {
        Command::Operator(operation) => match operation {
            Operation::CreateWorkspace { .. } => "create_workspace",
            Operation::ChangeWorkspace { .. } => "change_workspace",
            Operation::CreateApiKey { .. } | Operation::CreateFirstApiKey { .. } => "create_api_key",
            Operation::RevokeApiKey { .. } => "revoke_api_key",
            Operation::RotateSigningKey { .. } => "rotate_signing_key",
        },
        Command::Caller { action, .. } => match action {
            Action::Create(_) => "create",
            Action::Revoke(..) => "revoke",
            Action::Check(_) => "check",
            Action::CheckBatch(_) => "check_batch",
            Action::Confirm(..) => "confirm",
            Action::Resolve(..) => "resolve",
            Action::CreateBundle(_) => "create_bundle",
            Action::DeleteBundle(_) => "delete_bundle",
            Action::PlaceTombstone(_) => "place_tombstone",
            Action::LiftTombstone(_) => "lift_tombstone",
            Action::Ask(..) => "ask_for_consent",
            Action::WithdrawConsent(_) => "withdraw_consent",
            Action::MintToken(_) => "mint_token",
            Action::VerifyToken { .. } => "verify_token",
            Action::CreateManageLink(_) => "create_manage_link",
            Action::CreateConsentAgent(..) => "create_consent_agent",
            Action::ChangeConsentAgent(..) => "change_consent_agent",
            Action::RotateWebhookSecret(_) => "rotate_webhook_secret",
            Action::CreateApiKey(..) => "create_api_key",
            Action::Register(registration) => match registration {
                Registration::Agent(_) => "register_agent",
                Registration::AgentStatus(..) => "change_agent",
                Registration::Credential { .. } => "issue_credential",
                Registration::Device(_) => "register_device",
                Registration::Attest(..) => "attest_device",
                Registration::RevokeDevice(..) => "revoke_device",
            },
            Action::Pay(payments) => match payments {
                Payments::Delegate(_) => "delegate",
                Payments::Revoke(..) => "revoke",
                Payments::Decide(_) => "decide_payment",
                Payments::CreateIntent(_) => "create_payment_intent",
                Payments::Authorise(..) => "authorise_payment",
                Payments::Capture(..) => "capture_payment",
                Payments::Cancel(_) => "cancel_payment",
                Payments::IssueToken(_) => "issue_offline_token",
                Payments::Queue(_) => "queue_offline_transactions",
                Payments::Reconcile(_) => "reconcile",
            },
        },
        Command::Visitor { visit, .. } => match visit {
            Visit::View(_) => "view_consent",
            Visit::Answer { .. } => "answer_consent",
            Visit::Withdraw { .. } => "withdraw_own_consent",
        },
    }
}

fn count(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn size(value: usize) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}

/// What a histogram takes.
fn as_float(value: u64) -> f64 {
    value as f64
}

/// Milliseconds as what a gauge of time holds.
pub fn as_seconds(ms: u64) -> f64 {
    as_float(ms) / 1000.0
}
