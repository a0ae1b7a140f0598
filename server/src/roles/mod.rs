//! Roles: who may log in, who is a member of whom, and who may do what.
//!
//! One store for all nodes of a cluster. It lasts as long as the cluster, as everything here does.
//! Without a user from the start there is no authentication, and the store stays empty.

pub(crate) mod access;
pub(crate) mod resource;
pub(crate) mod statement;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;

use crate::error::{CqlError, code};
use crate::persona::Persona;
use crate::users::{Credentials, Password, Users};
use crate::value::literal::collection;
use resource::{Permission, Resource};

type Result<T> = std::result::Result<T, CqlError>;

/// A role's permissions by resource; a resource without any is not kept.
type Permissions = BTreeMap<Resource, BTreeSet<Permission>>;

#[derive(Clone, Debug, Default)]
struct Role {
    password: Option<Password>,
    is_superuser: bool,
    can_login: bool,
    /// Roles that were granted to it, without those that these have been granted in turn.
    member_of: BTreeSet<String>,
    permissions: Permissions,
}

/// All roles of a cluster.
#[derive(Debug)]
pub(crate) struct Roles {
    /// Whether clients have to log in. Dropping all roles does not open the cluster.
    is_required: bool,
    roles: RefCell<BTreeMap<String, Role>>,
    /// Grows whenever others may be superusers than before, so that connections look again.
    generation: Cell<NonZeroU64>,
}

impl Roles {
    /// The users that a cluster starts with are superusers.
    pub(crate) fn new(users: Users) -> Self {
        let is_required = !users.is_empty();
        let superuser = |(name, password)| {
            let password = Some(password);
            (name, Role { password, is_superuser: true, can_login: true, ..Role::default() })
        };
        let roles = users.into_passwords().map(superuser).collect();
        Self { is_required, roles: RefCell::new(roles), generation: Cell::new(NonZeroU64::MIN) }
    }

    #[inline]
    pub(crate) fn is_required(&self) -> bool {
        self.is_required
    }

    #[inline]
    pub(crate) fn generation(&self) -> NonZeroU64 {
        self.generation.get()
    }

    fn changed(&self) {
        self.generation.set(self.generation.get().saturating_add(1));
    }

    /// Checks what a client has sent to log in; its role's name.
    pub(crate) fn log_in(&self, token: Option<&[u8]>, persona: Persona) -> Result<String> {
        let credentials = Credentials::read(token)?;
        let roles = self.roles.borrow();
        let known = credentials.name().and_then(|name| roles.get_key_value(name));
        let known = known.filter(|(_, role)| {
            role.password.as_ref().is_some_and(|password| credentials.fit(password))
        });
        match known {
            Some((name, role)) if role.can_login => Ok(name.clone()),
            Some((name, _)) => {
                let message = format!("{name} is not permitted to log in");
                Err(CqlError::new(code::BAD_CREDENTIALS, message))
            }
            None => Err(credentials.refused(persona)),
        }
    }

    fn exists(&self, name: &str) -> bool {
        self.roles.borrow().contains_key(name)
    }

    /// The role and those granted to it, also through others if `depth` says so.
    fn granted(&self, name: &str, depth: Depth) -> BTreeSet<String> {
        let roles = self.roles.borrow();
        let mut found = BTreeSet::new();
        let mut open = vec![(name, 0)];
        while let Some((name, distance)) = open.pop() {
            let Some(role) = roles.get(name) else { continue };
            let goes_on = depth == Depth::Inherited || distance == 0;
            if found.insert(name.to_owned()) && goes_on {
                open.extend(role.member_of.iter().map(|parent| (parent.as_str(), distance + 1)));
            }
        }
        found
    }

    /// Whether the role, or any that was granted to it, is a superuser.
    pub(crate) fn is_superuser(&self, name: &str) -> bool {
        let is_super = |name: &str| self.roles.borrow().get(name).is_some_and(|r| r.is_superuser);
        is_super(name) || self.granted(name, Depth::Inherited).iter().any(|name| is_super(name))
    }

