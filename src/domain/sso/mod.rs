//! Single sign-on, as far as it is rules: what a provider's claims make of somebody, and where a browser may be sent afterwards.

mod claims;
mod redirect;

pub use claims::{ClaimNames, ClaimRules, ClaimsError, Profile, RoleValues};
pub use redirect::{RedirectError, RedirectRules, RedirectTarget};
