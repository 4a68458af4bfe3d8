//! The OpenAPI 3.1 description, made from the table of routes: each endpoint says beside its handler what it takes and gives, by the
//! types that it parses and serialises. Served at `/openapi.json`, committed as `docs/openapi.json`.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use schemars::generate::{Contract, SchemaGenerator, SchemaSettings};
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

use super::body::Form;
use super::problem::ProblemBody;
use super::query::Parameters;
use super::routes::{Access, Endpoint};

/// Where shared schemas stand in the document.
const COMPONENTS: &str = "/components/schemas";

type Describe = fn(&mut SchemaGenerator) -> Schema;

/// What an endpoint is for, takes and gives.
pub(super) struct Operation {
    summary: &'static str,
    body: Option<(&'static str, Describe)>,
    query: Option<Describe>,
    answers: Vec<Answer>,
}

struct Answer {
    status: StatusCode,
    media_type: &'static str,
    schema: Option<Describe>,
}

impl Operation {
    /// An operation that takes no body and no parameters; say what it answers.
    pub(super) fn new(summary: &'static str) -> Self {
        Self {
            summary,
            body: None,
            query: None,
            answers: Vec::new(),
        }
    }

    /// The body that it takes.
    #[must_use]
    pub(super) fn takes<T: Form + JsonSchema>(mut self) -> Self {
        self.body = Some((T::MEDIA_TYPE, SchemaGenerator::subschema_for::<T>));
        self
    }

    /// The query parameters that it takes.
    #[must_use]
    pub(super) fn query<T: Parameters + JsonSchema>(mut self) -> Self {
        self.query = Some(|generator| T::json_schema(generator));
        self
    }

    /// A success with JSON.
    #[must_use]
    pub(super) fn answers<T: JsonSchema>(self, status: StatusCode) -> Self {
        self.answer(status, "application/json", Some(SchemaGenerator::subschema_for::<T>))
    }

    /// A success without a body.
    #[must_use]
    pub(super) fn answers_nothing(self) -> Self {
        self.answer(StatusCode::NO_CONTENT, "", None)
    }

    /// A success with a body that is not JSON, or of a form that no schema says.
    #[must_use]
    pub(super) fn answers_text(self, status: StatusCode, media_type: &'static str) -> Self {
        self.answer(status, media_type, None)
    }

    fn answer(mut self, status: StatusCode, media_type: &'static str, schema: Option<Describe>) -> Self {
        self.answers.push(Answer {
            status,
            media_type,
            schema,
        });
        self
    }
}

/// The description of these endpoints.
pub(super) fn describe(endpoints: &[Endpoint]) -> Value {
    let (mut taken, mut given) = (generator(Contract::Deserialize), generator(Contract::Serialize));
    let mut paths: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    let problem = given.subschema_for::<ProblemBody<'_>>();
    for endpoint in endpoints {
        let (path, parameters) = path_of(endpoint.path);
        let operation = operation(endpoint, parameters, &mut taken, &mut given, &problem);
        paths
            .entry(path)
            .or_default()
            .insert(endpoint.method.to_ascii_lowercase(), operation);
    }
    let mut schemas = taken.take_definitions(true);
    schemas.extend(given.take_definitions(true));
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Aether Vault",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Secret server and Kubernetes operator. Errors are problems (RFC 9457) with a stable reason.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": "An access token from POST /api/v1/auth/login."}},
        },
    })
}

fn generator(contract: Contract) -> SchemaGenerator {
    let mut settings = SchemaSettings::draft2020_12();
    settings.definitions_path = COMPONENTS.into();
    settings.meta_schema = None;
    settings.contract = contract;
    settings.into_generator()
}

fn operation(
    endpoint: &Endpoint,
    mut parameters: Vec<Value>,
    taken: &mut SchemaGenerator,
    given: &mut SchemaGenerator,
    problem: &Schema,
) -> Value {
    let operation = &endpoint.operation;
    parameters.extend(
        operation
            .query
            .map(|query| query_parameters(&query(taken)))
            .unwrap_or_default(),
    );
    let mut responses: Map<String, Value> = operation
        .answers
        .iter()
        .map(|answer| {
            let content = match (answer.media_type, answer.schema) {
                ("", _) => json!({}),
                (media_type, None) => json!({media_type: {}}),
                (media_type, Some(schema)) => json!({media_type: {"schema": schema(given)}}),
            };
            let mut response = json!({"description": answer.status.canonical_reason().unwrap_or_default()});
            if !answer.media_type.is_empty() {
                response["content"] = content;
            }
            (answer.status.as_str().to_owned(), response)
        })
        .collect();
    responses.insert(
        "default".to_owned(),
        json!({"description": "A problem", "content": {"application/problem+json": {"schema": problem}}}),
    );
    let mut out = json!({
        "operationId": operation_id(endpoint),
        "summary": operation.summary,
        "tags": [tag(endpoint.path)],
        "security": match endpoint.access {
            Access::Anyone => json!([]),
            _ => json!([{"token": []}]),
        },
        "responses": responses,
    });
    if !parameters.is_empty() {
        out["parameters"] = parameters.into();
    }
    if let Some((media_type, body)) = operation.body {
        out["requestBody"] = json!({"required": true, "content": {media_type: {"schema": body(taken)}}});
    }
    out
}

