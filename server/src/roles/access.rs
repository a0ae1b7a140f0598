//! What a statement needs its role to be permitted, as Cassandra 5.0 asks for it.

use super::Result;
use super::resource::{FunctionId, Permission, Resource, spelled};
use crate::cql::ast::{CreateAggregate, CreateFunction, Ddl, DropFunction, FunctionName};
use crate::exec::modify::ModifyPlan;
use crate::exec::plan::{Action, Plan};
use crate::exec::select::SelectPlan;
use crate::schema::change::{Change, Target};
use crate::schema::{Keyspace, Schema, Table, keyspace_of};
use crate::value::types::CqlType;

/// A permission on a resource.
pub(crate) type Need = (Permission, Resource);

/// What a statement needs; `current` is the keyspace of USE. Statements about roles need what
/// they look after themselves.
pub(crate) fn needs(plan: &Plan, schema: &Schema, current: Option<&str>) -> Result<Vec<Need>> {
    Ok(match &plan.action {
        Action::Select(select) => of_select(select),
        Action::Modify(modify) => of_modification(modify, schema),
        Action::Batch(batch) => {
            batch.plans.iter().flat_map(|modify| of_modification(modify, schema)).collect()
        }
        Action::Truncate(table) => vec![(Permission::Modify, resource_of(table))],
        Action::Ddl(ddl) => of_change(ddl, schema, current)?,
        Action::Use(_) | Action::Describe(_) | Action::Role(_) => Vec::new(),
    })
}

fn resource_of(table: &Table) -> Resource {
    Resource::table(&table.keyspace, &table.name)
}

/// A view is read by who may read its base table.
fn of_select(select: &SelectPlan) -> Vec<Need> {
    let table = &select.table;
    let name = table.view.as_ref().map_or(&table.name, |view| &view.base);
    let mut needs = vec![(Permission::Select, Resource::table(&table.keyspace, name))];
    select.each_function(&mut |name, arguments| {
        let function = FunctionId::new(&table.keyspace, name, arguments);
        needs.push((Permission::Execute, Resource::Function(function)));
    });
    needs
}

/// Conditions tell what stands in the table, and views are written along with it.
fn of_modification(modify: &ModifyPlan, schema: &Schema) -> Vec<Need> {
    let table = &modify.table;
    let mut needs = vec![(Permission::Modify, resource_of(table))];
    let views = schema.keyspaces.get(&table.keyspace).into_iter().flat_map(|ks| views(ks, table));
    let of_views: Vec<_> = views.map(|view| (Permission::Modify, resource_of(view))).collect();
    if modify.is_conditional() || !of_views.is_empty() {
        needs.push((Permission::Select, resource_of(table)));
    }
    needs.extend(of_views);
    needs
}

fn views<'a>(keyspace: &'a Keyspace, base: &'a Table) -> impl Iterator<Item = &'a Table> {
    let is_of_it = |table: &&Table| table.view.as_ref().is_some_and(|view| view.base == base.name);
    keyspace.tables.values().map(AsRef::as_ref).filter(is_of_it)
}

fn of_change(ddl: &Ddl, schema: &Schema, current: Option<&str>) -> Result<Vec<Need>> {
    use Permission::{Alter, Create, Drop};
    let keyspace = |name: &String| Resource::Keyspace(name.clone());
    let need = match ddl {
        Ddl::CreateKeyspace(_) => (Create, Resource::AllKeyspaces),
        Ddl::AlterKeyspace(options) => (Alter, keyspace(&options.name)),
        Ddl::DropKeyspace { name, .. } => (Drop, keyspace(name)),
        Ddl::CreateTable(create) => {
            (Create, Resource::AllTables(keyspace_of(&create.table, current)?.to_owned()))
        }
        Ddl::AlterTable(alter) => {
            let home = keyspace_of(&alter.table, current)?;
            (Alter, Resource::table(home, &alter.table.name))
        }
        Ddl::DropTable { table, .. } => {
            (Drop, Resource::table(keyspace_of(table, current)?, &table.name))
        }
        Ddl::CreateType(create) => {
            (Create, Resource::AllTables(keyspace_of(&create.name, current)?.to_owned()))
        }
        Ddl::AlterType(alter) => {
            (Alter, Resource::AllTables(keyspace_of(&alter.name, current)?.to_owned()))
        }
        Ddl::DropType { name, .. } => {
            (Drop, Resource::AllTables(keyspace_of(name, current)?.to_owned()))
        }
        Ddl::CreateIndex(create) => {
            let home = keyspace_of(&create.table, current)?;
            (Alter, Resource::table(home, &create.table.name))
        }
        Ddl::CreateView(create) => {
            let home = keyspace_of(&create.base, current)?;
            (Alter, Resource::table(home, &create.base.name))
        }
        Ddl::DropIndex { name, .. } => {
            let home = schema.keyspaces.get(keyspace_of(name, current)?);
            let has_it = |table: &&Table| table.indexes.iter().any(|i| i.name == name.name);
            let mut tables = home.into_iter().flat_map(|home| home.tables.values());
            let table = tables.find(|table| has_it(&table.as_ref()));
            return Ok(table.map(|table| (Alter, resource_of(table))).into_iter().collect());
        }
        Ddl::AlterView { name, .. } | Ddl::DropView { name, .. } => {
            let home = keyspace_of(name, current)?;
            let table = schema.keyspaces.get(home).and_then(|ks| ks.tables.get(&name.name));
            let view = table.and_then(|table| table.view.as_ref());
            let base = view.map(|view| (Alter, Resource::table(home, &view.base)));
            return Ok(base.into_iter().collect());
        }
        Ddl::CreateFunction(create) => return of_new_function(create, schema, current),
        Ddl::CreateAggregate(create) => return of_new_aggregate(create, schema, current),
        Ddl::DropFunction(drop) | Ddl::DropAggregate(drop) => {
            return of_dropped_function(drop, schema, current);
        }
    };
    Ok(vec![need])
}

