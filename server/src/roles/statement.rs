//! Carries out statements about roles: first what the asker may do, then whether it makes sense,
//! as Cassandra 5.0 has the order.

use std::rc::Rc;

use super::access::function_resource;
use super::resource::{Permission, Resource, spelled};
use super::{Depth, Result, Role, Roles};
use crate::cql::ast::{
    ListPermissions, PermissionGrant, ResourceName, RoleDefinition, RoleStatement,
};
use crate::error::CqlError;
use crate::exec::result::{Outcome, ResultColumn, ResultColumns, Rows};
use crate::persona::Persona;
use crate::schema::{Schema, keyspace_of};
use crate::value::literal::map;
use crate::value::types::CqlType;
use crate::wire::write::Writer;

/// Who asks, and what names in the statement refer to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asker<'a> {
    /// The role that has logged in.
    pub(crate) role: Option<&'a str>,
    pub(crate) schema: &'a Schema,
    /// The keyspace of USE.
    pub(crate) keyspace: Option<&'a str>,
    pub(crate) persona: Persona,
}

impl Roles {
    /// Runs a statement about roles.
    pub(crate) fn run(&self, statement: &RoleStatement, asker: Asker<'_>) -> Result<Outcome> {
        let Some(role) = asker.role.filter(|_| self.is_required) else {
            let (RoleStatement::Create(definition) | RoleStatement::Alter(definition)) = statement
            else {
                return Err(not_logged_in());
            };
            return Err(match definition.options.password {
                Some(_) => CqlError::invalid(
                    "org.apache.cassandra.auth.CassandraRoleManager doesn't support PASSWORD",
                ),
                None => not_logged_in(),
            });
        };
        match statement {
            RoleStatement::Create(definition) => self.create(role, definition)?,
            RoleStatement::Alter(definition) => self.alter(role, definition)?,
            RoleStatement::Drop { name, if_exists } => self.drop_role(role, name, *if_exists)?,
            RoleStatement::GrantRole { role: parent, to } => self.grant_role(role, parent, to)?,
            RoleStatement::RevokeRole { role: parent, from } => {
                self.revoke_role(role, parent, from)?;
            }
            RoleStatement::Grant(grant) => {
                let on = self.grantable(role, grant, asker)?;
                self.grant(&grant.role, &grant.permissions, &on);
            }
            RoleStatement::Revoke(grant) => {
                let on = self.grantable(role, grant, asker)?;
                self.revoke(&grant.role, &grant.permissions, &on);
            }
            RoleStatement::ListRoles { of, is_recursive } => {
                let depth = if *is_recursive { Depth::Inherited } else { Depth::Direct };
                let names = self.listed(role, of.as_deref(), depth)?;
                return Ok(self.role_rows(&names, asker.persona));
            }
            RoleStatement::ListUsers => {
                let names = self.listed(role, None, Depth::Direct)?;
                return Ok(self.user_rows(&names, asker.persona));
            }
            RoleStatement::ListPermissions(list) => {
                return self.list_permissions(role, list, asker);
            }
        }
        Ok(Outcome::Void)
    }

    /// Statements that define roles say less about what is missing than others do.
    fn check_role(&self, asker: &str, permission: Permission, resource: &Resource) -> Result<()> {
        self.check(asker, permission, resource).map_err(|_| {
            CqlError::unauthorized(format!(
                "User {asker} does not have sufficient privileges to perform the requested \
                 operation"
            ))
        })
    }

    fn must_exist(&self, name: &str) -> Result<()> {
        if self.exists(name) {
            return Ok(());
        }
        Err(CqlError::invalid(format!("{name} doesn't exist")))
    }

    fn create(&self, asker: &str, definition: &RoleDefinition) -> Result<()> {
        let RoleDefinition { name, conditional, options } = definition;
        self.check_role(asker, Permission::Create, &Resource::AllRoles)?;
        let is_superuser = options.superuser == Some(true);
        if is_superuser && !self.is_superuser(asker) {
            return Err(CqlError::unauthorized(
                "Only superusers can create a role with superuser status",
            ));
        }
        if name.is_empty() {
            return Err(CqlError::invalid("Role name can't be an empty string"));
        }
        if self.exists(name) {
            return match conditional {
                true => Ok(()),
                false => Err(CqlError::invalid(format!("{name} already exists"))),
            };
        }
        let role = Role {
            password: options.password.clone(),
            is_superuser,
            can_login: options.login == Some(true),
            ..Role::default()
        };
        self.roles.borrow_mut().insert(name.clone(), role);
        self.created(asker, &Resource::Role(name.clone()));
        Ok(())
    }

