//! The table of routes: the router is built from it, so there is no route that is not in it (R8, R21, R28).

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::response::IntoResponse as _;
use axum::routing::MethodRouter;

use super::Api;
use super::browser::with_rules;
use super::endpoints as endpoint_files;
use super::entrance::entrance;
use super::maintenance::refuse_in_maintenance;
use super::openapi::Operation;
use super::problem::Problem;
use super::rate_limits::bound_logins;
use crate::domain::system_config::passes_maintenance;

/// Who may call an endpoint at all; what they may do with it is for policy to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody: login and health.
    Anyone,
    /// Whoever has a session.
    Session,
}

/// One method on one route.
pub struct Endpoint {
    /// The method.
    pub method: &'static str,
    /// The route, as axum writes it.
    pub path: &'static str,
    /// Who may call it at all.
    pub access: Access,
    pub(super) operation: Operation,
    handler: MethodRouter<Api>,
    login: bool,
}

impl Endpoint {
    /// `operation` is how the OpenAPI description tells of it.
    pub(super) fn new(
        method: &'static str,
        path: &'static str,
        access: Access,
        handler: MethodRouter<Api>,
        operation: Operation,
    ) -> Self {
        Self {
            method,
            path,
            access,
            operation,
            login: access == Access::Anyone && method != "GET",
            handler,
        }
    }

    /// Bounds it like a login, although it is a `GET`: a browser begins one there.
    #[must_use]
    pub(super) fn counted_as_login(self) -> Self {
        Self { login: true, ..self }
    }
}

/// Every endpoint. `GET` endpoints answer `HEAD` too.
#[must_use]
pub fn endpoints() -> Vec<Endpoint> {
    endpoint_files::all()
}