fn home_of(name: &FunctionName, current: Option<&str>) -> Result<String> {
    let table =
        crate::cql::ast::TableName { keyspace: name.keyspace.clone(), name: name.name.clone() };
    keyspace_of(&table, current).map(str::to_owned)
}

/// To replace a function is to alter it.
fn of_creation(schema: &Schema, home: String, function: Resource, or_replace: bool) -> Need {
    let exists = match &function {
        Resource::Function(id) => all_functions(schema, &home)
            .any(|(name, types)| name == id.name && spelled(&types) == id.types),
        _ => false,
    };
    if exists && or_replace {
        (Permission::Alter, function)
    } else {
        (Permission::Create, Resource::FunctionsOf(home))
    }
}

fn of_new_function(
    create: &CreateFunction,
    schema: &Schema,
    current: Option<&str>,
) -> Result<Vec<Need>> {
    let home = home_of(&create.name, current)?;
    let types: Vec<_> = create.arguments.iter().map(|(_, typ)| typ.clone()).collect();
    let function = function_resource(schema, &home, &create.name.name, &types);
    Ok(vec![of_creation(schema, home, function, create.or_replace)])
}

/// An aggregate runs its functions in the name of who made it.
fn of_new_aggregate(
    create: &CreateAggregate,
    schema: &Schema,
    current: Option<&str>,
) -> Result<Vec<Need>> {
    let home = home_of(&create.name, current)?;
    let function = |name: &str, types: &[CqlType]| function_resource(schema, &home, name, types);
    let state_type = std::slice::from_ref(&create.state_type);
    let state = function(&create.state_function, &[state_type, &create.arguments].concat());
    let mut needs = vec![(Permission::Execute, state)];
    if let Some(last) = &create.final_function {
        needs.push((Permission::Execute, function(last, state_type)));
    }
    let new = function(&create.name.name, &create.arguments);
    needs.push(of_creation(schema, home, new, create.or_replace));
    Ok(needs)
}

fn of_dropped_function(
    drop: &DropFunction,
    schema: &Schema,
    current: Option<&str>,
) -> Result<Vec<Need>> {
    let home = home_of(&drop.name, current)?;
    let fits = |types: &[CqlType]| {
        let wanted = drop.arguments.as_ref();
        wanted.is_none_or(|wanted| spelled(wanted) == spelled(types))
    };
    let needs = all_functions(schema, &home)
        .filter(|(name, types)| *name == drop.name.name && fits(types))
        .map(|(name, types)| {
            let function = FunctionId::new(&home, name, &types);
            (Permission::Drop, Resource::Function(function))
        });
    Ok(needs.collect())
}

/// Names and argument types of a keyspace's functions and aggregates.
fn all_functions<'a>(
    schema: &'a Schema,
    keyspace: &str,
) -> impl Iterator<Item = (&'a str, Vec<CqlType>)> {
    schema.keyspaces.get(keyspace).into_iter().flat_map(|keyspace| {
        let functions = keyspace.functions.iter().map(|f| (f.name.as_str(), f.argument_types()));
        let aggregates = keyspace.aggregates.iter();
        functions.chain(aggregates.map(|a| (a.name.as_str(), a.arguments.clone())))
    })
}

/// The function with these argument types, user-defined ones as the schema has them if it has it.
pub(super) fn function_resource(
    schema: &Schema,
    keyspace: &str,
    name: &str,
    types: &[CqlType],
) -> Resource {
    let known = all_functions(schema, keyspace)
        .find(|(other, others)| *other == name && spelled(others) == spelled(types));
    let types = known.map_or_else(|| types.to_vec(), |(_, types)| types);
    Resource::Function(FunctionId::new(keyspace, name, &types))
}

/// What a change has created, for its creator to do all with. A view belongs to its base table.
pub(crate) fn created(ddl: &Ddl, change: &Change, schema: &Schema) -> Vec<Resource> {
    let keyspace = &change.keyspace;
    match (ddl, &change.target) {
        _ if change.what != "CREATED" => Vec::new(),
        (Ddl::CreateKeyspace(_), _) => vec![
            Resource::Keyspace(keyspace.clone()),
            Resource::AllTables(keyspace.clone()),
            Resource::FunctionsOf(keyspace.clone()),
        ],
        (Ddl::CreateTable(_), Target::Table(name)) => vec![Resource::table(keyspace, name)],
        (_, Target::Function(name, wanted) | Target::Aggregate(name, wanted)) => {
            all_functions(schema, keyspace)
                .find(|(other, types)| other == name && spelled(types) == *wanted)
                .map(|(name, types)| Resource::Function(FunctionId::new(keyspace, name, &types)))
                .into_iter()
                .collect()
        }
        _ => Vec::new(),
    }
}

/// Whether the change has dropped the resource.
pub(crate) fn is_dropped(resource: &Resource, change: &Change) -> bool {
    match (&change.target, resource) {
        _ if change.what != "DROPPED" || !resource.is_of_keyspace(&change.keyspace) => false,
        (Target::Keyspace, _) => true,
        (Target::Table(name), Resource::Table { name: other, .. }) => name == other,
        (
            Target::Function(name, types) | Target::Aggregate(name, types),
            Resource::Function(function),
        ) => *name == function.name && *types == function.types,
        _ => false,
    }
}