    fn alter(&self, asker: &str, definition: &RoleDefinition) -> Result<()> {
        let RoleDefinition { name, conditional, options } = definition;
        if options.superuser.is_some() {
            if self.granted(asker, Depth::Inherited).contains(name) {
                return Err(CqlError::unauthorized(
                    "You aren't allowed to alter your own superuser status or that of a role \
                     granted to you",
                ));
            }
            if !self.is_superuser(asker) {
                return Err(CqlError::unauthorized(
                    "Only superusers are allowed to alter superuser status",
                ));
            }
        }
        if !self.is_superuser(asker) {
            if asker != name {
                self.check_role(asker, Permission::Alter, &Resource::Role(name.clone()))?;
            } else if options.login.is_some() {
                return Err(CqlError::unauthorized("You aren't allowed to alter LOGIN"));
            }
        }
        if options.password.is_none() && options.login.is_none() && options.superuser.is_none() {
            return Err(CqlError::invalid("ALTER [ROLE|USER] can't be empty"));
        }
        let mut roles = self.roles.borrow_mut();
        let Some(role) = roles.get_mut(name) else {
            return match conditional {
                true => Ok(()),
                false => Err(CqlError::invalid(format!("Role {name} doesn't exist"))),
            };
        };
        if let Some(password) = &options.password {
            role.password = Some(password.clone());
        }
        role.can_login = options.login.unwrap_or(role.can_login);
        role.is_superuser = options.superuser.unwrap_or(role.is_superuser);
        self.changed();
        Ok(())
    }

    fn drop_role(&self, asker: &str, name: &str, if_exists: bool) -> Result<()> {
        let resource = Resource::Role(name.to_owned());
        self.check_role(asker, Permission::Drop, &resource)?;
        if self.is_superuser(name) && !self.is_superuser(asker) {
            return Err(CqlError::unauthorized(
                "Only superusers can drop a role with superuser status",
            ));
        }
        if !if_exists {
            self.must_exist(name)?;
        }
        if asker == name {
            return Err(CqlError::invalid("Cannot DROP primary role for current login"));
        }
        let mut roles = self.roles.borrow_mut();
        roles.remove(name);
        for role in roles.values_mut() {
            role.member_of.remove(name);
        }
        drop(roles);
        self.changed();
        self.dropped(|other| *other == resource);
        Ok(())
    }

    fn check_membership(&self, asker: &str, role: &str, member: &str) -> Result<()> {
        self.check_role(asker, Permission::Authorize, &Resource::Role(role.to_owned()))?;
        self.must_exist(role)?;
        self.must_exist(member)
    }

    fn grant_role(&self, asker: &str, role: &str, to: &str) -> Result<()> {
        self.check_membership(asker, role, to)?;
        for (member, of) in [(to, role), (role, to)] {
            if self.granted(member, Depth::Inherited).contains(of) {
                return Err(CqlError::invalid(format!("{member} is a member of {of}")));
            }
        }
        if let Some(member) = self.roles.borrow_mut().get_mut(to) {
            member.member_of.insert(role.to_owned());
        }
        self.changed();
        Ok(())
    }

    fn revoke_role(&self, asker: &str, role: &str, from: &str) -> Result<()> {
        self.check_membership(asker, role, from)?;
        if !self.granted(from, Depth::Direct).contains(role) {
            return Err(CqlError::invalid(format!("{from} is not a member of {role}")));
        }
        if let Some(member) = self.roles.borrow_mut().get_mut(from) {
            member.member_of.remove(role);
        }
        self.changed();
        Ok(())
    }