/// The router of the API's listener.
pub fn router(api: Api) -> Router {
    let browsers = api.0.limits.browsers.clone();
    let router = endpoints()
        .into_iter()
        .fold(Router::new(), |router, endpoint| {
            let handler = match endpoint.login {
                true => endpoint.handler.layer(from_fn_with_state(api.clone(), bound_logins)),
                false => endpoint.handler,
            };
            let handler = if passes_maintenance(endpoint.method, endpoint.path) {
                handler
            } else {
                handler.layer(from_fn_with_state(api.clone(), refuse_in_maintenance))
            };
            router.route(endpoint.path, handler)
        })
        .fallback(async || Problem::route_not_found())
        .method_not_allowed_fallback(async || {
            // The router adds the Allow header to an answer of this status.
            let response = Problem::method_not_allowed().into_response();
            debug_assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
            response
        })
        .layer(from_fn_with_state(api.clone(), entrance));
    with_rules(router, &browsers).with_state(api)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A new route shows here, and with it the question who may call it.
    #[test]
    fn r21_the_routes_are_these() {
        let table: Vec<_> = endpoints()
            .iter()
            .map(|e| format!("{:<6} {:<28} {:?}", e.method, e.path, e.access))
            .collect();
        insta::assert_snapshot!(table.join("\n"), @r"
        GET    /livez                       Anyone
        GET    /readyz                      Anyone
        GET    /version                     Anyone
        GET    /openapi.json                Anyone
        GET    /docs                        Anyone
        GET    /docs/{*file}                Anyone
        GET    /.well-known/jwks.json       Anyone
        POST   /api/v1/auth/login           Anyone
        POST   /api/v1/auth/refresh         Anyone
        POST   /api/v1/auth/kubernetes      Anyone
        POST   /api/v1/auth/logout          Session
        GET    /api/v1/me                   Session
        PATCH  /api/v1/me                   Session
        POST   /api/v1/auth/second-factor   Anyone
        POST   /api/v1/auth/second-factor/enrol Anyone
        POST   /api/v1/auth/step-up         Session
        GET    /api/v1/me/second-factor     Session
        POST   /api/v1/me/second-factor/totp Session
        POST   /api/v1/me/second-factor/totp/confirm Session
        DELETE /api/v1/me/second-factor/totp Session
        POST   /api/v1/me/second-factor/recovery-codes Session
        GET    /api/v1/me/sessions          Session
        DELETE /api/v1/me/sessions          Session
        DELETE /api/v1/me/sessions/{session} Session
        GET    /api/v1/users/{id}/sessions  Session
        DELETE /api/v1/users/{id}/sessions  Session
        DELETE /api/v1/users/{id}/sessions/{session} Session
        GET    /api/v1/workload-sessions    Session
        DELETE /api/v1/workload-sessions/{session} Session
        GET    /api/v1/me/api-keys          Session
        GET    /api/v1/users/{id}/api-keys  Session
        POST   /api/v1/me/api-keys          Session
        POST   /api/v1/users/{id}/api-keys  Session
        POST   /api/v1/me/api-keys/{key}/rotate Session
        POST   /api/v1/users/{id}/api-keys/{key}/rotate Session
        DELETE /api/v1/me/api-keys/{key}    Session
        DELETE /api/v1/users/{id}/api-keys/{key} Session
        GET    /api/v1/records/{*path}      Session
        PUT    /api/v1/records/{*path}      Session
        PATCH  /api/v1/records/{*path}      Session
        DELETE /api/v1/records/{*path}      Session
        GET    /api/v1/versions/{*path}     Session
        GET    /api/v1/consumers/{*path}    Session
        POST   /api/v1/rollback/{*path}     Session
        GET    /api/v1/diff/{*path}         Session
        GET    /api/v1/search               Session
        POST   /api/v1/batch/read           Session
        GET    /api/v1/metadata/{*path}     Session
        PUT    /api/v1/metadata/{*path}     Session
        PATCH  /api/v1/metadata/{*path}     Session
        DELETE /api/v1/metadata/{*path}     Session
        POST   /api/v1/restore/{*path}      Session
        POST   /api/v1/copy/{*path}         Session
        POST   /api/v1/move/{*path}         Session
        POST   /api/v1/wrap/{*path}         Session
        POST   /api/v1/unwrap               Session
        POST   /api/v1/unwrap/lookup        Session
        POST   /api/v1/unwrap/revoke        Session
        GET    /api/v1/roots                Session
        PUT    /api/v1/quotas/{*root}       Session
        DELETE /api/v1/quotas/{*root}       Session
        POST   /api/v1/shred/{*root}        Session
        GET    /api/v1/path-settings        Session
        PUT    /api/v1/path-settings        Session
        DELETE /api/v1/path-settings        Session
        PUT    /api/v1/path-settings/{*prefix} Session
        DELETE /api/v1/path-settings/{*prefix} Session
        GET    /api/v1/users                Session
        POST   /api/v1/users                Session
        GET    /api/v1/users/{id}           Session
        PATCH  /api/v1/users/{id}           Session
        DELETE /api/v1/users/{id}           Session
        POST   /api/v1/users/{id}/restore   Session
        POST   /api/v1/users/{id}/reset     Session
        POST   /api/v1/users/{id}/unlock    Session
        DELETE /api/v1/users/{id}/second-factor Session
        GET    /api/v1/groups               Session
        POST   /api/v1/groups               Session
        GET    /api/v1/groups/{id}          Session
        PATCH  /api/v1/groups/{id}          Session
        DELETE /api/v1/groups/{id}          Session
        GET    /api/v1/groups/{id}/members  Session
        PUT    /api/v1/groups/{id}/members/{user} Session
        DELETE /api/v1/groups/{id}/members/{user} Session
        POST   /api/v1/auth/redeem          Anyone
        POST   /api/v1/me/password          Session
        GET    /api/v1/me/passkeys          Session
        POST   /api/v1/me/passkeys/start    Session
        POST   /api/v1/me/passkeys          Session
        PATCH  /api/v1/me/passkeys/{passkey} Session
        DELETE /api/v1/me/passkeys/{passkey} Session
        POST   /api/v1/auth/passkey/start   Anyone
        POST   /api/v1/auth/passkey         Anyone
        POST   /api/v1/auth/second-factor/passkey Anyone
        POST   /api/v1/auth/step-up/passkey Session
        POST   /api/v1/undelete/{*path}     Session
        POST   /api/v1/destroy/{*path}      Session
        GET    /api/v1/list                 Session
        GET    /api/v1/list/{*prefix}       Session
        GET    /api/v1/audit/entries        Session
        GET    /api/v1/audit/export         Session
        GET    /api/v1/audit/entries/{number}/proof Session
        GET    /api/v1/audit/checkpoint     Session
        GET    /api/v1/system/info          Session
        GET    /api/v1/system/jobs          Session
        GET    /api/v1/system/config        Session
        PUT    /api/v1/system/config/{setting} Session
        DELETE /api/v1/system/config/{setting} Session
        GET    /api/v1/reports/access       Session
        GET    /api/v1/sealing-keys         Anyone
        POST   /api/v1/sealing-keys/rewrap  Session
        GET    /api/v1/auth/sso/providers   Anyone
        GET    /api/v1/auth/sso/{provider}/start Anyone
        GET    /api/v1/auth/sso/{provider}/callback Anyone
        POST   /api/v1/auth/sso/exchange    Anyone
        POST   /api/v1/auth/sso/logout      Session
        POST   /api/v1/auth/sso/{provider}/logout Anyone
        GET    /api/v1/me/identities        Session
        POST   /api/v1/me/identities        Session
        POST   /api/v1/me/identities/{id}/unlink Session
        GET    /api/v1/users/{id}/identities Session
        DELETE /api/v1/users/{id}/identities/{identity} Session
        POST   /api/v1/auth/device          Anyone
        POST   /api/v1/auth/device/token    Anyone
        GET    /api/v1/me/devices           Session
        POST   /api/v1/me/devices/approve   Session
        POST   /api/v1/me/devices/deny      Session
        GET    /device                      Anyone
        GET    /api/v1/me/capabilities      Session
        GET    /api/v1/policies             Session
        GET    /api/v1/policies/{*name}     Session
        PUT    /api/v1/policies/{*name}     Session
        DELETE /api/v1/policies/{*name}     Session
        POST   /api/v1/policies/explain     Session
        POST   /api/v1/policies/preview     Session
        ");
    }

    #[test]
    fn r28_only_login_changes_anything_without_a_session() {
        let open: Vec<_> = endpoints()
            .into_iter()
            .filter(|e| e.access == Access::Anyone && e.method != "GET")
            .collect();
        assert_eq!(
            open.iter().map(|e| e.path).collect::<Vec<_>>(),
            [
                "/api/v1/auth/login",
                "/api/v1/auth/refresh",
                "/api/v1/auth/kubernetes",
                "/api/v1/auth/second-factor",
                "/api/v1/auth/second-factor/enrol",
                "/api/v1/auth/redeem",
                "/api/v1/auth/passkey/start",
                "/api/v1/auth/passkey",
                "/api/v1/auth/second-factor/passkey",
                "/api/v1/auth/sso/exchange",
                "/api/v1/auth/sso/{provider}/logout",
                "/api/v1/auth/device",
                "/api/v1/auth/device/token"
            ]
        );
    }
}