/// The path as OpenAPI writes it, with its parameters. A tail of several segments has no form of its own there; clients that encode
/// the `/` of it are refused (R18).
fn path_of(route: &str) -> (String, Vec<Value>) {
    let mut parameters = Vec::new();
    let segments = route.split('/').map(|segment| {
        let Some(name) = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) else {
            return segment.to_owned();
        };
        let bare = name.trim_start_matches('*');
        let mut parameter = json!({"name": bare, "in": "path", "required": true, "schema": {"type": "string"}});
        if bare != name {
            parameter["x-multi-segment"] = true.into();
            parameter["description"] = "One segment or several, with '/' between them as it is, not encoded.".into();
        }
        parameters.push(parameter);
        format!("{{{bare}}}")
    });
    let path = segments.collect::<Vec<_>>().join("/");
    (path, parameters)
}

fn query_parameters(schema: &Schema) -> Vec<Value> {
    let required: Vec<_> = schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let properties = schema.get("properties").and_then(Value::as_object);
    properties
        .into_iter()
        .flatten()
        .map(|(name, schema)| {
            let mut schema = schema.clone();
            let description = schema.as_object_mut().and_then(|schema| schema.remove("description"));
            let mut parameter = json!({"name": name, "in": "query", "schema": schema});
            if required.contains(&name.as_str()) {
                parameter["required"] = true.into();
            }
            if let Some(description) = description {
                parameter["description"] = description;
            }
            parameter
        })
        .collect()
}

/// `GET /api/v1/users/{id}` as `get_users_by_id`.
fn operation_id(endpoint: &Endpoint) -> String {
    let mut id = endpoint.method.to_ascii_lowercase();
    for segment in within(endpoint.path) {
        match segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            Some(name) => id.push_str(&format!("_by_{}", name.trim_start_matches('*'))),
            None => id.push_str(&format!("_{}", segment.replace(['-', '.'], "_"))),
        }
    }
    id
}

fn tag(path: &str) -> &str {
    match path.strip_prefix("/api/v1/") {
        Some(rest) => rest.split('/').next().unwrap_or(rest),
        None => "server",
    }
}

fn within(path: &str) -> impl Iterator<Item = &str> {
    let rest = path.strip_prefix("/api/v1").unwrap_or(path);
    rest.split('/').filter(|segment| !segment.is_empty())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::http::{endpoints, openapi_json};

    #[test]
    fn the_committed_description_is_current() {
        let committed = include_str!("../../docs/openapi.json");
        assert!(
            committed == openapi_json(),
            "docs/openapi.json is not what the code says: run 'make generate' and commit"
        );
    }

    #[test]
    fn every_endpoint_says_what_it_is_for_and_what_it_answers() {
        for endpoint in endpoints() {
            let at = format!("{} {}", endpoint.method, endpoint.path);
            assert!(!endpoint.operation.summary.is_empty(), "{at}");
            assert!(!endpoint.operation.answers.is_empty(), "{at}");
        }
    }

    #[test]
    fn operations_have_ids_of_their_own_and_references_lead_somewhere() {
        let document = describe(&endpoints());
        let ids: Vec<_> = endpoints().iter().map(operation_id).collect();
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "{ids:?}");
        let text = document.to_string();
        for reference in text.split(r##""$ref":"#"##).skip(1) {
            let pointer = reference.split('"').next().unwrap_or_default();
            assert!(document.pointer(pointer).is_some(), "{pointer} leads nowhere");
        }
    }

    #[test]
    fn a_tail_of_segments_is_said() {
        let (path, parameters) = path_of("/api/v1/records/{*path}");
        assert_eq!(path, "/api/v1/records/{path}");
        assert_eq!(parameters[0]["x-multi-segment"], true);
    }
}
