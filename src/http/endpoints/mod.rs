//! One file an endpoint: what it takes, the call, what it shows, and where its failures are told apart.

mod api_key_create;
mod api_key_list;
mod api_key_revoke;
mod api_key_rotate;
mod api_key_view;
mod audit_entries;
mod audit_export;
mod audit_proof;
mod batch_read;
mod compare;
mod consumers;
mod device;
mod device_approval;
mod device_page;
mod group;
mod group_members;
mod health;
mod identities;
mod jwks;
mod list;
mod list_stream;
mod login;
mod login_kubernetes;
mod logout;
mod me;
mod me_capabilities;
mod me_second_factor;
mod metadata;
mod metadata_view;
mod openapi;
mod passkey_login;
mod passkey_view;
mod passkeys;
mod password;
mod path_settings;
mod policy_delete;
mod policy_explain;
mod policy_list;
mod policy_preview;
mod policy_read;
mod policy_write;
mod record_delete;
mod record_patch;
mod record_read;
mod record_write;
mod refresh;
mod report_access;
mod rollback;
mod roots;
mod sealing_keys;
mod search;
mod second_factor;
mod session_tokens;
mod sessions;
mod sso_callback;
mod sso_exchange;
mod sso_logout;
mod sso_providers;
mod sso_start;
mod system;
mod transfer;
mod user;
mod user_create;
mod user_list;
mod user_view;
mod version_changes;
mod versions;
mod wrap;

use super::routes::Endpoint;

/// Every endpoint of the API's listener.
pub(super) fn all() -> Vec<Endpoint> {
    [
        health::endpoints(),
        openapi::endpoints(),
        vec![jwks::endpoint()],
        vec![
            login::endpoint(),
            refresh::endpoint(),
            login_kubernetes::endpoint(),
            logout::endpoint(),
        ],
        me::endpoints(),
        second_factor::endpoints(),
        me_second_factor::endpoints(),
        sessions::endpoints(),
        api_key_list::endpoints(),
        api_key_create::endpoints(),
        api_key_rotate::endpoints(),
        api_key_revoke::endpoints(),
        vec![
            record_read::endpoint(),
            record_write::endpoint(),
            record_patch::endpoint(),
            record_delete::endpoint(),
            versions::endpoint(),
            consumers::endpoint(),
            rollback::endpoint(),
            compare::endpoint(),
            search::endpoint(),
            batch_read::endpoint(),
        ],
        metadata::endpoints(),
        transfer::endpoints(),
        wrap::endpoints(),
        roots::endpoints(),
        path_settings::endpoints(),
        vec![user_list::endpoint(), user_create::endpoint()],
        user::endpoints(),
        group::endpoints(),
        group_members::endpoints(),
        password::endpoints(),
        passkeys::endpoints(),
        passkey_login::endpoints(),
        version_changes::endpoints(),
        list::endpoints(),
        vec![audit_entries::endpoint(), audit_export::endpoint()],
        audit_proof::endpoints(),
        system::endpoints(),
        vec![report_access::endpoint()],
        sealing_keys::endpoints(),
        vec![
            sso_providers::endpoint(),
            sso_start::endpoint(),
            sso_callback::endpoint(),
            sso_exchange::endpoint(),
        ],
        sso_logout::endpoints(),
        identities::endpoints(),
        device::endpoints(),
        device_approval::endpoints(),
        vec![device_page::endpoint()],
        vec![
            me_capabilities::endpoint(),
            policy_list::endpoint(),
            policy_read::endpoint(),
            policy_write::endpoint(),
            policy_delete::endpoint(),
            policy_explain::endpoint(),
            policy_preview::endpoint(),
        ],
    ]
    .into_iter()
    .flatten()
    .collect()
}
