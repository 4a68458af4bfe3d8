//! `PUT /api/v1/records/{*path}`: writes a new version. What it expects to follow is said by `cas` in the body (0: nothing), or by
//! `If-Match: "N"` or `If-None-Match: *`; never by both.

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{self, HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use axum::routing::put;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::path::RecordPath;
use crate::domain::record::{DataError, Expect, RecordData, Version};
use crate::http::body::{Form, Json};
use crate::http::openapi::Operation;
use crate::http::precondition::precondition;
use crate::http::problem::{Problem, Result};
use crate::http::query::{NoParameters, Query};
use crate::http::record_path::Record;
use crate::http::routes::{Access, Endpoint};
use crate::http::unique_map::UniqueMap;
use crate::http::version::etag;
use crate::http::{Api, Authenticated};
use crate::service::error::Reason;

pub(super) fn endpoint() -> Endpoint {
    Endpoint::new(
        "PUT",
        "/api/v1/records/{*path}",
        Access::Session,
        put(write),
        Operation::new("Write a new version of a record")
            .takes::<RecordForm>()
            .answers::<WrittenView<'_>>(StatusCode::CREATED)
            .answers::<WrittenView<'_>>(StatusCode::OK),
    )
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "RecordToWrite")]
#[serde(deny_unknown_fields)]
struct RecordForm {
    data: Option<UniqueMap<serde_json::Value>>,
    binary: Option<UniqueMap<String>>,
    cas: Option<i64>,
}

impl Form for RecordForm {
    const EXAMPLE: &'static str = r#"{"data": {"KEY": "VALUE"}, "binary": {"KEY": "BASE64"}, "cas": 0} with 'data', 'binary' or both, and each key once"#;
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "WrittenVersion")]
#[serde(rename_all = "camelCase")]
pub(super) struct WrittenView<'a> {
    path: &'a str,
    version: Version,
    created_at: Timestamp,
}

async fn write(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Record(path): Record,
    Query(NoParameters {}): Query<NoParameters>,
    headers: HeaderMap,
    Json(form): Json<RecordForm>,
) -> Result<Response> {
    let precondition = precondition(&headers)?;
    let expect = expect_of(form.cas, precondition)?;
    let data = record(form)?;
    let written = api
        .vault()
        .records()
        .write(&ctx, &path, &data, expect)
        .await
        .map_err(|error| Problem::of_write(error, precondition))?;
    Ok(answer(&path, written.version, written.created_at))
}

fn record(form: RecordForm) -> Result<RecordData> {
    if form.data.is_none() && form.binary.is_none() {
        return Err(invalid(&format!(
            "the body holds no record; send {}",
            RecordForm::EXAMPLE
        )));
    }
    let data = form.data.unwrap_or_default().0.into_iter().collect();
    let binary = form.binary.unwrap_or_default().0;
    RecordData::from_json(data, binary).map_err(|error| bad_data(&error))
}

/// What a write expects, by `cas` or by a header.
pub(super) fn expect_of(cas: Option<i64>, precondition: Option<Expect>) -> Result<Expect> {
    match (cas, precondition) {
        (Some(_), Some(_)) => Err(invalid("send 'cas' or a precondition header, not both")),
        (cas, None) => Expect::from_cas(cas)
            .map_err(|_| invalid("'cas' is 0 for a new record, or the version that the write follows")),
        (None, Some(expect)) => Ok(expect),
    }
}

/// The problem of data that is no record.
pub(super) fn bad_data(error: &DataError) -> Problem {
    let reason = match error {
        DataError::TooLarge | DataError::TooManyKeys => Reason::TooLarge,
        _ => Reason::InvalidRecord,
    };
    Problem::new(reason, error.to_string())
}

/// The answer to a write.
pub(super) fn answer(path: &RecordPath, version: Version, created_at: Timestamp) -> Response {
    let view = axum::Json(WrittenView {
        path: path.as_str(),
        version,
        created_at,
    });
    let tag = (header::ETAG, etag(version));
    if version == Version::FIRST {
        // The alphabet of paths needs no escapes in a URL, nor in a header.
        let location =
            HeaderValue::from_str(&format!("/api/v1/records/{path}")).unwrap_or(HeaderValue::from_static(""));
        (StatusCode::CREATED, [tag, (header::LOCATION, location)], view).into_response()
    } else {
        ([tag], view).into_response()
    }
}

fn invalid(detail: &str) -> Problem {
    Problem::new(Reason::InvalidRequest, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_without_a_record_is_not_an_empty_record() {
        let form = RecordForm {
            data: None,
            binary: None,
            cas: None,
        };
        assert_eq!(
            record(form).err().map(|problem| problem.reason()),
            Some("InvalidRequest")
        );
    }

    #[test]
    fn the_first_version_is_created_and_located() {
        let path = RecordPath::parse("shared/a@b+c=d~e/f.g").unwrap();
        let first = answer(&path, Version::FIRST, Timestamp::UNIX_EPOCH);
        assert_eq!(first.status(), 201);
        assert_eq!(
            first.headers()[header::LOCATION],
            "/api/v1/records/shared/a@b+c=d~e/f.g"
        );
        assert_eq!(first.headers()[header::ETAG], "\"1\"");
        let later = answer(&path, Version::FIRST.next(), Timestamp::UNIX_EPOCH);
        assert_eq!(
            (later.status(), later.headers().get(header::LOCATION)),
            (StatusCode::OK, None)
        );
    }
}
