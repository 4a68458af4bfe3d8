//! Identifiers in addresses. What is no identifier names nothing, so it is not found.

use std::collections::HashMap;

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use uuid::Uuid;

use super::Api;
use super::problem::Problem;
use crate::service::auth::Owner;
use crate::service::error::Reason;

/// The identifiers of an address, by their names in the route.
pub(super) struct Ids(HashMap<String, Uuid>);

impl Ids {
    /// The identifier at a place of the route.
    pub(super) fn get(&self, place: &str) -> Uuid {
        // A place that the route does not have is the nil identifier, which nothing bears.
        self.0.get(place).copied().unwrap_or_default()
    }
}

impl FromRequestParts<Api> for Ids {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        match Path::<HashMap<String, Uuid>>::from_request_parts(parts, api).await {
            Ok(Path(ids)) => Ok(Self(ids)),
            Err(_) => Err(Problem::new(
                Reason::InvalidRequest,
                "the address holds no identifier where one belongs; identifiers are UUIDs, as lists give them",
            )),
        }
    }
}

/// Whose things an address is about: at `…/users/{id}/…` that user's, at `…/me/…`, which has no place of that name, the caller's own.
pub(super) struct Whose(pub(super) Owner);

impl FromRequestParts<Api> for Whose {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let Ids(ids) = Ids::from_request_parts(parts, api).await?;
        Ok(Self(ids.get("id").copied().map_or(Owner::Caller, Owner::User)))
    }
}

/// A name or number in an address, as text. What is no text names nothing.
pub(super) struct Named(pub(super) String);

impl FromRequestParts<Api> for Named {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        match Path::<String>::from_request_parts(parts, api).await {
            Ok(Path(name)) => Ok(Self(name)),
            Err(_) => Err(Problem::new(
                Reason::InvalidRequest,
                "the address holds bytes that are no text where a name belongs",
            )),
        }
    }
}
