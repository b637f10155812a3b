//! `GET /v1/audit`: what happened to consents, a view of the log.

use allowlog_projections::audit::{lapse_id, row, row_of_lapse};
use allowlog_projections::command::Credential;
use allowlog_projections::state::{Consent, ConsentStatus, State as CoreState};
use allowlog_proto::api::envelope::FieldError;
use allowlog_proto::api::permitly::{AuditQuery, AuditRowBody, ListQuery, Listed};
use allowlog_proto::api::query::Parameters;
use allowlog_proto::id::{AuditId, AuthorizationId, ConsentId, WorkspaceId};
use allowlog_proto::time::Timestamp;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use utoipa::openapi::schema::{ObjectBuilder, Type};

use crate::app::App;
use crate::http::openapi::Entry;
use crate::http::{ApiError, call};
use crate::receipts::locate_at;
use crate::search::{Facet, Filter, Order, Request};
use crate::telemetry::blocking;

/// Requests whose time is over that are looked at in one turn of the writer.
const LOOKED_AT: usize = 2_000;
/// Rows before a page that is asked for by its number: each is read. Whoever wants to go further goes by cursors.
const SKIPPED_MAX: u64 = 10_000;
/// The kind of row that no record leads to.
const EXPIRED: &str = "expired";

/// The rows that fit the query, newest first.
pub async fn list(State(app): State<App>, uri: Uri, headers: HeaderMap) -> Result<Json<Listed<AuditRowBody>>, ApiError> {
    let credential = call::credential(&app, &headers)?;
    let workspace_id = app.engine.authenticate(credential.clone()).await?;
    let pairs = call::pairs(uri.query());
    let mut parameters = Parameters::of(&pairs);
    let asked = (ListQuery::read(&mut parameters), AuditQuery::read(&mut parameters));
    let (page, query) = parameters.finish(asked).map_err(ApiError::invalid)?;
    if page.skipped() > SKIPPED_MAX {
        let too_far = format!("lies behind {SKIPPED_MAX} rows; go on by `cursor` from there");
        return Err(ApiError::invalid(vec![FieldError::new("query.page", too_far)]));
    }
    let after = match &page.after {
        None => After { skipped: page.skipped(), ..After::default() },
        Some(name) => after(&app, workspace_id, name).await?,
    };
    let want = usize::try_from(after.skipped).unwrap_or(usize::MAX).saturating_add(page.limit).saturating_add(1);
    let lapses = lapses(&app, credential, &query, &after, want).await?;
    let skipped = usize::try_from(after.skipped).unwrap_or(usize::MAX);
    let (mut rows, count) = match query.event_type {
        Some(EXPIRED) => (Vec::new(), 0),
        _ => recorded(&app, workspace_id, &query, after, want).await?,
    };
    let total = count.saturating_add(lapses.count);
    // Of the same instant, what was recorded is newer than what is merely told by comparison.
    rows.extend(lapses.rows);
    rows.sort_by_key(|row| std::cmp::Reverse(row.created_at));
    let mut rows: Vec<_> = rows.into_iter().skip(skipped).collect();
    let has_more = rows.len() > page.limit;
    rows.truncate(page.limit);
    let next = rows.last().filter(|_| has_more).map(|row| row.id.to_string());
    let meta = page.meta(total, next.as_deref());
    Ok(Json(Listed { data: rows, meta }))
}

pub fn list_entry() -> Entry {
    let text = || ObjectBuilder::new().schema_type(Type::String);
    Entry::reads("Consent", "list_audit", "What happened to consents")
        .permitly()
        .about(
            "Newest first: every request, view, answer, withdrawal and verification. A request that nobody answered in time has a row of its own, \
             though nothing was recorded then. Of one page, the first hundred views are recorded. Pages behind the first 10,000 rows have no \
             number: go by `cursor`.",
        )
        .numbered()
        .query("consent_id", "What happened to this consent.", text())
        .query("event_type", "What is of this kind.", text().enum_values(Some(AuditQuery::EVENT_TYPES.iter().copied())))
        .answers::<Listed<AuditRowBody>>(200, "A page.")
}

/// Where a page begins.
#[derive(Debug, Clone, Default)]
struct After {
    /// Recorded rows lie before this place of the log.
    sequence: Option<u64>,
    /// And are of an instant before this one.
    time: Option<Timestamp>,
    /// Lapses lie before this one.
    lapse: Option<(Timestamp, AuthorizationId)>,
    /// So many rows are passed over.
    skipped: u64,
}

