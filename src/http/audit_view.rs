//! Audit entries as the API shows them, and the filters that it takes.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::query::Parameters;
use crate::domain::audit::leaf::StoredEntry;
use crate::domain::audit::query::AuditFilter;

/// Which entries are wanted. What is absent is not asked.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct AuditParameters {
    /// Name of the actor, exactly.
    actor: Option<String>,
    /// Id of the actor.
    actor_id: Option<String>,
    /// Kind of the actor.
    actor_kind: Option<String>,
    /// `record.read`, or `record` for all of its actions.
    action: Option<String>,
    /// A path or other resource, exactly, or all that begin with it if it ends in `/`.
    path: Option<String>,
    /// `allow`, `deny` or `fail`.
    decision: Option<String>,
    /// The reason of a refusal or failure.
    reason: Option<String>,
    /// `rest`, `controller` or `process`.
    door: Option<String>,
    /// The client's address.
    client: Option<String>,
    /// The request's id.
    request_id: Option<Uuid>,
    /// From this time on (RFC 3339).
    since: Option<Timestamp>,
    /// Before this time.
    until: Option<Timestamp>,
    /// Entries of a page.
    pub(super) limit: Option<u32>,
    /// The `next` of the page before.
    pub(super) after: Option<String>,
    /// Of an export: `ndjson` or `csv`.
    pub(super) format: Option<ExportFormat>,
}

/// The form of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum ExportFormat {
    /// One JSON object a line.
    Ndjson,
    /// RFC 4180, with a header.
    Csv,
}

impl Parameters for AuditParameters {
    const EXAMPLE: &'static str = "?actor=, ?actorId=, ?actorKind=, ?action=, ?path=, ?decision=, ?reason=, ?door=, ?client=, ?requestId=, ?since=, ?until=, \
                                   ?limit= and ?after=, each once; an export takes ?format=ndjson or csv";
}

impl AuditParameters {
    pub(super) fn into_filter(self) -> AuditFilter {
        AuditFilter {
            actor: self.actor,
            actor_id: self.actor_id,
            actor_kind: self.actor_kind,
            action: self.action,
            path: self.path,
            decision: self.decision,
            reason: self.reason,
            door: self.door,
            client: self.client,
            request_id: self.request_id,
            since: self.since,
            until: self.until,
        }
    }
}

/// An entry, as a query and an export give it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AuditEntry")]
#[serde(rename_all = "camelCase")]
pub(super) struct EntryView {
    /// Its number.
    id: i64,
    /// When, by the database's clock.
    at: Timestamp,
    request_id: Uuid,
    actor_kind: String,
    actor_id: String,
    actor_name: String,
    door: String,
    action: String,
    /// The path, policy or other thing that it was done to.
    resource: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<i64>,
    /// `allow`, `deny` or `fail`.
    decision: String,
    /// Empty if allowed.
    reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<String>,
    /// The rule within the policy, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    origin_uid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    origin_generation: Option<i64>,
    /// How many events it stands for.
    count: i64,
}

impl From<StoredEntry> for EntryView {
    fn from(entry: StoredEntry) -> Self {
        Self {
            id: entry.id,
            at: entry.at,
            request_id: entry.request_id,
            actor_kind: entry.actor_kind,
            actor_id: entry.actor_id,
            actor_name: entry.actor_name,
            door: entry.door,
            action: entry.action,
            resource: entry.resource,
            version: entry.version,
            decision: entry.decision,
            reason: entry.reason,
            policy: entry.policy,
            rule: entry.rule.map(|rule| rule.saturating_add(1)),
            client: entry.client,
            user_agent: entry.user_agent,
            origin_uid: entry.origin_uid,
            origin_generation: entry.origin_generation,
            count: entry.count,
        }
    }
}

/// The header of a CSV export.
pub(super) const CSV_HEADER: &str = "id,at,requestId,actorKind,actorId,actorName,door,action,resource,version,decision,reason,policy,rule,client,userAgent,originUid,originGeneration,count\r\n";

impl EntryView {
    /// One line of CSV (RFC 4180).
    pub(super) fn csv(&self) -> String {
        let number = |number: Option<i64>| number.map(|number| number.to_string()).unwrap_or_default();
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let fields = [
            self.id.to_string(),
            self.at.to_string(),
            self.request_id.to_string(),
            self.actor_kind.clone(),
            self.actor_id.clone(),
            self.actor_name.clone(),
            self.door.clone(),
            self.action.clone(),
            self.resource.clone(),
            number(self.version),
            self.decision.clone(),
            self.reason.clone(),
            text(&self.policy),
            number(self.rule.map(i64::from)),
            text(&self.client),
            text(&self.user_agent),
            text(&self.origin_uid),
            number(self.origin_generation),
            self.count.to_string(),
        ];
        let mut line = fields.map(|field| quoted(&field)).join(",");
        line.push_str("\r\n");
        line
    }
}

/// A field of CSV. A text that a spreadsheet would take for a formula is kept from that by an apostrophe (CWE-1236).
fn quoted(field: &str) -> String {
    let formula = field.starts_with(['=', '+', '-', '@', '\t', '\r']) && field.parse::<f64>().is_err();
    let field = if formula { format!("'{field}") } else { field.to_owned() };
    if formula || field.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_is_quoted_and_no_formula() {
        for (field, written) in [
            ("shared/a", "shared/a"),
            ("a,b", "\"a,b\""),
            ("say \"hi\"", "\"say \"\"hi\"\"\""),
            ("=cmd()", "\"'=cmd()\""),
            ("@x", "\"'@x\""),
            ("-5", "-5"),
            ("", ""),
        ] {
            assert_eq!(quoted(field), written);
        }
        assert_eq!(CSV_HEADER.split(',').count(), 19);
    }
}