    /// The resource of a GRANT or REVOKE, if the asker may hand out these permissions on it.
    fn grantable(
        &self,
        asker: &str,
        grant: &PermissionGrant,
        names: Asker<'_>,
    ) -> Result<Resource> {
        let resource = resolve(&grant.on, names)?;
        self.check(asker, Permission::Authorize, &resource)?;
        for permission in &grant.permissions {
            self.check(asker, *permission, &resource)?;
        }
        if !self.exists(&grant.role) {
            return Err(CqlError::invalid(format!("Role {} doesn't exist", grant.role)));
        }
        if is_built_in(&resource) {
            return Err(CqlError::invalid(
                "Altering permissions on builtin functions is not supported",
            ));
        }
        if !self.has_resource(&resource, names.schema) {
            return Err(CqlError::invalid(format!("Resource {resource} doesn't exist")));
        }
        Ok(resource)
    }

    fn has_resource(&self, resource: &Resource, schema: &Schema) -> bool {
        match resource {
            Resource::AllKeyspaces | Resource::AllRoles | Resource::AllFunctions => true,
            Resource::Keyspace(name) | Resource::AllTables(name) | Resource::FunctionsOf(name) => {
                schema.keyspaces.contains_key(name)
            }
            Resource::Table { keyspace, name } => {
                schema.keyspaces.get(keyspace).is_some_and(|ks| ks.tables.contains_key(name))
            }
            Resource::Role(name) => self.exists(name),
            Resource::Function(id) => schema.keyspaces.get(&id.keyspace).is_some_and(|keyspace| {
                let is_it =
                    |name: &str, types: &[CqlType]| name == id.name && spelled(types) == id.types;
                keyspace.functions.iter().any(|f| is_it(&f.name, &f.argument_types()))
                    || keyspace.aggregates.iter().any(|a| is_it(&a.name, &a.arguments))
            }),
        }
    }

    /// The roles that LIST ROLES shows.
    fn listed(&self, asker: &str, of: Option<&str>, depth: Depth) -> Result<Vec<String>> {
        if let Some(of) = of
            && !self.exists(of)
        {
            return Err(CqlError::invalid(format!("{} doesn't exist", as_resource(of))));
        }
        let sees_all = self.has(asker, Permission::Describe, &Resource::AllRoles);
        let names = match of {
            None if sees_all => return Ok(self.roles.borrow().keys().cloned().collect()),
            None => self.granted(asker, depth),
            Some(of) if sees_all || self.granted(asker, Depth::Inherited).contains(of) => {
                self.granted(of, depth)
            }
            Some(of) => {
                return Err(CqlError::unauthorized(format!(
                    "You are not authorized to view roles granted to {of} "
                )));
            }
        };
        Ok(names.into_iter().collect())
    }

    fn role_rows(&self, names: &[String], persona: Persona) -> Outcome {
        let options = CqlType::Map(Box::new((CqlType::TEXT, CqlType::TEXT)));
        let columns = vec![
            ("role", CqlType::TEXT),
            ("super", CqlType::BOOLEAN),
            ("login", CqlType::BOOLEAN),
            ("options", options),
        ];
        let roles = self.roles.borrow();
        let row = |name: &String| {
            let role = roles.get(name)?;
            Some(vec![
                name.as_bytes().to_vec(),
                vec![u8::from(role.is_superuser)],
                vec![u8::from(role.can_login)],
                map(&[]),
            ])
        };
        with_datacenters("roles", columns, names.iter().filter_map(row), persona)
    }

    /// Of the roles, those that may log in.
    fn user_rows(&self, names: &[String], persona: Persona) -> Outcome {
        let columns = vec![("name", CqlType::TEXT), ("super", CqlType::BOOLEAN)];
        let can_login =
            |name: &&String| self.roles.borrow().get(*name).is_some_and(|role| role.can_login);
        let row =
            |name: &String| vec![name.as_bytes().to_vec(), vec![u8::from(self.is_superuser(name))]];
        with_datacenters("users", columns, names.iter().filter(can_login).map(row), persona)
    }