/// Finds the row a cursor names, and so where to go on.
async fn after(app: &App, workspace_id: WorkspaceId, name: &str) -> Result<After, ApiError> {
    let id = AuditId::parse(name).ok_or_else(call::unknown_cursor)?;
    let time = Timestamp::from_ms(id.time_ms()).ok_or_else(call::unknown_cursor)?;
    let store = std::sync::Arc::clone(&app.store);
    let found = blocking(move || {
        let is_it = |record: &_, hash| row(record, hash).is_some_and(|row| row.id == id);
        locate_at(&store, workspace_id, id.time_ms(), is_it)
    });
    if let Some(located) = found.await.map_err(|_| ApiError::internal())?? {
        // Lapses of the same instant come behind what was recorded then.
        let lapse = Some((time.saturating_add_ms(1), AuthorizationId::from_bytes([0; 16])));
        return Ok(After { sequence: Some(located.sequence), lapse, ..After::default() });
    }
    let read = app.engine.read(move |state, now| {
        let end = (time.saturating_add_ms(1), AuthorizationId::from_bytes([0; 16]));
        let mut lapsed = state.lapsed_consents(workspace_id, now, Some(end)).rev().take_while(|(_, consent)| consent.expires_at == time);
        lapsed.find(|(_, consent)| lapse_id(consent) == id).map(|(place, _)| place)
    });
    let place = read.await?.ok_or_else(call::unknown_cursor)?;
    Ok(After { time: Some(time), lapse: Some((time, place)), ..After::default() })
}

/// Rows of the log, at most `want`, and how many there are on all pages.
async fn recorded(
    app: &App,
    workspace_id: WorkspaceId,
    query: &AuditQuery,
    after: After,
    want: usize,
) -> Result<(Vec<AuditRowBody>, u64), ApiError> {
    let mut filter = Filter::all(workspace_id).with(Facet::Audit, "");
    if let Some(consent_id) = &query.consent_id {
        filter = filter.with(Facet::ConsentId, consent_id);
    }
    if let Some(event_type) = query.event_type {
        filter = filter.with(Facet::AuditEvent, event_type);
    }
    let search = app.search.clone();
    let found = blocking(move || {
        let count = search.count(&filter)?;
        let request = Request { filter: filter.between(None, after.time), order: Order::Descending, after: after.sequence, limit: want };
        search.find(&request).map(|page| (page, count))
    });
    let (page, count) = found.await.map_err(|_| ApiError::internal())??;
    Ok((page.hits.iter().filter_map(|hit| row(&hit.record, hit.hash)).collect(), count))
}

/// Requests whose time was over before anybody answered.
#[derive(Default)]
struct Lapses {
    /// At most as many as are wanted.
    rows: Vec<AuditRowBody>,
    /// On all pages.
    count: u64,
    /// What lies before this one was not looked at yet.
    end: Option<(Timestamp, AuthorizationId)>,
    is_over: bool,
}

async fn lapses(app: &App, credential: Credential, query: &AuditQuery, after: &After, want: usize) -> Result<Lapses, ApiError> {
    let mut lapses = Lapses::default();
    if query.event_type.is_some_and(|kind| kind != EXPIRED) {
        return Ok(lapses);
    }
    let (consent_id, begin) = (query.consent_id.clone(), after.lapse);
    if let Some(consent_id) = consent_id {
        let id = ConsentId::parse(&consent_id);
        let read = app.engine.read_as(credential, move |state, workspace_id, now| {
            let (place, consent) = state.consent_of(workspace_id, id?)?;
            (consent.status(now) == ConsentStatus::Expired).then(|| (place, consent.clone()))
        });
        if let Some((place, consent)) = read.await? {
            lapses.take(place, &consent, begin, want);
        }
        return Ok(lapses);
    }
    while !lapses.is_over {
        let turn = move |state: &CoreState, workspace_id, now| lapses.turn(state, workspace_id, now, begin, want);
        lapses = app.engine.read_as(credential.clone(), turn).await?;
    }
    Ok(lapses)
}

impl Lapses {
    fn turn(
        mut self,
        state: &CoreState,
        workspace_id: WorkspaceId,
        now: Timestamp,
        begin: Option<(Timestamp, AuthorizationId)>,
        want: usize,
    ) -> Self {
        let looked: Vec<_> = state.lapsed_consents(workspace_id, now, self.end).rev().take(LOOKED_AT).collect();
        self.is_over = looked.len() < LOOKED_AT;
        for (place, consent) in looked {
            self.end = Some((consent.expires_at, place));
            self.take(place, consent, begin, want);
        }
        self
    }

    fn take(&mut self, place: AuthorizationId, consent: &Consent, begin: Option<(Timestamp, AuthorizationId)>, want: usize) {
        self.count = self.count.saturating_add(1);
        if begin.is_none_or(|begin| (consent.expires_at, place) < begin) && self.rows.len() < want {
            self.rows.push(row_of_lapse(consent));
        }
    }
}
