//! Query parameters: unknown ones are refused, for what a client misspells it would otherwise believe to be in force.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Api;
use super::problem::Problem;
use crate::service::error::Reason;

/// The parameters that an endpoint takes.
pub(super) trait Parameters: DeserializeOwned {
    /// What they look like, for whoever sent something else.
    const EXAMPLE: &'static str;
}

/// The query of a request.
pub(super) struct Query<T>(pub(super) T);

/// For endpoints that take no parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NoParameters {}

impl Parameters for NoParameters {
    const EXAMPLE: &'static str = "no parameters";
}

impl<T: Parameters> FromRequestParts<Api> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, Problem> {
        parse(&parts.uri).map(Self)
    }
}

fn parse<T: Parameters>(uri: &axum::http::Uri) -> Result<T, Problem> {
    match axum::extract::Query::try_from_uri(uri) {
        Ok(axum::extract::Query(parameters)) => Ok(parameters),
        // The parser's own message repeats what was sent.
        Err(_) => Err(Problem::new(
            Reason::InvalidRequest,
            format!(
                "the query parameters are not understood; this endpoint takes {}",
                T::EXAMPLE
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_parameters_are_refused_and_not_repeated() {
        assert!(parse::<NoParameters>(&"/x".parse().unwrap()).is_ok());
        let problem = parse::<NoParameters>(&"/x?token=hunter2".parse().unwrap())
            .err()
            .unwrap();
        assert!(!format!("{problem:?}").contains("hunter2"));
        assert_eq!(problem.reason(), "InvalidRequest");
    }
}
