//! Users that come from elsewhere, many at a time: one batch, and one wait for the disk.

use std::collections::HashMap;

use super::known_works::noting;
use super::record::{self, Stored};
use super::save::{Effect, changed, replacing};
use super::{ATTEMPTS, Floor, User, UserError, Users, fresh};
use crate::clock::UnixTime;
use crate::identity::import::{IfExists, ImportRules, ImportedUser, Outcome};
use crate::identity::password::Work;
use crate::identity::works::merge;
use crate::store::{Batch, StoreError, Table};

/// A user as the batch will leave it.
struct Staged {
    /// As the store has it; `None` for a new one.
    stored: Option<Stored>,
    user: User,
    effect: Effect,
}

impl Users {
    /// Imports users whose hashes were checked. The outcomes are in the same order; a user that is refused keeps none of the others
    /// from being imported. Ends the older tokens of users whose roles, password or state it changes.
    ///
    /// # Errors
    /// [`UserError`] when nothing of it was done, or with [`StoreError::Failed`] perhaps all of it.
    pub(in crate::identity) fn import(
        &self,
        users: &[ImportedUser],
        rules: &ImportRules,
        now: UnixTime,
    ) -> Result<Vec<Outcome>, UserError> {
        for _ in 0..ATTEMPTS {
            match self.try_import(users, rules, now) {
                Err(UserError::Store(StoreError::Conflict)) => {}
                done => return done,
            }
        }
        let name = users.first().map(|user| user.username.clone());
        Err(name.map_or(UserError::Store(StoreError::Conflict), UserError::Contended))
    }

    fn try_import(
        &self,
        users: &[ImportedUser],
        rules: &ImportRules,
        now: UnixTime,
    ) -> Result<Vec<Outcome>, UserError> {
        let known = self.works()?;
        let mut works = known.clone();
        let mut staged = HashMap::new();
        let mut outcomes = Vec::with_capacity(users.len());
        for user in users {
            outcomes.push(self.stage(&mut staged, &mut works, user, rules, now)?);
        }
        if !rules.dry_run {
            let batch = if works == known { Batch::new() } else { noting(Batch::new(), &works)? };
            self.commit_staged(batch, staged, now)?;
        }
        Ok(outcomes)
    }

    fn stage(
        &self,
        staged: &mut HashMap<String, Staged>,
        works: &mut Vec<Work>,
        new: &ImportedUser,
        rules: &ImportRules,
        now: UnixTime,
    ) -> Result<Outcome, UserError> {
        if !new.roles.as_ref().unwrap_or(&rules.default_roles).fit() {
            return Ok(Outcome::Refused { reason: UserError::TooManyRoles.to_string() });
        }
        let folded = new.username.folded();
        if !staged.contains_key(&folded) {
            let Some(stored) = self.read(&new.username)? else {
                if !takes(works, new) {
                    return Ok(too_many_works());
                }
                let user = make(new, rules, now)?;
                staged.insert(folded, Staged { stored: None, user, effect: Effect::None });
                return Ok(Outcome::Added);
            };
            let user = stored.user.clone();
            if user.program.is_some() {
                return Ok(Outcome::Refused { reason: format!("\"{}\" is a client", user.username) });
            }
            staged.insert(folded.clone(), Staged { stored: Some(stored), user, effect: Effect::None });
        }
        let Some(existing) = staged.get_mut(&folded) else { return Err(StoreError::Conflict.into()) };
        Ok(match rules.if_exists {
            IfExists::Refuse => {
                Outcome::Refused { reason: UserError::Exists(existing.user.username.clone()).to_string() }
            }
            IfExists::Skip => Outcome::Skipped,
            IfExists::Update if !takes(works, new) => too_many_works(),
            IfExists::Update => {
                existing.update(new);
                Outcome::Updated
            }
        })
    }

    fn commit_staged(
        &self,
        mut batch: Batch,
        staged: HashMap<String, Staged>,
        now: UnixTime,
    ) -> Result<(), UserError> {
        let mut floors = Vec::new();
        for Staged { stored, user, effect } in staged.into_values() {
            let key = user.id.as_bytes().as_slice();
            let Some(stored) = stored else {
                batch = batch.expect(Table::Users, key, None).put(Table::Users, key, record::encode(&user)?);
                batch = self.claim_name(batch, &user.username, user.id);
                continue;
            };
            let user = changed(&user, effect, now);
            if user.version != stored.user.version {
                floors.push((user.id.into(), Floor::new(user.version, now)));
            }
            if user != stored.user {
                batch = replacing(&stored, &user, batch)?;
            }
        }
        self.commit_all_revoking(batch, &floors)
    }
}

/// Whether the kind of the hash, if there is one, is among those that users have, or can be.
fn takes(works: &mut Vec<Work>, new: &ImportedUser) -> bool {
    new.work().is_none_or(|work| merge(works, work))
}

fn too_many_works() -> Outcome {
    let reason = "the store has hashes with too many different parameters already: leave the hash out";
    Outcome::Refused { reason: reason.into() }
}

impl Staged {
    /// Changes what the line says and leaves the rest.
    fn update(&mut self, new: &ImportedUser) {
        let user = &mut self.user;
        let before = user.clone();
        if let Some(roles) = &new.roles {
            user.roles = roles.clone();
        }
        if let Some(password) = &new.password {
            user.password = password.clone();
        }
        if let Some(enabled) = new.enabled {
            user.enabled = enabled;
        }
        let disabled = before.enabled && !user.enabled;
        self.effect = match self.effect {
            _ if user.password != before.password || disabled => Effect::EndsSessions,
            Effect::EndsSessions => Effect::EndsSessions,
            _ if user.roles != before.roles => Effect::EndsTokens,
            Effect::None if *user != before => Effect::KeepsTokens,
            effect => effect,
        };
    }
}

fn make(new: &ImportedUser, rules: &ImportRules, now: UnixTime) -> Result<User, UserError> {
    let roles = new.roles.clone().unwrap_or_else(|| rules.default_roles.clone());
    let user = fresh(&new.username, roles, new.password.clone().unwrap_or_default(), now)?;
    Ok(User { enabled: new.enabled.unwrap_or(true), ..user })
}
