//! The catalogs PostgreSQL's clients look things up in: `pg_catalog` and `information_schema`, and the
//! functions that go with them.
//!
//! What is added to a session must not hold on to the session's own catalogs: a circle would keep the
//! snapshot of every closed connection alive.

use std::fmt;
use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{SchemaProvider, TableFunctionImpl, TableProvider};
use datafusion::config::Dialect;
use datafusion::datasource::TableType;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::prelude::SessionContext;
use datafusion_pg_catalog::pg_catalog::catalog_info::CatalogInfo;
use datafusion_pg_catalog::pg_catalog::context::{PgCatalogContextProvider, Role};
use datafusion_pg_catalog::pg_catalog::generate_series_arg_coercion::CoerceIntArgsToBigInt;
use datafusion_pg_catalog::pg_catalog::oid_type_planner::PgOidTypePlanner;
use datafusion_pg_catalog::pg_catalog::{PgCatalogSchemaProvider, PgCatalogStaticTables};

use super::settings::SharedSettings;

mod functions;
mod information;
mod settings_table;
#[cfg(test)]
mod tests;

const PG_CATALOG: &str = "pg_catalog";
const INFORMATION_SCHEMA: &str = "information_schema";

/// PostgreSQL's own types, functions and operators: the same for everybody, and not small.
static STATIC_TABLES: LazyLock<std::result::Result<Arc<PgCatalogStaticTables>, String>> =
    LazyLock::new(|| PgCatalogStaticTables::try_new().map(Arc::new).map_err(|error| error.to_string()));

/// Who a session belongs to, as its catalogs and functions tell it.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) user: String,
    pub(crate) pid: i32,
    pub(crate) settings: SharedSettings,
}

/// Adds the catalogs to a session whose tables are in `public`.
pub(crate) fn install(context: &SessionContext, identity: &Identity) -> Result<()> {
    let state = context.state();
    let names = &state.config_options().catalog;
    let (database, public) = (names.default_catalog.clone(), names.default_schema.clone());
    let catalog = context
        .catalog(&database)
        .ok_or_else(|| DataFusionError::Configuration(format!("the catalog {database} is missing")))?;
    let tables = catalog
        .schema(&public)
        .ok_or_else(|| DataFusionError::Configuration(format!("the schema {public} is missing")))?;
    let relations = Relations { database: database.clone(), schema: public, tables };
    let static_tables = STATIC_TABLES.as_ref().map_err(|error| DataFusionError::Internal(error.clone()))?;

    speak_postgresql(context);
    let roles = Roles { user: identity.user.clone() };
    let provided = PgCatalogSchemaProvider::try_new(relations.clone(), Arc::clone(static_tables), roles)?;
    let pg_catalog = PgCatalog { provided: Arc::new(provided), settings: identity.settings.clone() };
    catalog.register_schema(PG_CATALOG, Arc::new(pg_catalog))?;
    catalog.register_schema(INFORMATION_SCHEMA, Arc::new(information::InformationSchema::new(relations)))?;
    let keywords: Arc<dyn TableFunctionImpl> = static_tables.pg_get_keywords.clone();
    context.register_udtf("pg_get_keywords", keywords);
    functions::register(context, &database, identity);
    CoerceIntArgsToBigInt::widen(context);
    Ok(())
}

/// PostgreSQL's grammar and type names; our own `information_schema` instead of the planner's.
fn speak_postgresql(context: &SessionContext) {
    let state = context.state_ref();
    let existing = state.read().clone();
    let mut speaking =
        SessionStateBuilder::new_from_existing(existing).with_type_planner(Arc::new(PgOidTypePlanner)).build();
    let options = speaking.config_mut().options_mut();
    options.catalog.information_schema = false;
    options.sql_parser.dialect = Dialect::PostgreSQL;
    *state.write() = speaking;
}

/// The tables that the catalogs describe.
#[derive(Clone)]
pub(crate) struct Relations {
    database: String,
    schema: String,
    tables: Arc<dyn SchemaProvider>,
}

impl fmt::Debug for Relations {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Relations").field("schema", &self.schema).finish_non_exhaustive()
    }
}

impl Relations {
    fn is_here(&self, database: &str, schema: &str) -> bool {
        database == self.database && schema == self.schema
    }
}

#[async_trait]
impl CatalogInfo for Relations {
    async fn catalog_names(&self) -> Result<Vec<String>> {
        Ok(vec![self.database.clone()])
    }

    async fn schema_names(&self, catalog_name: &str) -> Result<Option<Vec<String>>> {
        let schemas = [self.schema.as_str(), PG_CATALOG, INFORMATION_SCHEMA];
        Ok((catalog_name == self.database).then(|| schemas.map(str::to_owned).to_vec()))
    }

    async fn table_names(&self, catalog_name: &str, schema_name: &str) -> Result<Option<Vec<String>>> {
        if self.is_here(catalog_name, schema_name) {
            return Ok(Some(self.tables.table_names()));
        }
        Ok((catalog_name == self.database).then(Vec::new))
    }

    async fn table_schema(&self, catalog_name: &str, schema_name: &str, table_name: &str) -> Result<Option<SchemaRef>> {
        if !self.is_here(catalog_name, schema_name) {
            return Ok(None);
        }
        Ok(self.tables.table(table_name).await?.map(|table| table.schema()))
    }

    async fn table_type(&self, catalog_name: &str, schema_name: &str, table_name: &str) -> Result<Option<TableType>> {
        if !self.is_here(catalog_name, schema_name) {
            return Ok(None);
        }
        self.tables.table_type(table_name).await
    }
}

/// The only role a session sees: its own.
#[derive(Debug, Clone)]
struct Roles {
    user: String,
}

#[async_trait]
impl PgCatalogContextProvider for Roles {
    async fn roles(&self) -> Vec<String> {
        vec![self.user.clone()]
    }

    async fn role(&self, name: &str) -> Option<Role> {
        (name == self.user).then(|| Role {
            name: name.to_owned(),
            is_superuser: false,
            can_login: true,
            can_create_db: false,
            can_create_role: false,
            can_create_user: false,
            can_replication: false,
            grants: Vec::new(),
            inherited_roles: Vec::new(),
        })
    }
}

/// `pg_catalog` as the crate provides it, with this session's settings.
#[derive(Debug)]
struct PgCatalog {
    provided: Arc<dyn SchemaProvider>,
    settings: SharedSettings,
}

#[async_trait]
impl SchemaProvider for PgCatalog {
    fn table_names(&self) -> Vec<String> {
        self.provided.table_names()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        if name.eq_ignore_ascii_case("pg_settings") {
            return settings_table::pg_settings(&self.settings).map(Some);
        }
        self.provided.table(name).await
    }

    fn table_exist(&self, name: &str) -> bool {
        self.provided.table_exist(name)
    }
}