    fn list_permissions(
        &self,
        asker: &str,
        list: &ListPermissions,
        names: Asker<'_>,
    ) -> Result<Outcome> {
        let resource = list.on.as_ref().map(|on| resolve(on, names)).transpose()?;
        if let Some(resource) = &resource
            && !self.has_resource(resource, names.schema)
        {
            return Err(CqlError::invalid(format!("{resource} doesn't exist")));
        }
        let of = list.of.as_deref();
        if let Some(of) = of
            && !self.exists(of)
        {
            return Err(CqlError::invalid(format!("{} doesn't exist", as_resource(of))));
        }
        let is_own = of.is_some_and(|of| self.granted(asker, Depth::Inherited).contains(of));
        if !is_own && !self.is_superuser(asker) {
            let whose = of.unwrap_or("everyone");
            return Err(CqlError::unauthorized(format!(
                "You are not authorized to view {whose}'s permissions"
            )));
        }
        let wanted = resource.map(|resource| match list.is_recursive {
            true => resource.chain().collect::<Vec<_>>(),
            false => vec![resource],
        });
        let holders = of.map(|of| self.granted(of, Depth::Inherited));
        let mut lines = Vec::new();
        for (name, role) in self.roles.borrow().iter() {
            if holders.as_ref().is_some_and(|holders| !holders.contains(name)) {
                continue;
            }
            for (resource, held) in &role.permissions {
                if wanted.as_ref().is_some_and(|wanted| !wanted.contains(resource)) {
                    continue;
                }
                let held = held.iter().filter(|held| list.permissions.contains(held));
                lines.extend(
                    held.map(|held| (name.clone(), resource.name(), *held, resource.clone())),
                );
            }
        }
        lines.sort();
        let rows = lines.iter().map(|(name, _, permission, resource)| {
            let name = name.as_bytes().to_vec();
            let (resource, permission) = (resource.to_string(), permission.name().to_owned());
            vec![name.clone(), name, resource.into_bytes(), permission.into_bytes()]
        });
        let columns = ["role", "username", "resource", "permission"];
        let columns = columns.map(|name| (name, CqlType::TEXT)).to_vec();
        Ok(rows_of("permissions", columns, rows))
    }
}

fn not_logged_in() -> CqlError {
    CqlError::unauthorized("You have to be logged in and not anonymous to perform this request")
}

fn as_resource(role: &str) -> Resource {
    Resource::Role(role.to_owned())
}

fn is_built_in(resource: &Resource) -> bool {
    match resource {
        Resource::FunctionsOf(keyspace) => keyspace == "system",
        Resource::Function(function) => function.keyspace == "system",
        _ => false,
    }
}

/// The resource that a name means.
fn resolve(name: &ResourceName, asker: Asker<'_>) -> Result<Resource> {
    match name {
        ResourceName::Found(resource) => Ok(resource.clone()),
        ResourceName::Table(table) => {
            Ok(Resource::table(keyspace_of(table, asker.keyspace)?, &table.name))
        }
        ResourceName::Function(function, arguments) => {
            let keyspace = function.keyspace.as_deref().ok_or_else(|| {
                CqlError::invalid(
                    "In this context function name must be explicitly qualified by a keyspace",
                )
            })?;
            Ok(function_resource(asker.schema, keyspace, &function.name, arguments))
        }
    }
}

/// Rows of LIST ROLES or LIST USERS; Cassandra's also say which datacenters a role may use.
fn with_datacenters(
    table: &str,
    mut columns: Vec<(&str, CqlType)>,
    rows: impl Iterator<Item = Vec<Vec<u8>>>,
    persona: Persona,
) -> Outcome {
    if persona == Persona::Scylla {
        return rows_of(table, columns, rows);
    }
    columns.push(("datacenters", CqlType::TEXT));
    let rows = rows.map(|mut row| {
        row.push(b"ALL".to_vec());
        row
    });
    rows_of(table, columns, rows)
}

/// A result of a table that is made up; nothing if it has no rows.
fn rows_of(
    table: &str,
    columns: Vec<(&str, CqlType)>,
    rows: impl Iterator<Item = Vec<Vec<u8>>>,
) -> Outcome {
    let columns =
        columns.into_iter().map(|(name, typ)| ResultColumn { name: name.to_owned(), typ });
    let columns = ResultColumns {
        keyspace: "system_auth".to_owned(),
        table: table.to_owned(),
        columns: columns.collect(),
    };
    let mut cells = Vec::new();
    let mut out = Writer::new(&mut cells);
    let mut row_count = 0;
    for row in rows {
        row_count += 1;
        row.iter().for_each(|cell| out.bytes(Some(cell)));
    }
    if row_count == 0 {
        return Outcome::Void;
    }
    Outcome::Rows(Rows { columns: Rc::new(columns), cells, row_count, paging_state: None })
}