    /// Whether the role may do this with the resource, by itself or by what was granted to it.
    fn has(&self, name: &str, permission: Permission, resource: &Resource) -> bool {
        if self.is_superuser(name) {
            return true;
        }
        let names = self.granted(name, Depth::Inherited);
        let roles = self.roles.borrow();
        let held: Vec<_> = names.iter().filter_map(|name| roles.get(name)).collect();
        resource.chain().any(|resource| {
            let permits = |role: &&Role| {
                role.permissions.get(&resource).is_some_and(|set| set.contains(&permission))
            };
            held.iter().any(permits)
        })
    }

    /// Refuses what the role may not do.
    pub(crate) fn check(
        &self,
        name: &str,
        permission: Permission,
        resource: &Resource,
    ) -> Result<()> {
        if permission == Permission::Select && resource.is_readable_by_all() {
            return Ok(());
        }
        if self.has(name, permission, resource) {
            return Ok(());
        }
        Err(CqlError::unauthorized(format!(
            "User {name} has no {} permission on {resource} or any of its parents",
            permission.name()
        )))
    }

    fn grant(&self, name: &str, permissions: &[Permission], resource: &Resource) {
        if let Some(role) = self.roles.borrow_mut().get_mut(name) {
            role.permissions.entry(resource.clone()).or_default().extend(permissions);
        }
    }

    fn revoke(&self, name: &str, permissions: &[Permission], resource: &Resource) {
        if let Some(role) = self.roles.borrow_mut().get_mut(name)
            && let Some(held) = role.permissions.get_mut(resource)
        {
            held.retain(|permission| !permissions.contains(permission));
            if held.is_empty() {
                role.permissions.remove(resource);
            }
        }
    }

    /// Lets the creator of something do all with it.
    pub(crate) fn created(&self, creator: &str, resource: &Resource) {
        self.grant(creator, resource.applicable(), resource);
    }

    /// Takes the permissions back that were on what is no longer there.
    pub(crate) fn dropped(&self, is_gone: impl Fn(&Resource) -> bool) {
        for role in self.roles.borrow_mut().values_mut() {
            role.permissions.retain(|resource, _| !is_gone(resource));
        }
    }

    /// Rows of a table of `system_auth`. No password, nor a hash of one, is among them.
    pub(crate) fn rows(&self, table: &str) -> Vec<Vec<(&'static str, Vec<u8>)>> {
        let text = |text: &str| text.as_bytes().to_vec();
        let boolean = |value: bool| vec![u8::from(value)];
        let mut rows = Vec::new();
        for (name, role) in self.roles.borrow().iter() {
            match table {
                "roles" => {
                    let member_of: Vec<_> = role.member_of.iter().map(|name| text(name)).collect();
                    let mut row = vec![
                        ("role", text(name)),
                        ("can_login", boolean(role.can_login)),
                        ("is_superuser", boolean(role.is_superuser)),
                    ];
                    if !member_of.is_empty() {
                        row.push(("member_of", collection(&member_of)));
                    }
                    rows.push(row);
                }
                "role_members" => rows.extend(
                    role.member_of
                        .iter()
                        .map(|parent| vec![("role", text(parent)), ("member", text(name))]),
                ),
                "role_permissions" => {
                    rows.extend(role.permissions.iter().map(|(resource, held)| {
                        let mut held: Vec<_> = held.iter().map(|p| text(p.name())).collect();
                        held.sort();
                        vec![
                            ("role", text(name)),
                            ("resource", text(&resource.name())),
                            ("permissions", collection(&held)),
                        ]
                    }));
                }
                _ => {}
            }
        }
        rows
    }
}

/// How far memberships are followed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Depth {
    /// One step.
    Direct,
    Inherited,
}

#[cfg(test)]
mod tests;
