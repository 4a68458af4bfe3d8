//! Making users: people by invitation, machines without any way to log in but API keys.

use uuid::Uuid;

use super::{ONE_TIME_PREFIX, OneTimeLink, User, Users, invalid, not_found, taken};
use crate::crypto::{random, token};
use crate::domain::account::{parse_display_name, parse_email, parse_name};
use crate::domain::actor::Role;
use crate::domain::audit::Action;
use crate::service::context::OpContext;
use crate::service::error::Result;
use crate::service::failure::store_failed;
use crate::store::Tx;
use crate::store::accounts::{self, NewAccount};
use crate::store::one_time_tokens::{self, Purpose};

/// For how long an invitation or a reset is good: three days, a weekend among them.
const LINK_SECONDS: f64 = 3.0 * 86_400.0;
/// Groups of a user.
const MAX_GROUPS: usize = 100;

/// A user to be made.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// The name, in any spelling.
    pub name: String,
    /// Whether it is a program's.
    pub machine: bool,
    /// What it may administer.
    pub role: Role,
    /// An e-mail address.
    pub email: Option<String>,
    /// What it is called.
    pub display_name: Option<String>,
    /// The groups that it belongs to; new ones are made.
    pub groups: Vec<String>,
}

impl Users<'_> {
    /// Makes a user. A person gets a link to set a password by; a machine gets API keys, and never logs in.
    ///
    /// # Errors
    /// [`crate::service::error::Reason::AdministratorRequired`], `InvalidRequest`, `UserExists`, and those of the store.
    pub async fn create(&self, ctx: &OpContext, new: NewUser) -> Result<(User, Option<OneTimeLink>)> {
        let name = parse_name(&new.name).map_err(invalid)?;
        let email = new.email.as_deref().map(parse_email).transpose().map_err(invalid)?;
        let display_name = new
            .display_name
            .as_deref()
            .map(parse_display_name)
            .transpose()
            .map_err(invalid)?;
        let groups = parse_groups(&new.groups)?;
        let id = random::uuid_v7(ctx.now());
        let mut tx = self.administer(ctx).await?;
        let account = NewAccount {
            id,
            name: &name,
            kind: if new.machine { "machine" } else { "person" },
            role: new.role.as_str(),
            email: email.as_deref(),
            display_name: display_name.as_deref(),
        };
        accounts::insert(&mut tx, &account).await.map_err(taken)?;
        self.set_groups(&mut tx, ctx, id, &groups).await?;
        let link = match new.machine {
            true => None,
            false => Some(self.link(&mut tx, ctx, id, Purpose::Invite).await?),
        };
        let user = accounts::find(&mut tx, id)
            .await
            .map_err(store_failed)?
            .ok_or_else(not_found)?;
        self.commit(tx, ctx, Action::UserCreate, &name).await?;
        Ok((user, link))
    }

    /// A link for one use, in place of any that the user has.
    pub(super) async fn link(
        &self,
        tx: &mut Tx<'_>,
        ctx: &OpContext,
        user: Uuid,
        purpose: Purpose,
    ) -> Result<OneTimeLink> {
        let (token, hash) = token::generate(ONE_TIME_PREFIX);
        let id = random::uuid_v7(ctx.now());
        let expires_at = one_time_tokens::replace(tx, id, user, purpose, hash.as_bytes(), LINK_SECONDS)
            .await
            .map_err(store_failed)?;
        Ok(OneTimeLink { token, expires_at })
    }

    pub(super) async fn set_groups(
        &self,
        tx: &mut Tx<'_>,
        ctx: &OpContext,
        user: Uuid,
        groups: &[String],
    ) -> Result<()> {
        let ids: Vec<_> = groups.iter().map(|_| random::uuid_v7(ctx.now())).collect();
        accounts::set_groups(tx, user, &ids, groups).await.map_err(store_failed)
    }
}

/// The canonical names, each once.
pub(super) fn parse_groups(groups: &[String]) -> Result<Vec<String>> {
    if groups.len() > MAX_GROUPS {
        return Err(invalid("a user has at most 100 groups"));
    }
    let names: std::result::Result<std::collections::BTreeSet<_>, _> =
        groups.iter().map(|name| parse_name(name)).collect();
    Ok(names.map_err(invalid)?.into_iter().collect())
}
